/* iql.h — implicit Q-learning: twin Q, V, Polyak targets (methods.md 8). Normalised inputs, device work only.
 *
 * One update, in this order: (1) V by expectile regression on u = min(Qt1,Qt2)(s,a) - V(s); (2) Q towards
 * y = r + gamma (1-term) V_new(s'), loss sum of both twins; (3) Qt <- rho Q + (1-rho) Qt.
 */
#ifndef DMC_CRITIC_IQL_H
#define DMC_CRITIC_IQL_H

#include "../nn/net.h"
#include "../optim/learner.h"

typedef struct dmc__iql dmc__iql;

typedef struct dmc__iql_config {
    int32_t obs_dim, act_dim, hidden, batch;
    double lr, tau, gamma, polyak;
    int64_t steps;       /* cosine schedule length, 0 = constant */
    uint64_t seed;
} dmc__iql_config;

typedef struct dmc__iql_metrics { double q_loss, v_loss, q_mean, v_mean; } dmc__iql_metrics;

dmc_status dmc__iql_create(const dmc__allocator *a, dmc__device *d, const dmc__iql_config *c, dmc__iql **out);
void dmc__iql_destroy(dmc__iql *q);
/* Host arrays of config.batch transitions: y = rew + gamma (1 - terminal) V(next). terminal is 1 where nothing follows, and
 * 1 - gamma^(n-1) where `next` is n rows on (rew then holds n rewards); next may hold anything where it is 1. DMC_ENUMERIC: a loss
 * is not finite; the network it is of stays as it is. */
dmc_status dmc__iql_update(dmc__iql *q, const float *obs, const float *act, const float *rew, const float *next,
                           const float *terminal, dmc__iql_metrics *m);
int64_t dmc__iql_step(const dmc__iql *q);
/* A critic from a file counts on from what it had, so that it does not draw its first batches again. */
void dmc__iql_set_step(dmc__iql *q, int64_t step);

/* Blocks by name, for files: graphs and weights of Q, target Q, V. */
enum { DMC__IQL_Q = 0, DMC__IQL_TARGET = 1, DMC__IQL_V = 2 };
const dmc__graph *dmc__iql_graph(const dmc__iql *q, int32_t which);
void *dmc__iql_weights(const dmc__iql *q, int32_t which);
/* After weights were written from outside: learners take them over. */
dmc_status dmc__iql_adopt(dmc__iql *q, const void *q_weights, const void *target, const void *v);
const dmc__iql_config *dmc__iql_get_config(const dmc__iql *q);

/* Evaluation for a fixed batch: a plan of its own on d, which shares the critic's memory (else DMC_EINVAL), usable while the
 * critic is not being trained, from one thread.
 * Q weights are those of the online twins. create allocates; eval and gradient do not. */
typedef struct dmc__qeval dmc__qeval;
dmc_status dmc__qeval_create(const dmc__iql *q, dmc__device *d, int32_t batch, int32_t want_gradient, dmc__qeval **out);
void dmc__qeval_destroy(dmc__qeval *e);
void *dmc__qeval_obs(dmc__qeval *e); /* device (batch,S) input to fill */
void *dmc__qeval_act(dmc__qeval *e); /* device (batch,A) */
dmc_status dmc__qeval_run(dmc__qeval *e);
const void *dmc__qeval_q(const dmc__qeval *e, int32_t twin); /* device (batch) after run */
/* Seeds: device (batch) dL/dq1, dL/dq2 to fill, then backward gives dL/dobs, dL/dact. */
void *dmc__qeval_dq(dmc__qeval *e, int32_t twin);
dmc_status dmc__qeval_backward(dmc__qeval *e);
const void *dmc__qeval_dobs(const dmc__qeval *e);
const void *dmc__qeval_dact(const dmc__qeval *e);
size_t dmc__qeval_bytes(const dmc__qeval *e);
/* Same for V. */
typedef struct dmc__veval dmc__veval;
dmc_status dmc__veval_create(const dmc__iql *q, dmc__device *d, int32_t batch, dmc__veval **out);
void dmc__veval_destroy(dmc__veval *e);
void *dmc__veval_obs(dmc__veval *e);
dmc_status dmc__veval_run(dmc__veval *e);
const void *dmc__veval_v(const dmc__veval *e);

#endif
