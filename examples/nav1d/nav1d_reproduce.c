/* nav1d_reproduce.c — `make reproduce-nav1d`: jobs for two threads, and the table of what came out. */
#include "nav1d_reproduce.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "nav1d_column.h"
#include "nav1d_pool.h"

enum { MOST_SEEDS = 10 };

/* ---- which ------------------------------------------------------------------------------------------------------------ */

static void add_jobs(nav1d_pool *p, int32_t seeds, int32_t columns)
{
    p->jobs = 0;
    for (int32_t seed = 0; seed < seeds; seed++)
        for (int32_t kind = 0; kind < NAV1D_KINDS; kind++)
            for (int32_t c = 0; c < columns; c++) p->job[p->jobs++] = (nav1d_job){&nav1d_columns[c], kind, seed};
}

/* Columns that share a foundation must not make it at the same time. */
static void drop_twins(nav1d_pool *p)
{
    int32_t n = 0;
    for (int32_t i = 0; i < p->jobs; i++)
        if (i == 0 || strcmp(p->job[i].column->foundation, p->job[i - 1].column->foundation) != 0) p->job[n++] = p->job[i];
    p->jobs = n;
}

/* ---- the table -------------------------------------------------------------------------------------------------------- */

typedef struct line {
    double mean, se, spread;
    int32_t n;
} line;

static void add(line *l, const nav1d_outcome *o, double x[MOST_SEEDS])
{
    x[l->n++] = o->mean;
    l->mean += o->mean;
    l->se += o->se * o->se;
    l->spread += o->spread;
}

/* Over seeds of the training; the larger of what episodes and what trainings vary. */
static void finish(line *l, const double x[MOST_SEEDS])
{
    double square = 0;
    l->mean /= l->n;
    l->spread /= l->n;
    for (int32_t i = 0; i < l->n; i++) square += (x[i] - l->mean) * (x[i] - l->mean);
    const double episodes = sqrt(l->se) / l->n, trainings = l->n > 1 ? sqrt(square / (l->n - 1) / l->n) : 0;
    l->se = fmax(episodes, trainings);
}

typedef struct totals {
    int32_t cells, improved, reached;
    double gain, paper_gain, spread_before, spread_after;
} totals;

static void print_cell(const nav1d_column *c, int32_t kind, int32_t rule, const line *b, const line *a, totals *t)
{
    const double optimum = kind == NAV1D_PARTIAL ? 4.82 : 7.43, paper = c->paper[kind][rule].after;
    const double se = sqrt(a->se * a->se + b->se * b->se);
    const int32_t improved = a->mean - b->mean > 2 * se || b->mean > 0.97 * optimum, reached = a->mean >= paper - 2 * a->se;
    printf("| %s | %s%s | %.2f ± %.2f | %.2f ± %.2f | %.2f → %.2f | %.0f %% | %s | %s | %.0f %% → %.0f %% |\n",
           nav1d_kind_name[kind], c->planner ? "planner " : "policy ", c->planner ? c->name : nav1d_selection[c->rule[rule]],
           b->mean, b->se, a->mean, a->se, c->paper[kind][rule].before, paper, 100 * a->mean / optimum, improved ? "yes" : "no",
           reached ? "yes" : "no", 100 * b->spread, 100 * a->spread);
    t->cells++;
    t->improved += improved;
    t->reached += reached;
    t->gain += a->mean / b->mean - 1;
    t->paper_gain += paper / c->paper[kind][rule].before - 1;
    t->spread_before += b->spread;
    t->spread_after += a->spread;
}

static void print_column(const nav1d_stage *s, const nav1d_column *c, int32_t kind, int32_t seeds, totals *t)
{
    for (int32_t rule = 0; rule < c->rules; rule++) {
        line b = {0}, a = {0};
        double x[MOST_SEEDS], y[MOST_SEEDS];
        for (int32_t seed = 0; seed < seeds; seed++) {
            nav1d_result r;
            if (nav1d_read_result(s, &(nav1d_job){c, kind, seed}, &r) != 0) continue;
            add(&b, &r.before[rule], x);
            add(&a, &r.after[rule], y);
        }
        if (b.n == 0) continue;
        finish(&b, x);
        finish(&a, y);
        print_cell(c, kind, rule, &b, &a, t);
    }
}

static void print_table(const nav1d_stage *s, int32_t seeds)
{
    totals t = {0};
    puts("| data | | before | after | paper | of the optimum | improved | paper reached | spread |\n"
         "|---|---|---|---|---|---|---|---|---|");
    for (int32_t kind = 0; kind < NAV1D_KINDS; kind++)
        for (int32_t c = 0; c < NAV1D_COLUMNS; c++) print_column(s, &nav1d_columns[c], kind, seeds, &t);
    if (t.cells == 0) return;
    printf("\n%d cells, %d training seeds: %d improve by more than two standard errors, %d reach the paper's value within two; "
           "mean relative gain %.0f %% (paper, same cells: %.0f %%); mean spread over episodes %.0f %% → %.0f %%.\n", t.cells,
           seeds, t.improved, t.reached, 100 * t.gain / t.cells, 100 * t.paper_gain / t.cells, 100 * t.spread_before / t.cells,
           100 * t.spread_after / t.cells);
}

/* ---- all of it -------------------------------------------------------------------------------------------------------- */

static int32_t run(nav1d_pool *p, int32_t seeds)
{
    add_jobs(p, seeds, 1);
    if (nav1d_pool_run(p, "critics", nav1d_make_critic) != 0) return -1;
    add_jobs(p, seeds, NAV1D_COLUMNS);
    drop_twins(p);
    if (nav1d_pool_run(p, "foundations", nav1d_make_foundation) != 0) return -1;
    add_jobs(p, seeds, NAV1D_COLUMNS);
    return nav1d_pool_run(p, "results", nav1d_make_result);
}

int nav1d_reproduce(int argc, char **argv)
{
    static nav1d_pool p;
    const int32_t seeds = argc > 3 ? atoi(argv[3]) : 0;
    if (seeds < 1 || seeds > MOST_SEEDS) {
        fprintf(stderr, "usage: nav1d reproduce FOLDER CONFIG-FOLDER SEEDS(1..%d) [section.key=value ...]\n", MOST_SEEDS);
        return 2;
    }
    nav1d_expert *const expert = nav1d_expert_create(NAV1D_EXPERT_STATES, NAV1D_EXPERT_ACTIONS, 1);
    nav1d_stage s = {.out = argv[1], .configs = argv[2], .setting = argv + 4, .settings = (size_t)argc - 4, .expert = expert};
    int32_t failed = expert ? 0 : -1;
    mkdir(s.out, 0777);
    for (int32_t kind = 0; kind < NAV1D_KINDS && !failed; kind++)
        if (nav1d_dataset(kind, expert, NULL, &s.data[kind]) < 0) failed = -1;
    p.stage = &s;
    if (failed) fprintf(stderr, "nav1d: %s\n", dmc_last_error());
    else failed = run(&p, seeds);
    if (!failed) print_table(&s, seeds);
    for (int32_t kind = 0; kind < NAV1D_KINDS; kind++) dmc_dataset_destroy(s.data[kind]);
    nav1d_expert_destroy(expert);
    return failed != 0;
}
