/* online.h (internal) — rounds of collecting, critic updates and alignment (methods.md 9). */
#ifndef DMC_TRAIN_ONLINE_ROOM_H
#define DMC_TRAIN_ONLINE_ROOM_H

#include "../align/sequence.h"
#include "critic_replay.h"
#include "evaluate.h"

enum { DMC__ONLINE_RL = 0, DMC__ONLINE_DPO = 1, DMC__ONLINE_SFT = 2 };

typedef struct dmc__online_config {
    int32_t rounds, episodes, method, updates, candidates, select, exec, eval_episodes, restore;
    double utd, share, beta;
    uint64_t first_seed, seed;
    dmc__rl_config rl;
    dmc__dpo_config dpo;
    dmc__sft_config sft;
} dmc__online_config;

typedef struct dmc__online_result {
    int32_t rounds, updates, rollbacks, restored;
    int64_t steps, critic_updates;
    double before, before_se, after, after_se, q_loss, v_loss, kl, seconds;
    double *returns; /* (rounds,episodes), or NULL */
} dmc__online_result;

/* Who takes part: a moves the weights of `model`, the critic says which sample is done. */
typedef struct dmc__online_parts {
    dmc__align *align;
    const dmc__model *model;
    dmc__critic *critic;
    const dmc__env *env;
    dmc__experience *replay;
    int32_t *round; /* from 1, while a round aligns; else 0 */
} dmc__online_parts;

/* DMC_STOPPED if the progress callback said so. */
dmc_status dmc__online_run(const dmc__online_parts *p, const dmc__online_config *c, dmc__online_result *r);

#endif
