/* options_online.c — the field table of dmc_online_options. */
#include "../../include/libdmc/online.h"
#include "options_rows.h"

#define ONLINE_FIELDS(X, T)                                                                       \
    X##_INT(T, rounds, 10, 1, 1e6, "rounds of collecting, critic updates and alignment")          \
    X##_INT(T, episodes, 8, 1, 65536, "episodes collected per round")                             \
    X##_CHOICE(T, method, DMC_ONLINE_RL, "rl", 2, "rl dpo sft", "the method that aligns")         \
    X##_INT(T, updates, 20, 0, 1e6, "updates of the method per round; 0: only the critic learns") \
    X##_INT(T, candidates, 8, 1, 4096, "samples per decision")                                    \
    X##_CHOICE(T, select, DMC_SELECT_GREEDY, "greedy", 3, "first expectation greedy softmax",     \
               "which of them is done")                                                           \
    X##_INT(T, exec, 1, 1, 1024, "rows of an answer that are executed")                           \
    X##_INT(T, eval_episodes, 32, 0, 65536, "episodes before the first and after the last round; 0 = none") \
    X##_INT(T, restore, 1, 0, 1, "1 = a collapse of the returns takes the best round's weights back") \
    X##_REAL(T, utd, 1, 0, 1000, "critic updates per collected step")                             \
    X##_REAL(T, share, 0.5, 0, 1, "share of critic batches and conditions from the replay")       \
    X##_REAL(T, beta, 1, 0, 1e6, "select softmax: inverse temperature")                           \
    X##_SEED(T, first_seed, "evaluation takes the episodes from here on, collection those behind") \
    X##_SEED(T, seed, "seed of the samplers' noise")

DMC__OPTIONS_TABLE(dmc__options_online, DMC_OPTIONS_ONLINE, dmc_online_options, ONLINE_FIELDS, 0);
