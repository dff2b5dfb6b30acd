/* cpu_conv2d.inc compiled for AVX2. */
#ifdef DMC_HAVE_X86
#include "cpu_conv2d.inc"
#endif
