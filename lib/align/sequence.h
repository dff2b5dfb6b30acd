/* sequence.h — the methods in passes over one adapter (methods.md 6). */
#ifndef DMC_ALIGN_SEQUENCE_H
#define DMC_ALIGN_SEQUENCE_H

#include "cascade.h"
#include "dpo.h"
#include "rl.h"
#include "sft.h"

typedef struct dmc__sequence_config {
    int32_t passes, cascade;
    const char *order;
    dmc__rl_config rl;
    dmc__dpo_config dpo;
    dmc__sft_config sft;
    dmc__cascade_config cascade_config;
} dmc__sequence_config;

dmc_status dmc__sequence_run(dmc__align *a, const dmc__sequence_config *c, dmc__align_result *r);

#endif
