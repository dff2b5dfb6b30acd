/* api_sampler_answer.c — the calls of a dmc_sampler that answer, in the control loop. */
#include "../base/clock.h"
#include "handles.h"

/* All multiplications were checked at create. */
static dmc_status check_obs(const char *function, const dmc_sampler *s, size_t n_obs)
{
    const size_t want = (size_t)dmc__sampler_get_config(s->run)->batch * (size_t)dmc__sampler_model(s->run)->obs.n;
    if (n_obs != want) return dmc__fail(DMC_ESHAPE, "%s: n_obs = %zu, must be batch * obs_dim = %zu", function, n_obs, want);
    return DMC_OK;
}

static dmc_status check_out(const char *function, const dmc_sampler *s, size_t n_out)
{
    const size_t want = (size_t)dmc__sampler_get_config(s->run)->batch * (size_t)dmc__sampler_horizon(s->run) *
                        (size_t)dmc__sampler_model(s->run)->act.n;
    if (n_out == want) return DMC_OK;
    return dmc__fail(DMC_ESHAPE, "%s: n_out = %zu, must be batch * horizon * act_dim = %zu", function, n_out, want);
}

dmc_status dmc_sampler_sample(dmc_sampler *s, const float *obs, size_t n_obs, float *out, size_t n_out)
{
    DMC_NEED("dmc_sampler_sample", s);
    DMC_NEED("dmc_sampler_sample", obs);
    DMC_NEED("dmc_sampler_sample", out);
    DMC_TRY(check_obs("dmc_sampler_sample", s, n_obs));
    DMC_TRY(check_out("dmc_sampler_sample", s, n_out));
    return dmc__sampler_sample(s->run, obs, out);
}

dmc_status dmc_sampler_sample_until(dmc_sampler *s, const float *obs, size_t n_obs, int64_t deadline_ns, float *out,
                                    size_t n_out)
{
    DMC_NEED("dmc_sampler_sample_until", s);
    DMC_NEED("dmc_sampler_sample_until", obs);
    DMC_NEED("dmc_sampler_sample_until", out);
    DMC_TRY(check_obs("dmc_sampler_sample_until", s, n_obs));
    DMC_TRY(check_out("dmc_sampler_sample_until", s, n_out));
    return dmc__sampler_sample_until(s->run, obs, deadline_ns, out);
}

dmc_status dmc_sampler_begin(dmc_sampler *s, const float *obs, size_t n_obs)
{
    DMC_NEED("dmc_sampler_begin", s);
    DMC_NEED("dmc_sampler_begin", obs);
    DMC_TRY(check_obs("dmc_sampler_begin", s, n_obs));
    return dmc__sampler_begin(s->run, obs);
}

dmc_status dmc_sampler_step(dmc_sampler *s, int32_t *left)
{
    if (left) *left = 0;
    DMC_NEED("dmc_sampler_step", s);
    return dmc__sampler_step(s->run, left);
}

dmc_status dmc_sampler_finish(dmc_sampler *s, float *out, size_t n_out)
{
    DMC_NEED("dmc_sampler_finish", s);
    DMC_NEED("dmc_sampler_finish", out);
    DMC_TRY(check_out("dmc_sampler_finish", s, n_out));
    return dmc__sampler_finish(s->run, out);
}

dmc_status dmc_sampler_prefault(dmc_sampler *s)
{
    DMC_NEED("dmc_sampler_prefault", s);
    return dmc__sampler_prefault(s->run);
}

int64_t dmc_clock_now(void)
{
    return dmc__clock_ns();
}
