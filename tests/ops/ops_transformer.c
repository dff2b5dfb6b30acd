/* ops_transformer.c — attention and what stands around it, at numbers that can be worked out by hand; which words of
 * the random stream drop which share; and that a sample does not know its batch. */
#include "ops_check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EXACT 1e-15

/* ---- attention by hand --------------------------------------------------------------------------- */

static void attend(const void *in0, const void *in1, double *y, int32_t Tq, int32_t Tk, int32_t H, int32_t d, int32_t causal,
                   int32_t shift)
{
    double save[64], scratch[64];
    op_call(DMC_OP_ATTENTION, &(dmc_kargs){.in = {in0, in1}, .out = y, .save = save, .scratch = scratch,
                                           .dim = {1, Tq, Tk, H, d}, .attr = {0, causal, shift}});
}

/* Shares of keys with scores 0 and ln 3 are 1/4 and 3/4; the score is q k / sqrt d, here 2 ln 3 / 2. */
START_TEST(attention_weighs_by_the_softmax_of_scaled_products)
{
    const double q[] = {2, 0, 0, 0}, kv[] = {0, 0, 0, 0, 8, 1, 0, 0, log(3), 0, 0, 0, 4, 0, 0, -1};
    const double want[] = {5, 0.25, 0, -0.75};
    double y[4];
    attend(q, kv, y, 1, 2, 1, 4, 0, 0);
    op_expect_numbers("y", y, want, 4, EXACT);
}
END_TEST

/* A row is q0 q1 | k0 k1 | v0 v1 of heads 0 and 1: head 0 takes the mean, head 1 weighs 1 : 3. */
START_TEST(attention_of_packed_columns)
{
    const double qkv[] = {0, 1, 5, 0, 10, 8, 0, 1, 7, log(3), 20, 4};
    const double want[] = {15, 5, 15, 5}, want_causal[] = {10, 8, 15, 5};
    double y[4];
    attend(qkv, NULL, y, 2, 2, 2, 1, 0, 0);
    op_expect_numbers("y", y, want, 4, EXACT);
    attend(qkv, NULL, y, 2, 2, 2, 1, 1, 0);
    op_expect_numbers("causal", y, want_causal, 4, EXACT);
}
END_TEST

/* Equal scores: a query takes the mean of what it sees, keys 0 .. t + shift. */
START_TEST(attention_mask_moves_by_its_shift)
{
    const double q[4] = {0}, kv[] = {1, 1, 2, 2, 3, 6, 4, 12};
    const double want0[] = {1, 1.5, 3, 5.25}, want1[] = {1.5, 3, 5.25, 5.25}, want_cut[] = {1, 1.5, 3, 3};
    double y[4];
    attend(q, kv, y, 4, 4, 1, 1, 1, 0);
    op_expect_numbers("shift 0", y, want0, 4, EXACT);
    attend(q, kv, y, 4, 4, 1, 1, 1, 1);
    op_expect_numbers("shift 1", y, want1, 4, EXACT);
    attend(q, kv, y, 4, 3, 1, 1, 1, 0);
    op_expect_numbers("three keys", y, want_cut, 4, EXACT);
}
END_TEST

/* Scores of +-10^6, whose exponentials would overflow or all be 0; every table. */
START_TEST(attention_does_not_overflow)
{
    const float q[] = {1000, -1000}, kv[] = {1000, 1, 999, 2};
    for (int i = 0; i < op_table.cpu_count; i++) {
        float y[2], save[4];
        double scratch[2];
        const dmc_kargs k = {.in = {q, kv}, .out = y, .save = save, .scratch = scratch, .dim = {1, 2, 2, 1, 1}};
        ck_assert_int_eq(op_table.cpu[i].op[DMC_OP_ATTENTION].fwd(&k), 0);
        ck_assert_msg(y[0] == 1 && y[1] == 2, "%s: %g %g, want 1 2", op_table.isa[i], (double)y[0], (double)y[1]);
    }
}
END_TEST

/* ---- dropout of shares --------------------------------------------------------------------------- */

enum { B = 2, T = 5, S = 70, HEADS = 2, PADDED = 72, WORDS = HEADS * T * PADDED };
static const uint64_t key[4] = {0x0123456789abcdef, DMC_STREAM_DROPOUT, 0x1200000034, 0x5600000078};
static const double drop = 0.3;

/* The float tables there are, the reference first. */
static const dmc_kernel_table *float_table(int i)
{
    return i == 0 ? &op_table.f32 : &op_table.cpu[i - 1];
}

static float *new_floats(size_t n)
{
    float *const x = calloc(n, sizeof *x);
    ck_assert_msg(x != NULL, "the test is out of memory");
    return x;
}

/* Queries are 0 and values one-hot, so that y[b,t,h,s] = m_ts / S. */
static float *show_shares(const dmc_kernel_table *table, int32_t batch, uint64_t first)
{
    float *const q = new_floats(B * T * HEADS * S), *const kv = new_floats(B * S * 2 * HEADS * S);
    float *const y = new_floats(B * T * HEADS * S), save[2 * B * HEADS * T];
    double scratch[S];
    for (size_t r = 0; r < B * S; r++)
        for (size_t h = 0; h < HEADS; h++) kv[r * 2 * HEADS * S + HEADS * S + h * S + r % S] = 1;
    dmc_kargs k = {.in = {q, kv}, .out = y, .save = save, .scratch = scratch, .dim = {batch, T, S, HEADS, S}, .attr = {drop}};
    memcpy(k.key, key, sizeof key);
    k.key[3] = first;
    ck_assert_int_eq(table->op[DMC_OP_ATTENTION].fwd(&k), 0);
    free(q);
    free(kv);
    return y;
}

/* Word (h T + t) PADDED + s of a sample, as the operation DROPOUT reads it. */
START_TEST(attention_drops_what_dropout_drops)
{
    static double ones[B * WORDS], kept[B * WORDS];
    for (size_t i = 0; i < B * WORDS; i++) ones[i] = 1;
    dmc_kargs k = {.in = {ones}, .out = kept, .dim = {B, WORDS}, .attr = {drop}};
    memcpy(k.key, key, sizeof key);
    op_call(DMC_OP_DROPOUT, &k);
    float *const y = show_shares(float_table(_i), B, key[3]);
    for (size_t i = 0; i < B * T * HEADS * S; i++) {
        const size_t b = i / S / HEADS / T, t = i / S / HEADS % T, h = i / S % HEADS, s = i % S;
        ck_assert_double_eq_tol((double)y[i], kept[b * WORDS + (h * T + t) * PADDED + s] / S, 1e-7);
    }
    free(y);
}
END_TEST

START_TEST(attention_drops_by_the_number_of_the_sample)
{
    float *const both = show_shares(float_table(_i), 2, key[3]), *const second = show_shares(float_table(_i), 1, key[3] + 1);
    ck_assert_mem_eq(second, both + T * HEADS * S, T * HEADS * S * sizeof *both);
    free(both);
    free(second);
}
END_TEST

/* ---- modulation ---------------------------------------------------------------------------------- */

/* m = {-, scale, scale, shift, shift}; xhat = -+1 / sqrt 1.5 */
START_TEST(adaln_scales_and_shifts_a_norm)
{
    const double x[] = {1, 3}, m[] = {9, 1, -0.5, 10, 20}, dy[] = {3, 5}, u = 1 / sqrt(1.5);
    const double want[] = {10 - 2 * u, 20 + 0.5 * u}, want_dm[] = {0, -3 * u, 5 * u, 3, 5};
    const double want_sum[] = {-7, -7 - 3 * u, -7 + 5 * u, -4, -2};
    double y[2], save[2], dm[] = {NAN, NAN, NAN, NAN, NAN};
    dmc_kargs k = {.in = {x, m}, .out = y, .save = save, .dout = dy, .din = {NULL, dm}, .dim = {1, 1, 2, 5, 3, 1},
                   .attr = {0.5}};
    op_call(DMC_OP_ADALN, &k);
    op_expect_numbers("y", y, want, 2, EXACT);
    op_call_backward(DMC_OP_ADALN, &k);
    op_expect_numbers("dm", dm, want_dm, 5, EXACT);
    for (int i = 0; i < 5; i++) dm[i] = -7;
    k.acc = 2;
    op_call_backward(DMC_OP_ADALN, &k);
    op_expect_numbers("dm added to", dm, want_sum, 5, EXACT);
}
END_TEST

START_TEST(gate_weighs_what_is_added)
{
    const double x[] = {1, 2, 3, 4}, h[] = {10, 20, 30, 40}, m[] = {5, 0.5, -1}, dy[] = {1, 2, 3, 4};
    const double want[] = {6, -18, 18, -36}, want_dh[] = {0.5, -2, 1.5, -4}, want_dm[] = {0, 100, 200};
    double y[4], dx[4], dh[4], dm[] = {NAN, NAN, NAN};
    const dmc_kargs k = {.in = {x, h, m}, .out = y, .dout = dy, .din = {dx, dh, dm}, .dim = {1, 2, 2, 3, 1}};
    op_call(DMC_OP_GATE, &k);
    op_expect_numbers("y", y, want, 4, 0);
    op_call_backward(DMC_OP_GATE, &k);
    op_expect_numbers("dx", dx, dy, 4, 0);
    op_expect_numbers("dh", dh, want_dh, 4, 0);
    op_expect_numbers("dm", dm, want_dm, 3, 0);
}
END_TEST

START_TEST(tables_and_means_of_rows)
{
    const double x[] = {1, 2, 3, 4, 5, 6, 7, 8}, P[] = {10, 20, 30, 40};
    const double sum[] = {11, 22, 33, 44, 15, 26, 37, 48}, mean[] = {2, 3, 6, 7};
    const double turns[] = {0, 0, 1, 1, sin(1), sin(1e-4), cos(1), cos(1e-4)};
    double y[8];
    op_call(DMC_OP_ADD_TABLE, &(dmc_kargs){.in = {x}, .par = {P}, .out = y, .dim = {2, 2, 2}});
    op_expect_numbers("with a table", y, sum, 8, 0);
    op_call(DMC_OP_MEAN_ROWS, &(dmc_kargs){.in = {x}, .out = y, .dim = {2, 2, 2}});
    op_expect_numbers("mean", y, mean, 4, 0);
    op_call(DMC_OP_POSITIONS, &(dmc_kargs){.out = y, .dim = {1, 2, 4}});
    op_expect_numbers("positions", y, turns, 8, EXACT);
    const double cast[] = {0, 0, 1, 1, sin(1), 0, cos(1), 1};
    op_call(DMC_OP_POSITIONS, &(dmc_kargs){.out = y, .dim = {1, 2, 4, 1}});
    op_expect_numbers("with frequencies 1 0", y, cast, 8, EXACT);
}
END_TEST

/* ---- a sample does not know its batch ------------------------------------------------------------ */

enum { SAMPLES = 3, ROOM = 4096 };

/* in[i] of every sample has per[i] elements, out and the gradients likewise. */
typedef struct one_op {
    enum dmc_op op;
    int32_t dim[DMC_KDIM];
    size_t per[DMC_KIN], out;
} one_op;

static const one_op batched[] = {
    {DMC_OP_ATTENTION, {1, 13, 13, 2, 33}, {13 * 198}, 13 * 66},
    {DMC_OP_ATTENTION, {1, 7, 5, 2, 33}, {7 * 66, 5 * 132}, 7 * 66},
    {DMC_OP_ADALN, {1, 13, 33, 70, 1, 35}, {13 * 33, 70}, 13 * 33},
    {DMC_OP_GATE, {1, 13, 33, 70, 30}, {13 * 33, 13 * 33, 70}, 13 * 33},
};

static float shared[DMC_KIN + 1][SAMPLES * ROOM];

static void run_samples(const dmc_op_impl *op, const one_op *o, size_t first, int32_t n, float *y, float *dx[DMC_KIN])
{
    static float save[SAMPLES * ROOM];
    static double scratch[ROOM];
    dmc_kargs k = {.out = y, .save = save, .scratch = scratch, .dout = shared[DMC_KIN] + first * o->out, .attr = {1e-5}};
    if (o->op == DMC_OP_ATTENTION) k.attr[0] = 0;
    memcpy(k.dim, o->dim, sizeof k.dim);
    k.dim[0] = n;
    for (int i = 0; i < DMC_KIN; i++) {
        if (o->per[i] == 0) continue;
        k.in[i] = shared[i] + first * o->per[i];
        k.din[i] = dx[i];
    }
    ck_assert_int_eq(op->fwd(&k), 0);
    ck_assert_int_eq(op->bwd(&k), 0);
}

START_TEST(samples_do_not_know_their_batch)
{
    static float y[2][SAMPLES * ROOM], dx[2][DMC_KIN][SAMPLES * ROOM];
    float *whole[DMC_KIN] = {dx[0][0], dx[0][1], dx[0][2]}, *one[DMC_KIN] = {dx[1][0], dx[1][1], dx[1][2]};
    for (size_t i = 0; i < SAMPLES * ROOM; i++)
        for (size_t j = 0; j <= DMC_KIN; j++) shared[j][i] = (float)sin((double)(i * i % 10007 + j));
    for (int t = 0; t < op_table.cpu_count; t++)
        for (size_t o = 0; o < sizeof batched / sizeof *batched; o++) {
            const dmc_op_impl *const op = &op_table.cpu[t].op[batched[o].op];
            run_samples(op, &batched[o], 0, SAMPLES, y[0], whole);
            for (size_t b = 0; b < SAMPLES; b++) {
                run_samples(op, &batched[o], b, 1, y[1], one);
                ck_assert_mem_eq(y[1], y[0] + b * batched[o].out, batched[o].out * sizeof(float));
                for (int i = 0; i < DMC_KIN; i++)
                    ck_assert_mem_eq(one[i], whole[i] + b * batched[o].per[i], batched[o].per[i] * sizeof(float));
            }
        }
}
END_TEST

Suite *dmc_suite_ops_transformer(void)
{
    Suite *s = suite_create("ops_transformer");
    TCase *t = tcase_create("ops_transformer");
    tcase_add_test(t, attention_weighs_by_the_softmax_of_scaled_products);
    tcase_add_test(t, attention_of_packed_columns);
    tcase_add_test(t, attention_mask_moves_by_its_shift);
    tcase_add_test(t, attention_does_not_overflow);
    tcase_add_loop_test(t, attention_drops_what_dropout_drops, 0, 1 + op_table.cpu_count);
    tcase_add_loop_test(t, attention_drops_by_the_number_of_the_sample, 0, 1 + op_table.cpu_count);
    tcase_add_test(t, adaln_scales_and_shifts_a_norm);
    tcase_add_test(t, gate_weighs_what_is_added);
    tcase_add_test(t, tables_and_means_of_rows);
    tcase_add_test(t, samples_do_not_know_their_batch);
    suite_add_tcase(s, t);
    return s;
}
