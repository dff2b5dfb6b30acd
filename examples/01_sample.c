/* 01_sample.c — a control loop: load a policy, ask it for actions, look at how long it takes.
 *
 *     01_sample [MODEL.dmc]
 *
 * Without a file a tiny policy is trained first, so that the program runs anywhere.
 */
#include <libdmc/libdmc.h>
#include <stdio.h>
#include <stdlib.h>

enum { EPISODES = 40, LENGTH = 50, ROWS = EPISODES * LENGTH, CONTROL_STEPS = 100 };

/* Every call says what went wrong in one sentence. */
static void check(dmc_status status)
{
    if (status >= 0) return;
    fprintf(stderr, "%s\n", dmc_last_error());
    exit(1);
}

/* A cart on a rail: obs = (position, velocity), act = force. */
static void move_cart(float obs[2], float force)
{
    obs[1] += 0.1f * force;
    obs[0] += 0.1f * obs[1];
}

/* Episodes of somebody who pushes the cart towards 0 with an unsteady hand. */
static dmc_dataset *record_episodes(void)
{
    static float obs[ROWS][2], act[ROWS][1], reward[ROWS];
    static uint8_t terminal[ROWS], timeout[ROWS];
    float now[2] = {0, 0};
    dmc_dataset *data;
    for (int i = 0; i < ROWS; i++) {
        const float noise = (float)rand() / (float)RAND_MAX - 0.5f;
        if (i % LENGTH == 0) {
            now[0] = 4 * noise;
            now[1] = 0;
        }
        obs[i][0] = now[0];
        obs[i][1] = now[1];
        act[i][0] = -1.5f * now[0] - 1.2f * now[1] + noise;
        reward[i] = -now[0] * now[0];
        timeout[i] = i % LENGTH == LENGTH - 1;
        move_cart(now, act[i][0]);
    }
    check(dmc_dataset_create(NULL, ROWS, 2, 1, obs[0], act[0], reward, terminal, timeout, NULL,
                             &data));
    return data;
}

/* Four actions for the last observation, 10 denoising steps, a very small network. */
static dmc_model *train_policy(void)
{
    dmc_dataset *data = record_episodes();
    dmc_model_options mo;
    dmc_train_options to;
    dmc_model *untrained, *model;
    dmc_trainer *trainer;
    check(dmc_model_options_init(&mo, sizeof mo));
    check(dmc_train_options_init(&to, sizeof to));
    mo.horizon = 4;
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
    dmc_dataset_destroy(data);
    return model;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    dmc_model *model;
    dmc_sampler *sampler;
    dmc_sampler_info info = {.struct_size = sizeof info};
    int32_t horizon, obs_dim, act_dim;
    double microseconds[CONTROL_STEPS];

    if (argc > 1)
        check(dmc_model_load(NULL, argv[1], &model));
    else
        model = train_policy();
    check(dmc_model_sizes(model, &horizon, NULL, NULL, &obs_dim, &act_dim));

    /* All memory is taken here; sample neither allocates nor makes a system call. */
    check(dmc_sampler_create(NULL, model, NULL, NULL, &sampler));
    const size_t n_obs = (size_t)obs_dim, n_act = (size_t)horizon * (size_t)act_dim;
    float *obs = calloc(n_obs, sizeof *obs), *act = calloc(n_act, sizeof *act);
    if (!obs || !act) return 1;
    obs[0] = 1;

    for (int t = 0; t < CONTROL_STEPS; t++) {
        check(dmc_sampler_sample(sampler, obs, n_obs, act,
                                 n_act)); /* act (horizon,act_dim), ready to send */
        check(dmc_sampler_get_info(sampler, &info));
        microseconds[t] = 1e-3 * (double)info.nanoseconds;
        if (argc == 1) move_cart(obs, act[0]); /* execute the first row, then ask again */
        if (argc == 1 && t % 20 == 0)
            printf("step %2d  position %+.3f  force %+.3f\n", t, (double)obs[0], (double)act[0]);
    }
    qsort(microseconds, CONTROL_STEPS, sizeof *microseconds, compare);
    printf("%d denoising steps for %d actions: median %.0f us, slowest %.0f us, %zu bytes held\n",
           info.steps, horizon, microseconds[CONTROL_STEPS / 2], microseconds[CONTROL_STEPS - 1],
           dmc_sampler_memory(sampler));

    free(act);
    free(obs);
    dmc_sampler_destroy(sampler);
    dmc_model_destroy(model);
    return 0;
}
