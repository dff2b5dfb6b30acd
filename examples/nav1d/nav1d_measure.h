/* nav1d_measure.h — the coherency of a model's samples, by nav1d_coherency.h. */
#ifndef NAV1D_MEASURE_H
#define NAV1D_MEASURE_H

#include "nav1d_bench.h"

/* Many samples at a few places of the line, the same for every model. b: who acted in the data. *c: plan, or overlap of a
 * policy, whose *rms is NaN. DMC_EINVAL, DMC_ERANGE: the model's process cannot have this sampler; DMC_ENUMERIC: samples are not
 * finite. */
dmc_status nav1d_measure_coherency(const dmc_model *m, int32_t planner, const nav1d_behaviour *b, const dmc_sampler_options *o,
                                   double *c, double *rms);

#endif
