/* nav1d_data.h — the three Nav1D data sets, and who acted in them.
 *
 *   full      s_0 ~ U[-1,1]   a ~ U[-1,1]
 *   partial   s_0 ~ U[-1,0]   a ~ U[-1, min(1,-s/gamma)], so that no state is above 0
 *   expert    s_0 ~ U[-1,1]   a = clip(a*(s,t) + noise N(0,1)), with probability epsilon ~ U[-1,1]
 *
 * The expert errs on purpose: a single-peaked one could not tell averaging actions from choosing
 * among them.
 */
#ifndef NAV1D_DATA_H
#define NAV1D_DATA_H

#include <stddef.h>

#include "nav1d_expert.h"

/* The number is also the seed of the published data set. */
enum { NAV1D_FULL = 0, NAV1D_PARTIAL = 1, NAV1D_EXPERT = 2 };
enum { NAV1D_EPISODES = 4096 };

/* The behaviour policy pi_beta(a|s,t). */
typedef struct nav1d_behaviour {
    int32_t kind;               /* NAV1D_FULL, ...                                   */
    const nav1d_expert *expert; /* for NAV1D_EXPERT; borrowed                        */
    double epsilon;             /* expert: share of uniform actions, 0..1            */
    double noise;               /* expert: sd of the noise, >= 0                     */
} nav1d_behaviour;

/* With the published epsilon = .2 and noise = .05. */
nav1d_behaviour nav1d_behaviour_make(int32_t kind, const nav1d_expert *expert);

/* Whether the kind is known and an expert has its table and numbers in range. */
int32_t nav1d_behaviour_is_valid(const nav1d_behaviour *b);

/* The action of this episode at (s,t), a function of the arguments alone. */
float nav1d_behaviour_draw(const nav1d_behaviour *b, double state, int32_t t, uint64_t seed,
                           uint64_t episode);

/* P(action <= a | s,t), clipping included: the expert has atoms at -1 and 1. */
double nav1d_behaviour_cdf(const nav1d_behaviour *b, double state, int32_t t, double a);

/* pi_beta(a|s,t) / max_a pi_beta(a|s,t), in 0..1. The expert's is the density before clipping,
 * which has no atoms; its noise must be > 0. */
double nav1d_behaviour_density(const nav1d_behaviour *b, double state, int32_t t, double a);

typedef struct nav1d_data {
    size_t n;            /* transitions: 12 per episode, one episode after another   */
    float *observations; /* (n,4) before the action                                  */
    float *actions;      /* (n,1)                                                    */
    float *rewards;      /* (n)                                                      */
    uint8_t *terminals;  /* (n) 1 at the twelfth step                                */
    uint8_t *timeouts;   /* (n) 0 everywhere                                         */
} nav1d_data;

/* Returns 0; or -1 with *out empty if episodes is not in 1..1000000, the behaviour is not valid
 * or memory ran out. */
int32_t nav1d_data_create(const nav1d_behaviour *b, int32_t episodes, uint64_t seed,
                          int32_t preview, nav1d_data *out);
void nav1d_data_destroy(nav1d_data *d);

#endif
