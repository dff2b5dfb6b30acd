/* check_api_context.c — dmc_context: what the host supplies is used for everything, and nothing else is. */
#include "world_fixture.h"

Suite *dmc_suite_api_context(void);

static dmc_context_options options(void)
{
    dmc_context_options o;
    expect_ok(dmc_context_options_init(&o, sizeof o));
    return o;
}

#define expect_no_context(o, want, part)                             \
    do {                                                             \
        dmc_context *ctx_ = (dmc_context *)(uintptr_t)1;             \
        expect_failure(dmc_context_create((o), &ctx_), (want), (part)); \
        ck_assert_ptr_null(ctx_);                                    \
    } while (0)

START_TEST(defaults_are_plain)
{
    const dmc_context_options o = options();
    dmc_context *ctx;
    ck_assert_int_eq(o.threads, 1);
    ck_assert_int_eq(o.log_level, DMC_LOG_INFO);
    ck_assert_str_eq(o.device, "cpu");
    ck_assert(!o.alloc && !o.free && !o.log && !o.parallel_for);
    expect_ok(dmc_context_create(NULL, &ctx));
    ck_assert_int_eq(strncmp(dmc_context_device(ctx), "cpu ", 4), 0);
    dmc_context_destroy(ctx);
    ck_assert_str_eq(dmc_context_device(NULL), "");
    dmc_context_destroy(NULL);
    expect_failure(dmc_context_create(NULL, NULL), DMC_EINVAL, "out is NULL");
}
END_TEST

START_TEST(options_are_refused_by_name)
{
    dmc_context_options o = options();
    o.threads = 65;
    expect_no_context(&o, DMC_ERANGE, "threads = 65, must be 1..64");
    o.threads = 0;
    expect_no_context(&o, DMC_ERANGE, "threads = 0");
    o = options();
    o.log_level = 4;
    expect_no_context(&o, DMC_ERANGE, "log_level");
    o = options();
    o.reserved0 = 1;
    expect_no_context(&o, DMC_EINVAL, "reserved0 = 1");
    o = options();
    o.struct_size = 5;
    expect_no_context(&o, DMC_EINVAL, "struct_size = 5");
    expect_failure(dmc_context_options_init(NULL, sizeof o), DMC_EINVAL, "NULL");
    expect_failure(dmc_context_options_init(&o, 2), DMC_EINVAL, "2");
}
END_TEST

START_TEST(an_allocator_is_a_pair)
{
    dmc_context_options o = options();
    o.alloc = failing_alloc_take;
    expect_no_context(&o, DMC_EINVAL, "free is NULL");
    o.alloc = NULL;
    o.free = failing_alloc_give;
    expect_no_context(&o, DMC_EINVAL, "alloc is NULL");
}
END_TEST

START_TEST(devices_by_name)
{
    static const char *const names[] = {"cpu", "ref", "ref64"};
    dmc_context_options o = options();
    dmc_context *ctx;
    for (int i = 0; i < 3; i++) {
        o.device = names[i];
        expect_ok(dmc_context_create(&o, &ctx));
        ck_assert_int_eq(strncmp(dmc_context_device(ctx), names[i], strlen(names[i])), 0);
        ck_assert_int_eq(dmc_context_device(ctx)[strlen(names[i])], ' ');
        dmc_context_destroy(ctx);
    }
    o.device = "gpu";
    expect_no_context(&o, DMC_EKEY, "device = \"gpu\" is not known; known are cpu, ref, ref64");
    o.device = "cpu:x";
    expect_no_context(&o, DMC_EKEY, "cpu:x");
    o.device = "";
    expect_no_context(&o, DMC_EKEY, "device = \"\"");
}
END_TEST

START_TEST(creating_without_memory)
{
    failing_alloc f = {0};
    dmc_context_options o = options();
    o.threads = 2;
    o.alloc = failing_alloc_take;
    o.free = failing_alloc_give;
    o.alloc_user = &f;
    for (f.fail_at = 1;; f.fail_at++) {
        dmc_context *ctx = (dmc_context *)(uintptr_t)1;
        f.calls = 0;
        const dmc_status status = dmc_context_create(&o, &ctx);
        if (status >= 0) {
            dmc_context_destroy(ctx);
            ck_assert_int_eq(f.live, 0);
            ck_assert_int_gt(f.fail_at, 2);
            return;
        }
        ck_assert_int_eq(status, DMC_ENOMEM);
        ck_assert_ptr_null(ctx);
        ck_assert_int_eq(f.live, 0);
    }
}
END_TEST

/* ---- a whole life under one context ------------------------------------------------------------------ */

static int32_t pay(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    (void)user;
    (void)obs;
    (void)grad;
    for (size_t i = 0; i < n; i++) r[i] = z[i * 2 * WORLD_A];
    return 0;
}

static void fine_tune(dmc_context *ctx, const dmc_model *m, const dmc_dataset *d)
{
    dmc_align_options o;
    dmc_sft_options sft;
    dmc_aligner *a;
    dmc_align_options_init(&o, sizeof o);
    dmc_sft_options_init(&sft, sizeof sft);
    o.batch = 16;
    o.candidates = 4;
    o.eval_conditions = 4;
    o.eval_every = 10;
    o.lora_rank = 2;
    sft.updates = 4;
    sft.rounds = 2;
    sft.pool = 4;
    sft.conditions = 8;
    expect_ok(dmc_aligner_create(ctx, m, d, NULL, &o, &a));
    expect_ok(dmc_aligner_set_reward(a, pay, NULL, 0));
    expect_ok(dmc_align_sft(a, &sft, NULL));
    dmc_aligner_destroy(a);
}

/* Everything a program may do; returns the loss of training. */
static double live(dmc_context *ctx)
{
    dmc_model_options mo = world_policy();
    const dmc_sampler_options so = world_sampling(1, 2, DMC_SELECT_GREEDY);
    dmc_train_options to;
    mo.hidden = 64; /* and the batch: large enough to be shared between threads */
    dmc_train_metrics metrics = {.struct_size = sizeof metrics};
    dmc_trainer *t;
    dmc_sampler *s;
    dmc_model *m;
    float obs[WORLD_S], act[4];
    dmc_dataset *d = world_data(ctx);
    dmc_model *start = world_model(ctx, d, &mo);
    dmc_critic *c = world_critic(ctx, d, 3);
    dmc_train_options_init(&to, sizeof to);
    to.batch = 256;
    expect_ok(dmc_trainer_create(ctx, start, d, &to, &t));
    expect_ok(dmc_trainer_step(t, 3, &metrics));
    expect_ok(dmc_trainer_publish(t, &m));
    dmc_trainer_destroy(t);
    expect_ok(dmc_sampler_create(ctx, m, c, &so, &s));
    world_observe(0, obs);
    ck_assert_int_ge(dmc_sampler_sample(s, obs, WORLD_S, act, 4), 0);
    fine_tune(ctx, m, d);
    dmc_sampler_destroy(s);
    dmc_critic_destroy(c);
    dmc_model_destroy(m);
    dmc_model_destroy(start);
    dmc_dataset_destroy(d);
    return metrics.loss;
}

START_TEST(all_memory_is_given_back)
{
    failing_alloc f = {0};
    dmc_context *ctx = world_context(&f, "cpu");
    live(ctx);
    ck_assert_int_gt(f.calls, 100);
    dmc_context_destroy(ctx);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

typedef struct host_loop {
    int32_t calls;
    size_t tasks;
} host_loop;

static void run_backwards(void *user, void (*task)(void *arg, size_t i), void *arg, size_t n)
{
    host_loop *h = user;
    h->calls++;
    h->tasks += n;
    while (n-- > 0) task(arg, n);
}

/* Whoever runs the loop and in whatever order, the numbers are the same. */
START_TEST(the_hosts_loop_is_used)
{
    host_loop h = {0};
    dmc_context_options o = options();
    dmc_context *own, *host;
    expect_ok(dmc_context_create(NULL, &own));
    o.threads = 4;
    o.parallel_for = run_backwards;
    o.parallel_user = &h;
    expect_ok(dmc_context_create(&o, &host));
    ck_assert_double_eq(live(own), live(host));
    if (strcmp(dmc_context_device(host), "cpu generic") == 0) { /* plain C kernels share no work */
        ck_assert_int_eq(h.calls, 0);
    } else {
        ck_assert_int_gt(h.calls, 0);
        ck_assert_uint_gt(h.tasks, (size_t)h.calls);
    }
    dmc_context_destroy(host);
    dmc_context_destroy(own);
}
END_TEST

/* ---- the log ---------------------------------------------------------------------------------------- */

typedef struct log_book {
    int32_t lines, highest;
    char first[256];
} log_book;

static void write_down(void *user, int32_t level, const char *line)
{
    log_book *b = user;
    if (b->lines++ == 0) snprintf(b->first, sizeof b->first, "%s", line);
    if (level > b->highest) b->highest = level;
    ck_assert_msg(strlen(line) > 10 && !strchr(line, '\n'), "\"%s\" is not a whole line", line);
}

static log_book lines_at(int32_t level)
{
    log_book b = {0};
    dmc_context_options o = options();
    dmc_context *ctx;
    o.log = write_down;
    o.log_user = &b;
    o.log_level = level;
    expect_ok(dmc_context_create(&o, &ctx));
    live(ctx);
    dmc_context_destroy(ctx);
    return b;
}

START_TEST(the_log_gets_whole_lines_up_to_its_level)
{
    const log_book all = lines_at(DMC_LOG_DEBUG), some = lines_at(DMC_LOG_INFO);
    ck_assert_int_ge(all.lines, 2); /* one for each round of fine-tuning */
    ck_assert_int_eq(strncmp(all.first, "sft: ", 5), 0);
    ck_assert_int_eq(all.highest, DMC_LOG_DEBUG);
    ck_assert_int_lt(some.lines, all.lines);
    ck_assert_int_le(some.highest, DMC_LOG_INFO);
}
END_TEST

Suite *dmc_suite_api_context(void)
{
    Suite *s = suite_create("api_context");
    TCase *c = tcase_create("context");
    tcase_add_test(c, defaults_are_plain);
    tcase_add_test(c, options_are_refused_by_name);
    tcase_add_test(c, an_allocator_is_a_pair);
    tcase_add_test(c, devices_by_name);
    tcase_add_test(c, creating_without_memory);
    tcase_add_test(c, all_memory_is_given_back);
    tcase_add_test(c, the_hosts_loop_is_used);
    tcase_add_test(c, the_log_gets_whole_lines_up_to_its_level);
    suite_add_tcase(s, c);
    return s;
}
