/* rl_auto.c — PPO or QV-PG? Both are tried from the same weights and the same reference, and the better goes on (methods.md 6). */
#include "rl_state.h"

#include <math.h>

enum { TRIALS = 2 };

typedef struct trial {
    dmc__rl *rl;
    dmc__align_result result;
    float *weights;          /* what it came to */
} trial;

typedef struct contest {
    dmc__align *a;
    int32_t updates, trials; /* 1 where the reward has no gradient */
    size_t n;
    float *start;
    trial of[TRIALS];        /* PPO, QV-PG */
} contest;

static dmc_status has_gradient(dmc__align *a, int32_t *yes)
{
    dmc__reward r;
    DMC_TRY(a->hooks.make_reward(a->hooks.user, a->config.batch, 1, &r));
    *yes = r.has_gradient;
    a->hooks.free_reward(a->hooks.user, &r);
    return DMC_OK;
}

/* All are made before any runs: the reference is the weights at the start. */
static dmc_status open_contest(contest *t, const dmc__rl_config *c)
{
    static const int32_t methods[TRIALS] = {DMC__RL_PPO, DMC__RL_QVPG};
    int32_t gradient;
    DMC_TRY(has_gradient(t->a, &gradient));
    t->trials = gradient ? TRIALS : 1;
    DMC_TRY(DMC_NEW(t->a->alloc, t->n, &t->start));
    DMC_TRY(dmc__learner_get(t->a->learner, t->start));
    for (int32_t i = 0; i < t->trials; i++) {
        dmc__rl_config one = *c;
        one.method = methods[i];
        DMC_TRY(DMC_NEW(t->a->alloc, t->n, &t->of[i].weights));
        DMC_TRY(dmc__rl_create(t->a, &one, &t->of[i].rl));
    }
    return DMC_OK;
}

static void close_contest(contest *t)
{
    for (int32_t i = 0; i < TRIALS; i++) {
        dmc__rl_destroy(t->of[i].rl);
        DMC_FREE(t->a->alloc, t->of[i].weights, t->n);
    }
    DMC_FREE(t->a->alloc, t->start, t->n);
}

static dmc_status run_for(contest *t, int32_t i, int32_t updates, dmc__align_result *r)
{
    const dmc__stage stage = dmc__rl_stage(t->of[i].rl, updates);
    return dmc__stage_run(t->a, &stage, r);
}

/* A trial without one good update has lost, which is no error of the call. */
static dmc_status try_one(contest *t, int32_t i, int32_t updates)
{
    trial *one = &t->of[i];
    DMC_TRY(dmc__learner_set(t->a->learner, t->start));
    const dmc_status status = run_for(t, i, updates, &one->result);
    if (status < 0 && status != DMC_EDIVERGED) return status;
    DMC_TRY(dmc__learner_get(t->a->learner, one->weights));
    return status == DMC_EDIVERGED ? DMC_OK : status;
}

/* What was done counts, whoever did it. */
static void add_result(dmc__align_result *r, const dmc__align_result *other)
{
    r->updates += other->updates;
    r->rollbacks += other->rollbacks;
    r->seconds += other->seconds;
    r->stopped |= other->stopped;
}

/* The better trial's weights; its number. */
static dmc_status choose(contest *t, int32_t *best, dmc__align_result *r)
{
    *best = t->of[1].result.after > t->of[0].result.after;
    *r = t->of[*best].result;
    add_result(r, &t->of[!*best].result);
    dmc__log_line(t->a->log, DMC__LOG_INFO, "rl: %s goes on", *best ? "qvpg" : "ppo");
    return dmc__learner_set(t->a->learner, t->of[*best].weights);
}

static dmc_status go_on(contest *t, int32_t best, int32_t updates, dmc__align_result *r)
{
    dmc__align_result rest;
    const dmc_status status = run_for(t, best, updates, &rest);
    if (status < 0) return status;
    add_result(&rest, r);
    rest.before = r->before;
    rest.before_se = r->before_se;
    rest.accepted = rest.after > rest.before;
    *r = rest;
    return status;
}

static dmc_status hold(contest *t, dmc__align_result *r)
{
    const int32_t quarter = t->updates / 4;
    int32_t best;
    if (t->trials == 1) return run_for(t, 0, t->updates, r);
    t->of[1].result.after = -INFINITY; /* in case the first is stopped */
    dmc_status status = try_one(t, 0, quarter);
    if (status == DMC_OK) status = try_one(t, 1, quarter);
    if (status < 0) return status;
    DMC_TRY(choose(t, &best, r));
    return status == DMC_OK ? go_on(t, best, t->updates - TRIALS * quarter, r) : status;
}

dmc_status dmc__rl_auto(dmc__align *a, const dmc__rl_config *c, dmc__align_result *r)
{
    contest t = {.a = a, .updates = c->updates, .n = dmc__learner_elems(a->learner)};
    dmc_status status = open_contest(&t, c);
    if (status >= 0) status = hold(&t, r);
    close_contest(&t);
    return status;
}
