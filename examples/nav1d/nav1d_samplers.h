/* nav1d_samplers.h — every sampler on every process it suits, in few steps and in many: what that costs in return and coherency. */
#ifndef NAV1D_SAMPLERS_H
#define NAV1D_SAMPLERS_H

#include <stdio.h>

#include "nav1d_bench.h"

enum { NAV1D_STEP_COUNTS = 5, NAV1D_MOST_CELLS = 1024, NAV1D_MOST_CANDIDATES = 16 };
extern const int32_t nav1d_step_counts[NAV1D_STEP_COUNTS]; /* 1, 2, 5, 10, 20 */

/* A model and a sampler at a number of steps. */
typedef struct nav1d_cell {
    const char *role, *process; /* "planner", "edm"                                                            */
    char sampler[24];
    int32_t steps, preferred;   /* preferred: what "auto" is for this process                                  */
    nav1d_figure single, greedy; /* one sample; the best of NAV1D_MEAN's candidates by the critic               */
    double coherency, rms;      /* nav1d_coherency.h: plan, or overlap of a policy, whose rms is NaN            */
} nav1d_cell;

typedef struct nav1d_cells {
    nav1d_cell cell[NAV1D_MOST_CELLS];
    int32_t n, left_out;        /* left_out: when time was up                                                  */
    nav1d_figure uniform[3];    /* what uniform actions return: 1, the best of 8, of 16 by the critic          */
} nav1d_cells;

/* `nav1d samplers FOLDER CONFIG-FOLDER [section.key=value ...]`: trains what FOLDER does not hold yet, measures, writes
 * FOLDER/results.json and a markdown table on stdout. Returns the exit code. */
int nav1d_samplers(int argc, char **argv);

/* The best of so many uniform actions by the critic, at every step of NAV1D_SEEDS episodes. */
dmc_status nav1d_uniform_returns(dmc_critic *critic, int32_t candidates, double *returns);

/* [{"bench", "dataset", "model", "sampler", "process", "steps", "return": {mean, se}, "greedy": {mean, se}, "coherency", "rms"}].
 * 0, or -1 if the file cannot be written. */
int32_t nav1d_samplers_json(const char *path, const nav1d_cells *c, const char *dataset);
void nav1d_samplers_markdown(const nav1d_cells *c, FILE *f);

#endif
