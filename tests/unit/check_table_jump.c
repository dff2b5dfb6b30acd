#include "../../lib/diffusion/table_rows.h"
#include "exact_rows.h"

enum { MOST = 8192 };

/* The walk with every forward step of a jump listed, as RePaint's schedule has it; how many. `calls`: steps down. */
static int expanded(int32_t steps, int32_t jump, int32_t jumps, int32_t *list, int *calls)
{
    static int32_t level[MOST];
    const int64_t stops = dmc__jump_count(steps, jump, jumps);
    int n = 0;
    ck_assert_int_le(stops, MOST);
    dmc__jump_levels(steps, jump, jumps, level);
    *calls = 0;
    list[n++] = level[0];
    for (int64_t i = 1; i < stops; i++) {
        if (level[i] < level[i - 1]) {
            ck_assert_int_eq(level[i], level[i - 1] - 1);
            list[n++] = level[i];
            ++*calls;
        } else {
            for (int32_t up = level[i - 1] + 1; up <= level[i]; up++) list[n++] = up;
        }
    }
    return n;
}

/* methods.md 7. */
START_TEST(schedule_golden)
{
    static const int32_t golden[] = {9, 8, 7, 6, 7, 8, 7, 6, 5, 4, 5, 6, 5, 4, 3, 2, 3, 4, 3, 2, 1, 0, 1, 2, 1, 0, -1};
    static int32_t list[MOST];
    int calls;
    const int n = expanded(10, 2, 2, list, &calls);
    ck_assert_int_eq(n, sizeof golden / sizeof *golden);
    ck_assert_mem_eq(list, golden, sizeof golden);
}
END_TEST

START_TEST(schedule_counts)
{
    static const struct { int32_t steps, jump, jumps; int calls, entries; } golden[] = {
        {20, 5, 2, 35, 0}, {20, 5, 3, 50, 0}, {20, 2, 3, 56, 0}, {10, 2, 3, 26, 0}, {50, 5, 3, 140, 0}, {250, 10, 10, 2410, 4571},
        {20, 5, 1, 20, 21}, {5, 7, 3, 5, 6},
    };
    static int32_t list[MOST];
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        int calls;
        const int n = expanded(golden[i].steps, golden[i].jump, golden[i].jumps, list, &calls);
        ck_assert_int_eq(calls, golden[i].calls);
        if (golden[i].entries) ck_assert_int_eq(n, golden[i].entries);
    }
}
END_TEST

/* A jump is one row without network: alpha and sigma of the noisier level come out, from any clean sample. */
START_TEST(jumps_keep_the_marginals)
{
    for (int32_t kind = 0; kind < DMC__PROCESSES; kind++) {
        dmc__process p = plain_process(kind, 20);
        dmc__table_config c = table_of(&p, DMC__SAMPLER_DDPM, 10);
        c.jump = 2;
        c.jumps = 3;
        dmc__table t = exact_table(&p, &c);
        const dmc__level *at = &t.row[0].at;
        gauss g = {.z = at->alpha * .2, .zz = at->sigma * at->sigma};
        int32_t up = 0, calls = 0;
        for (int32_t k = 0; k < t.k; k++) {
            const dmc__row *r = &t.row[k];
            if (k > 0) ck_assert_mem_eq(&r->at, &t.row[k - 1].to, sizeof r->at);
            up += !r->network;
            calls += r->network;
            if (!r->network) {
                ck_assert(r->a == 0 && r->P == 0 && r->Q == 0 && r->d == 0 && r->to.time > r->at.time);
                assert_near(r->b, r->to.alpha / r->at.alpha, 1e-15);
            }
            gauss_row(r, .2, 0, &g);
            assert_near(g.z, r->to.alpha * .2, 1e-12);
            assert_near(g.zz, r->to.sigma * r->to.sigma, 1e-12);
        }
        ck_assert_int_eq(calls, 26);
        ck_assert_int_eq(up, 8);
        dmc__table_free(&t);
        dmc__process_free(&p);
    }
}
END_TEST

/* One row over j levels has the law of j forward steps: z_{i+1} = sqrt(1 - beta) z_i + sqrt(beta) xi. */
START_TEST(one_row_is_many_steps)
{
    dmc__process p = plain_process(DMC__PROCESS_VP, 12);
    double kept = 1, var = 0;
    for (int32_t i = 3; i <= 7; i++) {
        kept *= sqrt(1 - p.beta[i]);
        var = (1 - p.beta[i]) * var + p.beta[i];
    }
    const dmc__level from = dmc__process_level(&p, 2), to = dmc__process_level(&p, 7);
    const dmc__row row = dmc__row_jump(&from, &to);
    assert_near(row.b, kept, 1e-13);
    assert_near(row.S * row.S, var, 1e-13);
    dmc__process_free(&p);
}
END_TEST

/* Floors are for steps; a jump adds what it must. */
START_TEST(floors_leave_jumps_alone)
{
    dmc__process p = plain_process(DMC__PROCESS_VP, 10);
    dmc__table_config c = table_of(&p, DMC__SAMPLER_DDIM, 10);
    c.jump = 1;
    c.jumps = 2;
    dmc__table plain = exact_table(&p, &c);
    c.std_floor = 5;
    dmc__table t = exact_table(&p, &c);
    for (int32_t k = 0; k < t.k; k++) ck_assert(t.row[k].S == (t.row[k].network ? 5 : plain.row[k].S));
    dmc__table_free(&t);
    dmc__table_free(&plain);
    dmc__process_free(&p);
}
END_TEST

Suite *dmc_suite_table_jump(void);
Suite *dmc_suite_table_jump(void)
{
    Suite *const s = suite_create("table_jump");
    TCase *const t = tcase_create("table_jump");
    tcase_add_test(t, schedule_golden);
    tcase_add_test(t, schedule_counts);
    tcase_add_test(t, jumps_keep_the_marginals);
    tcase_add_test(t, one_row_is_many_steps);
    tcase_add_test(t, floors_leave_jumps_alone);
    suite_add_tcase(s, t);
    return s;
}
