/* rl_state.h — what the policy gradients share: chains, rewards, memory. Private to rl.c and the files rl_*.c. */
#ifndef DMC_ALIGN_RL_STATE_H
#define DMC_ALIGN_RL_STATE_H

#include "rl.h"

#include "../backend/block.h"
#include "entropy.h"

struct dmc__rl {
    dmc__align *a;
    dmc__rl_config c;
    int32_t k, most, batch;      /* learning rows of the table now and at most, samples */
    int32_t rows, units;         /* advantages per sample: 1, or rows of the plan; and in all, which is batch times that */
    size_t elems;
    double kl_weight, clip_scale, reward_std; /* the clip is halved by every collapse */
    dmc__rollout *chain;         /* noisy table for likelihood ratios; table of evaluation for QV-PG */
    dmc__chain *now, *ref;
    dmc__reward reward;
    void *ref_weights;
    dmc__block memory;           /* of what the device holds: */
    void *mu, *mu_ref, *dmu, *g; /* (batch, elems)               */
    void *dkl;                   /* (batch)                      */
    void *logp, *dlogp, *adv, *kappa_dev; /* (units)             */
    void *old, *kl, *stats;      /* (most, units) log-probabilities; (most, batch) KL per dimension; (most, units, 3) of PG_SEED */
    double *kappa;               /* (K), or (batch, K) for weights of each sample */
    float *r, *row;              /* host (units), (most, units, 3) */
    dmc__entropy *entropy;       /* NULL without, with: */
    float *slope;                /* host (batch, elems), its gradient */
    double entropy_weight, first_spread; /* 0 before the first update */
    float *latents;              /* host (K+2, batch, elems), weights of each sample only; the last is z_T */
};

/* Weights of the steps that every sample has of its own. */
int32_t dmc__rl_own_kappa(const dmc__rl *s);
/* The last k rows learn from here on, k <= most. */
void dmc__rl_set_k(dmc__rl *s, int32_t k);
/* An update's k: as last_k_kind says. */
void dmc__rl_choose_k(dmc__rl *s);
/* The stage that does updates of s. */
dmc__stage dmc__rl_stage(dmc__rl *s, int32_t updates);
/* Row of the table that learning row j is: j = K-1 ends in z_0. */
int32_t dmc__rl_row(const dmc__rl *s, int32_t j);
/* Part j of a device buffer of `most` parts with n elements each. */
void *dmc__rl_part(const dmc__rl *s, const void *buffer, int32_t j, size_t n);
/* Draw the batch's chains with the present weights and their rewards into s->r. */
dmc_status dmc__rl_draw(dmc__rl *s, void *dz, dmc__align_note *note);
/* After a draw: measures its candidates, notes and tunes. Nothing without entropy. */
dmc_status dmc__rl_measure_entropy(dmc__rl *s, dmc__align_note *note);
/* dmu += weight/batch d divergence(mu||mu_ref)/dmu of learning row j, where mu is, summed over the entries of a sample or their
 * mean; notes its KL per dimension in s->kl. */
dmc_status dmc__rl_add_kl(dmc__rl *s, int32_t j, double weight, int32_t sum);
/* note->kl: sum over the K rows of the noted KL, mean over the batch. */
dmc_status dmc__rl_note_kl(dmc__rl *s, dmc__align_note *note);

/* REINFORCE and PPO: chains, advantages and old log-probabilities; then the gradient at the present weights. */
dmc_status dmc__rl_ratio_begin(dmc__rl *s, dmc__align_note *note);
dmc_status dmc__rl_ratio_gradient(dmc__rl *s, dmc__align_note *note);
/* Mean of (rho-1) - ln rho over the transitions of the last gradient, an estimate of KL(old||now) that is never negative. */
double dmc__rl_ratio_kl(const dmc__rl *s);
/* QV-PG: chains, and the gradient through them. */
dmc_status dmc__rl_qvpg_gradient(dmc__rl *s, dmc__align_note *note);
/* An update each, the optimiser's steps included. */
dmc_status dmc__rl_ratio_update(dmc__rl *s, dmc__align_note *note);
dmc_status dmc__rl_qvpg_update(dmc__rl *s, dmc__align_note *note);

/* Method auto. */
dmc_status dmc__rl_auto(dmc__align *a, const dmc__rl_config *c, dmc__align_result *r);

#endif
