/* cascade.h — p(x_r | x_cond, c): the model's network grown by a clean side input, all weights its own (methods.md 5). */
#ifndef DMC_ALIGN_CASCADE_H
#define DMC_ALIGN_CASCADE_H

#include "candidates.h"

typedef struct dmc__cascade_config {
    int32_t updates, conditions, pool;
    int32_t variation, refresh; /* DMC__VARY_*; updates between new pairs, 0 = never */
    double fork_min, fork_max, gain, adherence;
} dmc__cascade_config;

typedef struct dmc__cascade {
    dmc__net *net;
    dmc__learner *learner;
    dmc__rollout *sample;        /* `batch` samples */
} dmc__cascade;

/* A cascade whose output equals that of `weights` for any side input (grown columns are zero). */
dmc_status dmc__cascade_create(const dmc__align *a, const void *weights, dmc__cascade **out);
void dmc__cascade_destroy(const dmc__allocator *a, dmc__cascade *c);
/* One pass over the samples in a->sample with the conditions staged in a; z_0 is then in c->sample. */
dmc_status dmc__cascade_sample(dmc__align *a, dmc__cascade *c, uint64_t draw);
dmc_status dmc__cascade_run(dmc__align *a, const dmc__cascade_config *c, dmc__align_result *r);
/* The same from these candidates (c->conditions groups) in place of drawn ones, if they are not NULL. */
dmc_status dmc__cascade_learn(dmc__align *a, const dmc__cascade_config *c, dmc__candidates *given, dmc__align_result *r);

#endif
