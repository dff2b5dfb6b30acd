/* likelihood.c — choice of method, and the sum that bound and bank are. */
#include "likelihood.h"

#include "likelihood_parts.h"

enum { MOST_LEVELS = 64, MOST_STEPS = 1000, MOST_PROBES = 256, DEFAULT_DRAWS = 64, DEFAULT_INTERVALS = 20 };

static int32_t is_flow(const dmc__likelihood *l)
{
    return l->config.method >= DMC__LIKELIHOOD_HUTCHINSON;
}

/* A bound counts every level of the process once; a continuous one may be cut as finely as wanted. */
static int32_t most_steps(const dmc__likelihood *l)
{
    return l->config.method == DMC__LIKELIHOOD_BOUND && l->process->discrete ? l->process->steps : MOST_STEPS;
}

static int32_t default_steps(const dmc__likelihood *l)
{
    const int32_t most = most_steps(l);
    if (is_flow(l)) return DEFAULT_INTERVALS;
    if (l->config.method == DMC__LIKELIHOOD_BANK) return DEFAULT_DRAWS;
    return most < MOST_LEVELS ? most : MOST_LEVELS;
}

static dmc_status check_config(dmc__likelihood *l)
{
    dmc__likelihood_config *c = &l->config;
    const int32_t most = most_steps(l), least = c->method == DMC__LIKELIHOOD_BOUND && most > 1 ? 2 : 1;
    if (c->method < 0 || c->method >= DMC__LIKELIHOODS)
        return dmc__fail(DMC_EINVAL, "likelihood: method = %d, must be 0..%d", c->method, DMC__LIKELIHOODS - 1);
    if (c->steps == 0) c->steps = default_steps(l);
    if (c->steps < least || c->steps > most)
        return dmc__fail(DMC_ERANGE, "likelihood: steps = %d, must be %d..%d", c->steps, least, most);
    if (c->method == DMC__LIKELIHOOD_HUTCHINSON && (c->probes < 1 || c->probes > MOST_PROBES))
        return dmc__fail(DMC_ERANGE, "likelihood: probes = %d, must be 1..%d", c->probes, MOST_PROBES);
    return DMC_OK;
}

static dmc_status make_terms(dmc__likelihood *l)
{
    DMC_TRY(DMC_NEW(l->alloc, l->batch, &l->err));
    DMC_TRY(DMC_NEW(l->alloc, l->batch, &l->time));
    DMC_TRY(DMC_NEW(l->alloc, l->batch, &l->sample));
    DMC_TRY(DMC_NEW(l->alloc, l->config.steps, &l->term));
    if (l->config.method == DMC__LIKELIHOOD_BANK) dmc__likelihood_bank_terms(l);
    else dmc__likelihood_bound_terms(l);
    return DMC_OK;
}

static dmc_status make_parts(dmc__likelihood *l, const dmc__net *net, dmc__device *d)
{
    if (dmc__net_regresses(net->config.kind))
        return dmc__fail(DMC_EINVAL, "likelihood: the network draws no samples");
    DMC_TRY(check_config(l));
    DMC_TRY(dmc__chain_create(net, d, l->batch, is_flow(l), NULL, &l->chain));
    DMC_TRY(dmc__denoise_create(l->chain, net, d, l->process, l->batch, &l->noise));
    dmc__denoise_noise_known(l->noise, l->config.noised_known);
    l->elems = (int32_t)dmc__feed_elems(net);
    return is_flow(l) ? dmc__likelihood_flow_create(l) : make_terms(l);
}

dmc_status dmc__likelihood_create(const dmc__net *net, dmc__device *d, const dmc__process *p, int32_t batch,
                                  const dmc__likelihood_config *c, dmc__likelihood **out)
{
    dmc__likelihood *l = NULL;
    *out = NULL;
    DMC_TRY(dmc__feed_check(net, batch, "likelihood"));
    DMC_TRY(DMC_NEW(d->alloc, 1, &l));
    l->alloc = d->alloc;
    l->process = p;
    l->config = *c;
    l->batch = batch;
    const dmc_status status = make_parts(l, net, d);
    if (status < 0) {
        dmc__likelihood_destroy(l);
        return status;
    }
    *out = l;
    return DMC_OK;
}

void dmc__likelihood_destroy(dmc__likelihood *l)
{
    if (!l) return;
    dmc__likelihood_flow_free(l);
    DMC_FREE(l->alloc, l->term, l->config.steps);
    DMC_FREE(l->alloc, l->sample, l->batch);
    DMC_FREE(l->alloc, l->time, l->batch);
    DMC_FREE(l->alloc, l->err, l->batch);
    dmc__denoise_destroy(l->noise);
    dmc__chain_destroy(l->chain);
    DMC_FREE(l->alloc, l, 1);
}

void dmc__likelihood_bind(dmc__likelihood *l, const void *weights)
{
    dmc__chain_bind(l->chain, weights, NULL);
}

/* One noise for all samples: differences between them are theirs. */
static dmc_status term_error(dmc__likelihood *l, const dmc__likelihood_term *t)
{
    for (int32_t b = 0; b < l->batch; b++) l->time[b] = t->time;
    DMC_TRY(dmc__denoise_noise(l->noise, l->time, l->sample, l->config.seed, DMC_STREAM_BANK, t->key));
    return dmc__denoise_counted_error(l->noise, l->err);
}

static dmc_status run_terms(dmc__likelihood *l, double *out)
{
    const int32_t *count;
    const double *square;
    dmc__denoise_counted(l->noise, &count, &square);
    for (int32_t b = 0; b < l->batch; b++)
        out[b] = l->config.method == DMC__LIKELIHOOD_BOUND ? dmc__likelihood_bound_rest(l, square[b]) : 0;
    for (int32_t k = 0; k < l->terms; k++) {
        DMC_TRY(term_error(l, &l->term[k]));
        for (int32_t b = 0; b < l->batch; b++) out[b] -= l->term[k].weight * l->err[b];
    }
    return DMC_OK;
}

dmc_status dmc__likelihood_run(dmc__likelihood *l, const dmc__likelihood_batch *x, double *out)
{
    DMC_TRY(dmc__denoise_set(l->noise, x->x0, x->cond, x->extra, x->mask, x->weight));
    return is_flow(l) ? dmc__likelihood_flow_run(l, x, out) : run_terms(l, out);
}
