/* cpu_gather.inc compiled for AVX-512. */
#ifdef DMC_HAVE_X86
#include "cpu_gather.inc"
#endif
