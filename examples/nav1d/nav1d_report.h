/* nav1d_report.h — a table for people, JSON for programs, a picture for both. */
#ifndef NAV1D_REPORT_H
#define NAV1D_REPORT_H

#include "nav1d_study.h"

void nav1d_report_table(const nav1d_study *s, double optimum);
/* build/demo/results.json: the list described in docs/architecture.md. Returns 0, or -1 if a file cannot be written. */
int32_t nav1d_report_json(const char *path, const nav1d_study *const *studies, int32_t n, const char *dataset, double optimum);
/* <out>/nav1d.png by gnuplot: paths before and after, returns by method. Returns 0, 1 without gnuplot, -1 on failure. */
int32_t nav1d_report_picture(const char *out, const nav1d_study *const *studies, int32_t n, double optimum);

#endif
