/* ops_layers.c — layers at numbers that can be worked out by hand: finite differences only show
 * that backward fits forward, this shows that forward is the layer people mean (PyTorch's, with
 * channels last). */
#include "ops_check.h"

#include <math.h>

#define EXACT 1e-15

START_TEST(linear_weights_are_input_by_output)
{
    const double x[] = {1, 10}, W[] = {1, 2, 3, 4, 5, 6}, b[] = {0.5, 0, -0.5};
    const double want[] = {41.5, 52, 62.5};
    double y[3];
    op_call(DMC_OP_LINEAR, &(dmc_kargs){.in = {x}, .par = {W, b}, .out = y, .dim = {1, 2, 3}});
    op_expect_numbers("y", y, want, 3, EXACT);
}
END_TEST

/* Columns 1 and 2 of a weight of three: what LINEAR gets is a pointer at the first of them. */
START_TEST(linear_of_columns_of_a_wider_weight)
{
    const double x[] = {1, 10}, W[] = {1, 2, 3, 4, 5, 6}, b[] = {0.5, -0.5}, dy[] = {1, 100};
    const double want[] = {52.5, 62.5}, want_dx[] = {302, 605}, want_dW[] = {0, 1, 100, 0, 10, 1000};
    double y[2], dx[2], dW[6] = {0};
    const dmc_kargs k = {.in = {x}, .par = {W + 1, b}, .out = y, .dout = dy, .din = {dx},
                         .dpar = {dW + 1}, .dim = {1, 2, 2, 3}};
    op_call(DMC_OP_LINEAR, &k);
    op_call_backward(DMC_OP_LINEAR, &k);
    op_expect_numbers("y", y, want, 2, EXACT);
    op_expect_numbers("dx", dx, want_dx, 2, EXACT);
    op_expect_numbers("dW", dW, want_dW, 6, EXACT);
}
END_TEST

/* W = 1 10 100 over three taps: y[t] = x[t-1] + 10 x[t] + 100 x[t+1] */
START_TEST(conv1d_is_a_correlation)
{
    const double x[] = {1, 2, 3, 4}, W[] = {1, 10, 100}, b[] = {0.5};
    const double want[] = {210.5, 321.5, 432.5, 43.5};
    double y[4];
    op_call(DMC_OP_CONV1D, &(dmc_kargs){.in = {x}, .par = {W, b}, .out = y,
                                        .dim = {1, 4, 1, 4, 1, 3, 1, 1}});
    op_expect_numbers("stride 1", y, want, 4, EXACT);
    const double want_stride[] = {210.5, 432.5};
    op_call(DMC_OP_CONV1D, &(dmc_kargs){.in = {x}, .par = {W, b}, .out = y,
                                        .dim = {1, 4, 1, 2, 1, 3, 2, 1}});
    op_expect_numbers("stride 2", y, want_stride, 2, EXACT);
}
END_TEST

/* Two samples of two steps, two channels to one: weights are tap by input by output. */
START_TEST(conv1d_layout)
{
    const double x[] = {1, 2, 3, 4, 5, 6, 7, 8}, W[] = {1, 10, 100, 1000}, want[] = {4321, 8765};
    double y[2];
    op_call(DMC_OP_CONV1D, &(dmc_kargs){.in = {x}, .par = {W}, .out = y,
                                        .dim = {2, 2, 2, 1, 1, 2, 1, 0}});
    op_expect_numbers("y", y, want, 2, EXACT);
}
END_TEST

/* Tap j of step t lands on 2t - 1 + j. */
START_TEST(convt1d_spreads_its_taps)
{
    const double x[] = {1, 2}, W[] = {1, 10, 100, 1000}, want[] = {10, 102, 1020, 200};
    double y[4];
    op_call(DMC_OP_CONVT1D, &(dmc_kargs){.in = {x}, .par = {W}, .out = y,
                                         .dim = {1, 2, 1, 4, 1, 4, 2, 1}});
    op_expect_numbers("y", y, want, 4, EXACT);
}
END_TEST

/* Two steps of four channels in two groups: {1 2 5 6} has mean 3.5 and variance 4.25, {3 4 7 8} the
 * same around 5.5. */
START_TEST(groupnorm_groups_neighbouring_channels)
{
    const double x[] = {1, 2, 3, 4, 5, 6, 7, 8}, gamma[] = {1, 2, 1, 1}, beta[] = {0, 0, 0, 0.25};
    const double s = 1 / sqrt(4.25 + 0.75);
    const double want[] = {-2.5 * s, -3 * s, -2.5 * s, -1.5 * s + 0.25,
                           1.5 * s,  5 * s,  1.5 * s,  2.5 * s + 0.25};
    double y[8], save[4];
    dmc_kargs k = {.in = {x}, .par = {gamma, beta}, .out = y, .save = save, .dim = {1, 2, 4, 2},
                   .attr = {0.75, 0}};
    op_call(DMC_OP_GROUPNORM, &k);
    op_expect_numbers("y", y, want, 8, EXACT);
    double mish[8];
    k.attr[1] = 1;
    op_call(DMC_OP_GROUPNORM, &k);
    op_call(DMC_OP_MISH, &(dmc_kargs){.in = {want}, .out = mish, .dim = {8}});
    op_expect_numbers("with Mish", y, mish, 8, EXACT);
}
END_TEST

/* The norm is {-1 1} s for both channels, gamma 1 and 2. Then ReLU, times 10 and 100, plus 1 and 2, plus r. */
START_TEST(groupnorm_modulates_and_adds)
{
    const double x[] = {1, 1, 3, 3}, gamma[] = {1, 2}, beta[] = {0, 0}, film[] = {10, 100, 1, 2}, r[] = {0.1, 0.2, 0.3, 0.4};
    const double s = 1 / sqrt(1.25), dy[] = {1, 2, 3, 4};
    const double want_add[] = {1 - s, 2 - 2 * s, 1 + s, 2 + 2 * s};
    const double want_film[] = {1.1, 2.2, 10 * s + 1.3, 200 * s + 2.4}, want_e[] = {3 * s, 8 * s, 4, 6};
    double y[4], save[2], de[4], dr[4];
    dmc_kargs k = {.in = {x, film + 2}, .par = {gamma, beta}, .out = y, .save = save, .dim = {1, 2, 2, 1, 2}, .attr = {0.25, 0}};
    op_call(DMC_OP_GROUPNORM, &k);
    op_expect_numbers("added", y, want_add, 4, EXACT);
    k = (dmc_kargs){.in = {x, film, r}, .par = {gamma, beta}, .out = y, .save = save, .dout = dy, .din = {NULL, de, dr},
                    .dim = {1, 2, 2, 1, 4}, .attr = {0.25, 2}};
    op_call(DMC_OP_GROUPNORM, &k);
    op_call_backward(DMC_OP_GROUPNORM, &k);
    op_expect_numbers("FiLM", y, want_film, 4, EXACT);
    op_expect_numbers("de", de, want_e, 4, EXACT);
    op_expect_numbers("dr", dr, dy, 4, 0);
}
END_TEST

/* Without modulation the residual is the second input. */
START_TEST(groupnorm_adds_a_residual_alone)
{
    const double x[] = {1, 3}, one[] = {1}, zero[] = {0}, r[] = {10, 20}, s = 1 / sqrt(1.25), want[] = {10 - s, 20 + s};
    double y[2], save[2];
    op_call(DMC_OP_GROUPNORM, &(dmc_kargs){.in = {x, r}, .par = {one, zero}, .out = y, .save = save, .dim = {1, 2, 1, 1},
                                           .attr = {0.25}});
    op_expect_numbers("y", y, want, 2, EXACT);
}
END_TEST

START_TEST(layernorm_is_per_row)
{
    const double x[] = {1, 3, -2, 2}, gamma[] = {2, 1}, beta[] = {0, 1};
    const double want[] = {-2 / sqrt(1.5), 1 + 1 / sqrt(1.5), -4 / sqrt(4.5), 1 + 2 / sqrt(4.5)};
    double y[4], save[4];
    op_call(DMC_OP_LAYERNORM, &(dmc_kargs){.in = {x}, .par = {gamma, beta}, .out = y, .save = save,
                                           .dim = {2, 2}, .attr = {0.5}});
    op_expect_numbers("y", y, want, 4, EXACT);
}
END_TEST

/* Numbers of PyTorch 1.13 in double. */
START_TEST(activations_known_values)
{
    const double x[] = {-30, -2, -0.5, 0, 0.5, 1, 3, 30};
    const double mish[] = {-2.807286890651921e-12, -0.2525014826957089, -0.22074377465173, 0,
                           0.37524521130489513, 0.8650983882673103, 2.9865350049679575, 30};
    const double silu[] = {-2.8072868906517896e-12, -0.2384058440442351, -0.1887703343990727, 0,
                           0.3112296656009273, 0.7310585786300049, 2.8577223804672998,
                           29.999999999997197};
    const double relu[] = {0, 0, 0, 0, 0.5, 1, 3, 30};
    double y[8];
    const dmc_kargs k = {.in = {x}, .out = y, .dim = {8}};
    op_call(DMC_OP_MISH, &k);
    op_expect_numbers("mish", y, mish, 8, EXACT);
    op_call(DMC_OP_SILU, &k);
    op_expect_numbers("silu", y, silu, 8, EXACT);
    op_call(DMC_OP_RELU, &k);
    op_expect_numbers("relu", y, relu, 8, EXACT);
    op_call(DMC_OP_TANH, &k);
    for (int i = 0; i < 8; i++) ck_assert_double_eq_tol(y[i], 1 - 2 / (exp(2 * x[i]) + 1), 1e-15);
}
END_TEST

/* exp(1000) would overflow. */
START_TEST(activations_do_not_overflow)
{
    const double x[] = {-1000, 1000}, want[] = {0, 1000}, dy[] = {1, 1}, slope[] = {0, 1};
    double y[2], dx[2];
    const dmc_kargs k = {.in = {x}, .out = y, .dout = dy, .din = {dx}, .dim = {2}};
    const enum dmc_op ops[] = {DMC_OP_MISH, DMC_OP_SILU};
    for (int i = 0; i < 2; i++) {
        op_call(ops[i], &k);
        op_call_backward(ops[i], &k);
        op_expect_numbers("y", y, want, 2, EXACT);
        op_expect_numbers("dx", dx, slope, 2, EXACT);
    }
}
END_TEST

/* torch.nn.functional.gelu, approximate = none and tanh, and leaky_relu */
START_TEST(gelu_and_leaky_relu_known_values)
{
    const double x[] = {-2, -0.5, 0, 0.5, 1, 3};
    const double gelu[] = {-0.04550026389635842, -0.15426876936299344, 0, 0.34573123063700656, 0.8413447460685429,
                           2.99595030590511};
    const double approximate[] = {-0.04540230591222494, -0.15428599017485606, 0, 0.34571400982514394, 0.8411919906082768,
                                  2.996362607918227};
    const double leaky[] = {-0.5, -0.125, 0, 0.5, 1, 3};
    double y[6];
    dmc_kargs k = {.in = {x}, .out = y, .dim = {6}};
    op_call(DMC_OP_GELU, &k);
    op_expect_numbers("gelu", y, gelu, 6, EXACT);
    op_call(DMC_OP_GELU_TANH, &k);
    op_expect_numbers("gelu_tanh", y, approximate, 6, EXACT);
    k.attr[0] = 0.25;
    op_call(DMC_OP_RELU, &k);
    op_expect_numbers("leaky", y, leaky, 6, EXACT);
}
END_TEST

START_TEST(slice_takes_columns)
{
    const double x[] = {1, 2, 3, 4, 5, 6}, want[] = {2, 3, 5, 6}, dy[] = {1, 2, 3, 4}, want_dx[] = {0, 1, 2, 0, 3, 4};
    double y[4], dx[6];
    const dmc_kargs k = {.in = {x}, .out = y, .dout = dy, .din = {dx}, .dim = {2, 3, 1, 2}};
    op_call(DMC_OP_SLICE, &k);
    op_expect_numbers("y", y, want, 4, 0);
    op_call_backward(DMC_OP_SLICE, &k);
    op_expect_numbers("dx", dx, want_dx, 6, 0);
}
END_TEST

START_TEST(concat_joins_columns)
{
    const double x0[] = {1, 2, 3, 4}, x1[] = {5, 6}, x2[] = {7, 8};
    const double want[] = {1, 2, 5, 7, 3, 4, 6, 8};
    double y[8];
    op_call(DMC_OP_CONCAT, &(dmc_kargs){.in = {x0, x1, x2}, .out = y, .dim = {2, 2, 1, 1}});
    op_expect_numbers("y", y, want, 8, 0);
}
END_TEST

START_TEST(add_time_repeats_over_steps)
{
    const double x0[] = {1, 2, 3, 4, 5, 6, 7, 8}, x1[] = {10, 20, 30, 40};
    const double want[] = {11, 22, 13, 24, 35, 46, 37, 48};
    double y[8];
    op_call(DMC_OP_ADD_TIME, &(dmc_kargs){.in = {x0, x1}, .out = y, .dim = {2, 2, 2}});
    op_expect_numbers("y", y, want, 8, 0);
}
END_TEST

START_TEST(timestep_halves_are_cos_and_sin)
{
    const double t[] = {0, 3}, want[] = {1, 1, 0, 0, cos(3), cos(0.03), sin(3), sin(0.03)};
    double y[8];
    op_call(DMC_OP_TIMESTEP, &(dmc_kargs){.in = {t}, .out = y, .dim = {2, 4}});
    op_expect_numbers("y", y, want, 8, EXACT);
}
END_TEST

START_TEST(timestep_of_other_conventions)
{
    const double t[] = {3}, g[] = {0.5, -1.25}, pi = 3.14159265358979323846;
    const double sinusoidal[] = {sin(3), sin(0.0003), cos(3), cos(0.0003)};
    const double fourier[] = {cos(3 * pi), cos(7.5 * pi), sin(3 * pi), -sin(7.5 * pi)};
    const double cast[] = {cos(3), 1, sin(3), 0}, cast_fourier[] = {cos(9), cos(21), sin(9), -sin(21)};
    double y[4];
    const dmc_kargs k = {.in = {t}, .par = {g}, .out = y, .dim = {1, 4, 1, 0}};
    const int32_t kind[] = {1, 2, 0, 2};
    const double *const want[] = {sinusoidal, fourier, cast, cast_fourier};
    for (int i = 0; i < 4; i++) {
        dmc_kargs call = k;
        call.dim[2] = kind[i];
        call.dim[3] = i >= 2;
        op_call(DMC_OP_TIMESTEP, &call);
        op_expect_numbers("y", y, want[i], 4, 1e-13);
    }
}
END_TEST

/* Columns outside the range keep what they hold, in both directions. */
START_TEST(cols_leaves_other_columns)
{
    const double x[] = {1, 2, 3, 4, 5, 6}, scale[] = {10, 100}, shift[] = {0.5, 0};
    const double want[] = {-1, 20.5, 300, -1, 50.5, 600}, dout[] = {9, 1, 2, 9, 3, 4};
    const double want_dx[] = {-2, 10, 200, -2, 30, 400}, want_sum[] = {-2, 20, 400, -2, 60, 800};
    double out[] = {-1, -1, -1, -1, -1, -1}, dx[] = {-2, -2, -2, -2, -2, -2};
    dmc_kargs k = {.in = {x}, .par = {scale, shift}, .out = out, .dout = dout, .din = {dx},
                   .dim = {2, 3, 3, 1, 1, 2}};
    op_call(DMC_OP_COLS, &k);
    op_expect_numbers("out", out, want, 6, 0);
    op_call_backward(DMC_OP_COLS, &k);
    op_expect_numbers("dx", dx, want_dx, 6, 0);
    k.acc = 1;
    op_call_backward(DMC_OP_COLS, &k);
    op_expect_numbers("dx added to", dx, want_sum, 6, 0);
}
END_TEST

/* Rows 1 and 2 of three, two samples each, and round again. */
START_TEST(repeat_gives_rows_to_groups)
{
    const double in[] = {9, 9, 1, 10, 2, 20}, want[] = {1, 10, 1, 10, 2, 20, 2, 20, 1, 10};
    double out[10];
    op_call(DMC_OP_REPEAT, &(dmc_kargs){.in = {in}, .out = out, .dim = {5, 2, 1, 2, 2}});
    op_expect_numbers("out", out, want, 10, 0);
}
END_TEST

Suite *dmc_suite_ops_layers(void)
{
    Suite *s = suite_create("ops_layers");
    TCase *t = tcase_create("ops_layers");
    tcase_add_test(t, linear_weights_are_input_by_output);
    tcase_add_test(t, linear_of_columns_of_a_wider_weight);
    tcase_add_test(t, conv1d_is_a_correlation);
    tcase_add_test(t, conv1d_layout);
    tcase_add_test(t, convt1d_spreads_its_taps);
    tcase_add_test(t, groupnorm_groups_neighbouring_channels);
    tcase_add_test(t, groupnorm_modulates_and_adds);
    tcase_add_test(t, groupnorm_adds_a_residual_alone);
    tcase_add_test(t, layernorm_is_per_row);
    tcase_add_test(t, activations_known_values);
    tcase_add_test(t, activations_do_not_overflow);
    tcase_add_test(t, gelu_and_leaky_relu_known_values);
    tcase_add_test(t, slice_takes_columns);
    tcase_add_test(t, concat_joins_columns);
    tcase_add_test(t, add_time_repeats_over_steps);
    tcase_add_test(t, timestep_halves_are_cos_and_sin);
    tcase_add_test(t, timestep_of_other_conventions);
    tcase_add_test(t, cols_leaves_other_columns);
    tcase_add_test(t, repeat_gives_rows_to_groups);
    suite_add_tcase(s, t);
    return s;
}
