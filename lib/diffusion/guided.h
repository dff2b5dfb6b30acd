/* guided.h — what a roll-out takes for the network's answer of a row: the hoisted network's own, two of them mixed
 * (classifier-free guidance), or one that a guide has moved. docs/math/guidance.md.
 *
 * With null_share s the network is run with the condition and without it (zeros), as one batch of twice the size, and
 *
 *     f = (1 - s) f(z, t, c) + s f(z, t, 0);        s = 1: f(z, t, 0) alone;        s = 0: costs nothing.
 *
 * A guide with gradient g then moves f so that the predicted sample x = P z + Q f goes up its hill, before it is clipped:
 *
 *     of_sample 0, g at (z, t):        x += scale sigma^2/alpha g                   rows with alpha = 0: not at all
 *     of_sample 1, g at clip(x):       x += scale sigma^2/(sigma^2 + alpha^2) g
 *
 * Known entries of z' are known all the same. Nothing is allocated after create.
 */
#ifndef DMC_DIFFUSION_GUIDED_H
#define DMC_DIFFUSION_GUIDED_H

#include "affine.h"
#include "hoist.h"
#include "rollout.h"

typedef struct dmc__guided dmc__guided;

dmc_status dmc__guided_create(const dmc__net *net, dmc__device *d, const dmc__table *table, const dmc__rollout_config *c,
                              dmc__guided **out);
void dmc__guided_destroy(dmc__guided *g);
/* As those of hoist.h. */
void dmc__guided_bind(dmc__guided *g, const void *weights);
void dmc__guided_bind_half(dmc__guided *g, const void *half, int32_t type);
/* As of hoist.h. */
dmc_status dmc__guided_settle(dmc__guided *g);
void dmc__guided_forget(dmc__guided *g);
dmc_status dmc__guided_set_cond(dmc__guided *g, const float *cond);
/* f of row k of the table, for device z (batch,T,cols) and extra (batch,T,extra; NULL: none); a: clip and known entries of the
 * predicted sample that a guide of samples is shown. */
dmc_status dmc__guided_forward(dmc__guided *g, const dmc__affine *a, const dmc__row *row, int32_t k, const void *z,
                               const void *extra);
const void *dmc__guided_output(const dmc__guided *g); /* device (batch,T,cols): of the last forward */
const void *dmc__guided_cond(const dmc__guided *g);   /* device (batch,cond): as given; NULL: the network has none */
size_t dmc__guided_bytes(const dmc__guided *g);

/* By how much of the gradient f moves in a row; 0: not at all. */
double dmc__guide_coefficient(const dmc__guide *g, const dmc__row *row);

#endif
