/* bench_nets.c — see bench_nets.h. Ours, eager PyTorch and its script are timed in turns, so that a busy minute hits all. */
#include "bench_nets.h"

#include "bench_peer.h"
#include "bench_timing.h"

#include <math.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 4, LIMIT_S = 14 * 60 };
static const double round_s = 0.12, tail_s = 2;

typedef struct report {
    const dmc_bench_setup *setup;
    dmc_bench_peer peer;
    double started;
    int rows, goals, missed, left_out;
} report;

/* One case on so many threads. */
typedef struct row {
    char name[64];
    const dmc_bench_case *c;
    int threads, by_memory;
    double floor_ms, tail; /* 0 = not known */
    dmc_bench_rig rig;
    dmc_bench_timing ours, network, eager, script; /* network: of a sampler, dmc_bench_loop_run */
} row;

static const dmc_bench_roof *roof_of(const report *p, int threads)
{
    return &p->setup->roof[threads - 1];
}

/* ---- measuring -------------------------------------------------------------------------------------- */

/* bfloat16 is ours alone: the peer does the same with floats. */
static void peer_name(const dmc_bench_case *c, char name[64])
{
    const dmc_bench_kind kind = c->kind == DMC_BENCH_SAMPLE_BF16 ? DMC_BENCH_SAMPLE : c->kind;
    snprintf(name, 64, "%s/%s/%d", c->net, dmc_bench_kind_name(kind), c->batch);
}

static dmc_status take_peer(report *p, row *r, const char *style, dmc_bench_timing *t)
{
    uint64_t parameters = 0;
    char name[64];
    peer_name(r->c, name);
    const dmc_bench_question q = {name, style, r->threads, round_s};
    t->n += dmc_bench_peer_time(&p->peer, &q, t->ms + t->n, DMC_BENCH_SAMPLES - t->n, &parameters);
    if (parameters == 0 || parameters == r->rig.parameters) return DMC_OK;
    return dmc__fail(DMC_ESHAPE, "%s: the peer's network has %llu parameters, ours %llu", r->name,
                     (unsigned long long)parameters, (unsigned long long)r->rig.parameters);
}

static dmc_status measure(report *p, row *r)
{
    const int loop = r->rig.loop.hoist != NULL;
    for (int i = 0; i < 2; i++) DMC_TRY(dmc_bench_rig_run(&r->rig));
    if (loop) DMC_TRY(dmc_bench_rig_loop(&r->rig));
    for (int round = 0; round < ROUNDS; round++) {
        DMC_TRY(dmc_bench_take(&r->rig, dmc_bench_rig_run, r->threads, round_s, &r->ours));
        if (loop) DMC_TRY(dmc_bench_take(&r->rig, dmc_bench_rig_loop, r->threads, round_s, &r->network));
        DMC_TRY(take_peer(p, r, "eager", &r->eager));
        DMC_TRY(take_peer(p, r, "script", &r->script));
    }
    return r->c->batch == 1 ? dmc_bench_tail(&r->rig, tail_s, &r->tail) : DMC_OK;
}

/* ---- results ---------------------------------------------------------------------------------------- */

static void print_head(const report *p)
{
    for (int i = 0; i < DMC_BENCH_THREADS && p->setup->roof[i].threads; i++) {
        const dmc_bench_roof *const r = &p->setup->roof[i];
        printf("%d thread(s): %.1f GFLOP/s; reading 16 KiB %.0f, 1 MiB %.0f, 16 MiB %.0f, 512 MiB %.0f GB/s\n", r->threads,
               r->gflops, r->gbps[0], r->gbps[6], r->gbps[10], r->gbps[15]);
    }
    printf("peer: %s\n%-22s %3s %10s %10s %9s %8s %6s %10s %7s %10s %7s %8s %6s\n", *p->peer.name ? p->peer.name : "none", "case",
           "thr", "median ms", "min ms", "MFLOP", "of roof", "goal", "eager ms", "ratio", "script ms", "ratio", "p99/med", "loop");
    fflush(stdout);
}

static void print_row(row *r, double ms)
{
    const double eager = dmc_bench_median(&r->eager), script = dmc_bench_median(&r->script);
    printf("%-22s %3d %10.4f %10.4f %9.2f %6.1f %%%c", r->name, r->threads, ms, r->ours.ms[0], r->rig.flop * 1e-6,
           100 * r->floor_ms / ms, r->by_memory ? 'm' : ' ');
    printf(r->c->goal > 0 && r->threads == 1 ? "%4d %%" : "     -", r->c->goal);
    printf(r->eager.n > 0 ? " %10.3f %6.1fx" : "          -       -", eager, eager / ms);
    printf(r->script.n > 0 ? " %10.3f %6.1fx" : "          -       -", script, script / ms);
    printf(r->tail > 0 ? " %8.2f" : "        -", r->tail);
    printf(r->network.n > 0 ? " %6.3f\n" : "      -\n", ms / dmc_bench_median(&r->network));
    fflush(stdout);
}

static void write_number(FILE *json, const char *key, const char *format, double x)
{
    fprintf(json, ", \"%s\": ", key);
    if (x > 0) fprintf(json, format, x);
    else fputs("null", json);
}

static void write_row(report *p, row *r, double ms)
{
    FILE *const json = p->setup->json;
    const double eager = dmc_bench_median(&r->eager), script = dmc_bench_median(&r->script);
    fprintf(json, "%s\n  {\"case\": \"%s\", \"threads\": %d", p->rows++ > 0 ? "," : "", r->name, r->threads);
    write_number(json, "median_ms", "%.5f", ms);
    write_number(json, "min_ms", "%.5f", r->ours.ms[0]);
    write_number(json, "flop", "%.0f", r->rig.flop);
    write_number(json, "bytes", "%.0f", r->rig.bytes);
    write_number(json, "roof", "%.2f", r->rig.flop / (r->floor_ms * 1e6));
    write_number(json, "roof_fraction", "%.4f", r->floor_ms / ms);
    write_number(json, "goal", "%.2f", r->threads == 1 ? r->c->goal * 0.01 : 0);
    fprintf(json, ", \"bound\": \"%s\", \"peer\": ", r->by_memory ? "memory" : "arithmetic");
    fprintf(json, r->eager.n > 0 ? "\"%s, eager\"" : "null", p->peer.name);
    write_number(json, "peer_ms", "%.5f", eager);
    write_number(json, "peer_ratio", "%.3f", eager / ms);
    write_number(json, "script_ms", "%.5f", script);
    write_number(json, "script_ratio", "%.3f", script / ms);
    write_number(json, "tail", "%.3f", r->tail);
    write_number(json, "steps", "%.0f", r->rig.loop.rows);
    write_number(json, "network_ms", "%.5f", dmc_bench_median(&r->network));
    fputc('}', json);
    fflush(json);
}

/* ---- cases ------------------------------------------------------------------------------------------ */

static void finish_row(report *p, row *r)
{
    const double ms = dmc_bench_median(&r->ours);
    r->floor_ms = dmc_bench_rig_floor_ms(&r->rig, roof_of(p, r->threads), &r->by_memory);
    if (r->threads == 1 && r->c->goal > 0) {
        p->goals++;
        p->missed += 100 * r->floor_ms < r->c->goal * ms;
    }
    print_row(r, ms);
    write_row(p, r, ms);
}

static dmc_status run_case(report *p, const dmc_bench_case *c, int threads)
{
    static row r;
    memset(&r, 0, sizeof r);
    r.c = c;
    r.threads = threads;
    snprintf(r.name, sizeof r.name, "%s/%s/%d", c->net, dmc_bench_kind_name(c->kind), c->batch);
    if (roof_of(p, threads)->threads == 0 || !dmc_bench_wanted(p->setup, r.name, threads)) return DMC_OK;
    if (dmc_bench_now() - p->started > LIMIT_S) {
        p->left_out++;
        return DMC_OK;
    }
    dmc_status status = dmc_bench_rig_open(&r.rig, c, &(dmc_bench_place){.threads = threads});
    if (status >= 0) status = measure(p, &r);
    if (status >= 0) finish_row(p, &r);
    dmc_bench_rig_close(&r.rig);
    return status;
}

int dmc_bench_nets(const dmc_bench_setup *s)
{
    static report p;
    dmc_status status = DMC_OK;
    p = (report){.setup = s, .started = dmc_bench_now()};
    dmc_bench_peer_open(&p.peer, "tests/bench/bench_nets.py");
    print_head(&p);
    fputc('[', s->json);
    for (size_t i = 0; i < dmc_bench_case_count && status >= 0; i++)
        for (int threads = 1; threads <= DMC_BENCH_THREADS && status >= 0; threads++)
            status = run_case(&p, &dmc_bench_cases[i], threads);
    fputs("\n]\n", s->json);
    printf("%d rows in %.0f s; %d of %d goals were missed\n", p.rows, dmc_bench_now() - p.started, p.missed, p.goals);
    if (p.left_out > 0) printf("after %d minutes %d rows were left out\n", LIMIT_S / 60, p.left_out);
    fflush(stdout);
    dmc_bench_peer_close(&p.peer);
    if (status < 0) fprintf(stderr, "bench_nets: %s\n", dmc_last_error());
    return status < 0 ? -1 : 0;
}
