/* cpu_table.c — which instruction set this processor has, and the slots it fills. */
#include "cpu_kernels.h"

#ifdef DMC_HAVE_X86

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

const char *dmc__kernels_cpu(dmc_kernel_table *t)
{
    if (!has_avx2()) return "generic";
    if (!has_avx512()) {
#    define FILL(name) dmc__cpu_fill_##name##_avx2(t);
        CPU_FILLS(FILL)
#    undef FILL
        return "avx2";
    }
#    define FILL(name) dmc__cpu_fill_##name##_avx512(t);
    CPU_FILLS(FILL)
#    undef FILL
    return "avx512";
}

#else

const char *dmc__kernels_cpu(dmc_kernel_table *t)
{
    (void)t;
    return "generic";
}

#endif
