/* cpu_attention.inc compiled for AVX-512. */
#ifdef DMC_HAVE_X86
#include "cpu_attention.inc"
#endif
