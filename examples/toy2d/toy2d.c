/* toy2d.c — the paper's Figure 2: a model of points in the plane, before and after alignment to three rewards.
 *
 *     toy2d <folder> [seeds]      table on stdout, toy2d.png in the folder
 *
 * A divergence from the foundation keeps samples where data are; orange is tried without it too. The factor is the mean reward of
 * 32 samples over the foundation's of 4096. Returns 1 where a factor of the paper is not reached, or the support is lost, or where
 * orange stays without the divergence.
 */
#include "toy2d_task.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "toy2d_picture.h"

enum { MANY = 4096, SHOWN = TOY2D_SHOWN };

/* What samples of a model come to. */
typedef struct figures {
    double reward, shown; /* mean of all, of the first 32 */
    double support;       /* share of all */
} figures;

typedef struct world {
    dmc_dataset *data;
    dmc_model *foundation;
    float sample[2 * MANY];
} world;

static void need(dmc_status status)
{
    if (status >= 0) return;
    fprintf(stderr, "toy2d: %s\n", dmc_last_error());
    exit(1);
}

static double now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- foundation ----------------------------------------------------------------------------------------------------- */

static void train(world *w, uint64_t seed)
{
    dmc_model_options m;
    dmc_train_options t;
    dmc_model *untrained;
    dmc_trainer *trainer;
    need(dmc_model_options_init(&m, sizeof m));
    need(dmc_train_options_init(&t, sizeof t));
    m.network = DMC_NETWORK_DQL_MLP;
    m.hidden = 128;
    m.emb_dim = 32;
    m.train_steps = 20;
    m.act_norm = DMC_NORM_GAUSSIAN; /* no bound at the edge of the data: only the divergence holds samples there */
    m.clip = 4;
    m.seed = seed;
    t.steps = 3000;
    t.batch = 512;
    t.lr = 2e-3;
    t.seed = seed;
    need(toy2d_dataset(seed, &w->data));
    need(dmc_model_create(NULL, w->data, &m, &untrained));
    need(dmc_trainer_create(NULL, untrained, w->data, &t, &trainer));
    need(dmc_trainer_step(trainer, t.steps, NULL));
    need(dmc_trainer_publish(trainer, &w->foundation));
    dmc_trainer_destroy(trainer);
    dmc_model_destroy(untrained);
}

/* ---- alignment ------------------------------------------------------------------------------------------------------ */

static dmc_model *align(const world *w, const toy2d_reward *reward, double kl, uint64_t seed, double *divergence)
{
    dmc_align_options o;
    dmc_rl_options rl;
    dmc_align_report report = {.struct_size = sizeof report};
    dmc_aligner *a;
    dmc_model *aligned;
    need(dmc_align_options_init(&o, sizeof o));
    need(dmc_rl_options_init(&rl, sizeof rl));
    o.batch = 128;
    o.candidates = 1;
    o.eval_every = 50;
    o.eval_conditions = 512;
    o.lr = 1e-3;
    o.std_floor = 0.05;
    o.seed = seed;
    rl.method = DMC_RL_QVPG;
    rl.last_k = 0;
    rl.kl = kl;
    rl.kl_kind = DMC_KL_EXACT;
    rl.updates = 200;
    need(dmc_aligner_create(NULL, w->foundation, w->data, NULL, &o, &a));
    need(dmc_aligner_set_reward(a, toy2d_reward_fn, (void *)(uintptr_t)reward, 1));
    need(dmc_align_rl(a, &rl, &report));
    need(dmc_aligner_publish(a, &aligned));
    dmc_aligner_destroy(a);
    *divergence = report.kl;
    return aligned;
}

/* ---- measuring ------------------------------------------------------------------------------------------------------ */

/* MANY samples, not held inside the limits of the data as actions are. */
static void draw(world *w, const dmc_model *m)
{
    static const float obs[MANY];
    dmc_sampler_options o;
    dmc_sampler *s;
    need(dmc_sampler_options_init(&o, sizeof o));
    o.batch = MANY;
    o.seed = 1;
    need(dmc_sampler_create(NULL, m, NULL, &o, &s));
    need(dmc_sampler_sample(s, obs, MANY, w->sample, 2 * MANY));
    for (int32_t b = 0; b < MANY; b++) need(dmc_sampler_plan(s, b, w->sample + 2 * b, 2));
    dmc_sampler_destroy(s);
}

static figures measure(const world *w, enum toy2d_colour colour)
{
    figures f = {0};
    for (int32_t i = 0; i < MANY; i++) {
        const double r = toy2d_reward_at(colour, w->sample + 2 * i, NULL);
        f.reward += r / MANY;
        if (i < SHOWN) f.shown += r / SHOWN;
        f.support += toy2d_supports(w->sample + 2 * i) / (double)MANY;
    }
    return f;
}

/* One line; 0 where the paper's factor and the support are there. */
static int32_t try_reward(world *w, const toy2d_reward *reward, int32_t held, uint64_t seed, toy2d_panel *panel)
{
    double divergence;
    draw(w, w->foundation);
    const figures before = measure(w, reward->colour);
    if (panel) toy2d_panel_before(panel, w->sample);
    dmc_model *m = align(w, reward, held ? reward->kl : 0, seed, &divergence);
    draw(w, m);
    const figures after = measure(w, reward->colour);
    if (panel) toy2d_panel_after(panel, w->sample, after.shown / before.reward);
    dmc_model_destroy(m);
    const double factor = after.shown / before.reward, share = after.support / before.support;
    const int32_t good = factor >= reward->least && share >= 0.95;
    printf("| %llu | %s | %g | %.2f | %.2f | %.2f | %.3f | %.3f | %.2f | %s |\n", (unsigned long long)seed, reward->name,
           held ? reward->kl : 0, factor, after.reward / before.reward, reward->least, before.support, after.support, divergence,
           good ? "yes" : "no");
    fflush(stdout);
    return !good;
}

/* Without the divergence orange has to leave the data: else it is not what holds the samples. */
static int32_t try_seed(world *w, uint64_t seed, toy2d_panel panel[TOY2D_COLOURS])
{
    int32_t failed = 0;
    train(w, seed);
    for (int32_t c = 0; c < TOY2D_COLOURS; c++)
        failed |= try_reward(w, &toy2d_rewards[c], 1, seed, panel ? &panel[c] : NULL);
    failed |= !try_reward(w, &toy2d_rewards[TOY2D_ORANGE], 0, seed, NULL);
    dmc_model_destroy(w->foundation);
    dmc_dataset_destroy(w->data);
    return failed;
}

int main(int argc, char **argv)
{
    static world w;
    static toy2d_panel panel[TOY2D_COLOURS];
    const double began = now();
    const int32_t seeds = argc > 2 ? atoi(argv[2]) : 1;
    int32_t failed = 0;
    if (argc < 2 || argc > 3 || seeds < 1) {
        fprintf(stderr, "usage: toy2d <folder> [seeds]\n");
        return 2;
    }
    puts("| seed | reward | kl weight | factor of 32 | of 4096 | paper | support before | after | KL per dimension | reached |\n"
         "|---|---|---|---|---|---|---|---|---|---|");
    for (int32_t s = 0; s < seeds; s++) failed |= try_seed(&w, (uint64_t)s, s == 0 ? panel : NULL);
    const int32_t picture = toy2d_picture(argv[1], panel);
    fprintf(stderr, "toy2d: %.1f s%s\n", now() - began,
            picture < 0 ? ", the picture could not be written" : picture > 0 ? ", no picture: gnuplot is not installed" : "");
    return failed || picture < 0;
}
