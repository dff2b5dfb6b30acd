/* critic_fit.h — IQL on a dataset: transitions, normalisation, values in dataset units, files. The inside of dmc_critic. */
#ifndef DMC_TRAIN_CRITIC_FIT_H
#define DMC_TRAIN_CRITIC_FIT_H

#include "../critic/reward.h"
#include "../model/model.h"

/* Episodes to learn from, as DMC_CRITIC_*. */
enum { DMC__CRITIC_TRAIN = 0, DMC__CRITIC_HELD_OUT = 1, DMC__CRITIC_FIRST_HALF = 2, DMC__CRITIC_SECOND_HALF = 3 };

typedef struct dmc__critic_config {
    int32_t hidden, batch, steps, split, chunk;
    double lr, tau, gamma, polyak;
    uint64_t seed;
} dmc__critic_config;

struct dmc_critic {
    dmc__context_ref ref;
    dmc__critic_config config;
    dmc__normaliser obs, act;           /* gaussian; minmax */
    dmc__iql *iql;
    const dmc__trajectories *data;      /* NULL: values only */
    double reward_scale, reward_shift;  /* r -> r*scale + shift */
    float *s, *a, *r, *next, *term;     /* staging (batch, ...) */
    dmc__qeval *eval;                   /* of eval_batch rows with gradient; made on first use */
    dmc__veval *veval;
    int32_t eval_batch;
};
typedef struct dmc_critic dmc__critic;

dmc_status dmc__critic_create(dmc__context *ctx, const dmc__trajectories *data, double reward_scale, double reward_shift,
                              const dmc__critic_config *c, dmc__critic **out);
void dmc__critic_destroy(dmc__critic *c);
dmc_status dmc__critic_step(dmc__critic *c, int32_t n, dmc__iql_metrics *mean);
/* Its parts: transitions of the dataset as the first `samples` of a batch; an update on the batch that is staged, one of the n that
 * `mean` is over. */
dmc_status dmc__critic_stage(dmc__critic *c, int32_t samples);
dmc_status dmc__critic_learn(dmc__critic *c, int32_t n, dmc__iql_metrics *mean);
/* Any output may be NULL; obs (n,S), act (n,chunk,A) raw. grad: d mean(q1,q2)/d act. act NULL: only v. */
dmc_status dmc__critic_values(dmc__critic *c, size_t n, const float *obs, const float *act, float *q1, float *q2, float *v,
                              float *grad);
/* The map from a model's normalised columns to this critic's; arrays live in `store` (2*(S+A) floats). Of a planner of states only
 * it still lacks the inverse model (dmc__critic_map_inverse). */
void dmc__critic_make_map(const dmc__critic *c, const dmc__model *m, float *store, dmc__critic_map *out);
/* The actions that this critic judges come from an inverse model (NULL: from the model itself), whose network and weights are used
 * where they are. */
void dmc__critic_map_inverse(const dmc__model *inverse, dmc__critic_map *map);
dmc_status dmc__critic_contract(const dmc__critic *c, const dmc__allocator *a, char **text);
dmc_status dmc__critic_save(const dmc__critic *c, const char *path);
dmc_status dmc__critic_load(dmc__context *ctx, const char *path, const dmc__trajectories *data, double reward_scale,
                            double reward_shift, dmc__critic **out);

/* Pieces of making one, for critic_file.c: a critic without networks; then, when config and normalisers are set, the rest. */
dmc_status dmc__critic_make_shell(dmc__context *ctx, const dmc__trajectories *data, double scale, double shift,
                                  dmc__critic **out);
dmc_status dmc__critic_make_parts(dmc__critic *c);

#endif
