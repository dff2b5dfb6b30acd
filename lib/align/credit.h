/* credit.h — advantages over candidates and credit over denoising steps. Plain host arithmetic in double. */
#ifndef DMC_ALIGN_CREDIT_H
#define DMC_ALIGN_CREDIT_H

#include "rl.h"

/* Group-relative advantages (methods.md 2.1) of rewards (groups, pool, rows): (r - mean of the same row over the group) /
 * (std + 1e-8), clipped to +-clip; std over all of them, or with group_std of each group, which blows noise up where candidates
 * agree. A row whose rewards are all equal gets zeros. adv may alias r. */
void dmc__credit_advantage(const float *r, int32_t groups, int32_t pool, int32_t rows, int32_t group_std, double clip, float *adv);

/* Weights of the last K steps, kappa[j] for the j-th row of the learning part, noisiest first (j = K-1 is the step to
 * z_0); normalised to mean 1 (methods.md 2.2). GEOM: gamma^(K-1-j). LINEAR: (j+1)/K. CONST: 1. */
void dmc__credit_kappa(int32_t kind, int32_t k, double gamma, double *kappa);

/* How much step j of the last K looks like the whole chain from z_T to z_0, over unmasked entries, per sample (methods.md 2.2).
 * With d_j = z_{j+1} - z_j and D = z_0 - z_T:
 *   PROJ     d_j.D/|D|^2, which adds up to 1 over a whole chain    COS  d_j.D/(|d_j||D| + 1e-8)
 *   PAIRCOS  cos([z_j; z_{j+1}], [z_T; z_0])
 * chain: K+1 latents (elems each), the last z_0; start: z_T, which is chain[0] only if all steps learn; mask may be NULL. */
void dmc__credit_similarity(int32_t kind, const float *const *chain, int32_t k, const float *start, size_t elems,
                            const float *mask, double *similarity);
/* Weights from it, in place: PROJ total*s clamped to [0,4], the others max(0, s); normalised to mean 1, and 1 where all are 0.
 * total: T, steps of the whole chain. */
void dmc__credit_weigh(int32_t kind, int32_t k, int32_t total, double *kappa);

#endif
