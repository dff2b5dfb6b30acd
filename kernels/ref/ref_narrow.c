/* ref_narrow.c — numbers to 16 bits: bfloat16 (8 bits of exponent, 7 of fraction) or binary16 (5 and 10). dim: n type */
#include "ref.h"

/* |x| = units 2^(e-m), units an integer: in the smallest binade e stays at its least and units may be small. The code
 * counts units from zero upwards, so that a carry out of the fraction is a carry into the exponent. */
static uint16_t narrow(double x, int m)
{
    const int all = (1 << (15 - m)) - 1, least = 1 - (all >> 1), sign = signbit(x) ? 0x8000 : 0;
    const double size = fabs(x);
    int e;
    if (isnan(x)) return (uint16_t)(sign | all << m | 1 << (m - 1));
    if (size >= ldexp(1, all - 1 + least)) return (uint16_t)(sign | all << m);
    frexp(size, &e);
    e = size > 0 && e - 1 > least ? e - 1 : least;
    return (uint16_t)(sign | (((e - least) << m) + (int)rint(ldexp(size, m - e)))); /* rint: ties to even */
}

/* out[i] = in[i] in 16 bits */
int32_t REF(narrow_fwd)(const dmc_kargs *k)
{
    const real *const x = k->in[0];
    uint16_t *const out = k->out;
    const int m = k->dim[1] == DMC_WEIGHT_FP16 ? 10 : 7;
    for (size_t i = 0; i < ref_dim(k, 0); i++) out[i] = narrow(x[i], m);
    return 0;
}
