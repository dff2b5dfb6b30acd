/* half_fixture.h — numbers rounded to 16 bits by another way than the library's. */
#ifndef DMC_TESTS_HALF_FIXTURE_H
#define DMC_TESTS_HALF_FIXTURE_H

#include <math.h>

#include "../../lib/graph/graph.h"

/* x with so many significant bits, ties to even; below 2^(least-1) no finer than there. */
static inline float half_round_to(float x, int bits, int least)
{
    int e;
    frexpf(x, &e);
    const float unit = ldexpf(1, (e > least ? e : least) - bits);
    return rintf(x / unit) * unit;
}

static inline float half_rounded(float x, int32_t type)
{
    return type == DMC_WEIGHT_BF16 ? half_round_to(x, 8, -125) : half_round_to(x, 11, -13);
}

static inline int32_t half_matrix(const dmc__param_spec *p)
{
    return p->layout != DMC__LAYOUT_PLAIN;
}

/* Largest difference over the largest number. */
static inline double half_error(const float *got, const float *want, size_t n)
{
    double worst = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        const double error = fabs((double)got[i] - want[i]), size = fabs((double)want[i]);
        worst = error > worst ? error : worst; /* not fmax: gcc 12 for aarch64 breaks down over it */
        largest = size > largest ? size : largest;
    }
    return worst / largest;
}

#endif
