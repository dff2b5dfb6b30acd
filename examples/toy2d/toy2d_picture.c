/* toy2d_picture.c — data files, a script, and gnuplot. */
#include "toy2d_picture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRID = 81 };

void toy2d_panel_before(toy2d_panel *p, const float *sample)
{
    memcpy(p->before, sample, sizeof p->before);
}

void toy2d_panel_after(toy2d_panel *p, const float *sample, double factor)
{
    memcpy(p->after, sample, sizeof p->after);
    p->factor = factor;
}

static FILE *open_in(const char *folder, const char *name, const char *what)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s%s", folder, name, what);
    return fopen(path, "w");
}

static int32_t close_file(FILE *f)
{
    const int32_t bad = ferror(f);
    return fclose(f) != 0 || bad ? -1 : 0;
}

static int32_t write_field(const char *folder, const toy2d_reward *r)
{
    FILE *f = open_in(folder, r->name, "-field.dat");
    if (!f) return -1;
    for (int32_t i = 0; i < GRID; i++) {
        for (int32_t j = 0; j < GRID; j++) {
            const float x[2] = {-1.4f + 2.8f * (float)i / (GRID - 1), -1.4f + 2.8f * (float)j / (GRID - 1)};
            fprintf(f, "%g %g %g\n", (double)x[0], (double)x[1], toy2d_reward_at(r->colour, x, NULL));
        }
        fputs("\n", f);
    }
    return close_file(f);
}

static int32_t write_points(const char *folder, const toy2d_reward *r, const char *what, const float *x)
{
    FILE *f = open_in(folder, r->name, what);
    if (!f) return -1;
    for (int32_t i = 0; i < TOY2D_SHOWN; i++) fprintf(f, "%g %g\n", (double)x[2 * i], (double)x[2 * i + 1]);
    return close_file(f);
}

static void script_panel(FILE *f, const char *folder, const toy2d_reward *r, double factor)
{
    fprintf(f,
            "set title '%s: x%.2f (paper x%.2f)'\n"
            "plot '%s/%s-field.dat' u 1:2:3 w image notitle, '%s/%s-before.dat' w p pt 6 ps 1 lc rgb '#404040' t 'foundation', "
            "'%s/%s-after.dat' w p pt 7 ps 1 lc rgb '#d62728' t 'aligned'\n",
            r->name, factor, r->least, folder, r->name, folder, r->name, folder, r->name);
}

static int32_t write_script(const char *folder, const toy2d_panel panel[TOY2D_COLOURS])
{
    FILE *f = open_in(folder, "toy2d.gp", "");
    if (!f) return -1;
    fprintf(f,
            "set terminal pngcairo size 1260,440 font 'sans,10'\nset output '%s/toy2d.png'\nset multiplot layout 1,3\n"
            "set palette defined (0 'white', 1 '#f0a030')\nunset colorbox\nset size ratio -1\nset xrange [-1.4:1.4]\n"
            "set yrange [-1.4:1.4]\nset key bottom left\n", folder);
    for (int32_t c = 0; c < TOY2D_COLOURS; c++) script_panel(f, folder, &toy2d_rewards[c], panel[c].factor);
    fputs("unset multiplot\n", f);
    return close_file(f);
}

int32_t toy2d_picture(const char *folder, const toy2d_panel panel[TOY2D_COLOURS])
{
    char command[512];
    int32_t failed = write_script(folder, panel);
    for (int32_t c = 0; c < TOY2D_COLOURS; c++) {
        failed |= write_field(folder, &toy2d_rewards[c]);
        failed |= write_points(folder, &toy2d_rewards[c], "-before.dat", panel[c].before);
        failed |= write_points(folder, &toy2d_rewards[c], "-after.dat", panel[c].after);
    }
    if (failed) return -1;
    if (system("command -v gnuplot >/dev/null 2>&1") != 0) return 1;
    snprintf(command, sizeof command, "gnuplot '%s/toy2d.gp'", folder);
    return system(command) == 0 ? 0 : -1;
}
