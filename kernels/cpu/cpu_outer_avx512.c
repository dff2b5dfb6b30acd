/* cpu_outer.inc compiled for AVX-512. */
#ifdef DMC_HAVE_X86
#include "cpu_outer.inc"
#endif
