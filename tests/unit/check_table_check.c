/* What a table cannot be asked for, sentence by sentence. */
#include "exact_rows.h"

typedef struct refusal {
    int32_t kind;
    dmc_status status;
    const char *says, *too;
    dmc__table_config c; /* set as a difference to the defaults below */
} refusal;

/* Defaults with what is not 0 in `c` put over them. */
static dmc__table_config over_defaults(const dmc__process *p, const dmc__table_config *c)
{
    dmc__table_config r = dmc__table_defaults(p);
    r.sampler = c->sampler;
    r.grid = c->grid;
    r.steps = c->steps;
    r.eta = c->eta;
    r.std_floor = c->std_floor;
    r.churn = c->churn;
    if (c->rho != 0) r.rho = c->rho;
    if (c->churn_min != 0) r.churn_min = c->churn_min;
    if (c->churn_max != 0) r.churn_max = c->churn_max;
    if (c->churn_noise != 0) r.churn_noise = c->churn_noise;
    if (c->sde_noise != 0) r.sde_noise = c->sde_noise;
    if (c->step_noise != 0) r.step_noise = c->step_noise;
    r.jump = c->jump;
    r.jumps = c->jumps;
    r.compat = c->compat;
    return r;
}

static void assert_refused(const refusal *r)
{
    dmc__process p = plain_process(r->kind, 20);
    const dmc__table_config c = over_defaults(&p, &r->c);
    dmc__table t;
    const dmc_status status = dmc__table_create(&dmc__default_allocator, &p, &c, &t);
    ck_assert_msg(status == r->status, "\"%s %s\": status %d, %s", r->says, r->too, status, dmc_last_error());
    ck_assert_msg(strstr(dmc_last_error(), r->says) && strstr(dmc_last_error(), r->too), "\"%s %s\": %s", r->says, r->too,
                  dmc_last_error());
    ck_assert_ptr_null(t.row);
    dmc__table_free(&t);
    dmc__process_free(&p);
}

enum { VP = DMC__PROCESS_VP, GRID = DMC__PROCESS_VP_GRID, SDE = DMC__PROCESS_VP_SDE, EDM = DMC__PROCESS_EDM,
       FLOW = DMC__PROCESS_FLOW };
#define PLAIN .grid = DMC__GRID_AUTO, .steps = 10

START_TEST(refusals)
{
    static const refusal list[] = {
        {FLOW, DMC_EINVAL, "euler_maruyama", "process flow, only with: vp vp_grid vp_sde edm", {.sampler = 4, PLAIN}},
        {FLOW, DMC_EINVAL, "sde_dpm ", "process flow", {.sampler = 10, PLAIN}},
        {VP, DMC_EINVAL, "flow_sde", "process vp, only with: flow", {.sampler = 5, PLAIN}},
        {EDM, DMC_EINVAL, "flow_sde", "process edm", {.sampler = 5, PLAIN}},
        {SDE, DMC_EINVAL, "reinflow", "process vp_sde", {.sampler = 6, PLAIN}},
        {FLOW, DMC_EINVAL, "grid logsnr", "process flow", {.sampler = 1, .grid = DMC__GRID_LOGSNR, .steps = 5}},
        {FLOW, DMC_EINVAL, "grid karras", "process flow", {.sampler = 1, .grid = DMC__GRID_KARRAS, .steps = 5}},
        {VP, DMC_EINVAL, "sampler = -1", "0..13", {.sampler = -1, PLAIN}},
        {VP, DMC_EINVAL, "sampler = 14", "0..13", {.sampler = 14, PLAIN}},
        {VP, DMC_EINVAL, "grid = 8", "0..7", {.grid = 8, .steps = 5}},
        {VP, DMC_EINVAL, "compat = 2", "0 or 1", {.compat = 2, PLAIN}},
        {VP, DMC_ERANGE, "steps = 21", "1..20", {.grid = 7, .steps = 21}},
        {VP, DMC_ERANGE, "steps = 0", "1..20", {.grid = 7}},
        {FLOW, DMC_ERANGE, "steps = 1001", "1..1000 on the process flow", {.sampler = 13, .grid = 7, .steps = 1001}},
        {EDM, DMC_ERANGE, "steps = 0", "1..1000 on the process edm", {.sampler = 13, .grid = 7, .steps = 0}},
        {VP, DMC_ERANGE, "eta = 1.5", "0..1", {.eta = 1.5, PLAIN}},
        {VP, DMC_ERANGE, "std_floor = -1", ">= 0", {.std_floor = -1, PLAIN}},
        {EDM, DMC_ERANGE, "rho = -1", "above 0", {.sampler = 13, .rho = -1, PLAIN}},
        {EDM, DMC_ERANGE, "rho = nan", "above 0", {.sampler = 13, .rho = NAN, PLAIN}},
        {EDM, DMC_ERANGE, "churn = -1", ">= 0", {.sampler = 13, .churn = -1, PLAIN}},
        {EDM, DMC_ERANGE, "churn_min = -1", ">= 0", {.sampler = 13, .churn_min = -1, PLAIN}},
        {EDM, DMC_ERANGE, "churn_max = nan", ">= 0", {.sampler = 13, .churn_max = NAN, PLAIN}},
        {EDM, DMC_ERANGE, "churn_noise = inf", "finite", {.sampler = 13, .churn_noise = INFINITY, PLAIN}},
        {FLOW, DMC_ERANGE, "sde_noise = -1", ">= 0", {.sampler = 5, .sde_noise = -1, PLAIN}},
        {FLOW, DMC_ERANGE, "step_noise = -1", ">= 0", {.sampler = 6, .step_noise = -1, PLAIN}},
        {EDM, DMC_EINVAL, "churn = 5", "sampler ddpm on edm", {.sampler = 0, .churn = 5, PLAIN}},
        {VP, DMC_EINVAL, "churn = 5", "sampler heun on vp", {.sampler = 3, .churn = 5, PLAIN}},
        {VP, DMC_EINVAL, "jumps = 2", "sampler heun", {.sampler = 3, .jump = 2, .jumps = 2, PLAIN}},
        {VP, DMC_EINVAL, "jumps = 2", "sampler dpmpp_2m", {.sampler = 9, .jump = 2, .jumps = 2, PLAIN}},
        {VP, DMC_EINVAL, "jumps = 2", "sampler sde_dpmpp_2m", {.sampler = 12, .jump = 2, .jumps = 2, PLAIN}},
        {EDM, DMC_EINVAL, "jumps = 2", "churn = 5", {.sampler = 2, .churn = 5, .jump = 2, .jumps = 2, PLAIN}},
        {VP, DMC_ERANGE, "jump = 10", "1..9", {.jump = 10, .jumps = 2, PLAIN}},
        {VP, DMC_ERANGE, "jump = 0", "1..9", {.jump = 0, .jumps = 2, PLAIN}},
        {SDE, DMC_ERANGE, "make 10990 rows", "at most 4096", {.grid = 7, .steps = 1000, .jump = 1, .jumps = 6}},
        {GRID, DMC_EINVAL, "eta = 0.5", "compat", {.sampler = 1, .eta = .5, .compat = 1, PLAIN}},
        {VP, DMC_EINVAL, "steps = 10", "must be 20", {.compat = 1, PLAIN}},
        {EDM, DMC_EINVAL, "churn = 5", "compat", {.sampler = 2, .churn = 5, .compat = 1, PLAIN}},
        {GRID, DMC_EINVAL, "jumps = 2", "compat", {.jump = 2, .jumps = 2, .compat = 1, PLAIN}},
        {GRID, DMC_EINVAL, "no sampler euler_maruyama", "compat", {.sampler = 4, .compat = 1, PLAIN}},
        {GRID, DMC_EINVAL, "sampler euler", "only with: edm flow", {.sampler = 2, .compat = 1, PLAIN}},
        {GRID, DMC_EINVAL, "no grid leading", "compat", {.grid = 2, .steps = 10, .compat = 1}},
        {EDM, DMC_EINVAL, "grid linspace", "process edm", {.sampler = 3, .grid = 0, .steps = 10, .compat = 1}},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) assert_refused(&list[i]);
}
END_TEST

/* Heun's two rows a step must fit the numbers of a chain's noise as well. */
START_TEST(heun_of_too_many_steps)
{
    dmc__process p = plain_process(VP, 4096);
    dmc__table_config c = table_of(&p, DMC__SAMPLER_HEUN, 2049);
    dmc__table t;
    ck_assert_int_eq(dmc__table_create(&dmc__default_allocator, &p, &c, &t), DMC_ERANGE);
    ck_assert_ptr_nonnull(strstr(dmc_last_error(), "at most 2048"));
    c.steps = 2048;
    t = exact_table(&p, &c);
    ck_assert_int_eq(t.k, 4095);
    dmc__table_free(&t);
    dmc__process_free(&p);
}
END_TEST

/* What is refused and what is not: the table of docs/math/samplers.md, made here by asking. */
START_TEST(what_suits_what)
{
    static const char wanted[DMC__SAMPLERS - 1][6] = {"yyyyy", "yyyyy", "yyyyy", "yyyyy", "yyyy-", "----y", "----y",
                                                      "yyyyy", "yyyyy", "yyyyy", "yyyy-", "yyyyy", "yyyyy"};
    for (int32_t kind = 0; kind < DMC__PROCESSES; kind++) {
        dmc__process p = plain_process(kind, 20);
        for (int32_t sampler = 0; sampler < DMC__SAMPLER_AUTO; sampler++) {
            const dmc__table_config c = table_of(&p, sampler, 6);
            dmc__table t;
            const dmc_status status = dmc__table_create(&dmc__default_allocator, &p, &c, &t);
            ck_assert_int_eq(status, wanted[sampler][kind] == 'y' ? DMC_OK : DMC_EINVAL);
            dmc__table_free(&t);
        }
        dmc__process_free(&p);
    }
}
END_TEST

Suite *dmc_suite_table_check(void);
Suite *dmc_suite_table_check(void)
{
    Suite *const s = suite_create("table_check");
    TCase *const t = tcase_create("table_check");
    tcase_add_test(t, refusals);
    tcase_add_test(t, heun_of_too_many_steps);
    tcase_add_test(t, what_suits_what);
    suite_add_tcase(s, t);
    return s;
}
