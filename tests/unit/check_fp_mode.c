/* check_fp_mode.c — the mode of answers, on the calling thread and on workers, and the host's afterwards. */
#include "../../lib/base/fp_mode.h"
#include "../../lib/base/pool.h"

#include <check.h>
#include <fenv.h>
#include <string.h>

#if defined(__SSE__) || defined(__aarch64__)
enum { KNOWN = 1 };
#else
enum { KNOWN = 0 };
#endif

/* volatile: computed here and now. */
static float half_of(float x)
{
    volatile float a = x, b = 0.5f;
    return a * b;
}

/* 1 + 2^-30, which is 1 to the nearest. */
static float just_above_one(void)
{
    volatile float one = 1, little = 0x1p-30f;
    return one + little;
}

START_TEST(the_host_gets_its_mode_back)
{
    static const int rounding[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
    fesetround(rounding[_i]);
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept(FE_OVERFLOW);
    const dmc__fp_mode before = dmc__fp_get(), was = dmc__fp_enter();
    const float tiny = half_of(1e-38f), sum = just_above_one();
    dmc__fp_set(was);
    const dmc__fp_mode after = dmc__fp_get();
    ck_assert_mem_eq(&before, &after, sizeof before);
    ck_assert_int_eq(fegetround(), rounding[_i]);
    ck_assert_int_eq(fetestexcept(FE_ALL_EXCEPT), FE_OVERFLOW);
    fesetround(FE_TONEAREST);
    if (!KNOWN) return;
    ck_assert_float_eq(tiny, 0);
    ck_assert_float_eq(sum, 1);
    ck_assert_float_gt(half_of(1e-38f), 0);
}
END_TEST

enum { TASKS = 400 };

static void note_mode(void *arg, size_t i)
{
    dmc__fp_mode *modes = arg;
    for (int k = 0; k < 300; k++) just_above_one(); /* long enough for all workers to take part */
    modes[i] = dmc__fp_get();
}

static void run_plainly(void *user, dmc__task task, void *arg, size_t n)
{
    (void)user;
    const dmc__fp_mode was = dmc__fp_get(); /* as if on a thread of its own */
    fesetround(FE_DOWNWARD);
    for (size_t i = 0; i < n; i++) task(arg, i);
    ck_assert_int_eq(fegetround(), FE_DOWNWARD);
    dmc__fp_set(was);
}

/* Workers, and a host's threads, compute in the mode of whoever asks. */
START_TEST(tasks_run_in_the_mode_of_the_caller)
{
    static dmc__fp_mode modes[TASKS];
    dmc__pool *p;
    ck_assert_int_eq(dmc__pool_create(&dmc__default_allocator, 3, _i ? run_plainly : NULL, NULL, &p), DMC_OK);
    for (int round = 0; round < 3; round++) {
        const dmc__fp_mode host = dmc__fp_get();
        if (round == 1) dmc__fp_enter();
        const uint64_t want = dmc__fp_get().control & ~UINT64_C(0x3f); /* without MXCSR's flags */
        dmc__pool_run(p, note_mode, modes, TASKS);
        dmc__fp_set(host);
        ck_assert_int_eq(KNOWN && round == 1, want != (host.control & ~UINT64_C(0x3f)));
        for (int i = 0; i < TASKS; i++) ck_assert_uint_eq(modes[i].control & ~UINT64_C(0x3f), want);
    }
    dmc__pool_destroy(p);
}
END_TEST

Suite *dmc_suite_fp_mode(void);

Suite *dmc_suite_fp_mode(void)
{
    Suite *s = suite_create("fp_mode");
    TCase *t = tcase_create("fp_mode");
    tcase_add_loop_test(t, the_host_gets_its_mode_back, 0, 4);
    tcase_add_loop_test(t, tasks_run_in_the_mode_of_the_caller, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
