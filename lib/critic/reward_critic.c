/* reward_critic.c — twin Q as a reward of samples, and its gradient with respect to them.
 *
 * The critic is evaluated on `rows` rows of every sample: a policy's first action beside the newest observation of its
 * condition, or rows [state | action] of a plan. COLS moves columns there with the critic's scaling, and gradients back.
 */
#include "../backend/block.h"
#include "reward.h"

/* A rectangle of columns: `n` from `from` of tensors with `width` columns; of a chunk `repeat` rows `step` columns apart. */
typedef struct source {
    int32_t width, from, n, repeat, step;
    void *scale, *shift; /* device (n), NULL = 1 and 0 */
} source;

typedef struct reward_critic {
    dmc__device *device;
    dmc__qeval *eval;
    int32_t planner, batch, rows, chunk, want_gradient; /* rows: evaluated per sample */
    size_t elems;          /* of one sample */
    source obs, act;
    dmc__block memory;     /* scales, shifts and: */
    void *seed;            /* (batch*rows) dR/dq of either twin: w_h / 2 */
    double *weight;        /* (rows), sum 1 */
    float *q[2];           /* host (batch*rows), which recordings may name */
} reward_critic;

static size_t eval_rows(const reward_critic *s)
{
    return (size_t)s->batch * (size_t)s->rows;
}

static size_t q_bytes(const reward_critic *s)
{
    return eval_rows(s) * sizeof **s->q;
}

/* ---- evaluation ---------------------------------------------------------------------------------------- */

/* Rows lie evenly but where chunks overlap: then row j of the chunk at h is a piece of its own, number h repeat + j. */
static int32_t pieces(const reward_critic *s, const source *c)
{
    return s->chunk > 1 ? s->rows * c->repeat : 1;
}

static dmc_kargs piece(const reward_critic *s, const source *c, int32_t i)
{
    dmc_kargs k = {.par = {c->scale, c->shift}, .dim = {(int32_t)eval_rows(s), c->width, c->n, c->from, 0, c->n}};
    if (s->chunk == 1) return k;
    k.dim[0] = s->batch;
    k.dim[2] = pieces(s, c) * c->n;
    k.dim[3] = c->from + (i / c->repeat + i % c->repeat) * c->step;
    k.dim[4] = i * c->n;
    return k;
}

static dmc_status gather(const reward_critic *s, const source *c, const void *from, void *to)
{
    for (int32_t i = 0; i < pieces(s, c); i++) {
        dmc_kargs k = piece(s, c, i);
        k.in[0] = from;
        k.out = to;
        DMC_TRY(dmc__dev_run(s->device, DMC_OP_COLS, &k));
    }
    return DMC_OK;
}

/* Added to what is there: a row may be part of several chunks. */
static dmc_status scatter_gradient(const reward_critic *s, const source *c, const void *dout, void *din)
{
    for (int32_t i = 0; i < pieces(s, c); i++) {
        dmc_kargs k = piece(s, c, i);
        k.dout = dout;
        k.din[0] = din;
        k.acc = 1;
        DMC_TRY(dmc__dev_run_bwd(s->device, DMC_OP_COLS, &k));
    }
    return DMC_OK;
}

static dmc_status read_twins(const reward_critic *s)
{
    for (int32_t twin = 0; twin < 2; twin++)
        DMC_TRY(dmc__dev_out(s->device, s->q[twin], dmc__qeval_q(s->eval, twin), eval_rows(s)));
    return DMC_OK;
}

/* The mean of the twins, or their minimum. */
static double value_of(const reward_critic *s, size_t i, int32_t pessimistic)
{
    const double q1 = s->q[0][i], q2 = s->q[1][i];
    return pessimistic ? (q1 < q2 ? q1 : q2) : (q1 + q2) / 2;
}

/* R_b = sum_h w_h Q(b,h) */
static void add_up_rows(const reward_critic *s, int32_t pessimistic, float *r)
{
    const size_t rows = (size_t)s->rows;
    for (size_t b = 0; b < (size_t)s->batch; b++) {
        double sum = 0;
        for (size_t h = 0; h < rows; h++) sum += s->weight[h] * value_of(s, b * rows + h, pessimistic);
        r[b] = (float)sum;
    }
}

static dmc_status backward(const reward_critic *s, void *dz)
{
    dmc_kargs zero = {.out = dz, .dim = {(int32_t)((size_t)s->batch * s->elems)}};
    for (int32_t twin = 0; twin < 2; twin++)
        DMC_TRY(dmc__dev_copy(s->device, dmc__qeval_dq(s->eval, twin), s->seed, eval_rows(s)));
    DMC_TRY(dmc__qeval_backward(s->eval));
    DMC_TRY(dmc__dev_run(s->device, DMC_OP_FILL, &zero));
    if (s->planner) DMC_TRY(scatter_gradient(s, &s->obs, dmc__qeval_dobs(s->eval), dz));
    return scatter_gradient(s, &s->act, dmc__qeval_dact(s->eval), dz);
}

static dmc_status run_twins(const reward_critic *s, const void *z, const void *cond)
{
    if (!s->planner && !cond) return dmc__fail(DMC_EINVAL, "critic reward: a policy's condition is NULL");
    DMC_TRY(gather(s, &s->obs, s->planner ? z : cond, dmc__qeval_obs(s->eval)));
    DMC_TRY(gather(s, &s->act, z, dmc__qeval_act(s->eval)));
    return dmc__qeval_run(s->eval);
}

static dmc_status eval(void *self, const void *z, const void *cond, int32_t pessimistic, float *r, void *dz)
{
    const reward_critic *s = self;
    if (dz && !s->want_gradient)
        return dmc__fail(DMC_ESTATE, "critic reward: a gradient was not asked for when it was created");
    if (dz && pessimistic)
        return dmc__fail(DMC_EINVAL, "critic reward: the gradient is of the twins' mean, not of their minimum");
    DMC_TRY(run_twins(s, z, cond));
    if (r) DMC_TRY(read_twins(s));
    if (r) add_up_rows(s, pessimistic, r);
    return dz ? backward(s, dz) : DMC_OK;
}

static dmc_status eval_each_row(void *self, const void *z, const void *cond, int32_t pessimistic, float *r)
{
    const reward_critic *s = self;
    DMC_TRY(run_twins(s, z, cond));
    DMC_TRY(read_twins(s));
    for (size_t i = 0; i < eval_rows(s); i++) {
        const double share = s->rows * s->weight[i % (size_t)s->rows];
        r[i] = (float)(share * value_of(s, i, pessimistic));
    }
    return DMC_OK;
}

dmc_status dmc__reward_critic_ask(const dmc__reward *r, const void *z, const void *cond)
{
    DMC_TRY(run_twins(r->self, z, cond));
    return read_twins(r->self);
}

void dmc__reward_critic_tell(const dmc__reward *r, int32_t pessimistic, float *out)
{
    add_up_rows(r->self, pessimistic, out);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static int32_t chunk_of(const dmc__critic_map *m)
{
    return m->chunk > 1 ? m->chunk : 1;
}

static dmc_status check_map(const dmc__iql *q, const dmc__critic_map *m, int32_t batch, double discount)
{
    const dmc__iql_config *c = dmc__iql_get_config(q);
    const int32_t chunk = chunk_of(m);
    if (m->obs_dim != c->obs_dim || (int64_t)m->act_dim * chunk != c->act_dim)
        return dmc__fail(DMC_ESHAPE, "critic reward: the model has widths %d and %d, the critic %d and %d in %d rows", m->obs_dim,
                         m->act_dim, c->obs_dim, c->act_dim, chunk);
    if (chunk > m->horizon && m->horizon >= 1)
        return dmc__fail(DMC_ESHAPE, "critic reward: the critic's actions have %d rows, samples only %d", chunk, m->horizon);
    if (m->horizon < 1 || (!m->planner && m->n_obs < 1))
        return dmc__fail(DMC_ERANGE, "critic reward: horizon = %d, n_obs = %d, must be at least 1", m->horizon, m->n_obs);
    if (!(discount >= 0 && discount <= 1))
        return dmc__fail(DMC_ERANGE, "critic reward: discount = %g, must be 0..1", discount);
    if (batch < 1) return dmc__fail(DMC_ERANGE, "critic reward: batch = %d, must be at least 1", batch);
    /* 64 bits hold each product of two counts; the third factor is bounded before it is multiplied in. */
    const int64_t row = (int64_t)m->obs_dim + m->act_dim, sample = (int64_t)m->horizon * row;
    const int64_t observed = (int64_t)m->n_obs * m->obs_dim, cond = m->planner ? 0 : m->cond ? m->cond : observed;
    if (cond < observed && !m->planner)
        return dmc__fail(DMC_ESHAPE, "critic reward: a condition of %d numbers, %d observations are %lld", m->cond, m->n_obs,
                         (long long)observed);
    if (row > INT32_MAX || sample > INT32_MAX / batch / chunk || cond > INT32_MAX / batch)
        return dmc__fail(DMC_EOVERFLOW, "critic reward: batch = %d samples are too large, must be below 2^31 numbers in all",
                         batch);
    return DMC_OK;
}

/* Rows are taken one by one where all count; row 0 alone, and rows of chunks, are pieces of the flattened sample. */
static void set_shape(reward_critic *s, const dmc__critic_map *m, int32_t batch, double discount)
{
    const int32_t cols = m->act_dim + (m->planner ? m->obs_dim : 0);
    s->planner = m->planner;
    s->batch = batch;
    s->chunk = chunk_of(m);
    s->rows = m->planner && discount > 0 ? m->horizon - s->chunk + 1 : 1;
    s->elems = (size_t)m->horizon * (size_t)cols;
    const int32_t width = s->rows > 1 && s->chunk == 1 ? cols : (int32_t)s->elems;
    s->act = (source){.width = width, .from = m->planner ? m->obs_dim : 0, .n = m->act_dim, .repeat = s->chunk, .step = cols};
    s->obs = m->planner ? (source){.width = width, .n = m->obs_dim, .repeat = 1, .step = cols}
                        : (source){.width = m->cond ? m->cond : m->n_obs * m->obs_dim, .from = (m->n_obs - 1) * m->obs_dim,
                                   .n = m->obs_dim, .repeat = 1};
}

static dmc_status take_memory(reward_critic *s, const dmc__critic_map *m)
{
    const size_t o = (size_t)m->obs_dim, a = (size_t)m->act_dim;
    const dmc__part part[] = {
        {&s->obs.scale, m->obs_scale ? o : 0}, {&s->obs.shift, m->obs_shift ? o : 0},
        {&s->act.scale, m->act_scale ? a : 0}, {&s->act.shift, m->act_shift ? a : 0},
        {&s->seed, eval_rows(s)},
    };
    DMC_TRY(dmc__block_alloc(s->device, part, sizeof part / sizeof *part, &s->memory));
    if (m->obs_scale) DMC_TRY(dmc__dev_in(s->device, s->obs.scale, m->obs_scale, o));
    if (m->obs_shift) DMC_TRY(dmc__dev_in(s->device, s->obs.shift, m->obs_shift, o));
    if (m->act_scale) DMC_TRY(dmc__dev_in(s->device, s->act.scale, m->act_scale, a));
    if (m->act_shift) DMC_TRY(dmc__dev_in(s->device, s->act.shift, m->act_shift, a));
    DMC_TRY(DMC_NEW(s->device->alloc, s->rows, &s->weight));
    DMC_TRY(dmc__dev_host_alloc(s->device, q_bytes(s), (void **)&s->q[0]));
    return dmc__dev_host_alloc(s->device, q_bytes(s), (void **)&s->q[1]);
}

/* w_h = discount^h / sum, and the seed of the backward pass. */
static dmc_status set_weights(reward_critic *s, double discount)
{
    double sum = 0, w = 1;
    for (int32_t h = 0; h < s->rows; h++, w *= discount) sum += s->weight[h] = w;
    for (int32_t h = 0; h < s->rows; h++) s->weight[h] /= sum;
    for (size_t i = 0; i < eval_rows(s); i++) s->q[0][i] = (float)(s->weight[i % (size_t)s->rows] / 2);
    return dmc__dev_in(s->device, s->seed, s->q[0], eval_rows(s));
}

static void destroy(reward_critic *s)
{
    for (int32_t twin = 0; twin < 2; twin++)
        if (s->q[twin]) dmc__dev_host_free(s->device, s->q[twin], q_bytes(s));
    DMC_FREE(s->device->alloc, s->weight, s->rows);
    dmc__block_free(s->device, &s->memory);
    dmc__qeval_destroy(s->eval);
    DMC_FREE(s->device->alloc, s, 1);
}

dmc_status dmc__reward_critic_create(const dmc__iql *q, dmc__device *d, const dmc__critic_map *map, int32_t batch,
                                     double discount, int32_t want_gradient, dmc__reward *out)
{
    *out = (dmc__reward){0};
    dmc_status status;
    reward_critic *s = NULL;
    DMC_TRY(check_map(q, map, batch, discount));
    DMC_TRY(DMC_NEW(d->alloc, 1, &s));
    s->device = d;
    s->want_gradient = want_gradient;
    set_shape(s, map, batch, discount);
    DMC_TRY_GOTO(status, dmc__qeval_create(q, d, (int32_t)eval_rows(s), want_gradient, &s->eval), fail);
    DMC_TRY_GOTO(status, take_memory(s, map), fail);
    DMC_TRY_GOTO(status, set_weights(s, discount), fail);
    *out = (dmc__reward){.self = s, .batch = batch, .has_gradient = want_gradient, .eval = eval,
                         .eval_rows = eval_each_row, .rows = s->rows, .twins = 1};
    return DMC_OK;
fail:
    destroy(s);
    return status;
}

void dmc__reward_critic_free(dmc__reward *r)
{
    if (!r) return;
    if (r->self) destroy(r->self);
    *r = (dmc__reward){0};
}

size_t dmc__reward_critic_bytes(const dmc__reward *r)
{
    const reward_critic *s = r->self;
    return sizeof *s + dmc__block_bytes(s->device, &s->memory) + (size_t)s->rows * sizeof *s->weight +
           2 * q_bytes(s) + dmc__qeval_bytes(s->eval);
}
