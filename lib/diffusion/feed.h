/* feed.h — put a batch into a network's training plan (roll-outs read it in place: hoist.h). */
#ifndef DMC_DIFFUSION_FEED_H
#define DMC_DIFFUSION_FEED_H

#include "../nn/net.h"

typedef struct dmc__feed {
    const dmc__net *net;
    dmc__device *device;
    dmc__plan *plan;
} dmc__feed;

/* Refuse batches whose tensors an op could not count (dimensions are int32). */
dmc_status dmc__feed_check(const dmc__net *net, int32_t batch, const char *who);
/* Device z (batch,T,cols), cond (batch,cond), extra (batch,T,extra) into the inputs; inputs the network lacks are skipped. */
dmc_status dmc__feed_inputs(const dmc__feed *f, const void *z, const void *cond, const void *extra);
/* Every sample at this time, as the network sees it. */
dmc_status dmc__feed_time(const dmc__feed *f, double seen);

/* Elements of one sample. */
size_t dmc__feed_elems(const dmc__net *net);       /* T*cols  */
size_t dmc__feed_out_elems(const dmc__net *net);   /* T*cols, or the outputs of a network that regresses */
size_t dmc__feed_cond_elems(const dmc__net *net);  /* cond    */
size_t dmc__feed_extra_elems(const dmc__net *net); /* T*extra */

#endif
