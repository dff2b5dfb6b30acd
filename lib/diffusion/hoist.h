/* hoist.h — a network in a denoising loop: what does not change from row to row leaves the loop.
 *
 * A node of f(z, t, cond [, extra]) belongs to one of four plans by what it depends on:
 *
 *     TIME   t only                K samples, one per row of the table: once for every set of weights
 *     COND   the condition only    one sample per condition: once for every dmc__hoist_set_cond
 *     BOTH   t and the condition   one per row and condition, a stretch of rows at a time
 *     REST   all others            the batch, in every row
 *
 * A plan reads values of the plans above it in place where one sample meets one sample, otherwise REPEAT spreads them.
 * Kernels give a sample the same bits in any batch, so the output is that of one plan of everything, to the bit.
 */
#ifndef DMC_DIFFUSION_HOIST_H
#define DMC_DIFFUSION_HOIST_H

#include "../nn/net.h"
#include "table.h"

typedef struct dmc__hoist dmc__hoist;

/* Samples i group .. i group + group - 1 have condition i; group divides batch. create allocates, the rest does not. */
dmc_status dmc__hoist_create(const dmc__net *net, dmc__device *d, const dmc__table *table, int32_t batch, int32_t group,
                             dmc__hoist **out);
void dmc__hoist_destroy(dmc__hoist *h);
/* Weights from the next forward on, and that theirs have changed if they are the same ones. Cheap: what follows from them
 * is computed then. */
void dmc__hoist_bind(dmc__hoist *h, const void *weights);
/* After a bind, until the next: dmc__plan_bind_half. */
void dmc__hoist_bind_half(dmc__hoist *h, const void *half, int32_t type);
/* Compute what depends on the weights alone now, not with the next forward. */
dmc_status dmc__hoist_settle(dmc__hoist *h);
/* The next forward computes anew what depends on the conditions, though they are the same. */
void dmc__hoist_forget(dmc__hoist *h);
/* Host floats (n,cond): of the first n of batch/group conditions; the others stay as they are, at first 0. */
dmc_status dmc__hoist_set_cond(dmc__hoist *h, const float *cond, int32_t n);
/* f of row k for device z (batch,T,cols) and extra (batch,T,extra; NULL: none), neither of which is copied. */
dmc_status dmc__hoist_forward(dmc__hoist *h, int32_t k, const void *z, const void *extra);
const void *dmc__hoist_output(const dmc__hoist *h); /* device (batch,T,cols) */
const void *dmc__hoist_cond(const dmc__hoist *h);   /* device (batch,cond); NULL: the network has none */
size_t dmc__hoist_bytes(const dmc__hoist *h);

#endif
