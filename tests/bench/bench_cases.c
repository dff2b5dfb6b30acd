/* bench_cases.c — see bench_cases.h. Sizes are those of the published systems (docs/networks.md). */
#include "bench_cases.h"

#include <string.h>

static const dmc_bench_net nets[] = {
    {"janner", 11, 3, 0, "role=planner network=unet1d_janner horizon=32 hidden=32 emb_dim=32 obs_norm=minmax"},
    {"half_janner", 11, 3, 0, "role=value network=unet1d_half horizon=32 hidden=32 emb_dim=32 kernel=3 obs_norm=minmax"},
    {"chi", 5, 2, 0, "network=unet1d_chi horizon=16 n_obs=2 hidden=256 emb_dim=256 mult=1,2,2 train_steps=5"},
    {"chi10", 5, 2, 0, "network=unet1d_chi horizon=16 n_obs=2 hidden=256 emb_dim=256 mult=1,2,2 train_steps=10"}, /* bench_cuda.c */
    {"chi_tf", 5, 2, 0, "network=transformer_chi horizon=10 n_obs=2 hidden=256 emb_dim=256 heads=4 blocks=4 train_steps=5"},
    {"dp_dit", 5, 2, 0, "network=dit1d horizon=10 n_obs=2 hidden=320 heads=10 blocks=2 emb_dim=128 time_embed=fourier encoder=mlp "
                        "enc_hidden=256 enc_dim=128 train_steps=5"},
    {"dd_dit", 8, 3, 0, "role=planner network=dit1d horizon=32 hidden=320 heads=10 blocks=2 emb_dim=128 time_embed=fourier "
                        "obs_norm=minmax"},
    {"dd_cfg", 8, 3, 0, "role=planner network=dit1d horizon=32 hidden=320 heads=10 blocks=2 emb_dim=128 time_embed=fourier "
                        "encoder=mlp enc_hidden=256 enc_dim=128 returns=1 cond_dropout=0.25 obs_norm=minmax"},
    {"idql", 11, 3, 0, "train_steps=5"},
    {"idql_small", 11, 3, 0, "hidden=64 blocks=2 emb_dim=32 train_steps=5"}, /* for bench-rt alone */
    {"dql", 11, 3, 0, "network=dql_mlp train_steps=5"},
    {"twin_q", 11, 3, 0, NULL},
    {"resnet18", 2, 0, 84, NULL},
};

const dmc_bench_case dmc_bench_cases[] = {
    {"janner", DMC_BENCH_FORWARD, 1, 60},
    {"janner", DMC_BENCH_FORWARD, 16, 80},
    {"janner", DMC_BENCH_FORWARD, 64, 85},
    {"janner", DMC_BENCH_TRAIN, 64, 70},
    {"janner", DMC_BENCH_SAMPLE, 1, 0},
    {"janner", DMC_BENCH_SAMPLE, 64, 0},
    {"half_janner", DMC_BENCH_FORWARD, 64, 0},
    {"half_janner", DMC_BENCH_TRAIN, 64, 0},
    {"chi", DMC_BENCH_FORWARD, 1, 85},
    {"chi", DMC_BENCH_FORWARD, 8, 70},
    {"chi", DMC_BENCH_TRAIN, 64, 65},
    {"chi", DMC_BENCH_SAMPLE, 1, 0},
    {"chi", DMC_BENCH_SAMPLE_BF16, 1, 0},
    {"dp_dit", DMC_BENCH_FORWARD, 1, 75},
    {"dp_dit", DMC_BENCH_FORWARD, 8, 75},
    {"dp_dit", DMC_BENCH_FORWARD, 64, 80},
    {"dp_dit", DMC_BENCH_TRAIN, 64, 70},
    {"dp_dit", DMC_BENCH_SAMPLE, 1, 0},
    {"dd_dit", DMC_BENCH_FORWARD, 1, 0},
    {"dd_dit", DMC_BENCH_FORWARD, 16, 0},
    {"dd_dit", DMC_BENCH_FORWARD, 64, 0},
    {"dd_dit", DMC_BENCH_TRAIN, 64, 70},
    {"dd_dit", DMC_BENCH_SAMPLE, 1, 0},
    {"dd_cfg", DMC_BENCH_SAMPLE_GUIDED, 1, 0},
    {"chi_tf", DMC_BENCH_FORWARD, 1, 0},
    {"chi_tf", DMC_BENCH_FORWARD, 16, 0},
    {"chi_tf", DMC_BENCH_FORWARD, 64, 0},
    {"chi_tf", DMC_BENCH_TRAIN, 64, 0},
    {"idql", DMC_BENCH_FORWARD, 1, 80},
    {"idql", DMC_BENCH_FORWARD, 16, 85},
    {"idql", DMC_BENCH_FORWARD, 64, 85},
    {"idql", DMC_BENCH_FORWARD, 256, 85},
    {"idql", DMC_BENCH_TRAIN, 64, 70},
    {"idql", DMC_BENCH_SAMPLE, 1, 0},
    {"idql", DMC_BENCH_SAMPLE_GREEDY, 256, 0},
    {"dql", DMC_BENCH_FORWARD, 1, 0},
    {"dql", DMC_BENCH_FORWARD, 64, 0},
    {"twin_q", DMC_BENCH_FORWARD, 1, 0},
    {"twin_q", DMC_BENCH_FORWARD, 16, 0},
    {"twin_q", DMC_BENCH_FORWARD, 64, 0},
    {"twin_q", DMC_BENCH_FORWARD, 256, 70},
    {"twin_q", DMC_BENCH_TRAIN, 256, 0},
    {"resnet18", DMC_BENCH_FORWARD, 1, 0},
    {"resnet18", DMC_BENCH_FORWARD, 16, 0},
};
const size_t dmc_bench_case_count = sizeof dmc_bench_cases / sizeof *dmc_bench_cases;

const char *dmc_bench_kind_name(dmc_bench_kind kind)
{
    static const char *const names[DMC_BENCH_KINDS] = {"forward",     "train",         "sample",
                                                       "sample-bf16", "sample-greedy", "sample-guided"};
    return names[kind];
}

const dmc_bench_net *dmc_bench_net_find(const char *name)
{
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        if (strcmp(nets[i].name, name) == 0) return &nets[i];
    return NULL;
}
