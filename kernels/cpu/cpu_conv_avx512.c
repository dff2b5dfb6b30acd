/* cpu_conv.inc compiled for AVX-512. */
#ifdef DMC_HAVE_X86
#include "cpu_conv.inc"
#endif
