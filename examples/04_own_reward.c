/* 04_own_reward.c — alignment to a wish of your own: a reward function with its gradient instead of
 * a critic.
 *
 * A policy has learnt to answer with anything between -1 and 1. The reward prefers answers near
 * TARGET. After alignment the answers have moved there; the program checks that they have.
 */
#include <libdmc/libdmc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 2000, SAMPLES = 256 };
static const float TARGET = 0.5f;

static void check(dmc_status status)
{
    if (status >= 0) return;
    fprintf(stderr, "%s\n", dmc_last_error());
    exit(1);
}

/* n samples z (n,horizon,cols) in the dataset's units, here (n,1,1); obs (n,n_obs*obs_dim) are the
 * conditions. r = -(z - target)^2, and dr/dz where it is asked for. */
static int32_t prefer_target(void *user, size_t n, const float *z, const float *obs, float *r,
                             float *grad)
{
    const float target = *(const float *)user;
    (void)obs;
    for (size_t i = 0; i < n; i++) {
        const float away = z[i] - target;
        r[i] = -away * away;
        if (grad) grad[i] = -2 * away;
    }
    return 0; /* nonzero would stop the alignment with DMC_ECALLBACK */
}

/* One observation, which says nothing, and uniform actions. */
static dmc_dataset *make_data(void)
{
    static float obs[ROWS], act[ROWS], reward[ROWS];
    static uint8_t terminal[ROWS], timeout[ROWS];
    dmc_dataset *data;
    for (int i = 0; i < ROWS; i++) {
        obs[i] = 2 * (float)rand() / (float)RAND_MAX - 1;
        act[i] = 2 * (float)rand() / (float)RAND_MAX - 1;
        timeout[i] = i % 20 == 19;
    }
    check(dmc_dataset_create(NULL, ROWS, 1, 1, obs, act, reward, terminal, timeout, NULL, &data));
    return data;
}

static dmc_model *train(const dmc_dataset *data)
{
    dmc_model_options mo;
    dmc_train_options to;
    dmc_model *untrained, *model;
    dmc_trainer *trainer;
    check(dmc_model_options_init(&mo, sizeof mo));
    check(dmc_train_options_init(&to, sizeof to));
    mo.hidden = 64;
    mo.blocks = 2;
    mo.train_steps = 10;
    to.steps = 500;
    to.batch = 64;
    to.lr = 2e-3;
    check(dmc_model_create(NULL, data, &mo, &untrained));
    check(dmc_trainer_create(NULL, untrained, data, &to, &trainer));
    check(dmc_trainer_step(trainer, to.steps, NULL));
    check(dmc_trainer_publish(trainer, &model));
    dmc_trainer_destroy(trainer);
    dmc_model_destroy(untrained);
    return model;
}

/* Mean and spread of SAMPLES answers to the observation 0. */
static double look(const char *name, const dmc_model *model)
{
    static float obs[SAMPLES], act[SAMPLES];
    dmc_sampler_options o;
    dmc_sampler *sampler;
    double sum = 0, square = 0;
    check(dmc_sampler_options_init(&o, sizeof o));
    o.batch = SAMPLES;
    check(dmc_sampler_create(NULL, model, NULL, &o, &sampler));
    check(dmc_sampler_sample(sampler, obs, SAMPLES, act, SAMPLES));
    for (int i = 0; i < SAMPLES; i++) {
        sum += (double)act[i];
        square += (double)act[i] * (double)act[i];
    }
    const double mean = sum / SAMPLES;
    printf("%-8s mean %+.3f  spread %.3f\n", name, mean, sqrt(square / SAMPLES - mean * mean));
    dmc_sampler_destroy(sampler);
    return mean;
}

int main(void)
{
    dmc_dataset *data = make_data();
    dmc_model *model = train(data), *aligned;
    dmc_align_options o;
    dmc_rl_options rl;
    dmc_align_report report = {.struct_size = sizeof report};
    dmc_aligner *aligner;
    float target = TARGET;

    check(dmc_align_options_init(&o, sizeof o));
    check(dmc_rl_options_init(&rl, sizeof rl));
    o.batch = 64;
    o.eval_every = 25;
    rl.method = DMC_RL_QVPG; /* follows the reward's gradient; ppo and reinforce need none */
    rl.updates = 150;
    rl.kl = 0.02; /* how strongly the policy is held where it was */

    check(dmc_aligner_create(NULL, model, data, NULL, &o, &aligner)); /* no critic */
    check(dmc_aligner_set_reward(aligner, prefer_target, &target, 1));
    check(dmc_align_rl(aligner, &rl, &report));
    check(dmc_aligner_publish(aligner, &aligned));

    const double before = look("before", model), after = look("aligned", aligned);
    printf("reward   %.4f -> %.4f after %d updates, KL %.3f\n", report.before, report.after,
           report.updates, report.kl);
    dmc_model_destroy(aligned);
    dmc_aligner_destroy(aligner);
    dmc_model_destroy(model);
    dmc_dataset_destroy(data);
    return fabs(after - (double)TARGET) < 0.5 * fabs(before - (double)TARGET) ? 0 : 1;
}
