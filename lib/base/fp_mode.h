/* fp_mode.h — the floating-point mode that answers are computed in, whatever the host has set.
 *
 * Round to nearest, no traps, and numbers below 1e-38 are zero: a processor may need a hundred times as long for one of those.
 * The host's mode comes back to the bit, its exception flags included. On processors that are not named here nothing is changed.
 */
#ifndef DMC_BASE_FP_MODE_H
#define DMC_BASE_FP_MODE_H

#include <stdint.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

/* MXCSR; FPCR and FPSR. */
typedef struct dmc__fp_mode {
    uint64_t control, flags;
} dmc__fp_mode;

static inline dmc__fp_mode dmc__fp_get(void)
{
    dmc__fp_mode m = {0, 0};
#if defined(__SSE__)
    m.control = _mm_getcsr();
#elif defined(__aarch64__)
    __asm__ volatile("mrs %0, fpcr" : "=r"(m.control));
    __asm__ volatile("mrs %0, fpsr" : "=r"(m.flags));
#endif
    return m;
}

static inline void dmc__fp_set(dmc__fp_mode m)
{
#if defined(__SSE__)
    _mm_setcsr((unsigned)m.control);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(m.control));
    __asm__ volatile("msr fpsr, %0" : : "r"(m.flags));
#else
    (void)m;
#endif
}

/* Change to the mode of answers; what it was goes to dmc__fp_set when they are there. */
static inline dmc__fp_mode dmc__fp_enter(void)
{
    const dmc__fp_mode was = dmc__fp_get();
    dmc__fp_mode m = {0, 0};
#if defined(__SSE__)
    m.control = 0x8000 | 0x1f80 | 0x0040; /* flush to zero, all exceptions masked, denormals are zeros */
#elif defined(__aarch64__)
    m.control = UINT64_C(1) << 24; /* flush to zero; no traps, round to nearest */
#endif
    dmc__fp_set(m);
    return was;
}

#endif
