/* ops_random.c — NORMAL against a second Philox written from the paper, its moments, and
 * independence of the batch. */
#include "ops_check.h"

#include "../../lib/base/rng.h"

#include <math.h>
#include <string.h>

/* Philox4x32-10 (Salmon et al., SC'11): ten rounds; the key grows by the golden ratio and by
 * sqrt(3) - 1. */
static void philox(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    for (int round = 0; round < 10; round++, k0 += 0x9e3779b9, k1 += 0xbb67ae85) {
        const uint64_t a = (uint64_t)0xd2511f53 * c[0], b = (uint64_t)0xcd9e8d57 * c[2];
        const uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k0, (uint32_t)b,
                                  (uint32_t)(a >> 32) ^ c[3] ^ k1, (uint32_t)a};
        memcpy(c, next, sizeof next);
    }
}

/* The published known answers of Random123. */
START_TEST(second_philox_is_right)
{
    uint32_t zero[4] = {0}, pi[4] = {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344};
    const uint32_t want_zero[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    const uint32_t want_pi[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    philox(zero, 0, 0);
    philox(pi, 0xa4093822, 0x299f31d0);
    ck_assert_mem_eq(zero, want_zero, sizeof zero);
    ck_assert_mem_eq(pi, want_pi, sizeof pi);
}
END_TEST

enum { B = 3, N = 11 };
static const uint64_t key[4] = {0x0123456789abcdef, DMC_STREAM_STEP, 0x1200000034, 0x5600000078};

static void draw_on(const dmc_kernel_table *table, uint64_t first, int32_t batch, int32_t n,
                    void *out)
{
    dmc_kargs k = {.out = out, .dim = {batch, n}};
    memcpy(k.key, key, sizeof key);
    k.key[3] = first;
    ck_assert_int_eq(table->op[DMC_OP_NORMAL].fwd(&k), 0);
}

static void draw(uint64_t first, int32_t batch, int32_t n, double *out)
{
    draw_on(&op_table.f64, first, batch, n, out);
}

START_TEST(normal_is_box_muller_of_philox)
{
    double got[B * N];
    draw(key[3], B, N, got);
    for (uint32_t b = 0; b < B; b++)
        for (uint32_t n = 0; n < N; n++) {
            uint32_t w[4] = {n / 4, 0x00000078 + b, 0x00000034,
                             DMC_STREAM_STEP << 16 | 0x12 << 8 | 0x56};
            philox(w, 0x89abcdef, 0x01234567);
            const uint32_t *const pair = w + n % 4 / 2 * 2;
            const double u1 = (pair[0] + 1.0) / 4294967296.0;
            const double angle = 2 * acos(-1) * (pair[1] / 4294967296.0);
            const double want = sqrt(-2 * log(u1)) * (n % 2 ? sin(angle) : cos(angle));
            ck_assert_double_eq_tol(got[b * N + n], want, 1e-14);
        }
}
END_TEST

START_TEST(normal_is_what_host_code_draws)
{
    double got[B * N];
    draw(key[3], B, N, got);
    for (uint32_t i = 0; i < B * N; i++) {
        const dmc__stream s = {key[0], (uint32_t)key[1], key[2], key[3] + i / N};
        ck_assert_double_eq_tol(got[i], dmc__rng_normal(&s, i % N), 1e-14);
    }
}
END_TEST

/* Sample by sample, or in longer samples, gives the same bits. */
START_TEST(normal_does_not_depend_on_the_split)
{
    const dmc_kernel_table *const table = _i == 0   ? &op_table.f64
                                          : _i == 1 ? &op_table.f32
                                                    : &op_table.cpu[_i - 2];
    const size_t elem = _i == 0 ? sizeof(double) : sizeof(float);
    double whole[B * N], part[5 * N]; /* room for either type */
    draw_on(table, key[3], B, N, whole);
    for (uint64_t b = 0; b < B; b++)
        for (int32_t n = N; n <= 5 * N; n += 2 * N) {
            draw_on(table, key[3] + b, 1, n, part);
            ck_assert_mem_eq(part, (const char *)whole + b * N * elem, N * elem);
        }
}
END_TEST

START_TEST(normal_in_float_is_the_rounded_double)
{
    double wide[B * N];
    float narrow[B * N];
    draw(key[3], B, N, wide);
    draw_on(&op_table.f32, key[3], B, N, narrow);
    for (int i = 0; i < B * N; i++) ck_assert(narrow[i] == (float)wide[i]);
}
END_TEST

/* Four standard errors of the moments of n normals (variances 1, 2, 15, 96) and of the correlation
 * of neighbours. */
START_TEST(normal_moments)
{
    enum { SAMPLES = 500, EACH = 402, ALL = SAMPLES * EACH };
    static double x[ALL];
    double m[5] = {0}, neighbours = 0;
    draw(0, SAMPLES, EACH, x);
    for (int i = 0; i < ALL; i++) {
        for (int p = 1; p <= 4; p++) m[p] += pow(x[i], p) / ALL;
        neighbours += x[i] * x[(i + 1) % ALL] / ALL;
    }
    ck_assert_double_eq_tol(m[1], 0, 4 * sqrt(1.0 / ALL));
    ck_assert_double_eq_tol(m[2], 1, 4 * sqrt(2.0 / ALL));
    ck_assert_double_eq_tol(m[3], 0, 4 * sqrt(15.0 / ALL));
    ck_assert_double_eq_tol(m[4], 3, 4 * sqrt(96.0 / ALL));
    ck_assert_double_eq_tol(neighbours, 0, 4 * sqrt(1.0 / ALL));
}
END_TEST

START_TEST(fill_fills)
{
    double out[] = {1, 2, 3, 4};
    const double want[] = {-0.25, -0.25, -0.25, 4};
    op_call(DMC_OP_FILL, &(dmc_kargs){.out = out, .dim = {3}, .attr = {-0.25}});
    op_expect_numbers("out", out, want, 4, 0);
}
END_TEST

/* Dropped are the elements whose word of the second Philox is below 2^32 p, on every table, in any split of the batch;
 * backward drops the same. */
START_TEST(dropout_follows_the_words)
{
    float x[B * N], y[B * N], dx[B * N];
    const double p = 0.3;
    for (int i = 0; i < B * N; i++) x[i] = (float)(i + 1);
    for (uint64_t b = 0; b < B; b++) {
        dmc_kargs k = {.in = {x}, .out = y + b * N, .dout = x, .din = {dx + b * N}, .dim = {1, N}, .attr = {p}};
        const dmc_op_impl *const op = &(_i ? &op_table.cpu[_i - 1] : &op_table.f32)->op[DMC_OP_DROPOUT];
        memcpy(k.key, key, sizeof key);
        k.key[3] += b;
        ck_assert_int_eq(op->fwd(&k), 0);
        ck_assert_int_eq(op->bwd(&k), 0);
    }
    for (uint32_t i = 0; i < B * N; i++) {
        uint32_t w[4] = {i % N / 4, 0x78 + i / N, 0x34, DMC_STREAM_STEP << 16 | 0x12 << 8 | 0x56};
        philox(w, 0x89abcdef, 0x01234567);
        const double want = w[i % N % 4] < p * 0x1p32 ? 0 : x[i % N] / (1 - p);
        ck_assert_double_eq_tol(y[i], want, 1e-5);
        ck_assert(dx[i] == y[i]);
    }
}
END_TEST

START_TEST(dropout_drops_its_share)
{
    enum { MANY = 1 << 16 };
    static double x[MANY], y[MANY];
    int dropped = 0;
    for (int i = 0; i < MANY; i++) x[i] = 1;
    dmc_kargs k = {.in = {x}, .out = y, .dim = {1, MANY}, .attr = {0.2}};
    memcpy(k.key, key, sizeof key);
    ck_assert_int_eq(op_table.f64.op[DMC_OP_DROPOUT].fwd(&k), 0);
    for (int i = 0; i < MANY; i++) dropped += y[i] == 0;
    ck_assert_double_eq_tol((double)dropped / MANY, 0.2, 4 * sqrt(0.16 / MANY));
}
END_TEST

Suite *dmc_suite_ops_random(void)
{
    Suite *s = suite_create("ops_random");
    TCase *t = tcase_create("ops_random");
    tcase_add_test(t, second_philox_is_right);
    tcase_add_test(t, normal_is_box_muller_of_philox);
    tcase_add_test(t, normal_is_what_host_code_draws);
    tcase_add_loop_test(t, normal_does_not_depend_on_the_split, 0, 2 + op_table.cpu_count);
    tcase_add_test(t, normal_in_float_is_the_rounded_double);
    tcase_add_test(t, normal_moments);
    tcase_add_loop_test(t, dropout_follows_the_words, 0, 1 + op_table.cpu_count);
    tcase_add_test(t, dropout_drops_its_share);
    tcase_add_test(t, fill_fills);
    suite_add_tcase(s, t);
    return s;
}
