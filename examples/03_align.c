/* 03_align.c — a policy imitates, a critic judges, alignment moves the one to what the other likes.
 *
 * The episodes come from a mediocre driver of a cart. The critic learns from the same episodes
 * what pays off, and dmc_align_sequence runs the paper's methods one after another on a small
 * adapter (LoRA) beside the frozen policy.
 */
#include <libdmc/libdmc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EPISODES = 100, LENGTH = 40, ROWS = EPISODES * LENGTH, COPIES = 25, TRIALS = 100 };

static void check(dmc_status status)
{
    if (status >= 0) return;
    fprintf(stderr, "%s\n", dmc_last_error());
    exit(1);
}

/* ---- the cart, as the library wants a simulator: a reset and a step -------------------------- */

static float cart[COPIES][2]; /* position, velocity */

static int32_t reset(void *user, int32_t env, uint64_t seed, float *obs)
{
    (void)user;
    obs[0] = cart[env][0] = (float)(seed % 21) / 10 - 1; /* -1 .. 1 */
    obs[1] = cart[env][1] = 0;
    return 0;
}

static int32_t step(void *user, int32_t env, const float *act, float *obs, double *reward, int32_t *done)
{
    (void)user;
    *reward = -(double)(cart[env][0] * cart[env][0]);
    cart[env][1] += 0.1f * act[0];
    cart[env][0] += 0.1f * cart[env][1];
    memcpy(obs, cart[env], sizeof cart[env]);
    *done = 0; /* until max_steps */
    return 0;
}

/* Mean return of a policy over TRIALS episodes. */
static double drive(const dmc_model *model)
{
    const dmc_env env = {.struct_size = sizeof env, .obs_dim = 2, .act_dim = 1,
                         .max_steps = LENGTH, .count = COPIES, .reset = reset, .step = step};
    dmc_sampler_options o;
    dmc_sampler *sampler;
    double returns[TRIALS], sum = 0;
    check(dmc_sampler_options_init(&o, sizeof o));
    o.batch = COPIES; /* one call serves all copies */
    check(dmc_sampler_create(NULL, model, NULL, &o, &sampler));
    check(dmc_evaluate(sampler, &env, TRIALS, 1, 0, 0, returns));
    for (int i = 0; i < TRIALS; i++) sum += returns[i];
    dmc_sampler_destroy(sampler);
    return sum / TRIALS;
}

static dmc_dataset *record_mediocre_driver(void)
{
    static float obs[ROWS][2], act[ROWS][1], reward[ROWS];
    static uint8_t terminal[ROWS], timeout[ROWS];
    float now[2] = {0, 0};
    double r;
    int32_t done;
    dmc_dataset *data;
    for (int i = 0; i < ROWS; i++) {
        const float noise = 4 * (float)rand() / (float)RAND_MAX - 2;
        if (i % LENGTH == 0) reset(NULL, 0, (uint64_t)rand(), now);
        memcpy(obs[i], now, sizeof now);
        act[i][0] = -0.5f * now[0] - 0.5f * now[1] + noise;
        step(NULL, 0, act[i], now, &r, &done);
        reward[i] = (float)r;
        timeout[i] = i % LENGTH == LENGTH - 1;
    }
    check(dmc_dataset_create(NULL, ROWS, 2, 1, *obs, *act, reward, terminal, timeout, NULL, &data));
    return data;
}

static dmc_model *imitate(const dmc_dataset *data)
{
    dmc_model_options mo;
    dmc_train_options to;
    dmc_model *untrained, *model;
    dmc_trainer *trainer;
    check(dmc_model_options_init(&mo, sizeof mo));
    check(dmc_train_options_init(&to, sizeof to));
    mo.hidden = 64;
    mo.train_steps = 10;
    to.steps = 600;
    to.batch = 64;
    check(dmc_model_create(NULL, data, &mo, &untrained));
    check(dmc_trainer_create(NULL, untrained, data, &to, &trainer));
    check(dmc_trainer_step(trainer, to.steps, NULL));
    check(dmc_trainer_publish(trainer, &model));
    dmc_trainer_destroy(trainer);
    dmc_model_destroy(untrained);
    return model;
}

static dmc_critic *judge(const dmc_dataset *data)
{
    dmc_critic_options o;
    dmc_critic *critic;
    check(dmc_critic_options_init(&o, sizeof o));
    o.hidden = 64;
    o.lr = 1e-3;
    check(dmc_critic_create(NULL, data, &o, &critic));
    check(dmc_critic_step(critic, 2000, NULL));
    return critic;
}

int main(void)
{
    dmc_dataset *data = record_mediocre_driver();
    dmc_model *policy = imitate(data), *aligned;
    dmc_critic *critic = judge(data);
    dmc_align_options o;
    dmc_rl_options rl;
    dmc_dpo_options dpo;
    dmc_sequence_options sequence;
    dmc_align_report report = {.struct_size = sizeof report};
    dmc_aligner *aligner;

    check(dmc_align_options_init(&o, sizeof o));
    check(dmc_rl_options_init(&rl, sizeof rl));
    check(dmc_dpo_options_init(&dpo, sizeof dpo));
    check(dmc_sequence_options_init(&sequence, sizeof sequence));
    o.batch = 64;
    rl.updates = dpo.updates = 100;
    sequence.passes = 1; /* in earnest: 2 passes of "rl,dpo,sft", the default, and more updates */
    sequence.order = "rl,dpo";
    check(dmc_aligner_create(NULL, policy, data, critic, &o, &aligner));
    check(dmc_align_sequence(aligner, &sequence, &rl, &dpo, NULL, NULL, &report));
    check(dmc_aligner_publish(aligner, &aligned)); /* the adapter, merged */

    const double before = drive(policy), after = drive(aligned);
    printf("critic's score %.3f -> %.3f\n", report.before, report.after);
    printf("return over %d episodes %.2f -> %.2f\n", TRIALS, before, after);
    dmc_model_destroy(aligned);
    dmc_aligner_destroy(aligner);
    dmc_critic_destroy(critic);
    dmc_model_destroy(policy);
    dmc_dataset_destroy(data);
    return after > before ? 0 : 1;
}
