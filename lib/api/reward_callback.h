/* reward_callback.h — a user's reward on samples in dataset units, presented to alignment as any other reward. */
#ifndef DMC_API_REWARD_CALLBACK_H
#define DMC_API_REWARD_CALLBACK_H

#include "../../include/libdmc/aligner.h"
#include "../critic/reward.h"
#include "../data/view.h"

dmc_status dmc__reward_callback_create(const dmc__allocator *a, dmc__device *d, const dmc__view *view, int32_t batch,
                                       int32_t has_gradient, dmc_reward_fn fn, void *user, dmc__reward *out);
void dmc__reward_callback_free(dmc__reward *r);
int32_t dmc__reward_is_callback(const dmc__reward *r);

#endif
