/* cpu_diffusion.inc compiled for AVX2. */
#ifdef DMC_HAVE_X86
#include "cpu_diffusion.inc"
#endif
