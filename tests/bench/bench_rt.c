/* bench_rt.c — see bench_rt.h. Time on the clock, one thread, quiet and beside a process that keeps a core busy. Quiet is as quiet
 * as the machine is: how often this process lost its core stands beside the percentiles. */
#include "bench_rt.h"

#include "bench_timing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef struct rt_case {
    const char *net;
    int32_t candidates;
    int calls;
} rt_case;

static const rt_case cases[] = {{"idql_small", 1, 20000}, {"idql", 1, 5000}, {"janner", 1, 1000}};

enum { MOST = 20000, CREATES = 9 };

typedef struct latencies {
    double us[MOST];
    int n;
    long preempted;
} latencies;

/* ---- taking ------------------------------------------------------------------------------------------- */

static void note(latencies *l, int64_t from)
{
    if (l->n < MOST) l->us[l->n++] = 1e-3 * (double)(dmc_clock_now() - from);
}

static dmc_status time_calls(dmc_bench_rig *r, int calls, latencies *l)
{
    for (int i = 0; i < calls; i++) {
        const int64_t from = dmc_clock_now();
        DMC_TRY(dmc_bench_rig_run(r));
        note(l, from);
    }
    return DMC_OK;
}

/* Single steps of whole answers, as many steps as calls. */
static dmc_status time_steps(dmc_bench_rig *r, int steps, latencies *l)
{
    while (l->n < steps) {
        int32_t left = 1;
        DMC_TRY(dmc_sampler_begin(r->sampler, r->obs, r->n_obs));
        while (left > 0) {
            const int64_t from = dmc_clock_now();
            DMC_TRY(dmc_sampler_step(r->sampler, &left));
            note(l, from);
        }
        DMC_TRY(dmc_sampler_finish(r->sampler, r->act, r->n_act));
    }
    return DMC_OK;
}

static long preemptions(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_nivcsw;
}

static dmc_status take(dmc_bench_rig *r, const rt_case *c, int steps, int busy, latencies *l)
{
    const pid_t pid = busy ? dmc_bench_start_spinning() : 0;
    if (pid < 0) return dmc__fail(DMC_EINVAL, "could not start a process");
    l->n = 0;
    dmc_status status = dmc_sampler_prefault(r->sampler);
    const long before = preemptions();
    if (status >= 0) status = steps ? time_steps(r, c->calls, l) : time_calls(r, c->calls, l);
    l->preempted = preemptions() - before;
    if (busy) dmc_bench_stop_spinning(pid);
    return status;
}

/* Median, in milliseconds. */
static dmc_status time_creation(dmc_bench_rig *r, const rt_case *c, double *ms)
{
    static dmc_bench_timing t;
    dmc_sampler_options o;
    DMC_TRY(dmc_sampler_options_init(&o, sizeof o));
    o.candidates = c->candidates;
    for (t.n = 0; t.n < CREATES; t.n++) {
        dmc_sampler *s;
        const int64_t from = dmc_clock_now();
        DMC_TRY(dmc_sampler_create(r->context, r->model, NULL, &o, &s));
        t.ms[t.n] = 1e-6 * (double)(dmc_clock_now() - from);
        dmc_sampler_destroy(s);
    }
    *ms = dmc_bench_median(&t);
    return DMC_OK;
}

/* ---- telling ------------------------------------------------------------------------------------------ */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Smallest of the sorted numbers that `share` of them do not exceed. */
static double quantile(const latencies *l, double share)
{
    const int i = (int)ceil(share * l->n) - 1;
    return l->us[i < 0 ? 0 : i];
}

/* How many are in each quarter of an octave, by its upper end in microseconds. */
static void write_histogram(FILE *json, const latencies *l)
{
    fputs(", \"histogram\": [", json);
    for (int i = 0, first = 1; i < l->n; first = 0) {
        const double upper = exp2(ceil(4 * log2(fmax(l->us[i], 0.1))) / 4);
        const int from = i;
        while (i < l->n && l->us[i] <= upper * (1 + 1e-12)) i++;
        fprintf(json, "%s[%.4g, %d]", first ? "" : ", ", upper, i - from);
    }
    fputs("]", json);
}

static void tell(FILE *json, const rt_case *c, int steps, int busy, latencies *l)
{
    static const struct { const char *name; double share; } marks[] = {
        {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1}};
    const char *const what = steps ? "step" : "sample";
    qsort(l->us, (size_t)l->n, sizeof *l->us, by_size);
    printf("%-11s %-7s %-6s %6d ", c->net, what, busy ? "busy" : "quiet", l->n);
    fprintf(json, ",\n  {\"net\": \"%s\", \"candidates\": %d, \"what\": \"%s\", \"busy\": %d, \"calls\": %d, \"us\": {", c->net,
            c->candidates, what, busy, l->n);
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const double us = quantile(l, marks[i].share);
        printf(" %9.1f", us);
        fprintf(json, "%s\"%s\": %.2f", i ? ", " : "", marks[i].name, us);
    }
    printf(" %9ld\n", l->preempted);
    fprintf(json, "}, \"preempted\": %ld", l->preempted);
    write_histogram(json, l);
    fputs("}", json);
    fflush(stdout);
}

static dmc_status run_case(const rt_case *c, FILE *json, int first)
{
    static latencies l;
    const dmc_bench_case sampling = {c->net, DMC_BENCH_SAMPLE, c->candidates, 0};
    dmc_bench_rig r;
    double ms;
    dmc_status status = dmc_bench_rig_open(&r, &sampling, &(dmc_bench_place){.threads = 1});
    if (status >= 0) status = time_creation(&r, c, &ms);
    if (status >= 0)
        fprintf(json, "%s  {\"net\": \"%s\", \"candidates\": %d, \"create_ms\": %.3f}", first ? "" : ",\n", c->net, c->candidates,
                ms);
    for (int i = 0; i < 4 && status >= 0; i++) {
        status = take(&r, c, i % 2, i / 2, &l);
        if (status >= 0) tell(json, c, i % 2, i / 2, &l);
    }
    if (status >= 0) printf("%-11s create  median of %d: %.2f ms\n", c->net, CREATES, ms);
    dmc_bench_rig_close(&r);
    return status;
}

int dmc_bench_rt(const dmc_bench_setup *s)
{
    dmc_status status = DMC_OK;
    printf("%-11s %-7s %-6s %6s  %9s %9s %9s %9s %9s %9s\n", "latency, us", "", "", "calls", "p50", "p90", "p99", "p99.9", "max",
           "preempted");
    fputs("[\n", s->json);
    for (size_t i = 0; i < sizeof cases / sizeof *cases && status >= 0; i++) status = run_case(&cases[i], s->json, i == 0);
    fputs("\n]\n", s->json);
    if (status < 0) fprintf(stderr, "bench-rt: %s\n", dmc_last_error());
    return status < 0;
}
