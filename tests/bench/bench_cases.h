/* bench_cases.h — which networks `make bench` times, at which sizes, and how fast they should be. A new network is one line in
 * each table of bench_cases.c, and a module of the same name in bench_nets.py. */
#ifndef DMC_BENCH_CASES_H
#define DMC_BENCH_CASES_H

#include <stddef.h>
#include <stdint.h>

typedef enum dmc_bench_kind {
    DMC_BENCH_FORWARD, /* the whole network once, nothing kept from before               */
    DMC_BENCH_TRAIN,   /* forward, backward, clip, AdamW, moving average                 */
    DMC_BENCH_SAMPLE,  /* a sampler call: all its denoising steps; batch = candidates    */
    DMC_BENCH_SAMPLE_BF16,
    DMC_BENCH_SAMPLE_GREEDY, /* the best of its candidates by the twins                   */
    DMC_BENCH_KINDS
} dmc_bench_kind;

typedef struct dmc_bench_net {
    const char *name;
    int32_t obs, act;    /* widths of the data                                                        */
    int32_t image;       /* of an encoder alone: side of the frames it sees; 0 = no image            */
    const char *options; /* dmc_model_options, "key=value key=value"; NULL: encoder, or the critic's twins */
} dmc_bench_net;

typedef struct dmc_bench_case {
    const char *net;
    dmc_bench_kind kind;
    int32_t batch;
    int32_t goal; /* per cent of the roof on one thread; 0 = none set */
} dmc_bench_case;

extern const dmc_bench_case dmc_bench_cases[];
extern const size_t dmc_bench_case_count;

const char *dmc_bench_kind_name(dmc_bench_kind kind);
const dmc_bench_net *dmc_bench_net_find(const char *name); /* NULL: none */

#endif
