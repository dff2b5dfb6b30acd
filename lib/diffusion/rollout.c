/* rollout.c — walk down a table with one network, hoisted and guided, and one stretch of device memory. */
#include "rollout.h"

#include "../backend/block.h"
#include "../backend/replay.h"
#include "../base/checked.h"
#include "affine.h"
#include "feed.h"
#include "guided.h"

struct dmc__rollout {
    const dmc__net *net;
    dmc__guided *network;
    dmc__affine affine;
    dmc__table table;           /* a copy */
    size_t elems, stride;       /* of one sample; of one latent (batch,T,cols), 64-byte aligned */
    int32_t group, keep_chain, noised_known, last_k, half_type;
    const void *weights, *early, *half;
    const void *bound;          /* which of the weights the network has; NULL: what they hold has changed */
    dmc__rollout_draw draw;     /* of the run, with: */
    int32_t next, ran, stopped; /* row that comes next; the one done last, -1: none; its sample stands in place of the latent */
    int32_t from;               /* row the run began with; where it would take something up that no row handed on: */
    dmc__row first;
    dmc__live live;             /* (2,4) words: what is added to the keys of latents, of rows; without, keys are whole */
    dmc__block memory;          /* cut into: */
    void *latent;               /* (2 or K+1, stride): two that take turns, or all */
    void *carry;                /* (1 or K+1, stride); NULL: the table hands nothing on */
    void *noise, *mask, *known; /* (batch,T,cols) */
    void *noised;               /* (batch,T,cols) known entries at the level of one latent; NULL: they are clean everywhere */
    void *extra;                /* (batch,T,extra); NULL: the network has none */
};

static dmc_status copy_table(const dmc__allocator *a, const dmc__table *from, dmc__table *to)
{
    *to = *from;
    to->alloc = a;
    DMC_TRY(DMC_NEW(a, from->k, &to->row));
    for (int32_t k = 0; k < from->k; k++) to->row[k] = from->row[k];
    return DMC_OK;
}

enum { BASE_WORDS = 4, BASES = 2, BASE_BYTES = BASES * BASE_WORDS * sizeof(uint64_t) };
enum base { OF_LATENT, OF_ROW };

static dmc_status take_memory(dmc__rollout *r)
{
    const size_t b = (size_t)r->affine.batch, all = (size_t)r->table.k + 1;
    const dmc__part part[] = {
        {&r->latent, (r->keep_chain ? all : 2) * r->stride},
        {&r->carry, r->table.carries ? (r->keep_chain ? all : 1) * r->stride : 0},
        {&r->noise, b * r->elems},
        {&r->mask, b * r->elems},
        {&r->known, b * r->elems},
        {&r->noised, r->noised_known ? b * r->elems : 0},
        {&r->extra, b * dmc__feed_extra_elems(r->net)},
    };
    return dmc__block_alloc(r->affine.device, part, sizeof part / sizeof *part, &r->memory);
}

dmc_status dmc__rollout_create(const dmc__net *net, dmc__device *d, const dmc__table *table, const dmc__rollout_config *c,
                               dmc__rollout **out)
{
    *out = NULL;
    dmc_status status;
    dmc__rollout *r = NULL;
    DMC_TRY(dmc__feed_check(net, c->batch, "rollout"));
    DMC_TRY(DMC_NEW(d->alloc, 1, &r));
    r->net = net;
    r->elems = dmc__feed_elems(net);
    r->stride = dmc__align64((size_t)c->batch * r->elems);
    r->affine = (dmc__affine){.device = d, .batch = c->batch, .elems = (int32_t)r->elems, .clip = table->clip};
    r->group = c->group;
    r->keep_chain = c->keep_chain;
    r->noised_known = c->noised_known;
    r->next = table->k;
    r->ran = -1;
    DMC_TRY_GOTO(status, copy_table(d->alloc, table, &r->table), fail);
    DMC_TRY_GOTO(status, dmc__guided_create(net, d, table, c, &r->network), fail);
    DMC_TRY_GOTO(status, take_memory(r), fail);
    if (c->live) DMC_TRY_GOTO(status, dmc__live_open(d, BASE_BYTES, &r->live), fail);
    *out = r;
    return DMC_OK;
fail:
    dmc__rollout_destroy(r);
    return status;
}

void dmc__rollout_destroy(dmc__rollout *r)
{
    if (!r) return;
    dmc__device *d = r->affine.device;
    dmc__live_close(r->affine.device, &r->live);
    dmc__block_free(d, &r->memory);
    dmc__guided_destroy(r->network);
    dmc__table_free(&r->table);
    DMC_FREE(d->alloc, r, 1);
}

void dmc__rollout_bind(dmc__rollout *r, const void *weights, const void *early, int32_t last_k)
{
    r->weights = weights;
    r->early = early ? early : weights;
    r->last_k = last_k;
    r->bound = NULL;
    r->half = NULL;
}

void dmc__rollout_bind_half(dmc__rollout *r, const void *half, int32_t type)
{
    r->half = half;
    r->half_type = type;
}

/* An input the network lacks is skipped. */
dmc_status dmc__rollout_set_cond(dmc__rollout *r, const float *cond)
{
    if (r->net->cond < 0) return DMC_OK;
    if (!cond) return dmc__fail(DMC_EINVAL, "rollout: the condition is NULL, but the network has one");
    return dmc__guided_set_cond(r->network, cond);
}

dmc_status dmc__rollout_set_extra(dmc__rollout *r, const float *extra)
{
    if (!r->extra) return DMC_OK;
    if (!extra) return dmc__fail(DMC_EINVAL, "rollout: the side input is NULL, but the network has one");
    return dmc__dev_in(r->affine.device, r->extra, extra, (size_t)r->affine.batch * dmc__feed_extra_elems(r->net));
}

dmc_status dmc__rollout_set_known(dmc__rollout *r, const float *mask, const float *known)
{
    const size_t n = (size_t)r->affine.batch * r->elems;
    r->affine.mask = r->affine.known = NULL;
    if (!mask) return DMC_OK;
    if (!known) return dmc__fail(DMC_EINVAL, "rollout: a mask was given without the known values");
    DMC_TRY(dmc__dev_in(r->affine.device, r->mask, mask, n));
    DMC_TRY(dmc__dev_in(r->affine.device, r->known, known, n));
    r->affine.mask = r->mask;
    r->affine.known = r->known;
    return DMC_OK;
}

/* ---- a run -------------------------------------------------------------------------------------------- */

/* The memory row k reads. */
static void *latent_at(const dmc__rollout *r, int32_t k)
{
    return dmc__dev_at(r->affine.device, r->latent, (size_t)(r->keep_chain ? k : k & 1) * r->stride);
}

static void *carry_at(const dmc__rollout *r, int32_t k)
{
    return r->carry ? dmc__dev_at(r->affine.device, r->carry, (size_t)(r->keep_chain ? k : 0) * r->stride) : NULL;
}

static void use_weights(dmc__rollout *r, const void *weights)
{
    if (r->bound == weights) return;
    dmc__guided_bind(r->network, weights);
    if (r->half) dmc__guided_bind_half(r->network, r->half, r->half_type);
    r->bound = weights;
}

/* What row k hands on stands where row k + 1 takes it up; the kernel changes it in place. */
static dmc_status hand_on(dmc__rollout *r, int32_t k)
{
    r->affine.carry = carry_at(r, k + 1);
    if (!r->carry || !r->keep_chain) return DMC_OK;
    return dmc__dev_copy(r->affine.device, carry_at(r, k + 1), carry_at(r, k), r->stride);
}

/* The key of numbers that are `step` from where the call's begin; with live what the call says is added on the device. */
static dmc__noise_key key_of(const dmc__rollout *r, enum base base, uint32_t purpose, uint64_t step)
{
    const uint64_t begin = r->draw.call * (base == OF_ROW ? 4096 : 1);
    if (!r->live.device)
        return (dmc__noise_key){.seed = r->draw.seed, .first = r->draw.first_sample, .purpose = purpose, .step = begin + step};
    return (dmc__noise_key){.purpose = purpose, .step = step, .base = (const uint64_t *)r->live.device + (size_t)base * BASE_WORDS};
}

/* Row k of call c draws noise number c*4096 + k, latent k that of its known entries with the same number. */
static dmc__noise_key noise_of(const dmc__rollout *r, uint32_t purpose, int32_t k)
{
    return key_of(r, OF_ROW, purpose, (uint64_t)k);
}

void dmc__rollout_note(dmc__rollout *r, const dmc__rollout_draw *draw)
{
    if (!r->live.device) return;
    for (size_t base = 0; base < BASES; base++) {
        uint64_t *w = (uint64_t *)r->live.host + base * BASE_WORDS;
        w[0] = draw->seed;
        w[1] = 0;
        w[2] = draw->call * (base == OF_ROW ? 4096 : 1);
        w[3] = draw->first_sample;
    }
}

dmc_status dmc__rollout_settle(dmc__rollout *r)
{
    use_weights(r, r->weights);
    return dmc__guided_settle(r->network);
}

void dmc__rollout_forget(dmc__rollout *r)
{
    dmc__guided_forget(r->network);
}

/* What is in-painted in latent k: x, or alpha x + sigma xi of the level the network will see it at (Lugmayr et al. 2022). In the
 * last latent, which is the sample, always x. */
static dmc_status in_paint(const dmc__rollout *r, int32_t k, dmc__affine *at)
{
    const dmc__affine all = {.device = r->affine.device, .batch = r->affine.batch, .elems = r->affine.elems};
    *at = r->affine;
    if (!at->mask || !r->noised_known || k >= r->table.k) return DMC_OK;
    const dmc__level *l = &r->table.row[k].at;
    const dmc__noise_key key = noise_of(r, DMC_STREAM_KNOWN, k);
    at->known = r->noised;
    DMC_TRY(dmc__affine_noise(&all, &key, r->noised));
    return dmc__affine_mix(&all, l->sigma, r->noised, l->alpha, r->known, r->noised);
}

static dmc_status run_row(dmc__rollout *r, int32_t k)
{
    const dmc__row row = *dmc__rollout_row(r, k);
    const dmc__noise_key key = noise_of(r, DMC_STREAM_STEP, k);
    void *z = latent_at(r, k);
    dmc__affine to;
    if (row.network) {
        use_weights(r, k < r->table.k - r->last_k ? r->early : r->weights);
        DMC_TRY(dmc__guided_forward(r->network, &r->affine, &row, k, z, r->extra));
    }
    if (row.S > 0) DMC_TRY(dmc__affine_noise(&r->affine, &key, r->noise));
    DMC_TRY(hand_on(r, k));
    DMC_TRY(in_paint(r, k + 1, &to));
    return dmc__affine_step(&to, &row, z, row.network ? dmc__guided_output(r->network) : z, row.S > 0 ? r->noise : NULL,
                            latent_at(r, k + 1));
}

dmc_status dmc__rollout_step(dmc__rollout *r)
{
    const dmc__row *row = r->table.row;
    int32_t ended = 0;
    if (r->next >= r->table.k) return dmc__fail(DMC_ESTATE, "rollout: a step after the last of %d rows", r->table.k);
    while (r->next < r->table.k && !ended) {
        DMC_TRY(run_row(r, r->next));
        if (row[r->next].network) r->ran = r->next;
        ended = row[r->next].network && row[r->next].ends;
        r->next++;
    }
    return DMC_OK;
}

static dmc_status start(dmc__rollout *r, const dmc__rollout_draw *draw, int32_t from)
{
    if (!r->weights) return dmc__fail(DMC_ESTATE, "rollout: run before weights were bound");
    r->from = from;
    r->first = dmc__row_alone(&r->table.row[from]);
    r->draw = *draw;
    r->next = from;
    r->ran = -1;
    r->stopped = 0;
    dmc__rollout_note(r, draw);
    return dmc__live_send(r->affine.device, &r->live);
}

dmc_status dmc__rollout_begin(dmc__rollout *r, const dmc__rollout_draw *draw, double temperature)
{
    dmc__affine at;
    DMC_TRY(start(r, draw, 0));
    const dmc__noise_key key = key_of(r, OF_LATENT, DMC_STREAM_LATENT, 0);
    DMC_TRY(dmc__affine_noise(&r->affine, &key, r->noise));
    DMC_TRY(in_paint(r, 0, &at));
    return dmc__affine_mix(&at, 0, r->noise, temperature * r->table.start, r->noise, latent_at(r, 0));
}

dmc_status dmc__rollout_begin_from(dmc__rollout *r, const void *x0, int32_t from, const dmc__rollout_draw *draw,
                                   const uint64_t *noise_sample, double temperature)
{
    if (from < 0 || from >= r->table.k)
        return dmc__fail(DMC_ERANGE, "rollout: from = %d, must be 0..%d", from, r->table.k - 1);
    if (from > 0 && !r->table.row[from - 1].ends)
        return dmc__fail(DMC_EINVAL, "rollout: from = %d is within a step, which begins with row %d", from, from - 1);
    const dmc__level *l = &r->table.row[from].at;
    dmc__affine at;
    DMC_TRY(start(r, draw, from));
    dmc__noise_key key = key_of(r, OF_LATENT, DMC_STREAM_LATENT, 0);
    key.sample = noise_sample;
    DMC_TRY(dmc__affine_noise(&r->affine, &key, r->noise));
    DMC_TRY(in_paint(r, from, &at));
    return dmc__affine_mix(&at, l->alpha, x0, temperature * l->sigma, r->noise, latent_at(r, from));
}

/* The network's output is still that of the last row; its latent is the other of the two that take turns. */
dmc_status dmc__rollout_stop(dmc__rollout *r)
{
    if (r->ran < 0) return dmc__fail(DMC_ESTATE, "rollout: stopped before the first row");
    if (r->next >= r->table.k) return DMC_OK;
    const dmc__row *last = &r->table.row[r->ran], clean = {.P = last->P, .Q = last->Q, .a = 1};
    void *z = latent_at(r, r->ran);
    r->stopped = 1;
    return dmc__affine_step(&r->affine, &clean, z, dmc__guided_output(r->network), NULL, z);
}

static dmc_status run_steps(dmc__rollout *r)
{
    while (r->next < r->table.k) DMC_TRY(dmc__rollout_step(r));
    return DMC_OK;
}

dmc_status dmc__rollout_run(dmc__rollout *r, uint64_t seed, uint64_t call, uint64_t first_sample, double temperature)
{
    DMC_TRY(dmc__rollout_begin(r, &(dmc__rollout_draw){seed, call, first_sample}, temperature));
    return run_steps(r);
}

dmc_status dmc__rollout_run_from(dmc__rollout *r, const void *x0, int32_t from, uint64_t seed, uint64_t call,
                                 uint64_t first_sample, const uint64_t *noise_sample)
{
    DMC_TRY(dmc__rollout_begin_from(r, x0, from, &(dmc__rollout_draw){seed, call, first_sample}, noise_sample, 1));
    return run_steps(r);
}

/* ---- what it holds ------------------------------------------------------------------------------------ */

int32_t dmc__rollout_next(const dmc__rollout *r)
{
    return r->next;
}

int32_t dmc__rollout_rows(const dmc__rollout *r)
{
    return r->table.k;
}

const dmc__row *dmc__rollout_row(const dmc__rollout *r, int32_t k)
{
    const dmc__row *row = &r->table.row[k];
    return k == r->from && row->d != 0 ? &r->first : row;
}

int32_t dmc__rollout_batch(const dmc__rollout *r)
{
    return r->affine.batch;
}

int32_t dmc__rollout_group(const dmc__rollout *r)
{
    return r->group;
}

size_t dmc__rollout_elems(const dmc__rollout *r)
{
    return r->elems;
}

void *dmc__rollout_latent(const dmc__rollout *r, int32_t k)
{
    if (k < 0 || k > r->table.k || (!r->keep_chain && k < r->table.k)) return NULL;
    return latent_at(r, k);
}

void *dmc__rollout_sample(const dmc__rollout *r)
{
    return latent_at(r, r->stopped ? r->ran : r->next);
}

const void *dmc__rollout_carry(const dmc__rollout *r, int32_t k)
{
    return r->keep_chain && k >= 0 && k < r->table.k ? carry_at(r, k) : NULL;
}

const void *dmc__rollout_mask(const dmc__rollout *r)
{
    return r->affine.mask;
}

const void *dmc__rollout_known(const dmc__rollout *r)
{
    return r->affine.known;
}

const void *dmc__rollout_cond(const dmc__rollout *r)
{
    return dmc__guided_cond(r->network);
}

const void *dmc__rollout_extra(const dmc__rollout *r)
{
    return r->extra;
}

double dmc__rollout_clip(const dmc__rollout *r)
{
    return r->table.clip;
}

size_t dmc__rollout_bytes(const dmc__rollout *r)
{
    return sizeof *r + (size_t)r->table.k * sizeof *r->table.row + dmc__block_bytes(r->affine.device, &r->memory) +
           (r->live.device ? 2 * BASE_BYTES : 0) + dmc__guided_bytes(r->network);
}
