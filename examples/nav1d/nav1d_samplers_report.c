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

static int32_t same_row(const nav1d_cell *a, const nav1d_cell *b)
{
    return strcmp(a->role, b->role) == 0 && strcmp(a->process, b->process) == 0 && strcmp(a->sampler, b->sampler) == 0;
}

/* Cells from i on that share a row; returns the first that does not. */
static int32_t print_row(const nav1d_cells *all, int32_t i, int32_t what, FILE *f)
{
    const nav1d_cell *const head = &all->cell[i];
    fprintf(f, "| %s | %s | %s%s |", head->role, head->process, head->sampler, head->preferred ? " *" : "");
    for (int32_t k = 0; k < NAV1D_STEP_COUNTS; k++)
        if (i < all->n && same_row(head, &all->cell[i]) && all->cell[i].steps == nav1d_step_counts[k])
            print_value(&all->cell[i++], what, f);
        else
            fputs(" - |", f);
    fputc('\n', f);
    return i;
}

static void print_table(const nav1d_cells *all, int32_t what, const char *title, FILE *f)
{
    fprintf(f, "%s\n\n| model | process | sampler |", title);
    for (int32_t k = 0; k < NAV1D_STEP_COUNTS; k++) fprintf(f, " %d step%s |", nav1d_step_counts[k], k ? "s" : "");
    fputs("\n|---|---|---|", f);
    for (int32_t k = 0; k < NAV1D_STEP_COUNTS; k++) fputs("---|", f);
    fputc('\n', f);
    for (int32_t i = 0; i < all->n;) i = print_row(all, i, what, f);
    fputc('\n', f);
}

void nav1d_samplers_markdown(const nav1d_cells *c, FILE *f)
{
    print_table(c, GREEDY, "**Return, the best of 16 plans (8 actions of a policy) by the critic:**", f);
    print_table(c, COHERENCY, "**Coherency (root mean square error of a planned transition), of a policy the overlap:**", f);
    print_table(c, SINGLE, "**Return, one sample:**", f);
    if (c->left_out > 0) fprintf(f, "%d combinations were left out when time was up.\n\n", c->left_out);
}
