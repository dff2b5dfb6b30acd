/* bench_cuda.c — see bench_cuda.h. Ours and PyTorch's are timed in turns, on the clock, each sample from a device that is idle to
 * one that is idle again. */
#include "bench_cuda.h"

#include "bench_gpu.h"
#include "bench_peer.h"
#include "bench_timing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 3, LIMIT_S = 8 * 60, TRAIN_STEPS = 8, TAIL_RUNS = 1000, STYLES = 3, TINY_BATCH = 2 };
enum { EAGER, GRAPH, COMPILE };
static const char *const styles[STYLES] = {"eager", "graph", "compile"};

/* What is timed. goal_ms: of one call; goal[]: how many times as fast as the peer's style. 0: none set. */
typedef struct gpu_case {
    dmc_bench_case of;
    int32_t matrix;
    double goal_ms, goal[STYLES];
} gpu_case;

#define FORWARD(net, batch) {{net, DMC_BENCH_FORWARD, batch, 0}, DMC_MATRIX_FP32, 0, {0}}, \
                            {{net, DMC_BENCH_FORWARD, batch, 0}, DMC_MATRIX_BF16, 0, {0}}
#define TRAIN(net) {{net, DMC_BENCH_TRAIN, 256, 0}, DMC_MATRIX_TF32, 0, {1.5, 0, 1}}
#define ACTION(net, kind, batch, matrix, ms) {{net, kind, batch, 0}, matrix, ms, {5, 0, 1.5}}

/* What goals are set for comes first: time may run out. */
static const gpu_case cases[] = {
    ACTION("dp_dit", DMC_BENCH_SAMPLE, 1, DMC_MATRIX_FP32, 0.3),
    ACTION("janner", DMC_BENCH_SAMPLE, 64, DMC_MATRIX_FP32, 3),
    ACTION("chi10", DMC_BENCH_SAMPLE_BF16, 1, DMC_MATRIX_BF16, 5),
    TRAIN("dp_dit"),
    TRAIN("janner"),
    TRAIN("chi"),
    TRAIN("idql"),
    {{"janner", DMC_BENCH_SAMPLE, 64, 0}, DMC_MATRIX_TF32, 0, {0}},
    {{"janner", DMC_BENCH_SAMPLE, 64, 0}, DMC_MATRIX_BF16, 0, {0}},
    {{"dd_dit", DMC_BENCH_SAMPLE, 64, 0}, DMC_MATRIX_FP32, 0, {0}},
    {{"idql", DMC_BENCH_SAMPLE, 1, 0}, DMC_MATRIX_FP32, 0, {0}},
    {{"twin_q", DMC_BENCH_TRAIN, 256, 0}, DMC_MATRIX_TF32, 0, {0}},
    FORWARD("janner", 1), FORWARD("janner", 64), FORWARD("janner", 256),
    FORWARD("chi", 1), FORWARD("chi", 64),
    FORWARD("dp_dit", 1), FORWARD("dp_dit", 64), FORWARD("dp_dit", 256),
    FORWARD("dd_dit", 1), FORWARD("dd_dit", 64),
    FORWARD("chi_tf", 1), FORWARD("chi_tf", 64),
    FORWARD("idql", 1), FORWARD("idql", 256),
    FORWARD("twin_q", 256),
    FORWARD("half_janner", 64),
    FORWARD("resnet18", 1), FORWARD("resnet18", 16),
};

typedef struct report {
    const dmc_bench_setup *setup;
    const char *folder; /* of the plugin; NULL: the default */
    int tiny;
    double round_s, started;
    dmc_bench_peer peer;
    dmc_bench_gpu_roof roof;
    char gpu[160];
    int rows, goals, missed, left_out;
} report;

typedef struct row {
    char name[64];
    const gpu_case *c;
    int steps; /* between two waits for the device */
    dmc_bench_rig rig;
    dmc__tape *tape; /* of a forward pass */
    dmc_bench_timing ours, launched, peer[STYLES];
    double floor_ms, tail, allocated; /* NAN: not known */
    int by_memory;
} row;

/* ---- one run, and waiting for it ---------------------------------------------------------------------- */

/* A forward pass is a recording that is played; with `launched`, call after call. Training waits after some steps only. */
static dmc_status run_once(row *r, int launched)
{
    dmc__device *const d = r->rig.context->device;
    if (r->tape && !launched) DMC_TRY(dmc__dev_play(d, r->tape));
    else
        for (int i = 0; i < r->steps; i++) DMC_TRY(dmc_bench_rig_run(&r->rig));
    return dmc__dev_sync(d);
}

static dmc_status take(row *r, int launched, double seconds, int least, dmc_bench_timing *t)
{
    const double end = dmc_bench_now() + seconds;
    const int first = t->n;
    while (t->n < DMC_BENCH_SAMPLES && (t->n < first + least || dmc_bench_now() < end)) {
        const double start = dmc_bench_now();
        DMC_TRY(run_once(r, launched));
        t->ms[t->n++] = 1e3 * (dmc_bench_now() - start) / r->steps;
    }
    return DMC_OK;
}

static dmc_status record_forward(row *r)
{
    dmc__device *const d = r->rig.context->device;
    if (!r->rig.plan || !dmc__dev_records(d)) return DMC_OK;
    DMC_TRY(dmc_bench_rig_run(&r->rig)); /* what is chosen at first sight may not be chosen while recording */
    DMC_TRY(dmc__dev_record(d));
    const dmc_status status = dmc_bench_rig_run(&r->rig), ended = dmc__dev_record_end(d, &r->tape);
    return status < 0 ? status : ended;
}

static dmc_status take_peer(report *p, row *r, int style, double seconds)
{
    uint64_t parameters = 0;
    dmc_bench_timing *const t = &r->peer[style];
    const dmc_bench_question q = {r->name, styles[style], 1, seconds};
    t->n += dmc_bench_peer_time(&p->peer, &q, t->ms + t->n, DMC_BENCH_SAMPLES - t->n, &parameters);
    if (parameters == 0 || parameters == r->rig.parameters) return DMC_OK;
    return dmc__fail(DMC_ESHAPE, "%s: the peer's network has %llu parameters, ours %llu", r->name,
                     (unsigned long long)parameters, (unsigned long long)r->rig.parameters);
}

/* Compiling takes the peer a minute: only where a goal speaks of it. */
static dmc_status take_peers(report *p, row *r)
{
    for (int i = 0; i < STYLES; i++)
        if (i != COMPILE || r->c->goal[COMPILE] > 0) DMC_TRY(take_peer(p, r, i, p->round_s));
    return DMC_OK;
}

/* 99th percentile by median of single calls. */
static dmc_status take_tail(const report *p, row *r)
{
    static dmc_bench_timing t;
    t.n = 0;
    DMC_TRY(take(r, 0, 0, p->tiny ? 2 : TAIL_RUNS, &t));
    const double middle = dmc_bench_median(&t); /* sorts */
    r->tail = t.ms[(t.n * 99 + 99) / 100 - 1] / middle;
    return DMC_OK;
}

static dmc_status measure(report *p, row *r)
{
    DMC_TRY(record_forward(r));
    for (int i = 0; i < (p->tiny ? 1 : 5); i++) DMC_TRY(run_once(r, 0));
    const double before = dmc_bench_gpu_allocations(p->folder);
    for (int round = 0; round < (p->tiny ? 1 : ROUNDS); round++) {
        DMC_TRY(take(r, 0, p->round_s, 1, &r->ours));
        if (r->tape) DMC_TRY(take(r, 1, p->round_s / 2, 1, &r->launched));
    }
    if (r->c->of.kind != DMC_BENCH_TRAIN) DMC_TRY(take_tail(p, r));
    const double after = dmc_bench_gpu_allocations(p->folder);
    if (before >= 0 && after >= 0) r->allocated = fabs(after - before);
    for (int round = 0; round < ROUNDS; round++) DMC_TRY(take_peers(p, r)); /* its allocations are not ours */
    return take(r, 0, p->round_s, 1, &r->ours);
}

/* ---- roofs -------------------------------------------------------------------------------------------- */

/* Median of the peer in seconds; NAN without it. */
static double ask_roof(report *p, const char *kind, int size, int32_t matrix)
{
    static dmc_bench_timing t;
    char name[64];
    uint64_t parameters;
    snprintf(name, sizeof name, "roof/%s/%d/%s", kind, size, dmc_bench_matrix_name(matrix));
    const dmc_bench_question q = {name, "eager", 1, p->round_s};
    t.n = dmc_bench_peer_time(&p->peer, &q, t.ms, DMC_BENCH_SAMPLES, &parameters);
    return 1e-3 * dmc_bench_median(&t);
}

static dmc_status open_context(const report *p, int32_t matrix, dmc_context **out)
{
    dmc_context_options o;
    DMC_TRY(dmc_context_options_init(&o, sizeof o));
    o.device = "cuda";
    if (p->folder) o.plugin_folder = p->folder;
    o.matrix = matrix;
    return dmc_context_create(&o, out);
}

static dmc_status measure_matrix_roof(report *p, int32_t matrix)
{
    dmc_context *context = NULL;
    double product = 0, copy = 0;
    const int mib = p->tiny ? 1 : 1024, side = p->tiny ? 48 : 8192;
    const size_t bytes = (size_t)mib << 20;
    DMC_TRY(open_context(p, matrix, &context));
    dmc_status status = dmc_bench_gpu_product(context->device, side, p->round_s, &product);
    if (status >= 0 && matrix == DMC_MATRIX_FP32) status = dmc_bench_gpu_copy(context->device, bytes, p->round_s, &copy);
    dmc_context_destroy(context);
    if (status < 0) return status;
    product = fmin(product, ask_roof(p, "matmul", side, matrix)); /* fmin takes the number beside a NAN */
    p->roof.tflops[matrix] = 2e-12 * side * side * side / product;
    if (copy > 0) p->roof.gbps = 2e-9 * (double)bytes / fmin(copy, ask_roof(p, "copy", mib, matrix));
    return DMC_OK;
}

/* Weights are read once a pass; multiplied in fewer bits they may still be stored as floats. */
static void find_floor(const report *p, row *r)
{
    const dmc_bench_rig *const g = &r->rig;
    const double work = g->flop / (p->roof.tflops[r->c->matrix] * 1e9), moved = g->bytes / (p->roof.gbps * 1e6);
    r->by_memory = moved > work;
    r->floor_ms = g->in_turn ? work + moved : fmax(work, moved);
}

/* ---- results ------------------------------------------------------------------------------------------ */

static void print_head(const report *p)
{
    printf("%s\npeer: %s\ncopy %.0f GB/s, products fp32 %.1f, tf32 %.1f, bf16 %.1f TFLOP/s\n", p->gpu,
           *p->peer.name ? p->peer.name : "none", p->roof.gbps, p->roof.tflops[0], p->roof.tflops[1], p->roof.tflops[2]);
    printf("%-26s %10s %10s %10s %8s %8s %8s %9s %9s %9s %6s\n", "case", "median ms", "min ms", "launched", "of roof", "goal ms",
           "p99/med", "eager", "graph", "compile", "alloc");
    fflush(stdout);
}

static void print_ratio(row *r, int style, double ms)
{
    if (r->peer[style].n > 0) printf(" %8.2fx", dmc_bench_median(&r->peer[style]) / ms);
    else printf("         -");
}

static void print_row(row *r, double ms)
{
    printf("%-26s %10.4f %10.4f", r->name, ms, r->ours.ms[0]);
    printf(r->launched.n > 0 ? " %10.4f" : "          -", dmc_bench_median(&r->launched));
    printf(" %6.1f %%%c", 100 * r->floor_ms / ms, r->by_memory ? 'm' : ' ');
    printf(r->c->goal_ms > 0 ? " %7.2f" : "       -", r->c->goal_ms);
    printf(r->tail > 0 ? " %8.2f" : "        -", r->tail);
    for (int i = 0; i < STYLES; i++) print_ratio(r, i, ms);
    printf(r->allocated >= 0 ? " %6.0f\n" : "      -\n", r->allocated);
    fflush(stdout);
}

/* null where x is not a positive number. */
static void write_number(FILE *json, const char *key, const char *format, double x)
{
    fprintf(json, ", \"%s\": ", key);
    if (x > 0) fprintf(json, format, x);
    else fputs("null", json);
}

static void write_head(const report *p)
{
    FILE *const json = p->setup->json;
    const char *const commit = getenv("DMC_COMMIT");
    fprintf(json, "\n  {\"gpu\": \"%s\", \"peer\": \"%s\", \"commit\": \"%s\", \"tiny\": %s", p->gpu, p->peer.name,
            commit ? commit : "unknown", p->tiny ? "true" : "false");
    write_number(json, "copy_gbps", "%.1f", p->roof.gbps);
    for (int32_t m = 0; m < DMC_BENCH_MATRICES; m++) {
        char key[16];
        snprintf(key, sizeof key, "%s_tflops", dmc_bench_matrix_name(m));
        write_number(json, key, "%.3f", p->roof.tflops[m]);
    }
    fputc('}', json);
}

static void write_row(const report *p, row *r, double ms)
{
    FILE *const json = p->setup->json;
    fprintf(json, ",\n  {\"case\": \"%s\"", r->name);
    write_number(json, "median_ms", "%.5f", ms);
    write_number(json, "min_ms", "%.5f", r->ours.ms[0]);
    write_number(json, "launched_ms", "%.5f", dmc_bench_median(&r->launched));
    write_number(json, "flop", "%.0f", r->rig.flop);
    write_number(json, "bytes", "%.0f", r->rig.bytes);
    write_number(json, "roof_fraction", "%.4f", r->floor_ms / ms);
    fprintf(json, ", \"bound\": \"%s\"", r->by_memory ? "memory" : "arithmetic");
    write_number(json, "tail", "%.3f", r->tail);
    fprintf(json, r->allocated >= 0 ? ", \"allocated\": %.0f" : ", \"allocated\": null", r->allocated);
    write_number(json, "goal_ms", "%.2f", r->c->goal_ms);
    for (int i = 0; i < STYLES; i++) {
        char key[32];
        snprintf(key, sizeof key, "%s_ms", styles[i]);
        write_number(json, key, "%.5f", dmc_bench_median(&r->peer[i]));
        snprintf(key, sizeof key, "goal_%s", styles[i]);
        write_number(json, key, "%.2f", r->c->goal[i]);
    }
    fputc('}', json);
    fflush(json);
}

static void count_goals(report *p, row *r, double ms)
{
    const double tail_goal = 1.2;
    p->goals += r->c->goal_ms > 0;
    p->missed += r->c->goal_ms > 0 && ms > r->c->goal_ms;
    p->goals += r->c->goal_ms > 0 && r->tail > 0;
    p->missed += r->c->goal_ms > 0 && r->tail > tail_goal;
    for (int i = 0; i < STYLES; i++)
        if (r->c->goal[i] > 0 && r->peer[i].n > 0) {
            p->goals++;
            p->missed += dmc_bench_median(&r->peer[i]) < r->c->goal[i] * ms;
        }
}

/* ---- cases -------------------------------------------------------------------------------------------- */

static void finish_row(report *p, row *r)
{
    const double ms = dmc_bench_median(&r->ours);
    find_floor(p, r);
    count_goals(p, r, ms);
    print_row(r, ms);
    write_row(p, r, ms);
    p->rows++;
}

static dmc_status run_case(report *p, const gpu_case *c)
{
    static row r;
    gpu_case small = *c;
    memset(&r, 0, sizeof r);
    if (p->tiny && c->of.batch > TINY_BATCH) small.of.batch = TINY_BATCH;
    c = r.c = &small;
    r.steps = c->of.kind == DMC_BENCH_TRAIN && !p->tiny ? TRAIN_STEPS : 1;
    r.tail = r.allocated = NAN;
    snprintf(r.name, sizeof r.name, "%s/%s/%d/%s", c->of.net, dmc_bench_kind_name(c->of.kind), c->of.batch,
             dmc_bench_matrix_name(c->matrix));
    if (!dmc_bench_wanted(p->setup, r.name, 1)) return DMC_OK;
    if (dmc_bench_now() - p->started > LIMIT_S) {
        p->left_out++;
        return DMC_OK;
    }
    const dmc_bench_place place = {.threads = 1, .device = "cuda", .plugin_folder = p->folder, .matrix = c->matrix};
    dmc_status status = dmc_bench_rig_open(&r.rig, &c->of, &place);
    if (status >= 0) status = measure(p, &r);
    if (status >= 0) finish_row(p, &r);
    if (r.tape) dmc__tape_free(r.rig.context->device, r.tape);
    dmc_bench_rig_close(&r.rig);
    return status;
}

static dmc_status run_all(report *p)
{
    for (int32_t m = 0; m < DMC_BENCH_MATRICES; m++) DMC_TRY(measure_matrix_roof(p, m));
    print_head(p);
    write_head(p);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) DMC_TRY(run_case(p, &cases[i]));
    return DMC_OK;
}

/* A GPU first: without one nobody waits for PyTorch. */
static dmc_status find_gpu(report *p)
{
    dmc_context *context = NULL;
    DMC_TRY(open_context(p, DMC_MATRIX_FP32, &context));
    dmc_bench_gpu_name(p->gpu, sizeof p->gpu);
    dmc_context_destroy(context);
    if (!p->tiny) dmc_bench_peer_open(&p->peer, "tests/bench/peer_cuda.py");
    return DMC_OK;
}

int dmc_bench_cuda(const dmc_bench_setup *s)
{
    static report p;
    const int tiny = getenv("DMC_BENCH_TINY") != NULL;
    p = (report){.setup = s, .folder = getenv("DMC_PLUGIN_FOLDER"), .tiny = tiny, .round_s = tiny ? 0.001 : 0.3,
                 .started = dmc_bench_now()};
    fputc('[', s->json);
    dmc_status status = find_gpu(&p);
    if (status >= 0) status = run_all(&p);
    fputs("\n]\n", s->json);
    if (status < 0) fprintf(stderr, "bench_cuda: %s\n", dmc_last_error());
    printf("%d rows in %.0f s; %d of %d goals were missed\n", p.rows, dmc_bench_now() - p.started, p.missed, p.goals);
    if (p.left_out > 0) printf("after %d minutes %d rows were left out\n", LIMIT_S / 60, p.left_out);
    fflush(stdout);
    dmc_bench_peer_close(&p.peer);
    return status < 0 || p.rows == 0 ? -1 : 0;
}
