/* version.h — the one place the version is written; make, pkg-config and Python read it from here. */
#ifndef LIBDMC_VERSION_H
#define LIBDMC_VERSION_H

#include "export.h"

#define DMC_VERSION_MAJOR 0
#define DMC_VERSION_MINOR 1
#define DMC_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0" of the library that is loaded (the macros are those of the headers).
 * Threads: any. REAL-TIME. Ownership: static string. */
DMC_API const char *dmc_version(void);

#ifdef __cplusplus
}
#endif
#endif
