/* nav1d_bench.h — Nav1D as libdmc sees it: data sets, environments to roll out in, and returns by selection rule. */
#ifndef NAV1D_BENCH_H
#define NAV1D_BENCH_H

#include <libdmc/libdmc.h>

#include "nav1d_data.h"

enum { NAV1D_SEEDS = 32 };             /* episodes per figure                                   */
enum { NAV1D_SINGLE, NAV1D_MEAN, NAV1D_GREEDY, NAV1D_SELECTIONS };
extern const char *const nav1d_selection[NAV1D_SELECTIONS]; /* "single", "expectation", "greedy" */

typedef struct nav1d_figure { double mean, se; } nav1d_figure;

/* Mean and standard error. */
nav1d_figure nav1d_summary(const double *x, int32_t n);

/* The data set of this kind as a dmc_dataset, also written to `path` (HDF5) unless NULL. */
dmc_status nav1d_dataset(int32_t kind, const nav1d_expert *expert, const char *path, dmc_dataset **out);

/* NAV1D_SEEDS environments behind the dmc_env callbacks. */
typedef struct nav1d_world {
    nav1d_env env[NAV1D_SEEDS];
    dmc_env callbacks;
} nav1d_world;
void nav1d_world_init(nav1d_world *w);

/* Returns of episodes first_seed .. + NAV1D_SEEDS - 1 of a model under one selection rule; candidates: samples per decision
 * for the mean and greedy rules. returns[NAV1D_SEEDS]. */
dmc_status nav1d_returns(const dmc_model *m, const dmc_critic *critic, int32_t selection, int32_t candidates,
                         uint64_t first_seed, double *returns);

/* The same under options of your own, whose batch is set to NAV1D_SEEDS. inverse: of planners of states only, else NULL. */
dmc_status nav1d_returns_of(const dmc_model *m, const dmc_critic *critic, const dmc_model *inverse, const dmc_sampler_options *o,
                            uint64_t first_seed, double *returns);

/* Where the greedy rule went: states[NAV1D_SEEDS][13]. */
dmc_status nav1d_paths(const dmc_model *m, const dmc_critic *critic, int32_t candidates, uint64_t first_seed,
                       double states[NAV1D_SEEDS][NAV1D_STEPS + 1]);

#endif
