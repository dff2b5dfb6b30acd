/* cpu_activation.inc compiled for AVX-512. */
#ifdef DMC_HAVE_X86
#include "cpu_activation.inc"
#endif
