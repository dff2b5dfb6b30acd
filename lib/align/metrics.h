/* metrics.h — what an evaluation measures besides the score: how far samples have moved from the foundation, how likely, various
 * and coherent they are, whether critics agree on them (methods.md 6: m1-m4, m8). On a small bank of its own, never the same draws
 * as training, always the same conditions and noise. */
#ifndef DMC_ALIGN_METRICS_H
#define DMC_ALIGN_METRICS_H

#include "align.h"

typedef struct dmc__metrics dmc__metrics;

/* Networks for at most 64 samples, and what the measurements of the foundation and of data are. */
dmc_status dmc__metrics_create(dmc__align *a, dmc__metrics **out);
void dmc__metrics_destroy(dmc__metrics *m);
/* Of the aligner's present weights. What nobody can tell is NaN; DMC__METRIC_LOSS and _NORM are left alone. */
dmc_status dmc__metrics_measure(dmc__metrics *m, double metric[DMC__METRICS]);
/* Shares of unlikely samples that warn (10 % and 3 standard errors, more than chance gives) and that are a collapse (50 %).
 * Infinite where the foundation knows its own data too badly to judge: a quarter of its own samples are unlikely. */
void dmc__metrics_unlikely_limits(const dmc__metrics *m, double *warn, double *limit);
/* Let go of rewards and of the coherency, which are about to change. */
void dmc__metrics_drop_rewards(dmc__metrics *m);

#endif
