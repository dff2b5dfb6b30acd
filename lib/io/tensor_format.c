/* tensor_format.c — what reader and writer of the model file agree on. */
#include "tensor_format.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} dtypes[DMC__DTYPE_COUNT] = {
    [DMC__DTYPE_F32] = {"F32", 4},   [DMC__DTYPE_F64] = {"F64", 8}, [DMC__DTYPE_F16] = {"F16", 2},
    [DMC__DTYPE_BF16] = {"BF16", 2}, [DMC__DTYPE_I64] = {"I64", 8}, [DMC__DTYPE_U8] = {"U8", 1},
};

const char *dmc__dtype_name(int32_t dtype)
{
    return dtypes[dtype].name;
}

size_t dmc__dtype_size(int32_t dtype)
{
    return dtypes[dtype].size;
}

int32_t dmc__dtype_find(const char *name)
{
    for (int32_t i = 0; i < DMC__DTYPE_COUNT; i++)
        if (strcmp(dtypes[i].name, name) == 0) return i;
    return -1;
}

static double from_f32(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* sign | 5 bits of exponent (bias 15) | 10 bits of fraction */
static double from_f16(uint32_t bits)
{
    const int exponent = (int)(bits >> 10 & 31);
    const double fraction = bits & 1023;
    const double sign = bits >> 15 ? -1 : 1;
    if (exponent == 31) return fraction > 0 ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexp(fraction, -24);
    return sign * ldexp(1024 + fraction, exponent - 25);
}

double dmc__dtype_load(int32_t dtype, const unsigned char *p)
{
    uint64_t bits = 0;
    double v;
    memcpy(&bits, p, dtypes[dtype].size);
    switch (dtype) {
    case DMC__DTYPE_F32: return from_f32((uint32_t)bits);
    case DMC__DTYPE_F64: memcpy(&v, &bits, sizeof v); return v;
    case DMC__DTYPE_F16: return from_f16((uint32_t)bits);
    case DMC__DTYPE_BF16: return from_f32((uint32_t)bits << 16);
    case DMC__DTYPE_I64: return (double)(int64_t)bits;
    default: return (double)bits;
    }
}

size_t dmc__dtype_nonfinite(int32_t dtype, const unsigned char *p, size_t n)
{
    if (dtype == DMC__DTYPE_I64 || dtype == DMC__DTYPE_U8) return n;
    const size_t size = dtypes[dtype].size;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(dmc__dtype_load(dtype, p + i * size))) return i;
    return n;
}

void dmc__digest_start(XXH3_state_t *s, const char *header, size_t n)
{
    const uint64_t length = n;
    char blank[DMC__TENSOR_DIGEST];
    const size_t after = DMC__TENSOR_DIGEST_AT + DMC__TENSOR_DIGEST;
    memset(blank, '0', sizeof blank);
    XXH3_128bits_reset(s);
    XXH3_128bits_update(s, &length, sizeof length);
    XXH3_128bits_update(s, header, DMC__TENSOR_DIGEST_AT);
    XXH3_128bits_update(s, blank, sizeof blank);
    XXH3_128bits_update(s, header + after, n - after);
}

void dmc__digest_finish(const XXH3_state_t *s, char out[DMC__TENSOR_DIGEST + 1])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(s));
    for (size_t i = 0; i < sizeof canonical.digest; i++)
        snprintf(out + 2 * i, 3, "%02x", canonical.digest[i]);
}

bool dmc__digest_present(const char *header, size_t n)
{
    return n >= DMC__TENSOR_DIGEST_AT + DMC__TENSOR_DIGEST &&
           memcmp(header, DMC__TENSOR_PREFIX, DMC__TENSOR_DIGEST_AT) == 0;
}

const char *dmc__shape_text(int32_t rank, const int32_t *shape, char buf[DMC__SHAPE_TEXT])
{
    size_t n = 0;
    buf[n++] = '(';
    for (int32_t i = 0; i < rank && i < DMC__TENSOR_RANK_MAX; i++)
        n += (size_t)snprintf(buf + n, DMC__SHAPE_TEXT - n, "%s%d", i ? "," : "", shape[i]);
    snprintf(buf + n, DMC__SHAPE_TEXT - n, ")");
    return buf;
}
