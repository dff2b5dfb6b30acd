/* bench_nets.c — see bench_nets.h. Times are CPU time of the process, which on an idle machine is time on the clock; a shared
 * machine adds only what its caches and its clock rate lose. Ours and the peer's are taken in turns. */
#include "bench_nets.h"

#include "bench_peer.h"
#include "lib/api/handles.h"
#include "lib/critic/iql_nets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HOPPER_S = 11, HOPPER_A = 3, ROWS = 512, ROUNDS = 4, MOST_SAMPLES = 4096 };

typedef enum net { JANNER, IDQL, TWIN_Q } net;
typedef enum kind { FORWARD, TRAIN, SAMPLE } kind;
static const char *const net_names[] = {"janner", "idql", "twin_q"}, *const kind_names[] = {"forward", "train", "sample"};

typedef struct bench_case {
    net net;
    kind kind;
    int32_t batch;
    double goal; /* fraction of the multiply-add roof to reach; 0 = none set */
} bench_case;

static const bench_case cases[] = {
    {JANNER, FORWARD, 1, 0.40}, {JANNER, FORWARD, 16, 0.60}, {JANNER, FORWARD, 64, 0.65},
    {IDQL, FORWARD, 1, 0},      {IDQL, FORWARD, 16, 0},      {IDQL, FORWARD, 64, 0},      {IDQL, FORWARD, 256, 0},
    {TWIN_Q, FORWARD, 1, 0},    {TWIN_Q, FORWARD, 16, 0},    {TWIN_Q, FORWARD, 64, 0},    {TWIN_Q, FORWARD, 256, 0},
    {JANNER, TRAIN, 64, 0},     {IDQL, TRAIN, 64, 0},
    {JANNER, SAMPLE, 64, 0}, /* Diffuser: 64 candidates, 20 steps */
    {IDQL, SAMPLE, 1, 0},    /* IDQL's policy: 5 steps            */
};

/* ---- what is timed ---------------------------------------------------------------------------------- */

typedef struct rig {
    dmc_dataset *data;
    dmc_model *model;
    dmc_critic *critic;
    dmc__plan *plan;       /* one of these three */
    dmc_trainer *trainer;
    dmc_sampler *sampler;
    float *obs, *act;
    size_t n_obs, n_act;
    uint64_t parameters;
    double flop, bytes;    /* of one run; bytes 0 = not known */
} rig;

static float some_value(uint32_t i)
{
    return (float)(int32_t)(i * 2654435761u) * 0x1p-31f;
}

/* Widths of D4RL's hopper, episodes of 64 steps. */
static dmc_status make_data(dmc_dataset **out)
{
    static float obs[ROWS * HOPPER_S], act[ROWS * HOPPER_A], rew[ROWS];
    static uint8_t end[ROWS];
    for (uint32_t i = 0; i < ROWS * HOPPER_S; i++) obs[i] = some_value(i);
    for (uint32_t i = 0; i < ROWS * HOPPER_A; i++) act[i] = some_value(i + 7);
    for (uint32_t i = 0; i < ROWS; i++) end[i] = i % 64 == 63;
    return dmc_dataset_create(NULL, ROWS, HOPPER_S, HOPPER_A, obs, act, rew, end, NULL, NULL, out);
}

static dmc_status make_model(rig *r, const bench_case *c)
{
    dmc_model_options o;
    dmc_model_options_init(&o, sizeof o);
    if (c->net == JANNER) {
        o.role = DMC_ROLE_PLANNER;
        o.network = DMC_NETWORK_UNET1D_JANNER;
        o.horizon = o.hidden = o.emb_dim = 32;
        o.obs_norm = DMC_NORM_MINMAX;
    } else {
        o.train_steps = 5;
    }
    return dmc_model_create(NULL, r->data, &o, &r->model);
}

/* Inputs of a plan, filled and counted; the outputs are as wide as z and the twins as one number each. */
static dmc_status fill_input(rig *r, dmc__device *d, const dmc__graph *g, dmc__val v, float value)
{
    float *x;
    if (v < 0) return DMC_OK;
    const size_t n = (size_t)dmc__plan_batch(r->plan) * (size_t)dmc__graph_rows(g, v) * (size_t)dmc__graph_cols(g, v);
    DMC_TRY(DMC_NEW(d->alloc, n, &x));
    for (uint32_t i = 0; i < n; i++) x[i] = value ? value : some_value(i);
    const dmc_status status = dmc__dev_in(d, dmc__plan_value(r->plan, v), x, n);
    DMC_FREE(d->alloc, x, n);
    r->bytes += (double)(n * sizeof *x);
    return status;
}

static dmc_status make_forward(rig *r, const bench_case *c)
{
    const int twins = c->net == TWIN_Q;
    const dmc__net *n = twins ? NULL : r->model->net;
    const dmc__value_net *q = twins ? dmc__iql_net(r->critic->iql, DMC__IQL_Q) : NULL;
    const dmc__graph *g = twins ? q->graph : n->graph;
    dmc__device *d = twins ? r->critic->ref.ctx->device : r->model->ref.ctx->device;
    DMC_TRY(dmc__plan_create(g, d, c->batch, DMC__PLAN_INFER, NULL, &r->plan));
    dmc__plan_bind(r->plan, twins ? dmc__iql_weights(r->critic->iql, DMC__IQL_Q) : r->model->weights, NULL);
    r->bytes = 4.0 * (double)r->parameters;
    DMC_TRY(fill_input(r, d, g, twins ? q->obs : n->z, 0));
    DMC_TRY(fill_input(r, d, g, twins ? q->act : n->cond, 0));
    return twins ? DMC_OK : fill_input(r, d, g, n->t, 3);
}

static dmc_status make_trainer(rig *r, const bench_case *c)
{
    dmc_train_options o;
    dmc_train_options_init(&o, sizeof o);
    o.batch = c->batch;
    return dmc_trainer_create(NULL, r->model, r->data, &o, &r->trainer);
}

static dmc_status make_sampler(rig *r, const bench_case *c)
{
    dmc_sampler_options o;
    dmc_sampler_options_init(&o, sizeof o);
    o.candidates = c->batch;
    DMC_TRY(dmc_sampler_create(NULL, r->model, NULL, &o, &r->sampler));
    r->n_obs = HOPPER_S;
    r->n_act = (size_t)r->model->spec.net.horizon * HOPPER_A;
    r->obs = calloc(r->n_obs, sizeof *r->obs);
    r->act = calloc(r->n_act, sizeof *r->act);
    return r->obs && r->act ? DMC_OK : dmc__fail(DMC_ENOMEM, "out of memory: actions");
}

/* A training step is a forward pass and a backward pass of twice its work. */
static void count_work(rig *r, const bench_case *c)
{
    const dmc__graph *g = c->net == TWIN_Q ? dmc__iql_net(r->critic->iql, DMC__IQL_Q)->graph : r->model->net->graph;
    const double passes = c->kind == FORWARD ? 1 : c->kind == TRAIN ? 3 : r->model->spec.train_steps;
    r->parameters = dmc__graph_param_total(g);
    r->flop = passes * c->batch * dmc__graph_flops(g);
}

static dmc_status open_rig(rig *r, const bench_case *c)
{
    memset(r, 0, sizeof *r);
    DMC_TRY(make_data(&r->data));
    DMC_TRY(c->net == TWIN_Q ? dmc_critic_create(NULL, r->data, NULL, &r->critic) : make_model(r, c));
    count_work(r, c);
    if (c->kind == FORWARD) return make_forward(r, c);
    return c->kind == TRAIN ? make_trainer(r, c) : make_sampler(r, c);
}

static void close_rig(rig *r)
{
    dmc_sampler_destroy(r->sampler);
    dmc_trainer_destroy(r->trainer);
    dmc__plan_destroy(r->plan);
    dmc_critic_destroy(r->critic);
    dmc_model_destroy(r->model);
    dmc_dataset_destroy(r->data);
    free(r->obs);
    free(r->act);
}

static dmc_status run(rig *r)
{
    if (r->plan) return dmc__plan_forward(r->plan);
    if (r->trainer) return dmc_trainer_step(r->trainer, 1, NULL);
    return dmc_sampler_sample(r->sampler, r->obs, r->n_obs, r->act, r->n_act);
}

/* ---- timing ----------------------------------------------------------------------------------------- */

typedef struct timing {
    double ms[MOST_SAMPLES];
    int n;
} timing;

static double seconds_on(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* For about `seconds` on the clock: samples of as many runs as fill 0.2 ms of CPU time, so that reading it costs nothing. */
static dmc_status take_samples(rig *r, double seconds, timing *t)
{
    const double end = seconds_on(CLOCK_MONOTONIC) + seconds;
    int runs = 1;
    do {
        const double start = seconds_on(CLOCK_PROCESS_CPUTIME_ID);
        for (int i = 0; i < runs; i++) DMC_TRY(run(r));
        const double took = seconds_on(CLOCK_PROCESS_CPUTIME_ID) - start;
        if (took < 2e-4) runs *= 2;
        else if (t->n < MOST_SAMPLES) t->ms[t->n++] = 1e3 * took / runs;
    } while (t->n == 0 || seconds_on(CLOCK_MONOTONIC) < end);
    return DMC_OK;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts. NAN without samples. */
static double median(timing *t)
{
    qsort(t->ms, (size_t)t->n, sizeof *t->ms, by_size);
    return t->n > 0 ? (t->ms[(t->n - 1) / 2] + t->ms[t->n / 2]) / 2 : NAN;
}

/* ---- results ---------------------------------------------------------------------------------------- */

static void write_number(FILE *json, const char *key, const char *format, double x)
{
    fprintf(json, ", \"%s\": ", key);
    if (x > 0) fprintf(json, format, x);
    else fputs("null", json);
}

typedef struct report {
    FILE *json;
    dmc_bench_roof *roof;  /* multiply-adds: of the minute a case was timed in */
    dmc_bench_peer peer;
    int rows, missed;
} report;

/* Time below which this machine cannot go: all operations from registers, or all bytes once from where they fit. */
static double floor_ms(const rig *r, const dmc_bench_roof *roof)
{
    const double by_flop = r->flop / (roof->gflops * 1e6);
    const double by_bytes = r->bytes > 0 ? r->bytes / (dmc_bench_bandwidth(roof, r->bytes) * 1e6) : 0;
    return fmax(by_flop, by_bytes);
}

static void write_row(report *p, const char *name, const rig *r, timing *ours, timing *theirs, double goal)
{
    const double ms = median(ours), peer = median(theirs), ratio = peer / ms;
    const double reached = r->flop / (ms * p->roof->gflops * 1e6);
    printf("%-18s %9.4f %9.4f %9.2f %7.1f %%", name, ms, ours->ms[0], r->flop * 1e-6, 100 * reached);
    printf(goal > 0 ? " %5.0f %%" : "       -", 100 * goal);
    printf(r->bytes > 0 ? " %6.1f %%" : "        -", 100 * floor_ms(r, p->roof) / ms);
    printf(theirs->n > 0 ? " %9.3f %6.1fx\n" : "         -       -\n", peer, ratio);
    fflush(stdout);
    p->missed += reached < goal;
    if (!p->json) return;
    fprintf(p->json, "%s\n  {\"case\": \"%s\", \"threads\": 1", p->rows++ > 0 ? "," : "", name);
    write_number(p->json, "median_ms", "%.5f", ms);
    write_number(p->json, "min_ms", "%.5f", ours->ms[0]);
    write_number(p->json, "flop", "%.0f", r->flop);
    write_number(p->json, "bytes", "%.0f", r->bytes);
    write_number(p->json, "roof", "%.2f", p->roof->gflops);
    write_number(p->json, "roof_fraction", "%.4f", reached);
    fprintf(p->json, ", \"peer\": ");
    fprintf(p->json, theirs->n > 0 ? "\"%s\"" : "null", p->peer.name);
    write_number(p->json, "peer_ratio", "%.3f", ratio);
    fputc('}', p->json);
}

/* Ours and theirs in turns, so that a busy minute hits both. */
static dmc_status measure(report *p, const char *name, rig *r, timing *ours, timing *theirs)
{
    const double seconds = 0.15;
    uint64_t parameters = 0;
    for (int i = 0; i < 2; i++) DMC_TRY(run(r));
    p->roof->gflops = 0;
    for (int round = 0; round < ROUNDS; round++) {
        p->roof->gflops += dmc_bench_multiply_rate() / ROUNDS;
        DMC_TRY(take_samples(r, seconds, ours));
        theirs->n += dmc_bench_peer_time(&p->peer, name, seconds, theirs->ms + theirs->n, MOST_SAMPLES - theirs->n, &parameters);
        if (parameters && parameters != r->parameters)
            return dmc__fail(DMC_ESHAPE, "%s: the peer's network has %llu parameters, ours %llu", name,
                             (unsigned long long)parameters, (unsigned long long)r->parameters);
    }
    return DMC_OK;
}

static dmc_status bench_case_run(report *p, const bench_case *c)
{
    static timing ours, theirs;
    char name[64];
    rig r;
    ours.n = theirs.n = 0;
    snprintf(name, sizeof name, "%s/%s/%d", net_names[c->net], kind_names[c->kind], c->batch);
    dmc_status status = open_rig(&r, c);
    if (status >= 0) status = measure(p, name, &r, &ours, &theirs);
    if (status >= 0) write_row(p, name, &r, &ours, &theirs, c->goal);
    close_rig(&r);
    return status;
}

int dmc_bench_nets(FILE *json, const dmc_bench_roof *roof)
{
    static report p;
    dmc_status status = DMC_OK;
    dmc_bench_roof here = *roof;
    p = (report){.json = json, .roof = &here};
    dmc_bench_peer_open(&p.peer, "tests/bench/bench_nets.py");
    printf("networks: one thread, CPU time; roof %.1f GFLOP/s; peer: %s\n", roof->gflops, *p.peer.name ? p.peer.name : "none");
    printf("%-18s %9s %9s %9s %9s %7s %8s %9s %7s\n", "case", "median ms", "min ms", "MFLOP", "of roof", "goal", "of floor",
           "peer ms", "ratio");
    if (json) fputc('[', json);
    for (size_t i = 0; i < sizeof cases / sizeof *cases && status >= 0; i++) status = bench_case_run(&p, &cases[i]);
    if (json) fputs("\n]\n", json);
    if (p.missed > 0) printf("%d goals were missed\n", p.missed);
    dmc_bench_peer_close(&p.peer);
    if (status < 0) fprintf(stderr, "bench_nets: %s\n", dmc_last_error());
    return status < 0 ? -1 : 0;
}
