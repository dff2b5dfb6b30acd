/* nav1d_report.c — writing results down. */
#include "nav1d_report.h"

#include <stdio.h>
#include <stdlib.h>

void nav1d_report_table(const nav1d_study *s, double optimum)
{
    printf("\n%s (mean return of %d episodes +- standard error; optimum %.2f)\n", s->role, NAV1D_SEEDS, optimum);
    printf("  %-11s %15s %15s %15s %9s\n", "", nav1d_selection[0], nav1d_selection[1], nav1d_selection[2], "seconds");
    printf("  %-11s", "foundation");
    for (int32_t k = 0; k < NAV1D_SELECTIONS; k++) printf("   %5.2f +- %4.2f", s->before[k].mean, s->before[k].se);
    printf(" %9.1f\n", s->train_seconds);
    for (int32_t m = 0; m < NAV1D_METHODS; m++) {
        printf("  %-11s", nav1d_method[m]);
        for (int32_t k = 0; k < NAV1D_SELECTIONS; k++) printf("   %5.2f +- %4.2f", s->after[m][k].mean, s->after[m][k].se);
        printf(" %9.1f\n", s->seconds[m]);
    }
}

static void write_entry(FILE *f, const nav1d_study *s, int32_t m, int32_t k, const char *dataset, double optimum)
{
    fprintf(f, "{\"bench\": \"nav1d\", \"dataset\": \"%s\", \"model\": \"%s\", \"sampler\": \"ddpm\", \"method\": \"%s\", "
               "\"selection\": \"%s\", \"seed_count\": %d, \"before\": {\"mean\": %.6g, \"se\": %.6g}, "
               "\"after\": {\"mean\": %.6g, \"se\": %.6g}, \"optimum\": %.6g}",
            dataset, s->role, nav1d_method[m], nav1d_selection[k], NAV1D_SEEDS, s->before[k].mean, s->before[k].se,
            s->after[m][k].mean, s->after[m][k].se, optimum);
}

int32_t nav1d_report_json(const char *path, const nav1d_study *const *studies, int32_t n, const char *dataset, double optimum)
{
    FILE *f = fopen(path, "w");
    if (!f) return -1;
    fputs("[\n", f);
    for (int32_t i = 0; i < n; i++)
        for (int32_t m = 0; m < NAV1D_METHODS; m++)
            for (int32_t k = 0; k < NAV1D_SELECTIONS; k++) {
                const int32_t last = i + 1 == n && m + 1 == NAV1D_METHODS && k + 1 == NAV1D_SELECTIONS;
                fputs(" ", f);
                write_entry(f, studies[i], m, k, dataset, optimum);
                fputs(last ? "\n" : ",\n", f);
            }
    fputs("]\n", f);
    return fclose(f) == 0 ? 0 : -1;
}

/* ---- picture ---------------------------------------------------------------------------------------- */

static FILE *open_in(const char *out, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", out, name);
    return fopen(path, "w");
}

/* Blocks of (t, s), one per episode. */
static int32_t write_paths(const char *out, const char *name, const nav1d_study *s, const dmc_model *m)
{
    static const int32_t shown = 16;
    double states[NAV1D_SEEDS][NAV1D_STEPS + 1];
    FILE *f = open_in(out, name);
    if (!f) return -1;
    const dmc_status status = nav1d_paths(m, s->critic, s->candidates, 0, states);
    for (int32_t i = 0; i < shown && status >= 0; i++) {
        for (int32_t t = 0; t <= NAV1D_STEPS; t++) fprintf(f, "%d %g\n", t, states[i][t]);
        fputs("\n\n", f);
    }
    return fclose(f) == 0 && status >= 0 ? 0 : -1;
}

static int32_t write_targets(const char *out)
{
    FILE *f = open_in(out, "targets.dat");
    if (!f) return -1;
    for (int32_t t = 1; t <= NAV1D_STEPS; t++) fprintf(f, "%d %g\n", t, nav1d_target(t));
    return fclose(f) == 0 ? 0 : -1;
}

/* Rows: method, then mean and standard error of each selection rule. */
static int32_t write_bars(const char *out, const nav1d_study *s)
{
    char name[64];
    snprintf(name, sizeof name, "%s-returns.dat", s->role);
    FILE *f = open_in(out, name);
    if (!f) return -1;
    for (int32_t m = -1; m < NAV1D_METHODS; m++) {
        const nav1d_figure *x = m < 0 ? s->before : s->after[m];
        fprintf(f, "%s", m < 0 ? "foundation" : nav1d_method[m]);
        for (int32_t k = 0; k < NAV1D_SELECTIONS; k++) fprintf(f, " %g %g", x[k].mean, x[k].se);
        fputs("\n", f);
    }
    return fclose(f) == 0 ? 0 : -1;
}

static void script_study(FILE *f, const char *out, const nav1d_study *s, double optimum)
{
    fprintf(f,
            "set title '%s: 16 episodes, greedy by Q'\nset xrange [0:12]\nset yrange [-1.1:1.1]\nset xlabel 't'\nset ylabel 's'\n"
               "unset style data\nset key top right\nunset xtics\nset xtics 2\n"
               "plot '%s/%s-foundation.dat' w l lc rgb '#b0b0b0' t 'foundation', '%s/%s-aligned.dat' w l lc rgb '#1f77b4' t "
               "'after the sequence', '%s/targets.dat' w p pt 7 ps 1 lc rgb '#d62728' t 'targets'\n",
            s->role, out, s->role, out, s->role, out);
    fprintf(f, "set title '%s: mean return of %d episodes'\nset xrange [-0.6:5.6]\nset yrange [0:8]\nset xlabel ''\n"
               "set ylabel 'return'\nset style data histogram\nset style histogram errorbars gap 1\nset style fill solid .8\n"
               "unset xtics\nset xtics rotate by -25\n"
               "plot '%s/%s-returns.dat' u 2:3:xtic(1) t 'single' lc rgb '#9ecae1', '' u 4:5 t 'expectation' lc rgb '#6baed6', "
               "'' u 6:7 t 'greedy by Q' lc rgb '#08519c', %g w l lc rgb '#d62728' t 'optimum'\n",
            s->role, NAV1D_SEEDS, out, s->role, optimum);
}

static int32_t write_script(const char *out, const nav1d_study *const *studies, int32_t n, double optimum)
{
    FILE *f = open_in(out, "nav1d.gp");
    if (!f) return -1;
    fprintf(f, "set terminal pngcairo size 1200,%d font 'sans,10'\nset output '%s/nav1d.png'\nset multiplot layout %d,2\n", 420 * n,
            out, n);
    for (int32_t i = 0; i < n; i++) script_study(f, out, studies[i], optimum);
    fputs("unset multiplot\n", f);
    return fclose(f) == 0 ? 0 : -1;
}

int32_t nav1d_report_picture(const char *out, const nav1d_study *const *studies, int32_t n, double optimum)
{
    char text[512];
    int32_t failed = write_targets(out);
    for (int32_t i = 0; i < n; i++) {
        snprintf(text, sizeof text, "%s-foundation.dat", studies[i]->role);
        failed |= write_paths(out, text, studies[i], studies[i]->foundation);
        snprintf(text, sizeof text, "%s-aligned.dat", studies[i]->role);
        failed |= write_paths(out, text, studies[i], studies[i]->aligned);
        failed |= write_bars(out, studies[i]);
    }
    failed |= write_script(out, studies, n, optimum);
    if (failed) return -1;
    if (system("command -v gnuplot >/dev/null 2>&1") != 0) return 1;
    snprintf(text, sizeof text, "gnuplot '%s/nav1d.gp'", out);
    return system(text) == 0 ? 0 : -1;
}
