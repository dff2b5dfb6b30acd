/* 02_train.c — from episodes to a policy in a file.
 *
 *     02_train [DATA.hdf5 [MODEL.dmc]]
 *
 * DATA.hdf5 is in the D4RL layout (docs/howto/real-data.md). Without it, episodes of a cart are
 * made up in memory.
 */
#include <libdmc/libdmc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { EPISODES = 60, LENGTH = 50, ROWS = EPISODES * LENGTH };

static void check(dmc_status status)
{
    if (status >= 0) return;
    fprintf(stderr, "%s\n", dmc_last_error());
    exit(1);
}

/* Episodes as flat arrays: row i is one moment, timeout[i] = 1 where an episode ends. Two habits
 * are mixed: from the same state the cart is pushed either gently or hard. A regression would
 * learn their mean, which nobody ever did; a diffusion model learns both. */
static dmc_dataset *make_episodes(void)
{
    static float obs[ROWS][2], act[ROWS][1], reward[ROWS];
    static uint8_t terminal[ROWS], timeout[ROWS];
    float x = 0, v = 0;
    dmc_dataset *data;
    for (int i = 0; i < ROWS; i++) {
        const int hard = i / LENGTH % 2;
        if (i % LENGTH == 0) {
            x = 2 * (float)rand() / (float)RAND_MAX - 1;
            v = 0;
        }
        obs[i][0] = x;
        obs[i][1] = v;
        act[i][0] = (hard ? -3.0f : -0.5f) * x - v;
        reward[i] = -x * x;
        timeout[i] = i % LENGTH == LENGTH - 1;
        v += 0.1f * act[i][0];
        x += 0.1f * v;
    }
    check(dmc_dataset_create(NULL, ROWS, 2, 1, obs[0], act[0], reward, terminal, timeout, NULL,
                             &data));
    return data;
}

static void set_options(dmc_model_options *model, dmc_train_options *train)
{
    /* Always: init fills every field with its default, then change what you need. */
    check(dmc_model_options_init(model, sizeof *model));
    check(dmc_train_options_init(train, sizeof *train));
    model->horizon = 4; /* actions per sample             */
    model->hidden = 64; /* width of the network           */
    model->blocks = 2;
    model->train_steps = 10; /* diffusion steps                */
    train->steps = 800;      /* updates                        */
    train->batch = 64;
    train->lr = 2e-3;
}

/* Train in slices and watch the loss on episodes that are not trained on. */
static double train(dmc_trainer *trainer, int32_t steps)
{
    dmc_train_metrics m = {.struct_size = sizeof m};
    double held_out = NAN;
    while (m.step < steps) {
        check(dmc_trainer_step(trainer, steps / 4, &m));
        check(dmc_trainer_evaluate(trainer, &held_out));
        printf("update %4d  loss %.4f  held-out loss %.4f  %.1f s\n", m.step, m.loss, held_out,
               m.seconds);
    }
    return held_out;
}

int main(int argc, char **argv)
{
    const char *path = argc > 2 ? argv[2] : "build/02_train.dmc";
    dmc_model_options mo;
    dmc_train_options to;
    dmc_dataset *data;
    dmc_dataset_info info = {.struct_size = sizeof info};
    dmc_model *untrained, *model, *again;
    dmc_trainer *trainer;
    double before;

    if (argc > 1)
        check(dmc_dataset_open(NULL, argv[1], NULL, &data));
    else
        data = make_episodes();
    check(dmc_dataset_get_info(data, &info));
    printf("%d episodes, %llu steps, observation %d, action %d\n", info.episodes,
           (unsigned long long)info.steps, info.obs_dim, info.act_dim);

    /* The model takes widths, normalisation and action limits from the data. */
    set_options(&mo, &to);
    check(dmc_model_create(NULL, data, &mo, &untrained));
    check(dmc_trainer_create(NULL, untrained, data, &to, &trainer));
    check(dmc_trainer_evaluate(trainer, &before));
    const double after = train(trainer, to.steps);

    /* A model with the averaged weights; the trainer could go on. */
    check(dmc_trainer_publish(trainer, &model));
    check(dmc_model_save(model, path));
    check(dmc_model_load(NULL, path, &again));
    printf("%s: %llu parameters, held-out loss %.4f -> %.4f\n", path,
           (unsigned long long)dmc_model_parameters(again), before, after);

    dmc_model_destroy(again);
    dmc_model_destroy(model);
    dmc_trainer_destroy(trainer);
    dmc_model_destroy(untrained);
    dmc_dataset_destroy(data);
    return after < before ? 0 : 1;
}
