/* likelihood_parts.h — what the methods of likelihood.c share. */
#ifndef DMC_DIFFUSION_LIKELIHOOD_PARTS_H
#define DMC_DIFFUSION_LIKELIHOOD_PARTS_H

#include "denoise.h"
#include "feed.h"
#include "likelihood.h"

/* Bound and bank are constants less a sum of weighted errors of the network, one term per level and noise. */
typedef struct dmc__likelihood_term {
    double time, weight; /* on the clock; of the mean squared error there */
    uint64_t key;        /* step of the noise's stream                    */
} dmc__likelihood_term;

/* A place on the ODE's way, u = of_z z + of_f f, z = scale x. */
typedef struct dmc__likelihood_node {
    double time, seen;   /* on the clock; as the network gets it */
    double at;           /* sigma / (alpha + sigma)              */
    double scale, of_z, of_f;
} dmc__likelihood_node;

/* Of the ODE; all host. */
typedef struct dmc__likelihood_flow {
    dmc__likelihood_node *node;         /* (nodes), clean end first                          */
    int32_t nodes;
    float *z, *f, *probe, *dz;          /* (batch,D)                                         */
    double *x, *ahead, *u, *u_ahead;    /* (batch,D)                                         */
    double *div, *sum, *trace;          /* (batch)                                           */
    const float *mask;                  /* of the batch; NULL: nothing is known              */
    uint64_t first;
} dmc__likelihood_flow;

struct dmc__likelihood {
    const dmc__allocator *alloc;
    const dmc__process *process;
    dmc__likelihood_config config;      /* steps > 0 */
    int32_t batch, elems;
    dmc__chain *chain;
    dmc__denoise *noise;
    float *err;                         /* (batch) */
    double *time;                       /* (batch) the same for all */
    uint64_t *sample;                   /* (batch) zeros: one noise for all */
    dmc__likelihood_term *term;         /* bound, bank: (steps), of which terms are used */
    int32_t terms;
    double constant;                    /* bound: of the reconstruction */
    dmc__level last;                    /* bound: the noisiest level    */
    dmc__likelihood_flow flow;
};

/* Where on the clock sigma/(alpha+sigma) is this; of T levels the nearest. */
double dmc__likelihood_time(const dmc__process *p, double fraction);
double dmc__likelihood_fraction(const dmc__level *l);

void dmc__likelihood_bound_terms(dmc__likelihood *l);
void dmc__likelihood_bank_terms(dmc__likelihood *l);
/* The bound's share without the network, per entry, from the mean of x0^2. */
double dmc__likelihood_bound_rest(const dmc__likelihood *l, double square);

dmc_status dmc__likelihood_flow_create(dmc__likelihood *l);
void dmc__likelihood_flow_free(dmc__likelihood *l);
dmc_status dmc__likelihood_flow_run(dmc__likelihood *l, const dmc__likelihood_batch *x, double *out);
/* Trace of df/dz over entries that are not known, per sample, at the last evaluation: exact, or along l->flow.probe. */
dmc_status dmc__likelihood_exact_trace(dmc__likelihood *l, double *trace);
dmc_status dmc__likelihood_probe_trace(dmc__likelihood *l, double *trace);

#endif
