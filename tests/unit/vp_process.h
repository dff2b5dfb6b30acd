/* vp_process.h — the discrete process by its four numbers, and its levels by index. */
#ifndef TESTS_VP_PROCESS_H
#define TESTS_VP_PROCESS_H

#include "../../lib/diffusion/process.h"

static inline dmc_status vp_process(const dmc__allocator *a, int32_t schedule, int32_t predict, int32_t steps, double clip,
                                    dmc__process *out)
{
    dmc__process_config c = dmc__process_defaults();
    c.schedule = schedule;
    c.predict = predict;
    c.steps = steps;
    c.clip = clip;
    return dmc__process_create(a, &c, out);
}

static inline double vp_snr(const dmc__process *p, int32_t i)
{
    const dmc__level l = dmc__process_level(p, i);
    return dmc__level_snr(&l);
}

static inline void vp_x0(const dmc__process *p, int32_t i, double *P, double *Q)
{
    const dmc__level l = dmc__process_level(p, i);
    dmc__process_x0(p, &l, P, Q);
}

#endif
