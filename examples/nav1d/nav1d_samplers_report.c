/* nav1d_samplers_report.c — the samplers' results as JSON and as the tables of docs/results.md. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nav1d_samplers.h"

static void write_number(FILE *f, const char *key, double x)
{
    if (isfinite(x)) fprintf(f, ", \"%s\": %.6g", key, x);
    else fprintf(f, ", \"%s\": null", key);
}

static void write_cell(FILE *f, const nav1d_cell *c, const char *dataset)
{
    fprintf(f, "{\"bench\": \"nav1d\", \"dataset\": \"%s\", \"model\": \"%s\", \"sampler\": \"%s\", \"process\": \"%s\", "
               "\"steps\": %d, \"seed_count\": %d, \"return\": {\"mean\": %.6g, \"se\": %.6g}, "
               "\"greedy\": {\"mean\": %.6g, \"se\": %.6g}",
            dataset, c->role, c->sampler, c->process, c->steps, NAV1D_SEEDS, c->single.mean, c->single.se, c->greedy.mean,
            c->greedy.se);
    write_number(f, "coherency", c->coherency);
    write_number(f, "rms", c->rms);
    fputc('}', f);
}

int32_t nav1d_samplers_json(const char *path, const nav1d_cells *c, const char *dataset)
{
    FILE *f = fopen(path, "w");
    if (!f) return -1;
    fputs("[", f);
    for (int32_t i = 0; i < c->n; i++) {
        fputs(i ? ",\n " : "\n ", f);
        write_cell(f, &c->cell[i], dataset);
    }
    fputs("\n]\n", f);
    return fclose(f) == 0 ? 0 : -1;
}

/* ---- markdown --------------------------------------------------------------------------------------- */

enum { SINGLE, GREEDY, COHERENCY };

static void print_value(const nav1d_cell *c, int32_t what, FILE *f)
{
    const nav1d_figure *r = what == SINGLE ? &c->single : &c->greedy;
    if (what != COHERENCY) fprintf(f, " %.2f ± %.2f |", r->mean, r->se);
    else if (isfinite(c->rms)) fprintf(f, " %.3f (%.3f) |", c->coherency, c->rms);
    else fprintf(f, " %.3f |", c->coherency);
}

static int32_t same_model(const nav1d_cell *a, const nav1d_cell *b)
{
    return strcmp(a->role, b->role) == 0 && strcmp(a->process, b->process) == 0;
}

static int32_t same_row(const nav1d_cell *a, const nav1d_cell *b)
{
    return same_model(a, b) && strcmp(a->sampler, b->sampler) == 0;
}

/* Where the row that begins at i ends. */
static int32_t row_end(const nav1d_cells *all, int32_t i)
{
    const int32_t first = i;
    while (i < all->n && same_row(&all->cell[first], &all->cell[i])) i++;
    return i;
}

static int32_t close_to(double a, double b)
{
    return fabs(a - b) < 5e-4 || (isnan(a) && isnan(b));
}

/* The rows at i and j, of one model, say the same as far as they are printed: some samplers are one in theory. */
static int32_t rows_agree(const nav1d_cells *all, int32_t i, int32_t j)
{
    const int32_t n = row_end(all, i) - i;
    if (!same_model(&all->cell[i], &all->cell[j]) || row_end(all, j) - j != n) return 0;
    for (int32_t k = 0; k < n; k++) {
        const nav1d_cell *a = &all->cell[i + k], *b = &all->cell[j + k];
        if (a->steps != b->steps || !close_to(a->single.mean, b->single.mean) || !close_to(a->greedy.mean, b->greedy.mean) ||
            !close_to(a->coherency, b->coherency) || !close_to(a->rms, b->rms))
            return 0;
    }
    return 1;
}

static int32_t has_twin_above(const nav1d_cells *all, int32_t i)
{
    for (int32_t j = 0; j < i; j = row_end(all, j))
        if (rows_agree(all, j, i)) return 1;
    return 0;
}

/* The samplers of the row at i, and of those below that agree with it. */
static void print_names(const nav1d_cells *all, int32_t i, FILE *f)
{
    for (int32_t j = i; j < all->n; j = row_end(all, j)) {
        if (!rows_agree(all, i, j)) continue;
        fprintf(f, "%s%s%s", j > i ? ", " : "", all->cell[j].sampler, all->cell[j].preferred ? " *" : "");
    }
}

static void print_row(const nav1d_cells *all, int32_t i, int32_t what, FILE *f)
{
    const int32_t end = row_end(all, i);
    fprintf(f, "| %s | %s | ", all->cell[i].role, all->cell[i].process);
    print_names(all, i, f);
    fputs(" |", f);
    for (int32_t k = 0; k < NAV1D_STEP_COUNTS; k++)
        if (i < end && all->cell[i].steps == nav1d_step_counts[k]) print_value(&all->cell[i++], what, f);
        else fputs(" - |", f);
    fputc('\n', f);
}

static void print_table(const nav1d_cells *all, int32_t what, const char *title, FILE *f)
{
    fprintf(f, "%s\n\n| model | process | sampler |", title);
    for (int32_t k = 0; k < NAV1D_STEP_COUNTS; k++) fprintf(f, " %d step%s |", nav1d_step_counts[k], k ? "s" : "");
    fputs("\n|---|---|---|", f);
    for (int32_t k = 0; k < NAV1D_STEP_COUNTS; k++) fputs("---|", f);
    fputc('\n', f);
    for (int32_t i = 0; i < all->n; i = row_end(all, i))
        if (!has_twin_above(all, i)) print_row(all, i, what, f);
    fputc('\n', f);
}

void nav1d_samplers_markdown(const nav1d_cells *c, FILE *f)
{
    fprintf(f, "Actions drawn uniformly, as the data have them: one %.2f ± %.2f, the best of 8 by the critic %.2f ± %.2f, of 16 "
               "%.2f ± %.2f.\n\n",
            c->uniform[0].mean, c->uniform[0].se, c->uniform[1].mean, c->uniform[1].se, c->uniform[2].mean, c->uniform[2].se);
    print_table(c, GREEDY, "**Return, the best of 16 plans (8 actions of a policy) by the critic:**", f);
    print_table(c, COHERENCY, "**Coherency (root mean square error of a planned transition), of a policy the overlap:**", f);
    print_table(c, SINGLE, "**Return, one sample:**", f);
    if (c->left_out > 0) fprintf(f, "%d combinations were left out when time was up.\n\n", c->left_out);
}
