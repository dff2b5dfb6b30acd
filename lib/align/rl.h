/* rl.h — reinforcement learning through the denoising steps (methods.md 2). */
#ifndef DMC_ALIGN_RL_H
#define DMC_ALIGN_RL_H

#include "align.h"

enum { DMC__RL_PPO = 0, DMC__RL_REINFORCE = 1, DMC__RL_QVPG = 2 };
/* From PROJ on every sample has weights of its own. */
enum {
    DMC__KAPPA_GEOM = 0,
    DMC__KAPPA_LINEAR = 1,
    DMC__KAPPA_CONST = 2,
    DMC__KAPPA_PROJ = 3,
    DMC__KAPPA_COS = 4,
    DMC__KAPPA_PAIRCOS = 5
};

typedef struct dmc__rl_config {
    int32_t method, updates, last_k, kappa, epochs;
    int32_t kl_exact; /* else |eps - eps_ref|^2 */
    double kappa_gamma, clip, kl, advantage_clip;
} dmc__rl_config;

dmc_status dmc__rl_run(dmc__align *a, const dmc__rl_config *c, dmc__align_result *r);

/* What it runs; the reference is the aligner's present weights. The aligner has a reward (dmc__align_need_reward). */
typedef struct dmc__rl dmc__rl;
dmc_status dmc__rl_create(dmc__align *a, const dmc__rl_config *c, dmc__rl **out);
void dmc__rl_destroy(dmc__rl *s);

#endif
