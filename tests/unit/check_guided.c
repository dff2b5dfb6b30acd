/* check_guided.c — the network's answer mixed with that for no condition, and moved by a guide: against loops on the host, against
 * posteriors of Gaussians, and value networks against differences. */
#include "../../lib/diffusion/guide_value.h"
#include "../../lib/diffusion/guided.h"
#include "failing_alloc.h"
#include "small_model.h"

#include <string.h>

Suite *dmc_suite_guided(void);

enum { BATCH = 6, GROUP = 2, STEPS = 5, HORIZON = 2, COLS = 3, COND = 2, EXTRA = 1, ELEMS = HORIZON * COLS, TOTAL = BATCH * ELEMS };

static const small_model_config model_config = {.device = "ref64", .steps = 8, .horizon = HORIZON, .cols = COLS, .cond = COND,
                                                .extra = EXTRA, .predict = DMC__PREDICT_V, .clip = .7};
static const dmc__table_config noisy_table = {.sampler = DMC__SAMPLER_DDIM, .steps = STEPS, .eta = .8};

static void open_on(small_model *m, const char *device)
{
    small_model_config c = model_config;
    c.device = device;
    small_model_open(m, &c);
}

static dmc__rollout *rollout(const small_model *m, const dmc__rollout_config *c)
{
    dmc__table t;
    dmc__rollout *r;
    ok(dmc__table_create(&dmc__default_allocator, &m->process, &noisy_table, &t));
    ok(dmc__rollout_create(m->net, m->device, &t, c, &r));
    dmc__table_free(&t);
    dmc__rollout_bind(r, m->weights, NULL, STEPS);
    return r;
}

/* Inputs of samples first..first+batch-1, of which `group` share a condition; row 0 known in its first two columns. */
static void set_inputs(dmc__rollout *r, int32_t first, int32_t group)
{
    float *cond = some_floats(BATCH * COND, 1, 1), *extra = some_floats(BATCH * HORIZON * EXTRA, 2, 1);
    float *known = some_floats(TOTAL, 3, .5), mask[TOTAL];
    for (int i = 0; i < TOTAL; i++) mask[i] = i % ELEMS < 2;
    ok(dmc__rollout_set_cond(r, cond + first / group * COND));
    ok(dmc__rollout_set_extra(r, extra + first * HORIZON * EXTRA));
    ok(dmc__rollout_set_known(r, mask + first * ELEMS, known + first * ELEMS));
    free(cond);
    free(extra);
    free(known);
}

/* f(z, t, cond or zeros) of the batch on a ref64 device. */
static void network(small_model *m, const dmc__rollout *r, const dmc__row *row, int32_t with_cond, const double *z, double *f)
{
    dmc__plan *p;
    ok(dmc__plan_create(m->net->graph, m->device, BATCH, DMC__PLAN_INFER, NULL, &p));
    dmc__plan_bind(p, m->weights, NULL);
    double *t = dmc__plan_value(p, m->net->t), *cond = dmc__plan_value(p, m->net->cond);
    for (int b = 0; b < BATCH; b++) t[b] = row->at.seen;
    memcpy(dmc__plan_value(p, m->net->z), z, TOTAL * sizeof *z);
    memcpy(cond, dmc__rollout_cond(r), BATCH * COND * sizeof *z);
    if (!with_cond) memset(cond, 0, BATCH * COND * sizeof *z);
    memcpy(dmc__plan_value(p, m->net->extra), dmc__rollout_extra(r), BATCH * HORIZON * EXTRA * sizeof *z);
    ok(dmc__plan_forward(p));
    memcpy(f, dmc__plan_value(p, m->net->out), TOTAL * sizeof *f);
    dmc__plan_destroy(p);
}

static double normal(uint32_t purpose, uint64_t step, int i)
{
    const dmc__stream s = {.seed = 5, .purpose = purpose, .step = step, .sample = 11 + (uint64_t)(i / ELEMS)};
    return dmc__rng_normal(&s, (uint32_t)(i % ELEMS));
}

/* A guide on the host: towards `goal` as fast as it is far, or with the time. It keeps what it was shown. */
typedef struct spring {
    double goal, shown[TOTAL];
    const void *cond;
    int calls;
} spring;

static double pull(const spring *s, const dmc__row *row, double x)
{
    return s->goal - x + .1 * row->at.sigma;
}

static dmc_status spring_gradient(void *self, const dmc__row *row, const void *x, const void *cond, void *g)
{
    spring *s = self;
    memcpy(s->shown, x, sizeof s->shown);
    for (int i = 0; i < TOTAL; i++) ((double *)g)[i] = pull(s, row, s->shown[i]);
    s->cond = cond;
    s->calls++;
    return DMC_OK;
}

/* What table.h and guided.h say of row k, at the latent z, which moves on. */
static void host_row(small_model *m, const dmc__rollout *r, int32_t k, const dmc__rollout_config *c, double *z)
{
    const dmc__row *row = dmc__rollout_row(r, k);
    const double *mask = dmc__rollout_mask(r), *known = dmc__rollout_known(r), clip = dmc__rollout_clip(r);
    const double al = row->at.alpha, si = row->at.sigma;
    double with[TOTAL], without[TOTAL];
    network(m, r, row, 1, z, with);
    network(m, r, row, 0, z, without);
    for (int i = 0; i < TOTAL; i++) {
        double x = row->P * z[i] + row->Q * ((1 - c->null_share) * with[i] + c->null_share * without[i]);
        const double seen = !c->guide.of_sample ? z[i] : mask[i] != 0 ? known[i] : fmin(fmax(x, -clip), clip);
        if (c->guide.gradient)
            x += c->guide.scale * si * si / (c->guide.of_sample ? si * si + al * al : al) * pull(c->guide.self, row, seen);
        x = fmin(fmax(x, -clip), clip);
        z[i] = row->a * x + row->b * z[i] + row->S * normal(DMC_STREAM_STEP, 3 * 4096 + (uint64_t)k, i);
        if (mask[i] != 0) z[i] = known[i];
    }
}

static void assert_like_host(small_model *m, dmc__rollout *r, const dmc__rollout_config *c)
{
    const double *mask = dmc__rollout_mask(r), *known = dmc__rollout_known(r);
    double z[TOTAL];
    for (int i = 0; i < TOTAL; i++) z[i] = mask[i] != 0 ? known[i] : normal(DMC_STREAM_LATENT, 3, i);
    ok(dmc__rollout_run(r, 5, 3, 11, 1));
    for (int32_t k = 0; k < STEPS; k++) {
        host_row(m, r, k, c, z);
        const double *latent = dmc__rollout_latent(r, k + 1);
        for (int i = 0; i < TOTAL; i++) ck_assert_double_eq_tol(latent[i], z[i], 1e-11);
    }
}

/* ---- classifier-free ------------------------------------------------------------------------------------- */

static const double shares[] = {0, 1, .5, -1.5, 4};
enum { SHARES = sizeof shares / sizeof *shares };

START_TEST(two_answers_are_mixed)
{
    small_model m;
    open_on(&m, "ref64");
    for (int32_t group = 1; group <= GROUP; group++) {
        const dmc__rollout_config c = {.batch = BATCH, .group = group, .keep_chain = 1, .null_share = shares[_i]};
        dmc__rollout *r = rollout(&m, &c);
        set_inputs(r, 0, group);
        assert_like_host(&m, r, &c);
        dmc__rollout_destroy(r);
    }
    small_model_close(&m);
}
END_TEST

/* The samples of a roll-out with these inputs, from `first` on; `zeros`: it is given no condition itself. */
static float *sample_with(const small_model *m, dmc__rollout_config c, int32_t first, int32_t zeros)
{
    static const float none[BATCH * COND];
    dmc__rollout *r = rollout(m, &c);
    set_inputs(r, first, c.group);
    if (zeros) ok(dmc__rollout_set_cond(r, none));
    ok(dmc__rollout_run(r, 5, 3, 11 + (uint64_t)first, 1));
    float *z = copy_from_device(m->device, dmc__rollout_sample(r), (size_t)c.batch * ELEMS);
    dmc__rollout_destroy(r);
    return z;
}

static const char *const float_devices[] = {"ref", "cpu"};

/* Share 1 is the network without its condition, to the bit, though the roll-out still knows the condition. */
START_TEST(the_null_alone)
{
    small_model m;
    open_on(&m, float_devices[_i]);
    for (int32_t group = 1; group <= GROUP; group++) {
        const dmc__rollout_config plain = {.batch = BATCH, .group = group};
        const dmc__rollout_config null = {.batch = BATCH, .group = group, .null_share = 1};
        float *a = sample_with(&m, null, 0, 0), *b = sample_with(&m, plain, 0, 1), *c = sample_with(&m, plain, 0, 0);
        ck_assert_mem_eq(a, b, TOTAL * sizeof *a);
        ck_assert_mem_ne(a, c, TOTAL * sizeof *a);
        dmc__rollout *r = rollout(&m, &null), *s = rollout(&m, &plain);
        set_inputs(r, 0, group);
        set_inputs(s, 0, group);
        ck_assert_mem_eq(dmc__rollout_cond(r), dmc__rollout_cond(s), BATCH * COND * sizeof(float));
        dmc__rollout_destroy(s);
        dmc__rollout_destroy(r);
        free(a);
        free(b);
        free(c);
    }
    small_model_close(&m);
}
END_TEST

START_TEST(guided_samples_do_not_depend_on_the_batch)
{
    small_model m;
    open_on(&m, float_devices[_i]);
    for (int j = 0; j < SHARES; j++) {
        float *all = sample_with(&m, (dmc__rollout_config){.batch = BATCH, .group = GROUP, .null_share = shares[j]}, 0, 0);
        float *one = sample_with(&m, (dmc__rollout_config){.batch = 2, .group = GROUP, .null_share = shares[j]}, 0, 0);
        float *two = sample_with(&m, (dmc__rollout_config){.batch = 4, .group = GROUP, .null_share = shares[j]}, 2, 0);
        ck_assert_mem_eq(all, one, 2 * ELEMS * sizeof *all);
        ck_assert_mem_eq(all + 2 * ELEMS, two, 4 * ELEMS * sizeof *all);
        free(all);
        free(one);
        free(two);
    }
    small_model_close(&m);
}
END_TEST

START_TEST(without_a_condition_there_is_no_guidance)
{
    small_model_config c = model_config;
    small_model m;
    dmc__table t;
    dmc__rollout *r = (dmc__rollout *)(uintptr_t)1;
    c.cond = 0;
    small_model_open(&m, &c);
    ok(dmc__table_create(&dmc__default_allocator, &m.process, &noisy_table, &t));
    dmc__rollout_config rc = {.batch = BATCH, .group = 1, .null_share = .5};
    ck_assert_int_eq(dmc__rollout_create(m.net, m.device, &t, &rc, &r), DMC_EINVAL);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "no condition to leave out"));
    ck_assert_ptr_null(r);
    dmc__table_free(&t);
    small_model_close(&m);
}
END_TEST

/* ---- guides ------------------------------------------------------------------------------------------------- */

/* Alone, and behind a mixture; the guide is shown the clipped prediction with its known entries, or the latent. */
START_TEST(a_guide_moves_the_prediction)
{
    small_model m;
    open_on(&m, "ref64");
    for (int32_t of_sample = 0; of_sample < 2; of_sample++)
        for (int j = 0; j < SHARES; j++) {
            spring s = {.goal = 2};
            const dmc__guide guide = {.self = &s, .scale = .3, .of_sample = of_sample, .gradient = spring_gradient};
            const dmc__rollout_config c = {.batch = BATCH, .group = 1, .keep_chain = 1, .null_share = shares[j], .guide = guide};
            dmc__rollout *r = rollout(&m, &c);
            set_inputs(r, 0, 1);
            assert_like_host(&m, r, &c);
            ck_assert_int_eq(s.calls, STEPS);
            ck_assert_ptr_eq(s.cond, dmc__rollout_cond(r));
            const double *known = dmc__rollout_known(r);
            for (int i = 0; i < TOTAL && of_sample; i++) {
                if (i % ELEMS < 2) ck_assert_double_eq(s.shown[i], known[i]);
                else ck_assert_double_le(fabs(s.shown[i]), model_config.clip);
            }
            dmc__rollout_destroy(r);
        }
    small_model_close(&m);
}
END_TEST

START_TEST(a_scale_of_zero_asks_nobody)
{
    spring s = {.goal = 2};
    small_model m;
    open_on(&m, "cpu");
    const dmc__rollout_config plain = {.batch = BATCH, .group = 1}, off = {.batch = BATCH, .group = 1,
                              .guide = {.self = &s, .of_sample = 1, .gradient = spring_gradient}};
    float *a = sample_with(&m, plain, 0, 0), *b = sample_with(&m, off, 0, 0);
    ck_assert_mem_eq(a, b, TOTAL * sizeof *a);
    ck_assert_int_eq(s.calls, 0);
    free(a);
    free(b);
    small_model_close(&m);
}
END_TEST

/* Stopped early, the sample is the guided prediction of the last row. */
START_TEST(a_guided_run_stops_with_its_prediction)
{
    spring s = {.goal = .2};
    small_model m;
    double z[TOTAL], with[TOTAL];
    open_on(&m, "ref64");
    const dmc__rollout_config c = {.batch = BATCH, .group = 1, .keep_chain = 1,
                                   .guide = {.self = &s, .scale = .5, .of_sample = 1, .gradient = spring_gradient}};
    dmc__rollout *r = rollout(&m, &c);
    set_inputs(r, 0, 1);
    ok(dmc__rollout_begin(r, &(dmc__rollout_draw){5, 3, 11}, 1));
    for (int k = 0; k < 2; k++) {
        const double *latent = dmc__rollout_sample(r);
        memcpy(z, latent, sizeof z);
        ok(dmc__rollout_step(r));
    }
    const dmc__row *row = dmc__rollout_row(r, 1);
    network(&m, r, row, 1, z, with);
    ok(dmc__rollout_stop(r));
    const double *x = dmc__rollout_sample(r), var = row->at.sigma * row->at.sigma;
    for (int i = 0; i < TOTAL; i++) {
        if (i % ELEMS < 2) continue;
        const double plain = row->P * z[i] + row->Q * with[i], seen = fmin(fmax(plain, -.7), .7);
        const double want = plain + .5 * var / (var + row->at.alpha * row->at.alpha) * pull(&s, row, seen);
        ck_assert_double_eq_tol(x[i], fmin(fmax(want, -.7), .7), 1e-11);
    }
    dmc__rollout_destroy(r);
    small_model_close(&m);
}
END_TEST

/* Rows at pure noise say nothing of the sample: a classifier of z leaves them alone. */
START_TEST(rows_without_signal_are_left_alone)
{
    const dmc__guide g = {.scale = 2, .gradient = spring_gradient};
    const dmc__guide of_sample = {.scale = 2, .of_sample = 1, .gradient = spring_gradient};
    const dmc__row noise = {.at = {.alpha = 0, .sigma = 1}, .Q = -1}, half = {.at = {.alpha = .5, .sigma = .5}, .Q = -.5};
    ck_assert_double_eq(dmc__guide_coefficient(&g, &noise), 0);
    ck_assert_double_eq(dmc__guide_coefficient(&of_sample, &noise), -2);
    ck_assert_double_eq_tol(dmc__guide_coefficient(&g, &half), -2, 1e-15);
    ck_assert_double_eq_tol(dmc__guide_coefficient(&of_sample, &half), -2, 1e-15);
}
END_TEST

/* ---- posteriors ----------------------------------------------------------------------------------------------- */

/* Data N(0,1), of which y is seen with deviation r. Where f = 0 is right: v of every path, F of EDM with sigma_data 1. */
enum { MANY = 16384, ROWS = 200 };
static const struct { int32_t kind, predict, schedule, grid; } paths[] = {
    {DMC__PROCESS_VP, DMC__PREDICT_V, DMC__SCHEDULE_COSINE, DMC__GRID_LINSPACE},
    {DMC__PROCESS_VP, DMC__PREDICT_V, DMC__SCHEDULE_LINEAR, DMC__GRID_LINSPACE},
    {DMC__PROCESS_VP_GRID, DMC__PREDICT_V, DMC__SCHEDULE_LINEAR, DMC__GRID_LINSPACE},
    {DMC__PROCESS_VP_SDE, DMC__PREDICT_V, DMC__SCHEDULE_COSINE, DMC__GRID_LINSPACE},
    {DMC__PROCESS_EDM, DMC__PREDICT_EDM, DMC__SCHEDULE_COSINE, DMC__GRID_KARRAS},
    {DMC__PROCESS_FLOW, DMC__PREDICT_V, DMC__SCHEDULE_COSINE, DMC__GRID_TRAILING},
};
enum { PATHS = sizeof paths / sizeof *paths };

typedef struct sight {
    double y, r;
    int32_t of_sample;
} sight;

/* d/dx of log N(y; x, r^2); or d/dz of log N(y; m, V + r^2), the mean and variance of x given z. */
static dmc_status sight_gradient(void *self, const dmc__row *row, const void *x, const void *cond, void *g)
{
    const sight *s = self;
    const double al = row->at.alpha, si = row->at.sigma, norm = al * al + si * si;
    const double slope = s->of_sample ? 1 : al / norm, noise = s->r * s->r + (s->of_sample ? 0 : si * si / norm);
    (void)cond;
    for (int i = 0; i < MANY; i++) ((float *)g)[i] = (float)(slope * (s->y - slope * ((const float *)x)[i]) / noise);
    return DMC_OK;
}

static void open_exact(small_model *m, int path)
{
    small_model_open(m, &(small_model_config){.device = "cpu", .steps = ROWS, .horizon = 1, .cols = 1});
    dmc__process_free(&m->process);
    dmc__process_config c = dmc__process_defaults();
    c.kind = paths[path].kind;
    c.predict = paths[path].predict;
    c.schedule = paths[path].schedule;
    c.steps = ROWS;
    c.sigma_data = 1;
    ok(dmc__process_create(&dmc__default_allocator, &c, &m->process));
    memset(m->weights, 0, m->n * sizeof(float));
}

static void moments(const small_model *m, int path, const dmc__guide *guide, double *mean, double *var)
{
    dmc__table t;
    dmc__rollout *r;
    const dmc__table_config c = {.sampler = DMC__SAMPLER_DDIM, .grid = paths[path].grid, .steps = ROWS, .eta = 1, .rho = 7};
    const dmc__rollout_config rc = {.batch = MANY, .group = 1, .guide = *guide};
    ok(dmc__table_create(&dmc__default_allocator, &m->process, &c, &t));
    ok(dmc__rollout_create(m->net, m->device, &t, &rc, &r));
    dmc__table_free(&t);
    dmc__rollout_bind(r, m->weights, NULL, ROWS);
    ok(dmc__rollout_run(r, 1, 0, 0, 1));
    float *x = copy_from_device(m->device, dmc__rollout_sample(r), MANY);
    double sum = 0, square = 0;
    for (int i = 0; i < MANY; i++) {
        sum += x[i];
        square += (double)x[i] * x[i];
    }
    *mean = sum / MANY;
    *var = square / MANY - *mean * *mean;
    free(x);
    dmc__rollout_destroy(r);
}

/* An exact classifier of z makes exact posteriors: what is left is the length of the steps and the number of samples (deviation
 * of the mean .0035, of the variance .0022 at r = 0.5). */
START_TEST(an_exact_classifier_gives_the_posterior)
{
    small_model m;
    sight s = {.y = 1, .r = .5};
    double mean, var;
    open_exact(&m, _i);
    const dmc__guide guide = {.self = &s, .scale = 1, .gradient = sight_gradient}, none = {.gradient = NULL};
    moments(&m, _i, &none, &mean, &var);
    ck_assert_double_eq_tol(mean, 0, .03);
    ck_assert_double_eq_tol(var, 1, .05);
    moments(&m, _i, &guide, &mean, &var);
    ck_assert_double_eq_tol(mean, s.y / (1 + s.r * s.r), .02);
    ck_assert_double_eq_tol(var, s.r * s.r / (1 + s.r * s.r), .02);
    small_model_close(&m);
}
END_TEST

/* A likelihood of the predicted sample is right to first order in V / r^2, V <= 1 the variance of what is still unknown: here
 * 1/9, so means of y/10 come out within that share of themselves, and variances likewise. */
START_TEST(a_likelihood_of_the_sample_gives_nearly_the_posterior)
{
    small_model m;
    sight s = {.y = 6, .r = 3, .of_sample = 1};
    double mean, var;
    open_exact(&m, _i);
    const dmc__guide guide = {.self = &s, .scale = 1, .of_sample = 1, .gradient = sight_gradient};
    moments(&m, _i, &guide, &mean, &var);
    ck_assert_double_eq_tol(mean, s.y / (1 + s.r * s.r), .6 / 9);
    ck_assert_double_eq_tol(var, s.r * s.r / (1 + s.r * s.r), .9 / 9);
    small_model_close(&m);
}
END_TEST

/* ---- values --------------------------------------------------------------------------------------------------- */

static const int32_t value_nets[] = {DMC__NET_UNET1D_HALF, DMC__NET_DIT1D_HALF};
enum { VALUES = 3, PLAN_T = 4, PLAN_C = 3, PLANS = VALUES * PLAN_T * PLAN_C };

typedef struct value_lab {
    small_model m;
    dmc__guide_value *v;
    dmc__guide guide;
    double z[PLANS], g[PLANS];
    dmc__row row;
} value_lab;

static void open_value(value_lab *l, int32_t kind, int32_t process)
{
    const dmc__net_config net = {.kind = kind, .horizon = PLAN_T, .cols = PLAN_C, .hidden = 8, .blocks = 1, .emb_dim = 4,
                                 .heads = 2, .kernel = 3, .levels = 2, .mult = {1, 2}, .outputs = 1};
    dmc__process_config c = dmc__process_defaults();
    small_model *m = &l->m;
    c.kind = process;
    c.predict = DMC__PREDICT_V;
    c.steps = 9;
    c.seen_scale = 3;
    ok(dmc__device_open(&dmc__default_allocator, "ref64", NULL, &m->device));
    ok(dmc__process_create(&dmc__default_allocator, &c, &m->process));
    ok(dmc__net_create(&dmc__default_allocator, &net, &m->net));
    m->n = dmc__graph_param_elems(m->net->graph);
    ok(dmc__dev_alloc(m->device, m->n, &m->weights));
    ok(dmc__params_init(m->net->graph, m->device, 7, m->weights));
    for (size_t i = 0; i < m->n; i++) ((double *)m->weights)[i] += .4 * sin((double)i); /* no layer stays at zero */
    ok(dmc__guide_value_create(m->net, m->device, &m->process, VALUES, &l->v));
    dmc__guide_value_bind(l->v, m->weights);
    l->guide = dmc__guide_value_guide(l->v, 1);
    l->row.at = dmc__process_level(&m->process, process == DMC__PROCESS_VP ? 4 : .4);
    float *z = some_floats(PLANS, 4, 1);
    for (int i = 0; i < PLANS; i++) l->z[i] = z[i];
    free(z);
}

static void close_value(value_lab *l)
{
    dmc__guide_value_destroy(l->v);
    small_model_close(&l->m);
}

/* Sum of V by a plan for inference, at the time the value's own process shows it. */
static double sum_of_values(void *self)
{
    value_lab *l = self;
    dmc__plan *p;
    double sum = 0;
    ok(dmc__plan_create(l->m.net->graph, l->m.device, VALUES, DMC__PLAN_INFER, NULL, &p));
    dmc__plan_bind(p, l->m.weights, NULL);
    double *t = dmc__plan_value(p, l->m.net->t);
    for (int b = 0; b < VALUES; b++) t[b] = dmc__process_level(&l->m.process, l->row.at.time).seen;
    memcpy(dmc__plan_value(p, l->m.net->z), l->z, sizeof l->z);
    ok(dmc__plan_forward(p));
    const double *v = dmc__plan_value(p, l->m.net->out);
    for (int b = 0; b < VALUES; b++) sum += v[b];
    dmc__plan_destroy(p);
    return sum;
}

START_TEST(the_gradient_of_a_value)
{
    static const int32_t processes[] = {DMC__PROCESS_VP, DMC__PROCESS_FLOW};
    value_lab l = {.guide = {0}};
    open_value(&l, value_nets[_i / 2], processes[_i % 2]);
    for (int again = 0; again < 2; again++) { /* nothing of the first call is left in the second */
        ok(l.guide.gradient(l.guide.self, &l.row, l.z, NULL, l.g));
        double *want = differences(l.z, PLANS, sum_of_values, &l);
        assert_gradients(l.g, want, PLANS);
        free(want);
    }
    /* A level that another process made is read by its time: the value has a clock of its own. */
    double before[PLANS];
    memcpy(before, l.g, sizeof before);
    l.row.at.seen += 100;
    ok(l.guide.gradient(l.guide.self, &l.row, l.z, NULL, l.g));
    ck_assert_mem_eq(l.g, before, sizeof before);
    close_value(&l);
}
END_TEST

/* ---- memory --------------------------------------------------------------------------------------------------- */

START_TEST(it_holds_what_it_says_and_allocates_nothing_more)
{
    spring s = {.goal = 2};
    for (int j = 0; j < SHARES; j++) {
        failing_alloc f = {0};
        const dmc__allocator a = failing_allocator(&f);
        small_model m, own;
        open_on(&m, "ref64");
        own = m;
        ok(dmc__device_open(&a, "ref64", NULL, &own.device));
        const int64_t before = f.bytes;
        const dmc__rollout_config c = {.batch = BATCH, .group = GROUP, .null_share = shares[j],
                                       .guide = {.self = &s, .scale = _i, .of_sample = j % 2, .gradient = spring_gradient}};
        dmc__rollout *r = rollout(&own, &c);
        ck_assert_int_eq(f.bytes - before, (int64_t)dmc__rollout_bytes(r));
        const int64_t calls = f.calls;
        set_inputs(r, 0, GROUP);
        ok(dmc__rollout_run(r, 1, 0, 0, 1));
        ck_assert_int_eq(f.calls, calls);
        dmc__rollout_destroy(r);
        ck_assert_int_eq(f.bytes, before);
        dmc__device_close(own.device);
        small_model_close(&m);
    }
}
END_TEST

START_TEST(creating_without_memory)
{
    spring s = {.goal = 2};
    small_model m;
    dmc__table t;
    open_on(&m, "cpu");
    ok(dmc__table_create(&dmc__default_allocator, &m.process, &noisy_table, &t));
    const dmc__rollout_config c = {.batch = BATCH, .group = GROUP, .null_share = 2,
                                   .guide = {.self = &s, .scale = 1, .of_sample = 1, .gradient = spring_gradient}};
    dmc__rollout *r = NULL;
    dmc_status status = DMC_ENOMEM;
    for (int64_t n = 1; status == DMC_ENOMEM; n++) {
        failing_alloc f = {0};
        const dmc__allocator a = failing_allocator(&f);
        dmc__device *d;
        ok(dmc__device_open(&a, "cpu", NULL, &d));
        const int64_t before = f.live;
        f.fail_at = f.calls + n;
        status = dmc__rollout_create(m.net, d, &t, &c, &r);
        ck_assert((status == DMC_OK) == (r != NULL));
        dmc__rollout_destroy(r);
        ck_assert_int_eq(f.live, before);
        dmc__device_close(d);
    }
    ck_assert_int_eq(status, DMC_OK);
    dmc__table_free(&t);
    small_model_close(&m);
}
END_TEST

Suite *dmc_suite_guided(void)
{
    Suite *s = suite_create("guided");
    TCase *c = tcase_create("classifier-free");
    tcase_add_loop_test(c, two_answers_are_mixed, 0, SHARES);
    tcase_add_loop_test(c, the_null_alone, 0, 2);
    tcase_add_loop_test(c, guided_samples_do_not_depend_on_the_batch, 0, 2);
    tcase_add_test(c, without_a_condition_there_is_no_guidance);
    suite_add_tcase(s, c);
    c = tcase_create("guides");
    tcase_add_test(c, a_guide_moves_the_prediction);
    tcase_add_test(c, a_scale_of_zero_asks_nobody);
    tcase_add_test(c, a_guided_run_stops_with_its_prediction);
    tcase_add_test(c, rows_without_signal_are_left_alone);
    suite_add_tcase(s, c);
    c = tcase_create("posteriors");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, an_exact_classifier_gives_the_posterior, 0, PATHS);
    tcase_add_loop_test(c, a_likelihood_of_the_sample_gives_nearly_the_posterior, 0, PATHS);
    suite_add_tcase(s, c);
    c = tcase_create("values");
    tcase_add_loop_test(c, the_gradient_of_a_value, 0, 4);
    suite_add_tcase(s, c);
    c = tcase_create("memory");
    tcase_add_loop_test(c, it_holds_what_it_says_and_allocates_nothing_more, 0, 2);
    tcase_add_test(c, creating_without_memory);
    suite_add_tcase(s, c);
    return s;
}
