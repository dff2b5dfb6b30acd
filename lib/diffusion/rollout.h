/* rollout.h — run a table: z_K = noise -> ... -> z_0, for one batch of samples on one device.
 *
 * create allocates everything; run allocates nothing, takes no lock, makes no system call. Used by the sampler (no
 * chain) and by alignment (chain kept).
 */
#ifndef DMC_DIFFUSION_ROLLOUT_H
#define DMC_DIFFUSION_ROLLOUT_H

#include "../nn/net.h"
#include "guide.h"

typedef struct dmc__rollout dmc__rollout;

typedef struct dmc__rollout_config {
    int32_t batch;
    int32_t group;         /* neighbouring samples that share a condition; divides batch */
    int32_t keep_chain;    /* all latents, one more than rows, stay readable             */
    int32_t noised_known;  /* known entries are noised like the rest (RePaint) until the end; 0: they are clean everywhere. Must */
                           /* be what the network was trained with */
    int32_t live;          /* what a run draws is read from device memory when it is done: for recordings (dmc__rollout_note) */
    double null_share;     /* classifier-free guidance: f = (1 - null_share) f(z,t,cond) + null_share f(z,t,0); 0: off     */
    dmc__guide guide;      /* guide.gradient NULL: none                                  */
} dmc__rollout_config;

/* The table is copied; the net must outlive the roll-out. */
dmc_status dmc__rollout_create(const dmc__net *net, dmc__device *d, const dmc__table *table, const dmc__rollout_config *c,
                               dmc__rollout **out);
void dmc__rollout_destroy(dmc__rollout *r);

/* Weights for the last `last_k` rows, and for the rows before (the foundation; NULL = the same). Call it again when they
 * have changed in place: the next run then computes anew what depends on the time alone (hoist.h). */
void dmc__rollout_bind(dmc__rollout *r, const void *weights, const void *early, int32_t last_k);
/* After a bind, until the next: matrix weights of all rows as 16-bit numbers (dmc__plan_bind_half). */
void dmc__rollout_bind_half(dmc__rollout *r, const void *half, int32_t type);
/* Host floats, normalised: conditions (batch/group,cond); side input (batch,T,extra). */
dmc_status dmc__rollout_set_cond(dmc__rollout *r, const float *cond);
dmc_status dmc__rollout_set_extra(dmc__rollout *r, const float *extra);
/* In-painting: mask (batch,T,cols) 1 = known, known values likewise; NULL mask = none. In the sample known entries are these
 * floats. Before, they are the same (Diffuser's convention), or with noised_known alpha x + sigma xi of the level the network sees
 * them at, xi drawn anew for every latent (purpose DMC_STREAM_KNOWN, numbered like row noise). */
dmc_status dmc__rollout_set_known(dmc__rollout *r, const float *mask, const float *known);
/* Which numbers a run draws: noise keyed by (seed, call, first_sample + b). */
typedef struct dmc__rollout_draw {
    uint64_t seed, call, first_sample;
} dmc__rollout_draw;

/* With config.live: a recording of a run that is played next draws these. Costs a few stores. */
void dmc__rollout_note(dmc__rollout *r, const dmc__rollout_draw *draw);
/* For recordings, which should not depend on the runs around them, nor those on them: settle computes what depends on the
 * weights alone, which is not written down then; forget lets the next run compute all else anew. */
dmc_status dmc__rollout_settle(dmc__rollout *r);
void dmc__rollout_forget(dmc__rollout *r);
/* Begin a run with pure noise times `temperature`. */
dmc_status dmc__rollout_begin(dmc__rollout *r, const dmc__rollout_draw *draw, double temperature);
/* Begin with given clean samples x0 (device (batch,T,cols)), noised to the level of row `from`: pairs share a latent when
 * `noise_sample` is the same for several b (host (batch), sample number of the forward noise; NULL: each its own). The noise is
 * taken times `temperature`. x0 may be dmc__rollout_latent of the last row. DMC_EINVAL where row from - 1 does not
 * end a step. */
dmc_status dmc__rollout_begin_from(dmc__rollout *r, const void *x0, int32_t from, const dmc__rollout_draw *draw,
                                   const uint64_t *noise_sample, double temperature);
/* One denoising step: the rows up to the next that ends one. DMC_ESTATE when there is none left. */
dmc_status dmc__rollout_step(dmc__rollout *r);
/* Row that comes next; the number of rows when all are done. */
int32_t dmc__rollout_next(const dmc__rollout *r);
/* Stop here: the last row's predicted sample becomes the sample (dmc__rollout_sample). Without a row since the run began:
 * DMC_ESTATE. */
dmc_status dmc__rollout_stop(dmc__rollout *r);
/* begin, and all steps. */
dmc_status dmc__rollout_run(dmc__rollout *r, uint64_t seed, uint64_t call, uint64_t first_sample, double temperature);
dmc_status dmc__rollout_run_from(dmc__rollout *r, const void *x0, int32_t from, uint64_t seed, uint64_t call,
                                 uint64_t first_sample, const uint64_t *noise_sample);

int32_t dmc__rollout_rows(const dmc__rollout *r);
/* Of the table; where the last run began within one of 2M, that row is of first order. */
const dmc__row *dmc__rollout_row(const dmc__rollout *r, int32_t k);
int32_t dmc__rollout_batch(const dmc__rollout *r);
int32_t dmc__rollout_group(const dmc__rollout *r);
size_t dmc__rollout_elems(const dmc__rollout *r);          /* T*cols of one sample */
/* Latent before row k (k = 0: noise, k = K: the sample). With keep_chain any k, else only k = K. Device (batch,T,cols). */
void *dmc__rollout_latent(const dmc__rollout *r, int32_t k);
/* What the run has come to, device (batch,T,cols): the latent after the last row done, or the sample where it was stopped. */
void *dmc__rollout_sample(const dmc__rollout *r);
/* What row k takes up, device (batch,T,cols): with keep_chain, and a table that carries; else NULL. */
const void *dmc__rollout_carry(const dmc__rollout *r, int32_t k);
const void *dmc__rollout_mask(const dmc__rollout *r);      /* device, NULL = none */
const void *dmc__rollout_known(const dmc__rollout *r);     /* as set: clean */
const void *dmc__rollout_cond(const dmc__rollout *r);      /* device (batch,cond) */
const void *dmc__rollout_extra(const dmc__rollout *r);
double dmc__rollout_clip(const dmc__rollout *r);
size_t dmc__rollout_bytes(const dmc__rollout *r);

#endif
