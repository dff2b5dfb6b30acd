/* inverse_pass.h — actions of plans that are states only: a_h = f_inv(s_h, s_{h+1}), and gradients back to the states. */
#ifndef DMC_CRITIC_INVERSE_PASS_H
#define DMC_CRITIC_INVERSE_PASS_H

#include "../nn/net.h"

typedef struct dmc__inverse_pass dmc__inverse_pass;

/* What it is for: actions alone; plans completed by them; gradients of these too. */
enum { DMC__INVERSE_ACTIONS = 0, DMC__INVERSE_PLANS = 1, DMC__INVERSE_GRADIENTS = 2 };

/* For `samples` plans (horizon,S), of which the first `rows` < horizon actions are wanted, by a network of two rows that regresses;
 * everything normalised as it was trained. weights are read where they are; both must outlive it. Allocates; the rest does not. */
dmc_status dmc__inverse_pass_create(const dmc__net *net, const void *weights, dmc__device *d, int32_t samples, int32_t horizon,
                                    int32_t rows, int32_t purpose, dmc__inverse_pass **out);
void dmc__inverse_pass_destroy(dmc__inverse_pass *p);
size_t dmc__inverse_pass_bytes(const dmc__inverse_pass *p);

/* Actions alone: what is fed, device (samples*rows,2,S), the pairs [s_h | s_{h+1}]; after run, device (samples*rows,A). */
void *dmc__inverse_pass_states(const dmc__inverse_pass *p);
dmc_status dmc__inverse_pass_run(const dmc__inverse_pass *p);
const void *dmc__inverse_pass_actions(const dmc__inverse_pass *p);

/* Plans: from device z (samples,horizon,S) to device (samples,rows,S+A), rows [s_h | a_h]. */
dmc_status dmc__inverse_pass_complete(const dmc__inverse_pass *p, const void *z, const void **plans);
/* Gradients: dL/d plans (samples,rows,S+A) to fill after complete; then dz (samples,horizon,S) is set to dL/dz. */
void *dmc__inverse_pass_dplans(const dmc__inverse_pass *p);
dmc_status dmc__inverse_pass_backward(const dmc__inverse_pass *p, void *dz);

#endif
