/* rl.h — reinforcement learning through the denoising steps (methods.md 2). */
#ifndef DMC_ALIGN_RL_H
#define DMC_ALIGN_RL_H

#include "align.h"

/* AUTO: PPO and QV-PG from the same weights, a quarter of the updates each; the better one does the rest. */
enum { DMC__RL_PPO = 0, DMC__RL_REINFORCE = 1, DMC__RL_QVPG = 2, DMC__RL_AUTO = 3 };
/* Steps that learn in an update: last_k; as many from 1 to last_k as are drawn; 1, 2, 4 .. last_k, doubled where the stage
 * plateaus and halved where it collapses. */
enum { DMC__LAST_K_FIXED = 0, DMC__LAST_K_RANDOM = 1, DMC__LAST_K_CURRICULUM = 2 };
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
    int32_t reduce_sum; /* log-probabilities over the entries of a sample: their sum; else their mean */
    int32_t last_k_kind; /* DMC__LAST_K_* */
    int32_t by_row;     /* an advantage for every row of a plan; else one for a sample */
    int32_t group_std;  /* advantages over the deviation of their group; else of the batch */
    double kappa_gamma, clip, kl, advantage_clip;
    double clip_base;   /* clip at the noisiest learning step; 0 = clip */
    double target_kl;   /* no more epochs where the mean of (rho-1) - ln rho is above it; 0 = off */
    double entropy;     /* weight of the candidates' entropy, 0 = none */
    double entropy_target; /* share of the first spread that the weight follows, 0 = it stays */
    double kl_target;   /* of the chain, per dimension: the weight of the divergence follows it; 0 = the weight stays */
} dmc__rl_config;

dmc_status dmc__rl_run(dmc__align *a, const dmc__rl_config *c, dmc__align_result *r);

/* What it runs; the reference is the aligner's present weights. The aligner has a reward (dmc__align_need_reward). */
typedef struct dmc__rl dmc__rl;
dmc_status dmc__rl_create(dmc__align *a, const dmc__rl_config *c, dmc__rl **out);
void dmc__rl_destroy(dmc__rl *s);

/* The clip of learning row j of K: from base at j = 0 to clip at the last, (e^{3x}-1)/(e^3-1) of the way at x = j/(K-1). One row
 * has the clip. */
double dmc__rl_clip(double base, double clip, int32_t j, int32_t k);
/* The weight of a divergence after an update that measured kl: 1.5 times as large above 1.5 target, as small below target/1.5;
 * within 1e-6 .. 1e6. */
double dmc__rl_adapt(double weight, double kl, double target);

#endif
