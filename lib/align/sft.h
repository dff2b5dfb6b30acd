/* sft.h — fine-tuning on the best of the model's own samples (methods.md 4). */
#ifndef DMC_ALIGN_SFT_H
#define DMC_ALIGN_SFT_H

#include "align.h"

typedef struct dmc__sft_config {
    int32_t updates, rounds, pool, conditions, top_k, keep_rounds, accept, early_stop;
    double likelihood, replay, quantile, weight_beta;
} dmc__sft_config;

dmc_status dmc__sft_run(dmc__align *a, const dmc__sft_config *c, dmc__align_result *r);

#endif
