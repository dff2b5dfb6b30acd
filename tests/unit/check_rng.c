#include "../../kernels/kernels.h"
#include "../../lib/base/rng.h"

#include <check.h>
#include <math.h>
#include <stdint.h>

/* Known answers of Random123's kat_vectors for philox4x32-10, spelled as streams. */
START_TEST(known_answers)
{
    static const struct {
        dmc__stream stream;
        uint32_t index, answer[4];
    } kat[] = {
        {{0, 0, 0, 0}, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{UINT64_MAX, 0xffff, 0xffffffffff, 0xffffffffff},
         UINT32_MAX,
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x299f31d0a4093822, 0x0370, 0x7313198a2e, 0x4485a308d3},
         0x243f6a88,
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int k = 0; k < 3; k++) {
        uint32_t w[4];
        dmc__rng_block(&kat[k].stream, kat[k].index, w);
        for (int i = 0; i < 4; i++) ck_assert_msg(w[i] == kat[k].answer[i], "vector %d word %d: %08x", k, i, w[i]);
    }
}
END_TEST

START_TEST(uniform_has_53_bits_and_flat_moments)
{
    const dmc__stream s = {1, DMC_STREAM_TIME, 2, 3};
    enum { N = 100000 };
    double sum = 0, squares = 0;
    int fine = 0; /* numbers that a 32-bit uniform could not be */
    for (uint32_t i = 0; i < N; i++) {
        const double u = dmc__rng_uniform(&s, i);
        ck_assert(u >= 0 && u < 1);
        fine += u * 0x1p32 != floor(u * 0x1p32);
        sum += u;
        squares += u * u;
    }
    ck_assert(fabs(sum / N - 0.5) < 4 * sqrt(1.0 / 12 / N));
    ck_assert(fabs(squares / N - 1.0 / 3) < 4 * sqrt(4.0 / 45 / N));
    ck_assert_int_gt(fine, N / 2);
}
END_TEST

START_TEST(below_is_even_and_below)
{
    const dmc__stream s = {7, DMC_STREAM_BATCH, 0, 0};
    enum { N = 70000, SIDES = 7 };
    int count[SIDES] = {0};
    for (uint32_t i = 0; i < N; i++) {
        const uint64_t x = dmc__rng_below(&s, i, SIDES);
        ck_assert_uint_lt(x, SIDES);
        count[x]++;
    }
    double chi2 = 0;
    for (int k = 0; k < SIDES; k++) chi2 += (count[k] - N / SIDES) * (count[k] - N / SIDES) / (double)(N / SIDES);
    ck_assert_msg(chi2 < 22.5, "chi2 = %g", chi2); /* 99.9 % of chi2 with 6 degrees of freedom */
    ck_assert_uint_eq(dmc__rng_below(&s, 5, 1), 0);
    /* the high bits count: half the range is the number shifted by one */
    uint32_t w[4];
    dmc__rng_block(&s, 5, w);
    ck_assert_uint_eq(dmc__rng_below(&s, 5, UINT64_C(1) << 63), ((uint64_t)w[0] << 32 | w[1]) >> 1);
}
END_TEST

START_TEST(normal_moments)
{
    const dmc__stream s = {11, DMC_STREAM_NOISE, 5, 1};
    enum { N = 200000 };
    double m[5] = {0}, neighbours[3] = {0}, before[3] = {0};
    for (uint32_t i = 0; i < N; i++) {
        const double x = dmc__rng_normal(&s, i);
        for (int p = 1; p <= 4; p++) m[p] += pow(x, p) / N;
        for (int lag = 0; lag < 3; lag++) neighbours[lag] += x * before[lag] / N;
        before[2] = before[1];
        before[1] = before[0];
        before[0] = x;
    }
    /* four standard errors of each moment of N normals: variances 1, 2, 15, 96 */
    ck_assert_msg(fabs(m[1]) < 4 * sqrt(1.0 / N), "mean %g", m[1]);
    ck_assert_msg(fabs(m[2] - 1) < 4 * sqrt(2.0 / N), "variance %g", m[2]);
    ck_assert_msg(fabs(m[3]) < 4 * sqrt(15.0 / N), "skew %g", m[3]);
    ck_assert_msg(fabs(m[4] - 3) < 4 * sqrt(96.0 / N), "kurtosis %g", m[4]);
    for (int lag = 0; lag < 3; lag++) ck_assert_msg(fabs(neighbours[lag]) < 4 * sqrt(1.0 / N), "lag %d", lag + 1);
}
END_TEST

/* Changing any part of a stream, in its low and its high bits, changes the numbers. */
START_TEST(streams_differ)
{
    const dmc__stream base = {0x100000001, 4, 0x1000000001, 0x1000000001};
    const dmc__stream other[] = {
        {0x100000002, 4, 0x1000000001, 0x1000000001}, {0x200000001, 4, 0x1000000001, 0x1000000001},
        {0x100000001, 5, 0x1000000001, 0x1000000001}, {0x100000001, 4, 0x1000000002, 0x1000000001},
        {0x100000001, 4, 0x2000000001, 0x1000000001}, {0x100000001, 4, 0x1000000001, 0x1000000002},
        {0x100000001, 4, 0x1000000001, 0x2000000001},
    };
    const double same = dmc__rng_uniform(&base, 9);
    ck_assert(same == dmc__rng_uniform(&base, 9));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        ck_assert_msg(same != dmc__rng_uniform(&other[i], 9), "stream %zu", i);
}
END_TEST

/* The NORMAL kernel of the reference draws the same numbers. */
START_TEST(kernel_draws_the_same)
{
    enum { B = 3, N = 7 };
    dmc_kernel_table table;
    double z[B * N];
    dmc_kargs k = {.out = z, .dim = {B, N}, .key = {0xabcdef0123456789, DMC_STREAM_LATENT, 0x1200000034, 0x5600000078}};
    dmc__kernels_ref_f64(&table);
    ck_assert_int_eq(table.op[DMC_OP_NORMAL].fwd(&k), 0);
    for (int b = 0; b < B; b++)
        for (int n = 0; n < N; n++) {
            const dmc__stream s = {k.key[0], (uint32_t)k.key[1], k.key[2], k.key[3] + (uint64_t)b};
            const double want = dmc__rng_normal(&s, (uint32_t)n);
            ck_assert_msg(fabs(z[b * N + n] - want) <= 1e-15 * fabs(want), "sample %d element %d: %.17g, want %.17g", b, n,
                          z[b * N + n], want);
        }
}
END_TEST

Suite *dmc_suite_rng(void);
Suite *dmc_suite_rng(void)
{
    Suite *s = suite_create("rng");
    TCase *t = tcase_create("rng");
    tcase_add_test(t, known_answers);
    tcase_add_test(t, uniform_has_53_bits_and_flat_moments);
    tcase_add_test(t, below_is_even_and_below);
    tcase_add_test(t, normal_moments);
    tcase_add_test(t, streams_differ);
    tcase_add_test(t, kernel_draws_the_same);
    suite_add_tcase(s, t);
    return s;
}
