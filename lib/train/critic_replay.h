/* critic_replay.h — a critic that learns from what was gathered while acting, beside its dataset. */
#ifndef DMC_TRAIN_CRITIC_REPLAY_H
#define DMC_TRAIN_CRITIC_REPLAY_H

#include "../data/experience.h"
#include "critic_fit.h"

/* n updates; `share` of each batch, rounded, comes from x. See dmc_critic_step_on. */
dmc_status dmc__critic_step_on(dmc__critic *c, const dmc__experience *x, double share, int32_t n, dmc__iql_metrics *mean);

#endif
