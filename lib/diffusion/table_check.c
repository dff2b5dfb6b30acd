/* table_check.c — which samplers and grids suit which process, and the ranges of everything else. */
#include <math.h>

#include "table_rows.h"

enum {
    VP = 1 << DMC__PROCESS_VP,
    VP_GRID = 1 << DMC__PROCESS_VP_GRID,
    VP_SDE = 1 << DMC__PROCESS_VP_SDE,
    EDM = 1 << DMC__PROCESS_EDM,
    FLOW = 1 << DMC__PROCESS_FLOW,
    NOT_FLOW = VP | VP_GRID | VP_SDE | EDM,
    ALL = NOT_FLOW | FLOW,
    SDES = VP_GRID | VP_SDE /* CleanDiffuser's DiscreteDiffusionSDE and ContinuousDiffusionSDE */
};

static const char *const process_name[DMC__PROCESSES] = {"vp", "vp_grid", "vp_sde", "edm", "flow"};

/* Processes a sampler or grid works on, and those on which CleanDiffuser has it. */
typedef struct suits {
    const char *name;
    int32_t on, compat;
} suits;

static const suits sampler_suits[DMC__SAMPLERS] = {
    [DMC__SAMPLER_DDPM] = {"ddpm", ALL, VP | SDES},
    [DMC__SAMPLER_DDIM] = {"ddim", ALL, SDES},
    [DMC__SAMPLER_EULER] = {"euler", ALL, EDM | FLOW},
    [DMC__SAMPLER_HEUN] = {"heun", ALL, EDM},
    [DMC__SAMPLER_EULER_MARUYAMA] = {"euler_maruyama", NOT_FLOW, 0},
    [DMC__SAMPLER_FLOW_SDE] = {"flow_sde", FLOW, 0},
    [DMC__SAMPLER_REINFLOW] = {"reinflow", FLOW, 0},
    [DMC__SAMPLER_DPM] = {"dpm", ALL, SDES},
    [DMC__SAMPLER_DPMPP] = {"dpmpp", ALL, SDES},
    [DMC__SAMPLER_DPMPP_2M] = {"dpmpp_2m", ALL, SDES},
    [DMC__SAMPLER_SDE_DPM] = {"sde_dpm", NOT_FLOW, SDES}, /* divides by alpha, which is 0 at t = 1 */
    [DMC__SAMPLER_SDE_DPMPP] = {"sde_dpmpp", ALL, SDES},
    [DMC__SAMPLER_SDE_DPMPP_2M] = {"sde_dpmpp_2m", ALL, SDES},
};

static const suits grid_suits[DMC__GRIDS] = {
    [DMC__GRID_LINSPACE] = {"linspace", ALL, VP | SDES | FLOW},
    [DMC__GRID_TRAILING] = {"trailing", ALL, FLOW},
    [DMC__GRID_LEADING] = {"leading", ALL, 0},
    [DMC__GRID_QUAD] = {"quad", ALL, SDES},
    [DMC__GRID_LOGSNR] = {"logsnr", NOT_FLOW, 0}, /* without end on flow, whose clock reaches alpha = 0 and sigma = 0 */
    [DMC__GRID_KARRAS] = {"karras", NOT_FLOW, EDM},
    [DMC__GRID_CUSTOM] = {"custom", ALL, 0},
};

dmc__table_config dmc__table_resolve(const dmc__process *p, const dmc__table_config *c)
{
    const int32_t kind = p->config.kind, edm = kind == DMC__PROCESS_EDM, flow = kind == DMC__PROCESS_FLOW;
    dmc__table_config r = *c;
    if (c->sampler == DMC__SAMPLER_AUTO) r.sampler = edm ? DMC__SAMPLER_HEUN : flow ? DMC__SAMPLER_EULER : DMC__SAMPLER_DDPM;
    if (c->grid == DMC__GRID_AUTO) r.grid = edm ? DMC__GRID_KARRAS : flow ? DMC__GRID_TRAILING : DMC__GRID_LINSPACE;
    return r;
}

/* The name of process i and a space if it is one of them. */
static const char *listed(int32_t on, int32_t i)
{
    static const char *const spaced[DMC__PROCESSES] = {" vp", " vp_grid", " vp_sde", " edm", " flow"};
    return on >> i & 1 ? spaced[i] : "";
}

static dmc_status check_suits(const char *what, const suits *s, int32_t kind, int32_t compat)
{
    const int32_t on = compat ? s->compat : s->on;
    if (on >> kind & 1) return DMC_OK;
    if (!on) return dmc__fail(DMC_EINVAL, "table: CleanDiffuser has no %s %s (compat = 1)", what, s->name);
    return dmc__fail(DMC_EINVAL, "table: %s %s cannot be used with the process %s%s, only with:%s%s%s%s%s", what, s->name,
                     process_name[kind], compat ? " as CleanDiffuser has it (compat = 1)" : "", listed(on, 0), listed(on, 1),
                     listed(on, 2), listed(on, 3), listed(on, 4));
}

static dmc_status check_finite(const char *name, double value)
{
    if (value >= 0 && value < INFINITY) return DMC_OK;
    return dmc__fail(DMC_ERANGE, "table: %s = %g, must be finite and >= 0", name, value);
}

static dmc_status check_numbers(const dmc__table_config *c)
{
    if (!(c->eta >= 0 && c->eta <= 1)) return dmc__fail(DMC_ERANGE, "table: eta = %g, must be 0..1", c->eta);
    if (c->grid == DMC__GRID_KARRAS && !(c->rho > 0 && c->rho < INFINITY))
        return dmc__fail(DMC_ERANGE, "table: rho = %g, must be above 0 and finite", c->rho);
    DMC_TRY(check_finite("std_floor", c->std_floor));
    DMC_TRY(check_finite("churn", c->churn));
    DMC_TRY(check_finite("churn_min", c->churn_min));
    DMC_TRY(check_finite("churn_max", c->churn_max));
    DMC_TRY(check_finite("churn_noise", c->churn_noise));
    DMC_TRY(check_finite("sde_noise", c->sde_noise));
    return check_finite("step_noise", c->step_noise);
}

static dmc_status check_steps(const dmc__process *p, const dmc__table_config *c)
{
    if (p->discrete && (c->steps < 1 || c->steps > p->steps))
        return dmc__fail(DMC_ERANGE, "table: steps = %d, must be 1..%d (the process's steps)", c->steps, p->steps);
    if (c->steps < 1 || (!p->discrete && c->steps > DMC__MAX_CONTINUOUS_STEPS))
        return dmc__fail(DMC_ERANGE, "table: steps = %d, must be 1..%d on the process %s", c->steps, DMC__MAX_CONTINUOUS_STEPS,
                         process_name[p->config.kind]);
    if (c->sampler == DMC__SAMPLER_HEUN && 2 * c->steps - 1 > DMC__MAX_ROWS)
        return dmc__fail(DMC_ERANGE, "table: steps = %d, must be at most %d with the sampler heun, which calls the network twice",
                         c->steps, DMC__MAX_ROWS / 2);
    return DMC_OK;
}

static dmc_status check_churn(const dmc__process *p, const dmc__table_config *c)
{
    const int32_t ode = c->sampler == DMC__SAMPLER_EULER || c->sampler == DMC__SAMPLER_HEUN;
    if (c->churn == 0 || (ode && p->config.kind == DMC__PROCESS_EDM)) return DMC_OK;
    return dmc__fail(DMC_EINVAL, "table: churn = %g is for the samplers euler and heun on the process edm; here sampler %s on %s",
                     c->churn, sampler_suits[c->sampler].name, process_name[p->config.kind]);
}

static dmc_status check_jumps(const dmc__table_config *c)
{
    const int32_t carries = c->sampler == DMC__SAMPLER_HEUN || c->sampler == DMC__SAMPLER_DPMPP_2M ||
                            c->sampler == DMC__SAMPLER_SDE_DPMPP_2M;
    if (c->jumps <= 1) return DMC_OK;
    if (carries)
        return dmc__fail(DMC_EINVAL, "table: jumps = %d cannot be used with the sampler %s, whose rows hand something on that a "
                         "jump would make stale", c->jumps, sampler_suits[c->sampler].name);
    if (c->churn > 0)
        return dmc__fail(DMC_EINVAL, "table: jumps = %d cannot be used with churn = %g: both go back with noise", c->jumps,
                         c->churn);
    if (c->jump < 1 || c->jump >= c->steps)
        return dmc__fail(DMC_ERANGE, "table: jump = %d, must be 1..%d (below steps) where jumps = %d", c->jump, c->steps - 1,
                         c->jumps);
    const int64_t rows = dmc__jump_count(c->steps, c->jump, c->jumps) - 1;
    if (rows > DMC__MAX_ROWS)
        return dmc__fail(DMC_ERANGE, "table: jump = %d and jumps = %d make %lld rows of %d steps, must be at most %d", c->jump,
                         c->jumps, (long long)rows, c->steps, DMC__MAX_ROWS);
    return DMC_OK;
}

/* What the tables of CleanDiffuser cannot be asked for. */
static dmc_status check_compat(const dmc__process *p, const dmc__table_config *c)
{
    if (!c->compat) return DMC_OK;
    if (c->sampler == DMC__SAMPLER_DDIM && c->eta != 0)
        return dmc__fail(DMC_EINVAL, "table: eta = %g, must be 0 where compat = 1: CleanDiffuser's ddim adds no noise", c->eta);
    if (p->config.kind == DMC__PROCESS_VP && c->steps != p->steps)
        return dmc__fail(DMC_EINVAL, "table: steps = %d, must be %d where compat = 1: CleanDiffuser's DDPM leaves none out",
                         c->steps, p->steps);
    if (c->churn > 0) return dmc__fail(DMC_EINVAL, "table: churn = %g where compat = 1: CleanDiffuser has none", c->churn);
    if (c->jumps > 1) return dmc__fail(DMC_EINVAL, "table: jumps = %d where compat = 1: CleanDiffuser has none", c->jumps);
    return DMC_OK;
}

dmc_status dmc__table_check(const dmc__process *p, const dmc__table_config *c)
{
    if (c->sampler < 0 || c->sampler >= DMC__SAMPLER_AUTO)
        return dmc__fail(DMC_EINVAL, "table: sampler = %d, must be 0..%d", c->sampler, DMC__SAMPLERS - 1);
    if (c->grid < 0 || c->grid >= DMC__GRID_AUTO)
        return dmc__fail(DMC_EINVAL, "table: grid = %d, must be 0..%d", c->grid, DMC__GRIDS - 1);
    if (c->compat != 0 && c->compat != 1) return dmc__fail(DMC_EINVAL, "table: compat = %d, must be 0 or 1", c->compat);
    DMC_TRY(check_suits("sampler", &sampler_suits[c->sampler], p->config.kind, c->compat));
    DMC_TRY(check_suits("grid", &grid_suits[c->grid], p->config.kind, c->compat));
    DMC_TRY(check_steps(p, c));
    DMC_TRY(check_numbers(c));
    DMC_TRY(check_churn(p, c));
    DMC_TRY(check_compat(p, c));
    return check_jumps(c);
}
