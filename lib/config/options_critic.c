/* options_critic.c — the field table of dmc_critic_options. */
#include "../../include/libdmc/critic.h"
#include "options_rows.h"

#define CRITIC_FIELDS(X, T)                                                                       \
    X##_INT(T, hidden, 256, 1, 8192, "width of the two hidden layers")                            \
    X##_INT(T, batch, 256, 1, 65536, "transitions per update")                                    \
    X##_INT(T, steps, 0, 0, 1e9, "length of the cosine learning-rate schedule; 0 = constant")     \
    X##_REAL(T, lr, 3e-4, 0, 1, "Adam learning rate")                                             \
    X##_REAL(T, tau, 0.7, DMC__ABOVE_ZERO, DMC__BELOW_ONE, "expectile")                           \
    X##_REAL(T, gamma, 0.99, 0, 1, "discount per step")                                           \
    X##_REAL(T, polyak, 0.005, 0, 1, "share of Q that enters its target per update")              \
    X##_SEED(T, seed, "seed of weights and batches")                                              \
    X##_CHOICE(T, split, DMC_CRITIC_TRAIN, "train", 3, "train held_out first_half second_half",   \
               "episodes to learn from; halves are of the training episodes")                     \
    X##_INT(T, chunk, 1, 1, 1024, "rows of an action, and of the rewards before V counts")

DMC__OPTIONS_TABLE(dmc__options_critic, DMC_OPTIONS_CRITIC, dmc_critic_options, CRITIC_FIELDS, 0);
