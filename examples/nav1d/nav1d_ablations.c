/* nav1d_ablations.c — `make ablations`: a list of choices, each a column of its own with the planner's foundation. */
#include "nav1d_ablations.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "nav1d_pool.h"

/* One choice: the methods that run, and up to two settings. */
typedef struct choice {
    const char *group, *name, *order, *setting[2];
} choice;

static const choice choices[] = {
    {"rl", "qvpg", "rl", {NULL}},
    {"rl", "qvpg, K = 1", "rl", {"rl.last_k=1"}},
    {"rl", "qvpg, K = 2", "rl", {"rl.last_k=2"}},
    {"rl", "qvpg, K = 5", "rl", {"rl.last_k=5"}},
    {"rl", "qvpg, K = T", "rl", {"rl.last_k=0"}},
    {"rl", "qvpg, K drawn", "rl", {"rl.last_k_kind=random", "rl.last_k=5"}},
    {"rl", "qvpg, kappa linear", "rl", {"rl.kappa=linear"}},
    {"rl", "qvpg, kappa const", "rl", {"rl.kappa=const"}},
    {"rl", "qvpg, no KL", "rl", {"rl.kl=0"}},
    {"rl", "qvpg, exact KL .02", "rl", {"rl.kl_kind=exact", "rl.kl=0.02"}},
    {"rl", "qvpg, entropy .1", "rl", {"rl.entropy=0.1"}},
    {"rl", "qvpg, LoRA 16", "rl", {"align.lora_rank=16"}},
    {"rl", "qvpg, LoRA 64", "rl", {"align.lora_rank=64"}},
    {"rl", "ppo", "rl", {"rl.method=ppo"}},
    {"rl", "ppo, kappa proj", "rl", {"rl.method=ppo", "rl.kappa=proj"}},
    {"rl", "ppo, kappa cos", "rl", {"rl.method=ppo", "rl.kappa=cos"}},
    {"rl", "ppo, kappa paircos", "rl", {"rl.method=ppo", "rl.kappa=paircos"}},
    {"dpo", "candidates", "dpo", {NULL}},
    {"dpo", "weighting snr", "dpo", {"dpo.weighting=snr"}},
    {"sft", "likelihood 10 %", "sft", {NULL}},
    {"sft", "no threshold", "sft", {"sft.likelihood=0"}},
    {"cascade", "shared latent", "rl", {"rl.updates=300", "sequence.cascade=1"}},
    {"cascade", "none", "rl", {"rl.updates=300"}},
};

enum { CHOICES = sizeof choices / sizeof *choices };

/* A column like the planner's, whose name is a file's. */
static nav1d_column column_of(int32_t i, char name[32], char order[32])
{
    nav1d_column c = nav1d_columns[0];
    for (int32_t k = 0; k < NAV1D_COLUMNS; k++)
        if (strcmp(nav1d_columns[k].name, "ddpm") == 0) c = nav1d_columns[k];
    snprintf(name, 32, "ablation-%d", i);
    snprintf(order, 32, "sequence.order=%s", choices[i].order);
    c.name = name;
    c.setting[0] = order;
    c.setting[1] = choices[i].setting[0];
    c.setting[2] = choices[i].setting[0] ? choices[i].setting[1] : NULL;
    return c;
}

static void print_table(const nav1d_pool *p)
{
    puts("| method | choice | greedy before | after | coherency before | after | KL per dimension | seconds |\n"
         "|---|---|---|---|---|---|---|---|");
    for (int32_t i = 0; i < CHOICES; i++) {
        nav1d_result r;
        if (nav1d_read_result(p->stage, &p->job[i], &r) != 0) continue;
        printf("| %s | %s | %.2f ± %.2f | %.2f ± %.2f | %.2f | %.2f | %.2f | %.0f |\n", choices[i].group, choices[i].name,
               r.before[0].mean, r.before[0].se, r.after[0].mean, r.after[0].se, r.coherency_before, r.coherency_after, r.kl,
               r.seconds);
    }
}

int nav1d_ablations(int argc, char **argv)
{
    static char name[CHOICES][32], order[CHOICES][32];
    static nav1d_column column[CHOICES];
    static nav1d_pool p;
    if (argc < 3) {
        fprintf(stderr, "usage: nav1d ablations FOLDER CONFIG-FOLDER [section.key=value ...]\n");
        return 2;
    }
    nav1d_stage s = {.out = argv[1], .configs = argv[2], .setting = argv + 3, .settings = (size_t)argc - 3};
    for (int32_t i = 0; i < CHOICES; i++) {
        column[i] = column_of(i, name[i], order[i]);
        p.job[p.jobs++] = (nav1d_job){&column[i], NAV1D_FULL, 0};
    }
    p.stage = &s;
    mkdir(s.out, 0777);
    int32_t failed = nav1d_dataset(NAV1D_FULL, NULL, NULL, &s.data[NAV1D_FULL]) < 0;
    if (failed) fprintf(stderr, "nav1d: %s\n", dmc_last_error());
    failed = failed || nav1d_make_critic(&s, &p.job[0]) < 0 || nav1d_make_foundation(&s, &p.job[0]) < 0;
    failed = failed || nav1d_pool_run(&p, "ablations", nav1d_make_result) != 0;
    print_table(&p);
    dmc_dataset_destroy(s.data[NAV1D_FULL]);
    return failed;
}
