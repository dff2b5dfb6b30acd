/* preference_net.h — a score f(sample, condition) learnt from pairs: P(w before l) = sigmoid(f(w) - f(l)) (Bradley & Terry 1952;
 * methods.md 3). It ranks candidates in place of the reward. */
#ifndef DMC_ALIGN_PREFERENCE_NET_H
#define DMC_ALIGN_PREFERENCE_NET_H

#include "candidates.h"

struct dmc__pairs;
typedef struct dmc__preference dmc__preference;

/* Learns from `pairs` at a time. DMC_EINVAL for models that see images. */
dmc_status dmc__preference_create(const dmc__align *a, int32_t pairs, dmc__preference **out);
void dmc__preference_destroy(dmc__preference *f);
/* One update on pairs drawn from these, which must be some; *loss: the mean of -ln sigmoid(f(w) - f(l)). */
dmc_status dmc__preference_learn(dmc__preference *f, const struct dmc__pairs *p, uint64_t draw, double *loss);
/* f of n samples (n, elems), of which `per` in a row share a condition: cond (n / per, cond), NULL where there is none. */
dmc_status dmc__preference_score(dmc__preference *f, size_t n, size_t per, const float *z, const float *cond, float *score);
/* Candidates' rewards become their scores. */
dmc_status dmc__preference_rank(dmc__preference *f, dmc__candidates *c);

#endif
