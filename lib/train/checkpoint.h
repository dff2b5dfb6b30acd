/* checkpoint.h — a learner on disk: what learns, its EMA and moments, and the step. All randomness is counted from the
 * step, so nothing else is needed to go on bit-exactly. */
#ifndef DMC_TRAIN_CHECKPOINT_H
#define DMC_TRAIN_CHECKPOINT_H

#include "../optim/learner.h"

dmc_status dmc__checkpoint_save(const dmc__allocator *a, const dmc__learner *l, const dmc__graph *g, int64_t step,
                                const char *path);
/* Sizes must match those of `l`, else DMC_ESHAPE and nothing is changed. */
dmc_status dmc__checkpoint_load(const dmc__allocator *a, dmc__learner *l, const dmc__graph *g, int64_t *step,
                                const char *path);

#endif
