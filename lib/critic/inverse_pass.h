/* inverse_pass.h — actions of plans that are states only: a_h = f_inv(s_h, s_{h+1}), and their gradient back to the states. */
#ifndef DMC_CRITIC_INVERSE_PASS_H
#define DMC_CRITIC_INVERSE_PASS_H

#include "../nn/net.h"

typedef struct dmc__inverse_pass dmc__inverse_pass;

/* For `samples` plans (horizon,S), of which the first `rows` < horizon actions are wanted, by a network of two rows that regresses;
 * everything normalised as it was trained. weights are read where they are; both must outlive it. Allocates; the rest does not. */
dmc_status dmc__inverse_pass_create(const dmc__net *net, const void *weights, dmc__device *d, int32_t samples, int32_t horizon,
                                    int32_t rows, int32_t want_gradient, dmc__inverse_pass **out);
void dmc__inverse_pass_destroy(dmc__inverse_pass *p);
/* What is fed: device (samples*rows,2,S), the pairs [s_h | s_{h+1}]. */
void *dmc__inverse_pass_states(const dmc__inverse_pass *p);
/* Pairs from plans z, device (samples,horizon,S). */
dmc_status dmc__inverse_pass_gather(const dmc__inverse_pass *p, const void *z);
dmc_status dmc__inverse_pass_run(const dmc__inverse_pass *p);
const void *dmc__inverse_pass_actions(const dmc__inverse_pass *p); /* device (samples*rows,A), after run */
/* dL/da to fill; then backward gives dL/d pairs, to which more may be added; scatter adds those of every state to dz
 * (samples,horizon,S). */
void *dmc__inverse_pass_dactions(const dmc__inverse_pass *p);
dmc_status dmc__inverse_pass_backward(const dmc__inverse_pass *p);
void *dmc__inverse_pass_dstates(const dmc__inverse_pass *p);
dmc_status dmc__inverse_pass_scatter(const dmc__inverse_pass *p, void *dz);
size_t dmc__inverse_pass_bytes(const dmc__inverse_pass *p);

#endif
