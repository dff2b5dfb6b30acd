/* export.h — linkage and attribute macros used by every public header. */
#ifndef LIBDMC_EXPORT_H
#define LIBDMC_EXPORT_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#  define DMC_API __attribute__((visibility("default")))
#  define DMC_NODISCARD __attribute__((warn_unused_result))
#else
#  define DMC_API
#  define DMC_NODISCARD
#endif

#endif
