/* critic.h — implicit Q-learning (Kostrikov et al. 2021): twin Q(s,a), V(s), Polyak targets.
 *
 * With chunk = n an action is the next n rows, as a policy executes them: Q(s_t, a_t..a_t+n-1), and V counts n rows on. Past the
 * end of an episode the last row is repeated.
 *
 * Observations are z-scored and actions scaled to [-1,1] inside, with the dataset's statistics; all calls take
 * the dataset's own units. Threads: one at a time while training; value calls allocate a plan of the batch
 * size on first use and are not real-time.
 */
#ifndef LIBDMC_CRITIC_H
#define LIBDMC_CRITIC_H

#include "dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dmc_critic dmc_critic;

/* Which episodes a critic learns from. The halves are of the training episodes, the same for every seed: two critics that share no
 * episode. */
enum { DMC_CRITIC_TRAIN = 0, DMC_CRITIC_HELD_OUT = 1, DMC_CRITIC_FIRST_HALF = 2, DMC_CRITIC_SECOND_HALF = 3 };

typedef struct dmc_critic_options {
    uint32_t struct_size;
    int32_t hidden;        /* width of the two hidden layers (LayerNorm, Mish); default 256          */
    int32_t batch;         /* transitions per update; default 256                                    */
    int32_t steps;         /* length of the cosine learning-rate schedule, 0 = constant; default 0   */
    double lr;             /* Adam, default 3e-4                                                     */
    double tau;            /* expectile, (0,1); default 0.7                                          */
    double gamma;          /* discount, [0,1]; default 0.99                                          */
    double polyak;         /* target <- (1-polyak) target + polyak Q; default 0.005                  */
    uint64_t seed;         /* default 0                                                              */
    int32_t split;         /* DMC_CRITIC_*: episodes to learn from; default train                    */
    int32_t chunk;         /* n, rows of an action: Q(s_t, a_t..a_t+n-1) = r_t + .. + gamma^n V(s_t+n); default 1 */
} dmc_critic_options;

typedef struct dmc_critic_metrics {
    uint32_t struct_size;
    int32_t step;
    double q_loss, v_loss;   /* means over the call's updates */
    double q_mean, v_mean;   /* last batch                    */
    double seconds;
} dmc_critic_metrics;

/* Defaults. size = sizeof *o. */
DMC_API dmc_status dmc_critic_options_init(dmc_critic_options *o, size_t size);

/* An untrained critic for the dataset's widths; o NULL = defaults. Ownership: destroy accepts NULL.
 * Errors: DMC_ERANGE names the option and the bound; DMC_ENOMEM. */
DMC_API DMC_NODISCARD dmc_status dmc_critic_create(dmc_context *ctx, const dmc_dataset *d, const dmc_critic_options *o,
                                                   dmc_critic **out);
DMC_API void dmc_critic_destroy(dmc_critic *c);

/* Do n updates on the dataset given at creation (DMC_ESTATE for a critic that was loaded without one). */
DMC_API DMC_NODISCARD dmc_status dmc_critic_step(dmc_critic *c, int32_t n, dmc_critic_metrics *metrics);

/* q1, q2 (n) of obs (n,S), act (n,chunk,A); v (n) of obs. Output pointers may be NULL. */
DMC_API DMC_NODISCARD dmc_status dmc_critic_q(dmc_critic *c, size_t n, const float *obs, const float *act, float *q1,
                                              float *q2);
DMC_API DMC_NODISCARD dmc_status dmc_critic_v(dmc_critic *c, size_t n, const float *obs, float *v);
/* d mean(q1,q2) / d act, (n,chunk,A). */
DMC_API DMC_NODISCARD dmc_status dmc_critic_action_gradient(dmc_critic *c, size_t n, const float *obs, const float *act,
                                                            float *grad);

/* Model-file format, as dmc_model_save. A loaded critic gives values and may train again only if `d` is given. */
DMC_API DMC_NODISCARD dmc_status dmc_critic_save(const dmc_critic *c, const char *path);
DMC_API DMC_NODISCARD dmc_status dmc_critic_load(dmc_context *ctx, const char *path, const dmc_dataset *d,
                                                 dmc_critic **out);
/* The options and normaliser as JSON, as dmc_model_describe. */
DMC_API dmc_status dmc_critic_describe(const dmc_critic *c, char *buf, size_t size, size_t *need);

#ifdef __cplusplus
}
#endif
#endif
