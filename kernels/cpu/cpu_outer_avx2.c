/* cpu_outer.inc compiled for AVX2. */
#ifdef DMC_HAVE_X86
#include "cpu_outer.inc"
#endif
