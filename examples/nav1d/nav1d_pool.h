/* nav1d_pool.h — jobs for two threads, with progress. */
#ifndef NAV1D_POOL_H
#define NAV1D_POOL_H

#include "nav1d_column.h"

enum { NAV1D_MOST_JOBS = 256 };

typedef dmc_status (*nav1d_work)(const nav1d_stage *s, const nav1d_job *j);

typedef struct nav1d_pool {
    const nav1d_stage *stage;
    nav1d_job job[NAV1D_MOST_JOBS];
    int32_t jobs;
} nav1d_pool;

/* Do `work` with every job; a line on stderr for each that is done. 0, or -1 if one failed: what was not begun then is left. */
int32_t nav1d_pool_run(const nav1d_pool *p, const char *what, nav1d_work work);

#endif
