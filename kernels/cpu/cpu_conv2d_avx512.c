/* cpu_conv2d.inc compiled for AVX-512. */
#ifdef DMC_HAVE_X86
#include "cpu_conv2d.inc"
#endif
