/* check_sharing.c — two samplers on two threads share one model and one critic; run it under `make check-tsan` too. */
#include <pthread.h>

#include "align_fixture.h"

Suite *dmc_suite_sharing(void);

enum { CALLS = 50, CANDIDATES = 4 };

typedef struct worker {
    dmc_sampler *sampler;
    float action[CALLS];
    dmc_status worst;
} worker;

static void *sample(void *arg)
{
    worker *w = arg;
    for (int32_t i = 0; i < CALLS; i++) {
        const float obs = (float)i / CALLS;
        const dmc_status status = dmc_sampler_sample(w->sampler, &obs, 1, &w->action[i], 1);
        if (status < w->worst) w->worst = status;
    }
    return NULL;
}

START_TEST(two_samplers_one_model)
{
    bandit b;
    worker w[2] = {{0}};
    pthread_t thread[2];
    dmc_critic *critic;
    dmc_sampler_options o;
    const dmc_align_options align = bandit_options();
    bandit_open(&b, "cpu", 10, &align);
    ck_assert_int_eq(dmc_critic_create(b.ctx, b.data, NULL, &critic), DMC_OK);
    dmc_sampler_options_init(&o, sizeof o);
    o.candidates = CANDIDATES;
    o.select = DMC_SELECT_GREEDY;
    for (int32_t i = 0; i < 2; i++) ck_assert_int_eq(dmc_sampler_create(NULL, b.model, critic, &o, &w[i].sampler), DMC_OK);
    for (int32_t i = 0; i < 2; i++) ck_assert_int_eq(pthread_create(&thread[i], NULL, sample, &w[i]), 0);
    for (int32_t i = 0; i < 2; i++) ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
    for (int32_t i = 0; i < 2; i++) ck_assert_int_eq(w[i].worst, DMC_OK);
    ck_assert_mem_eq(w[0].action, w[1].action, sizeof w[0].action); /* equal seeds, equal bits */
    for (int32_t i = 0; i < 2; i++) dmc_sampler_destroy(w[i].sampler);
    dmc_critic_destroy(critic);
    bandit_close(&b);
}
END_TEST

Suite *dmc_suite_sharing(void)
{
    Suite *s = suite_create("sharing");
    TCase *t = tcase_create("threads");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, two_samplers_one_model);
    suite_add_tcase(s, t);
    return s;
}
