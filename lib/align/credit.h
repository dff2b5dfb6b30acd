/* credit.h — advantages over candidates and credit over denoising steps. Plain host arithmetic in double. */
#ifndef DMC_ALIGN_CREDIT_H
#define DMC_ALIGN_CREDIT_H

#include "rl.h"

/* Group-relative advantages (methods.md 2.1): (r - mean of the group) / (std over all + 1e-8), clipped to +-clip. A
 * group whose rewards are all equal gets zeros. adv may alias r. */
void dmc__credit_advantage(const float *r, int32_t groups, int32_t pool, double clip, float *adv);

/* Weights of the last K steps, kappa[j] for the j-th row of the learning part, noisiest first (j = K-1 is the step to
 * z_0); normalised to mean 1 (methods.md 2.2). GEOM: gamma^(K-1-j). LINEAR: (j+1)/K. CONST: 1. */
void dmc__credit_kappa(int32_t kind, int32_t k, double gamma, double *kappa);

/* PROJ, per sample: kappa_j = K (d_j . D)/|D|^2 clamped to [0,4], d_j = z_{j+1}-z_j, D = z_K-z_0 over unmasked entries;
 * normalised to mean 1 over j. Without clamping the mean is 1 exactly. chain: K+1 latents (elems each); mask may be NULL. */
void dmc__credit_projection(const float *const *chain, int32_t k, size_t elems, const float *mask, double *kappa);

#endif
