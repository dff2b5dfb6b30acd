/* bench_rig.h — one case, ready to run: a network with data of its widths, and what the machine could do it in at best. */
#ifndef DMC_BENCH_RIG_H
#define DMC_BENCH_RIG_H

#include "bench_cases.h"
#include "bench_loop.h"
#include "roof.h"

/* Where a case runs. */
typedef struct dmc_bench_place {
    int threads;
    const char *device, *plugin_folder; /* NULL: the processor; of the plugin, as in dmc_context_options */
    int32_t matrix;                     /* DMC_MATRIX_* */
} dmc_bench_place;

typedef struct dmc_bench_rig {
    dmc_context *context;
    dmc_dataset *data;
    dmc_model *model;     /* one of these three   */
    dmc_critic *critic;
    dmc__net *encoder;
    void *weights;        /* of the encoder       */
    dmc__plan *plan;      /* what runs: plan, trainer, sampler, or the critic's update */
    dmc_trainer *trainer;
    dmc_sampler *sampler;
    dmc_critic *judge;    /* of the sampler, or NULL                                   */
    dmc_bench_loop loop;  /* of a sampler with float weights on the processor          */
    float *obs, *act;
    size_t n_obs, n_act;
    uint64_t parameters;
    double flop;   /* useful operations of one run                            */
    double bytes;  /* read and written at least                               */
    double set;    /* size of what they are part of: decides how fast they go */
    int in_turn;   /* first all operations, then all bytes (an optimiser's)   */
} dmc_bench_rig;

dmc_status dmc_bench_rig_open(dmc_bench_rig *r, const dmc_bench_case *c, const dmc_bench_place *where);
void dmc_bench_rig_close(dmc_bench_rig *r); /* after a failed open too */
dmc_status dmc_bench_rig_run(dmc_bench_rig *r);
dmc_status dmc_bench_rig_loop(dmc_bench_rig *r); /* dmc_bench_loop_run */

/* Time below which the machine cannot go. *by_memory: memory, not arithmetic, is the reason. */
double dmc_bench_rig_floor_ms(const dmc_bench_rig *r, const dmc_bench_roof *roof, int *by_memory);

#endif
