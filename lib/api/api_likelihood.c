/* api_likelihood.c — dmc_likelihood. */
#include "../model/model_likelihood.h"
#include "handles.h"

_Static_assert((int)DMC_LIKELIHOOD_BOUND == (int)DMC__LIKELIHOOD_BOUND && (int)DMC_LIKELIHOOD_BANK == (int)DMC__LIKELIHOOD_BANK &&
               (int)DMC_LIKELIHOOD_FLOW_HUTCHINSON == (int)DMC__LIKELIHOOD_HUTCHINSON &&
               (int)DMC_LIKELIHOOD_FLOW_EXACT == (int)DMC__LIKELIHOOD_EXACT, "numbered alike");

dmc_status dmc_likelihood(const dmc_model *m, const dmc_likelihood_options *o, size_t n, const float *obs, const float *z,
                          double *out)
{
    dmc_likelihood_options t;
    DMC_NEED("dmc_likelihood", m);
    DMC_NEED("dmc_likelihood", z);
    DMC_NEED("dmc_likelihood", out);
    DMC_TRY(dmc__field_take(DMC_OPTIONS_LIKELIHOOD, o, &t));
    const dmc__likelihood_config c = {.method = t.method, .steps = t.steps, .probes = t.probes, .seed = t.seed};
    const dmc__model_samples x = {.n = n, .obs = obs, .z = z, .target_return = t.target_return};
    return dmc__model_likelihood(m, &c, &x, out);
}
