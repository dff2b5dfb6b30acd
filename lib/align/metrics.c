/* metrics.c — one small batch of samples is drawn and everything is measured on it.
 *
 * m1  sum over rows of KL(mu_theta || mu_foundation) per dimension
 * m2  share of samples below the 10 % quantile of the foundation's likelihood of held-out data
 * m3  root mean square deviation from the mean of candidates of the same condition, over the foundation's
 * m4  mean of the owner's coherency
 * m8  mean |Q1 - Q2| over that on data; mean of the twins minus their minimum is half of it
 *     entropy of candidates (entropy.h)
 */
#include "metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../base/order.h"
#include "entropy.h"

enum { MOST_SAMPLES = 64, MOST_CANDIDATES = 8, WINDOWS = 256 };

static const double quantile = 0.1, unlikely_most = 0.5, judge_most = 0.25;
/* A draw of its own, beside those of the bank (2^26) and of the scale (2^27). */
static const uint64_t metrics_draw = UINT64_C(3) << 26;

struct dmc__metrics {
    dmc__align *a;
    int32_t n, pool;             /* samples; of each condition */
    size_t elems, cond;
    dmc__rollout *sample;
    dmc__chain *now, *foundation;
    dmc__likelihood *judge;      /* bound to the foundation */
    dmc__reward reward, coherency;
    int32_t asked;               /* the owner was asked for these */
    void *memory;                /* device: mu, mu of the foundation (n, elems), kl (n) */
    float *z, *side, *mask, *weight; /* host (n, ...) */
    float *r;                    /* host (2, n) */
    dmc__entropy *entropy;       /* NULL where a condition has one candidate */
    double *ell;                 /* (WINDOWS), rounded up to whole batches */
    double threshold, spread, unlikely, disagreement; /* of data; of the foundation; of the foundation; of data */
};

/* ---- life ------------------------------------------------------------------------------------------- */

static size_t windows(const dmc__metrics *m)
{
    const size_t n = (size_t)m->n;
    return (WINDOWS + n - 1) / n * n;
}

static size_t device_elems(const dmc__metrics *m)
{
    return (size_t)m->n * (2 * m->elems + 1);
}

static dmc_status make_networks(dmc__metrics *m)
{
    dmc__align *a = m->a;
    dmc__table table;
    DMC_TRY(dmc__align_table(a, 0, &table));
    const dmc__rollout_config c = {.batch = m->n, .group = 1, .keep_chain = 1, .noised_known = a->config.noised_known};
    const dmc_status status = dmc__rollout_create(a->net, a->device, &table, &c, &m->sample);
    dmc__table_free(&table);
    DMC_TRY(status);
    DMC_TRY(dmc__chain_create(a->net, a->device, m->n, 0, NULL, &m->now));
    DMC_TRY(dmc__chain_create(a->net, a->device, m->n, 0, NULL, &m->foundation));
    dmc__chain_bind(m->foundation, a->foundation, NULL);
    DMC_TRY(dmc__align_judge(a, m->n, &m->judge));
    return dmc__dev_alloc(a->device, device_elems(m), &m->memory);
}

static dmc_status make_host(dmc__metrics *m)
{
    const dmc__allocator *al = m->a->alloc;
    const size_t n = (size_t)m->n;
    DMC_TRY(DMC_NEW(al, n * m->elems, &m->z));
    DMC_TRY(DMC_NEW(al, n * m->cond, &m->side));
    DMC_TRY(DMC_NEW(al, n * m->elems, &m->mask));
    DMC_TRY(DMC_NEW(al, n * m->elems, &m->weight));
    DMC_TRY(DMC_NEW(al, 2 * n, &m->r));
    if (m->pool > 1) DMC_TRY(dmc__entropy_create(al, m->n / m->pool, m->pool, m->elems, &m->entropy));
    return DMC_NEW(al, windows(m), &m->ell);
}

void dmc__metrics_drop_rewards(dmc__metrics *m)
{
    if (!m) return;
    if (m->reward.self) m->a->hooks.free_reward(m->a->hooks.user, &m->reward);
    if (m->coherency.self) m->a->hooks.free_reward(m->a->hooks.user, &m->coherency);
    m->reward = m->coherency = (dmc__reward){0};
    m->asked = 0;
}

void dmc__metrics_destroy(dmc__metrics *m)
{
    if (!m) return;
    dmc__align *a = m->a;
    const size_t n = (size_t)m->n;
    dmc__metrics_drop_rewards(m);
    dmc__dev_free(a->device, m->memory, device_elems(m));
    dmc__likelihood_destroy(m->judge);
    dmc__chain_destroy(m->foundation);
    dmc__chain_destroy(m->now);
    dmc__rollout_destroy(m->sample);
    dmc__entropy_destroy(m->entropy);
    DMC_FREE(a->alloc, m->z, n * m->elems);
    DMC_FREE(a->alloc, m->side, n * m->cond);
    DMC_FREE(a->alloc, m->mask, n * m->elems);
    DMC_FREE(a->alloc, m->weight, n * m->elems);
    DMC_FREE(a->alloc, m->r, 2 * n);
    DMC_FREE(a->alloc, m->ell, windows(m));
    DMC_FREE(a->alloc, m, 1);
}

/* ---- samples ---------------------------------------------------------------------------------------- */

/* The bank's samples of these weights: the chain in m->sample, z_0 and its conditions on the host. */
static dmc_status draw(dmc__metrics *m, const void *weights)
{
    dmc__align *a = m->a;
    const size_t n = (size_t)m->n * m->elems, c = (size_t)m->n * m->cond;
    DMC_TRY(dmc__align_condition(a, m->sample, m->n / m->pool, m->pool, metrics_draw, a->view.data->n_held > 0));
    dmc__rollout_bind(m->sample, weights, NULL, dmc__rollout_rows(m->sample));
    DMC_TRY(dmc__rollout_run(m->sample, a->config.seed, metrics_draw, 0, 1));
    DMC_TRY(dmc__dev_out(a->device, m->z, dmc__rollout_latent(m->sample, dmc__rollout_rows(m->sample)), n));
    for (size_t i = 0; i < n; i++) {
        m->mask[i] = a->view.planner ? a->mask[i] : 0;
        m->weight[i] = 1 - m->mask[i];
    }
    for (size_t i = 0; i < c; i++) m->side[i] = a->cond[i];
    return DMC_OK;
}

/* Windows of held-out data (of all, if none are), from number `first` on. */
static void take_windows(dmc__metrics *m, size_t first)
{
    const dmc__view *v = &m->a->view;
    for (size_t i = 0; i < (size_t)m->n; i++) {
        const dmc__stream t = {m->a->config.seed, DMC_STREAM_BANK, 0, first + i};
        dmc__view_sample(v, dmc__trajectories_draw(v->data, v->data->n_held > 0, &t), m->z + i * m->elems, m->side + i * m->cond,
                         m->mask + i * m->elems, m->weight + i * m->elems);
    }
}

/* ---- m1 --------------------------------------------------------------------------------------------- */

static dmc_status chain_kl(dmc__metrics *m, double *out)
{
    dmc__align *a = m->a;
    const size_t n = (size_t)m->n;
    void *mu = m->memory, *ref = dmc__dev_at(a->device, mu, n * m->elems), *kl = dmc__dev_at(a->device, ref, n * m->elems);
    dmc__chain_bind(m->now, dmc__learner_weights(a->learner), NULL);
    *out = 0;
    for (int32_t k = 0; k < dmc__rollout_rows(m->sample); k++) {
        const void *z = dmc__rollout_latent(m->sample, k);
        DMC_TRY(dmc__chain_mean(m->now, m->sample, k, z, mu));
        DMC_TRY(dmc__chain_mean(m->foundation, m->sample, k, z, ref));
        dmc_kargs args = {.in = {mu, ref}, .out = kl, .par = {dmc__rollout_mask(m->sample)}, .dim = {m->n, (int32_t)m->elems},
                          .attr = {fmax(dmc__rollout_row(m->sample, k)->logp_std, a->config.std_floor), 1}};
        DMC_TRY(dmc__dev_run(a->device, DMC_OP_GAUSS_KL, &args));
        DMC_TRY(dmc__dev_out(a->device, m->r, kl, n));
        for (size_t b = 0; b < n; b++) *out += m->r[b] / (double)n;
    }
    return DMC_OK;
}

/* ---- m2 --------------------------------------------------------------------------------------------- */

static dmc_status likelihoods(dmc__metrics *m, double *ell)
{
    const dmc__likelihood_batch batch = {.x0 = m->z, .cond = m->cond ? m->side : NULL, .weight = m->weight,
                                         .mask = m->a->view.planner ? m->mask : NULL};
    return dmc__likelihood_run(m->judge, &batch, ell);
}

static dmc_status find_threshold(dmc__metrics *m)
{
    const size_t n = windows(m);
    for (size_t first = 0; first < n; first += (size_t)m->n) {
        take_windows(m, first);
        DMC_TRY(likelihoods(m, m->ell + first));
    }
    qsort(m->ell, n, sizeof *m->ell, dmc__order_double);
    m->threshold = m->ell[(size_t)(quantile * (double)(n - 1))];
    return DMC_OK;
}

static dmc_status unlikely_share(dmc__metrics *m, double *out)
{
    int32_t below = 0;
    DMC_TRY(likelihoods(m, m->ell));
    for (int32_t i = 0; i < m->n; i++) below += !(m->ell[i] >= m->threshold);
    *out = below / (double)m->n;
    return DMC_OK;
}

void dmc__metrics_unlikely_limits(const dmc__metrics *m, double *warn, double *limit)
{
    const int32_t judges = m->unlikely < judge_most;
    *warn = judges ? quantile + 3 * sqrt(quantile * (1 - quantile) / m->n) : INFINITY;
    *limit = judges ? unlikely_most : INFINITY;
}

/* ---- m3 and entropy --------------------------------------------------------------------------------- */

/* Root mean square over the entries that are drawn of (z - mean of its condition's candidates). */
static double spread_of(const dmc__metrics *m)
{
    const size_t pool = (size_t)m->pool, e = m->elems;
    double sum = 0, count = 0;
    for (size_t first = 0; first < (size_t)m->n; first += pool) {
        for (size_t j = 0; j < e; j++) {
            double mean = 0;
            if (m->mask[first * e + j] > 0) continue;
            for (size_t i = first; i < first + pool; i++) mean += m->z[i * e + j] / (double)pool;
            for (size_t i = first; i < first + pool; i++) sum += pow(m->z[i * e + j] - mean, 2);
            count += (double)pool;
        }
    }
    return sqrt(sum / fmax(count, 1));
}

static double entropy_of(dmc__metrics *m)
{
    memcpy(dmc__entropy_samples(m->entropy), m->z, (size_t)m->n * m->elems * sizeof *m->z);
    dmc__entropy_measure(m->entropy, m->mask);
    return dmc__entropy_value(m->entropy);
}

/* ---- m4 and m8 -------------------------------------------------------------------------------------- */

/* Mean over the batch of mean(Q1,Q2) - min(Q1,Q2). */
static dmc_status twins_differ(dmc__metrics *m, const void *z, double *out)
{
    const void *cond = dmc__rollout_cond(m->sample);
    const size_t n = (size_t)m->n;
    DMC_TRY(m->reward.eval(m->reward.self, z, cond, 0, m->r, NULL));
    DMC_TRY(m->reward.eval(m->reward.self, z, cond, 1, m->r + n, NULL));
    *out = 0;
    for (size_t i = 0; i < n; i++) *out += ((double)m->r[i] - m->r[n + i]) / (double)n;
    return DMC_OK;
}

static dmc_status data_disagreement(dmc__metrics *m)
{
    take_windows(m, 0);
    if (m->cond) DMC_TRY(dmc__rollout_set_cond(m->sample, m->side));
    DMC_TRY(dmc__dev_in(m->a->device, m->memory, m->z, (size_t)m->n * m->elems));
    return twins_differ(m, m->memory, &m->disagreement);
}

/* A reward is asked for only if there are twins to compare. */
static dmc_status ask_rewards(dmc__metrics *m)
{
    const dmc__align_hooks *h = &m->a->hooks;
    if (m->asked) return DMC_OK;
    if (h->make_coherency) DMC_TRY(h->make_coherency(h->user, m->n, &m->coherency));
    if (h->make_reward) DMC_TRY(h->make_reward(h->user, m->n, 0, &m->reward));
    if (m->reward.self && !m->reward.twins) {
        h->free_reward(h->user, &m->reward);
        m->reward = (dmc__reward){0};
    }
    if (m->reward.self) DMC_TRY(data_disagreement(m));
    m->asked = 1;
    return DMC_OK;
}

static dmc_status judge_samples(dmc__metrics *m, double metric[DMC__METRICS])
{
    const void *z = dmc__rollout_latent(m->sample, dmc__rollout_rows(m->sample)), *cond = dmc__rollout_cond(m->sample);
    double differ, sum = 0;
    if (m->reward.self) {
        DMC_TRY(twins_differ(m, z, &differ));
        metric[DMC__METRIC_DISAGREEMENT] = m->disagreement > 0 ? differ / m->disagreement : NAN;
    }
    if (!m->coherency.self) return DMC_OK;
    DMC_TRY(m->coherency.eval(m->coherency.self, z, cond, 0, m->r, NULL));
    for (int32_t i = 0; i < m->n; i++) sum += m->r[i];
    metric[DMC__METRIC_COHERENCY] = sum / m->n;
    return DMC_OK;
}

/* ---- everything ------------------------------------------------------------------------------------- */

dmc_status dmc__metrics_create(dmc__align *a, dmc__metrics **out)
{
    dmc__metrics *m;
    dmc_status status;
    *out = NULL;
    DMC_TRY(DMC_NEW(a->alloc, 1, &m));
    const int32_t most = a->config.batch < MOST_SAMPLES ? a->config.batch : MOST_SAMPLES;
    m->a = a;
    m->pool = most < MOST_CANDIDATES ? most : MOST_CANDIDATES;
    m->n = most / m->pool * m->pool;
    m->elems = dmc__align_elems(a);
    m->cond = (size_t)dmc__view_cond(&a->view);
    DMC_TRY_GOTO(status, make_host(m), fail);
    DMC_TRY_GOTO(status, make_networks(m), fail);
    DMC_TRY_GOTO(status, find_threshold(m), fail);
    DMC_TRY_GOTO(status, draw(m, a->foundation), fail);
    m->spread = spread_of(m);
    DMC_TRY_GOTO(status, unlikely_share(m, &m->unlikely), fail);
    *out = m;
    return DMC_OK;
fail:
    dmc__metrics_destroy(m);
    return status;
}

dmc_status dmc__metrics_measure(dmc__metrics *m, double metric[DMC__METRICS])
{
    DMC_TRY(ask_rewards(m));
    DMC_TRY(draw(m, dmc__learner_weights(m->a->learner)));
    DMC_TRY(chain_kl(m, &metric[DMC__METRIC_KL]));
    DMC_TRY(unlikely_share(m, &metric[DMC__METRIC_UNLIKELY]));
    metric[DMC__METRIC_SPREAD] = m->spread > 0 ? spread_of(m) / m->spread : NAN;
    metric[DMC__METRIC_ENTROPY] = m->entropy ? entropy_of(m) : NAN;
    return judge_samples(m, metric);
}
