/* chain_grad.h — one differentiable transition: the piece all of alignment is made of.
 *
 * Holds a training plan of the network for one batch. `dmc__chain_mean` evaluates mu_theta(z_k) of row k; a loss then
 * says dL/dmu, and `dmc__chain_backward` adds dL/dtheta and returns dL/dz_k. Log-probability, KL and QV-PG are seeds.
 */
#ifndef DMC_DIFFUSION_CHAIN_GRAD_H
#define DMC_DIFFUSION_CHAIN_GRAD_H

#include "rollout.h"

typedef struct dmc__chain dmc__chain;

/* want_dz: dL/dz_k is needed (QV-PG). train mask as dmc__plan_create. */
dmc_status dmc__chain_create(const dmc__net *net, dmc__device *d, int32_t batch, int32_t want_dz, const uint8_t *train,
                             dmc__chain **out);
void dmc__chain_destroy(dmc__chain *c);
void dmc__chain_bind(dmc__chain *c, const void *weights, void *grads);
/* mu of row k for the latents z (device (batch,T,cols)) with the roll-out's condition, side input and mask.
 * mu_out: device (batch,T,cols). */
dmc_status dmc__chain_mean(dmc__chain *c, const dmc__rollout *r, int32_t k, const void *z, void *mu_out);
/* 1: a clipped prediction still passes gradients that lead it back inside (exact gradients are 0 there, so a sample that was
 * pushed onto the bound would stay for ever). 0, the default: exact. */
void dmc__chain_set_inward(dmc__chain *c, int32_t inward);
/* After dmc__chain_mean: dmu (device) -> parameter gradients; dz_out (may be NULL) <- dL/dz_k through both paths. scale_param
 * multiplies the parameter branch only (kappa of QV-PG; 1 otherwise). */
dmc_status dmc__chain_backward(dmc__chain *c, const void *dmu, double scale_param, void *dz_out);
/* The network's raw output of the last dmc__chain_mean, and a backward from a seed on it (denoising losses). */
const void *dmc__chain_output(const dmc__chain *c);
/* Network only: f(z, t_b, cond, extra) with per-sample times (device (batch)); then backward from df (device). */
dmc_status dmc__chain_network(dmc__chain *c, const void *z, const void *t, const void *cond, const void *extra);
dmc_status dmc__chain_network_backward(dmc__chain *c, const void *df);
/* dz = df (df/dz) of the last dmc__chain_network, host (batch, outputs) and (batch,T,cols); no gradients of parameters. May be
 * repeated. */
dmc_status dmc__chain_vjp(dmc__chain *c, const float *df, float *dz);
/* Dropout of the network from here on: dmc__plan_set_dropout. */
void dmc__chain_set_dropout(dmc__chain *c, int32_t on, uint64_t seed, uint64_t step);
/* dmc__plan_set_dropout_base */
void dmc__chain_set_dropout_base(dmc__chain *c, const uint64_t *base);
size_t dmc__chain_bytes(const dmc__chain *c);

#endif
