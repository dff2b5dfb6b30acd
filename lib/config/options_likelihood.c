/* options_likelihood.c — the field table of dmc_likelihood_options. */
#include "../../include/libdmc/likelihood.h"
#include "options_rows.h"

#define LIKELIHOOD_FIELDS(X, T)                                                                   \
    X##_CHOICE(T, method, DMC_LIKELIHOOD_BOUND, "bound", 3, "bound bank flow_hutchinson flow_exact", \
               "a lower bound, a cheap score, or the density by the probability-flow ODE")        \
    X##_INT(T, steps, 0, 0, 1000, "levels of the bound, draws of the bank, intervals of the ODE; 0 = chosen") \
    X##_INT(T, probes, 1, 1, 256, "flow_hutchinson: vectors of signs per sample")                 \
    X##_SEED(T, seed, "seed of noise and signs")                                                  \
    X##_REAL(T, target_return, 1, -10, 10, "planner with returns: the return in the condition, 0..1 of the data's")

DMC__OPTIONS_TABLE(dmc__options_likelihood, DMC_OPTIONS_LIKELIHOOD, dmc_likelihood_options, LIKELIHOOD_FIELDS, 0);
