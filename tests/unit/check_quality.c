/* Where tables lead, with an exact denoiser: nothing is drawn here. */
#include "exact_rows.h"

static double distance_of(const dmc__process *p, const dmc__table_config *c)
{
    dmc__table t = exact_table(p, c);
    int32_t noisy = 0;
    for (int32_t k = 0; k < t.k; k++) noisy |= t.row[k].S > 0;
    const double w1 = noisy ? distance_with_noise(&t) : distance_without_noise(&t);
    dmc__table_free(&t);
    return w1;
}

/* methods.md 1.3: W1 to two modes (drawn there, computed here), within 20 %; and the values this file computes, within 2 %. */
START_TEST(two_modes_published)
{
    static const struct {
        int32_t process, sampler, steps;
        double eta, published, exact;
    } golden[] = {
        {DMC__PROCESS_FLOW, DMC__SAMPLER_EULER, 5, 0, .077, .0721},   {DMC__PROCESS_FLOW, DMC__SAMPLER_EULER, 10, 0, .037, .0360},
        {DMC__PROCESS_FLOW, DMC__SAMPLER_EULER, 20, 0, .021, .0187},  {DMC__PROCESS_FLOW, DMC__SAMPLER_EULER, 40, 0, .010, .0097},
        {DMC__PROCESS_FLOW, DMC__SAMPLER_DDIM, 5, .5, .077, .0750},   {DMC__PROCESS_FLOW, DMC__SAMPLER_DDIM, 10, .5, .038, .0398},
        {DMC__PROCESS_FLOW, DMC__SAMPLER_DDIM, 20, .5, .021, .0219},  {DMC__PROCESS_FLOW, DMC__SAMPLER_DDIM, 40, .5, .010, .0118},
        {DMC__PROCESS_FLOW, DMC__SAMPLER_DDIM, 5, 1, .100, .0931},    {DMC__PROCESS_FLOW, DMC__SAMPLER_DDIM, 10, 1, .064, .0568},
        {DMC__PROCESS_FLOW, DMC__SAMPLER_DDIM, 20, 1, .037, .0341},   {DMC__PROCESS_FLOW, DMC__SAMPLER_DDIM, 40, 1, .021, .0198},
        {DMC__PROCESS_EDM, DMC__SAMPLER_EULER, 10, 0, .086, .0796},   {DMC__PROCESS_EDM, DMC__SAMPLER_EULER, 20, 0, .039, .0360},
        {DMC__PROCESS_EDM, DMC__SAMPLER_EULER, 40, 0, .018, .0171},
    };
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        dmc__process p = plain_process(golden[i].process, 20);
        dmc__table_config c = table_of(&p, golden[i].sampler, golden[i].steps);
        c.eta = golden[i].eta;
        const double w1 = distance_of(&p, &c);
        ck_assert_msg(fabs(w1 - golden[i].published) < .2 * golden[i].published, "line %zu: %g, published %g", i, w1,
                      golden[i].published);
        ck_assert_msg(fabs(w1 - golden[i].exact) < .02 * golden[i].exact, "line %zu: %g, exact %g", i, w1, golden[i].exact);
        dmc__process_free(&p);
    }
}
END_TEST

/* Second order beats Euler at as many network calls: Heun's n steps are 2n - 1 calls. Below 30 calls it need not. */
START_TEST(second_order_beats_euler)
{
    for (int32_t kind = DMC__PROCESS_VP_SDE; kind <= DMC__PROCESS_FLOW; kind++)
        for (int32_t calls = 40; calls <= 80; calls += 40) {
            dmc__process p = plain_process(kind, 20);
            dmc__table_config c = table_of(&p, DMC__SAMPLER_EULER, calls);
            if (kind == DMC__PROCESS_VP_SDE) c.grid = DMC__GRID_LOGSNR;
            const double euler = distance_of(&p, &c);
            c.sampler = DMC__SAMPLER_DPMPP_2M;
            ck_assert_double_lt(distance_of(&p, &c), euler);
            c.sampler = DMC__SAMPLER_HEUN;
            c.steps = calls / 2;
            ck_assert_double_lt(distance_of(&p, &c), euler);
            dmc__process_free(&p);
        }
}
END_TEST

/* ---- a Gaussian ------------------------------------------------------------------------------------------- */

static const double data_mean = .2, data_var = .09;

/* Variance of E[x0 | z] at a level, which the row to the clean level ends with. */
static double predicted_var(const dmc__level *l)
{
    const double signal = l->alpha * l->alpha * data_var;
    return data_var * signal / (signal + l->sigma * l->sigma);
}

/* |variance - that of an exact chain| of one that begins with the exact marginal of its first level. */
static double variance_error(int32_t kind, int32_t sampler, int32_t steps)
{
    dmc__process p = plain_process(kind, 20);
    dmc__table_config c = table_of(&p, sampler, steps);
    c.eta = .5;
    if (kind == DMC__PROCESS_VP_SDE) c.grid = DMC__GRID_LOGSNR;
    dmc__table t = exact_table(&p, &c);
    const dmc__level *at = &t.row[0].at;
    gauss g = {.z = at->alpha * data_mean, .zz = at->alpha * at->alpha * data_var + at->sigma * at->sigma};
    for (int32_t k = 0; k < t.k; k++) gauss_row(&t.row[k], data_mean, data_var, &g);
    const double off = fabs(g.zz - predicted_var(&t.row[t.k - 1].at));
    ck_assert_double_eq_tol(g.z, data_mean, 3e-4);
    dmc__table_free(&t);
    dmc__process_free(&p);
    return off;
}

/* The variance comes out right as steps are added, at the order of the method: half the step, half or a quarter of the
 * error. flow_sde and sde_dpm change the sign of theirs on the way, so only its size is looked at. */
START_TEST(variance_converges)
{
    static const struct {
        int32_t sampler;
        double fall, most; /* error at 160 / error at 320 steps; error at 320 */
    } expect[] = {
        {DMC__SAMPLER_DDPM, 1.8, 4e-3},        {DMC__SAMPLER_DDIM, 1.8, 3e-3},      {DMC__SAMPLER_EULER, 1.8, 3e-3},
        {DMC__SAMPLER_HEUN, 3.6, 4e-5},        {DMC__SAMPLER_EULER_MARUYAMA, 1.8, 4e-3}, {DMC__SAMPLER_FLOW_SDE, 0, 3e-4},
        {DMC__SAMPLER_DPM, 1.8, 3e-3},         {DMC__SAMPLER_DPMPP, 1.8, 3e-3},     {DMC__SAMPLER_DPMPP_2M, 3.2, 1e-4},
        {DMC__SAMPLER_SDE_DPM, 0, 3e-4},       {DMC__SAMPLER_SDE_DPMPP, 1.8, 4e-3}, {DMC__SAMPLER_SDE_DPMPP_2M, 3.2, 3e-4},
    };
    for (int32_t kind = DMC__PROCESS_VP_SDE; kind <= DMC__PROCESS_FLOW; kind++)
        for (size_t i = 0; i < sizeof expect / sizeof *expect; i++) {
            const int32_t s = expect[i].sampler, flow = kind == DMC__PROCESS_FLOW;
            if (s == DMC__SAMPLER_FLOW_SDE ? !flow : flow && (s == DMC__SAMPLER_EULER_MARUYAMA || s == DMC__SAMPLER_SDE_DPM))
                continue;
            const double before = variance_error(kind, s, 160), after = variance_error(kind, s, 320);
            ck_assert_msg(before > expect[i].fall * after && after < expect[i].most, "process %d, sampler %d: %g, then %g", kind, s,
                          before, after);
        }
}
END_TEST

/* ReinFlow keeps no marginal, and says so: its noise of the last step is all in the sample. */
START_TEST(reinflow_widens)
{
    dmc__process p = plain_process(DMC__PROCESS_FLOW, 20);
    dmc__table_config c = table_of(&p, DMC__SAMPLER_REINFLOW, 200);
    dmc__table t = exact_table(&p, &c);
    gauss g = {.zz = 1};
    for (int32_t k = 0; k < t.k; k++) gauss_row(&t.row[k], data_mean, data_var, &g);
    ck_assert_double_gt(g.zz, data_var + c.step_noise * c.step_noise);
    dmc__table_free(&t);
    dmc__process_free(&p);
}
END_TEST

/* Data of one point: x^ = m exactly, and every table that is built on q(z_s | z_t, x0) holds the exact marginal
 * N(alpha m, sigma^2) after every row, whatever the steps. */
START_TEST(marginals_of_a_point)
{
    static const int32_t sampler[] = {DMC__SAMPLER_DDPM, DMC__SAMPLER_DDIM, DMC__SAMPLER_EULER, DMC__SAMPLER_HEUN,
                                      DMC__SAMPLER_DPM, DMC__SAMPLER_DPMPP, DMC__SAMPLER_DPMPP_2M, DMC__SAMPLER_SDE_DPMPP,
                                      DMC__SAMPLER_SDE_DPMPP_2M};
    for (int32_t kind = 0; kind < DMC__PROCESSES; kind++)
        for (size_t i = 0; i < sizeof sampler / sizeof *sampler; i++) {
            dmc__process p = plain_process(kind, 20);
            dmc__table_config c = table_of(&p, sampler[i], 7);
            c.eta = .7;
            dmc__table t = exact_table(&p, &c);
            const dmc__level *at = &t.row[0].at;
            gauss g = {.z = at->alpha * data_mean, .zz = at->sigma * at->sigma};
            for (int32_t k = 0; k < t.k; k++) {
                gauss_row(&t.row[k], data_mean, 0, &g);
                if (!t.row[k].ends) continue;
                const dmc__level *to = &t.row[k].to;
                assert_near(g.z, to->alpha * data_mean, 1e-10);
                assert_near(g.zz, to->sigma * to->sigma, 1e-10);
            }
            dmc__table_free(&t);
            dmc__process_free(&p);
        }
}
END_TEST

Suite *dmc_suite_quality(void);
Suite *dmc_suite_quality(void)
{
    Suite *const s = suite_create("quality");
    TCase *const t = tcase_create("quality");
    tcase_add_test(t, two_modes_published);
    tcase_add_test(t, second_order_beats_euler);
    tcase_add_test(t, variance_converges);
    tcase_add_test(t, reinflow_widens);
    tcase_add_test(t, marginals_of_a_point);
    suite_add_tcase(s, t);
    return s;
}
