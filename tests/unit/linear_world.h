/* linear_world.h — an aligner whose policy is known in closed form: a planner of one row (state | action) by a linear denoiser.
 *
 * Row k of the table takes z to m_k z + S_k xi with m_k = a (P + Q L_k) + b, L_k the denoiser's slope at that row's time; the state
 * is in-painted and has no say, so the action's chain is Gaussian throughout. The reward is -(z_0 - 0.3)^2, known to the test.
 */
#ifndef DMC_TESTS_LINEAR_WORLD_H
#define DMC_TESTS_LINEAR_WORLD_H

#include "../../lib/align/rl_state.h"
#include "linear_net.h"

enum { LINEAR_STEPS = 3, LINEAR_ROWS = 64 };

typedef struct linear_world {
    small_model m;
    dmc__trajectories *data;
    dmc__normaliser obs, act;
    dmc__log log;
    dmc__align *a;
    float *host; /* samples, for the reward */
} linear_world;

static const double linear_slope[LINEAR_STEPS] = {0.9, 0.7, 0.5}; /* of time 0, 1, 2 */
static const double linear_best = 0.3;

static inline dmc_status linear_reward(void *self, const void *z, const void *cond, int32_t pessimistic, float *r, void *dz)
{
    linear_world *w = self;
    const size_t n = (size_t)w->a->config.batch;
    (void)cond, (void)pessimistic;
    DMC_TRY(dmc__dev_out(w->m.device, w->host, z, 2 * n));
    for (size_t i = 0; i < n; i++) {
        const double miss = w->host[2 * i + 1] - linear_best;
        r[i] = (float)(-miss * miss);
        w->host[2 * i] = 0;
        w->host[2 * i + 1] = (float)(-2 * miss);
    }
    return dz ? dmc__dev_in(w->m.device, dz, w->host, 2 * n) : DMC_OK;
}

static inline dmc_status linear_make_reward(void *user, int32_t batch, int32_t want_gradient, dmc__reward *out)
{
    *out = (dmc__reward){.self = user, .batch = batch, .has_gradient = want_gradient, .eval = linear_reward};
    return DMC_OK;
}

static inline void linear_free_reward(void *user, dmc__reward *r)
{
    (void)user;
    *r = (dmc__reward){0};
}

static inline dmc__trajectories *linear_data(void)
{
    dmc__trajectories *t;
    float *obs = some_floats(LINEAR_ROWS, 1, .3), *act = some_floats(LINEAR_ROWS, 2, .3), rew[LINEAR_ROWS] = {0};
    uint8_t end[LINEAR_ROWS];
    for (int i = 0; i < LINEAR_ROWS; i++) end[i] = i % 4 == 3;
    ok(dmc__trajectories_create(&dmc__default_allocator, LINEAR_ROWS, 1, 1, obs, act, rew, end, NULL, 0, 0, &t));
    free(obs);
    free(act);
    return t;
}

static inline void linear_world_open(linear_world *w, const char *device, int32_t batch, int32_t candidates)
{
    double map[LINEAR_STEPS][2][2] = {{{0}}};
    const dmc__align_config c = {.batch = batch, .candidates = candidates, .eval_every = 1, .eval_conditions = 1, .lr = 1e-3,
                                 .std_floor = .1, .lora_targets = "*"};
    const dmc__align_hooks hooks = {.user = w, .make_reward = linear_make_reward, .free_reward = linear_free_reward};
    for (int i = 0; i < LINEAR_STEPS; i++) map[i][1][1] = linear_slope[i];
    *w = (linear_world){.host = calloc((size_t)batch * 2, sizeof(float))};
    linear_net_open(&w->m, device, LINEAR_STEPS);
    linear_net_maps(&w->m, LINEAR_STEPS, map);
    w->data = linear_data();
    ok(dmc__normaliser_create(&dmc__default_allocator, DMC__NORM_NONE, 1, &w->obs));
    ok(dmc__normaliser_create(&dmc__default_allocator, DMC__NORM_NONE, 1, &w->act));
    const dmc__view view = {.data = w->data, .obs = &w->obs, .act = &w->act, .planner = 1, .horizon = 1, .n_obs = 1};
    ok(dmc__align_create(&dmc__default_allocator, w->m.device, &w->log, w->m.net, &w->m.process, w->m.weights, &view, &c, &hooks,
                         &w->a));
    ok(dmc__align_need_reward(w->a));
}

static inline void linear_world_close(linear_world *w)
{
    dmc__align_destroy(w->a);
    dmc__normaliser_free(&w->obs);
    dmc__normaliser_free(&w->act);
    dmc__trajectories_destroy(w->data);
    small_model_close(&w->m);
    free(w->host);
}

/* Gradient of the slope of learning row j, from the learner's gradients, which become zero. */
static inline void linear_take_gradient(const linear_world *w, const dmc__rl *s, double *slope)
{
    enum { UNITS = 3 * LINEAR_STEPS };
    const dmc__graph *g = w->m.net->graph;
    float torch[2 * UNITS];
    void *grads = dmc__learner_grads(w->a->learner);
    ok(dmc__params_get(g, w->m.device, grads, dmc__graph_find_param(g, "hinge.weight"), torch, 2 * UNITS));
    for (int32_t j = 0; j < s->k; j++) {
        const int time = (int)dmc__rollout_row(s->chain, dmc__rl_row(s, j))->at.seen;
        slope[j] = torch[2 * (3 * time + 1) + 1];
    }
    ok(dmc__params_zero(w->m.device, grads, w->m.n));
}

#endif
