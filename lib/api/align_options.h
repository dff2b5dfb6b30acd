/* align_options.h — from public options (NULL: defaults) to the methods' own. */
#ifndef DMC_API_ALIGN_OPTIONS_H
#define DMC_API_ALIGN_OPTIONS_H

#include "../../include/libdmc/aligner.h"
#include "../align/sequence.h"

dmc_status dmc__take_rl(const dmc_rl_options *o, dmc__rl_config *c);
dmc_status dmc__take_dpo(const dmc_dpo_options *o, dmc__dpo_config *c);
dmc_status dmc__take_sft(const dmc_sft_options *o, dmc__sft_config *c);
dmc_status dmc__take_cascade(const dmc_cascade_options *o, dmc__cascade_config *c);

#endif
