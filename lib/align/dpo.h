/* dpo.h — direct preference optimisation (methods.md 3). */
#ifndef DMC_ALIGN_DPO_H
#define DMC_ALIGN_DPO_H

#include "align.h"

typedef struct dmc__dpo_config {
    int32_t updates, refresh, pool;
    int32_t weighting;           /* DMC__WEIGHTING_* */
    int32_t reference_every;     /* updates between references; 0: those at the start of the stage stay */
    int32_t pairs;               /* DMC__PAIRS_* (pairs.h) */
    int32_t bradley_terry;       /* candidates are ranked by a score learnt from `pairs`, not by the reward */
    int32_t preference_updates;  /* of that score */
    int32_t conditions;          /* pairs at a time, at most; 0: as many as an update takes */
    double gamma, anchor, margin, displacement, radius, discount;
} dmc__dpo_config;

dmc_status dmc__dpo_run(dmc__align *a, const dmc__dpo_config *c, dmc__align_result *r);

#endif
