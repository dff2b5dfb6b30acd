/* cpu_groupnorm.inc compiled for AVX2. */
#ifdef DMC_HAVE_X86
#include "cpu_groupnorm.inc"
#endif
