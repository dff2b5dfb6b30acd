/* online.c — act, learn what it was worth, align, again. */
#include "online.h"

#include <math.h>
#include <string.h>

#include "../base/clock.h"
#include "adapter_file.h"

typedef struct online {
    dmc__online_parts p;
    const dmc__online_config *c;
    dmc__online_result *result;
    dmc__critic_map map;
    float *map_store, *window; /* 2*(S+A); (n_obs,S) raw */
    double *returns;           /* of one round or evaluation */
    uint64_t draws;            /* of conditions, so that the share is exact */
    float *best;               /* what learns, as it was in the best round */
    double first_mean, best_mean, best_se;
    int32_t bad;               /* rounds in a row that were much worse */
} online;

/* ---- acting ----------------------------------------------------------------------------------------- */

static dmc_status make_sampler(const online *o, const dmc__model *m, dmc__sampler **out)
{
    const dmc__sampler_parts parts = {.q = o->p.critic->iql, .q_map = &o->map};
    dmc__sampler_config c = {.table = dmc__table_defaults(&m->process), .batch = o->p.env->count, .candidates = o->c->candidates,
                             .select = o->c->select, .cascade_passes = m->cascade != NULL, .temperature = 1, .beta = o->c->beta,
                             .seed = o->c->seed, .exec = o->c->exec, .guidance = 1, .target_return = 1, .guide_scale = 1};
    dmc__context_ref ref;
    c.table.sampler = o->p.align->config.sampler;
    c.table.steps = dmc__align_steps(o->p.align);
    DMC_TRY(dmc__context_share(&o->p.model->ref, &ref));
    return dmc__sampler_create(&ref, m, &parts, &c, out);
}

/* Episodes first .. first+n-1 behind the first seed, kept in the ring if that is wanted. */
static dmc_status act(online *o, uint64_t first, int32_t n, int32_t keep)
{
    const uint64_t episode = o->c->first_seed + first, noise = o->c->seed + first;
    dmc__model *m;
    dmc__sampler *s;
    DMC_TRY(dmc__adapter_publish(o->p.align, o->p.model, &m));
    dmc_status status = make_sampler(o, m, &s);
    if (status >= 0) {
        status = keep ? dmc__collect(s, o->p.env, o->p.replay, n, o->c->exec, episode, noise, o->returns)
                      : dmc__evaluate(s, o->p.env, n, o->c->exec, episode, noise, o->returns);
        dmc__sampler_destroy(s);
    }
    dmc__model_destroy(m);
    return status;
}

/* Mean of n returns, and its standard error. */
static void summarise(const double *x, int32_t n, double *mean, double *se)
{
    double square = 0;
    *mean = 0;
    for (int32_t i = 0; i < n; i++) *mean += x[i] / n;
    for (int32_t i = 0; i < n; i++) square += (x[i] - *mean) * (x[i] - *mean);
    *se = n > 1 ? sqrt(square / (n - 1) / n) : 0;
}

static dmc_status evaluate(online *o, double *mean, double *se)
{
    const int32_t n = o->c->eval_episodes;
    *mean = *se = NAN;
    if (n == 0) return DMC_OK;
    DMC_TRY(act(o, 0, n, 0));
    summarise(o->returns, n, mean, se);
    return DMC_OK;
}

/* *steps: how many were taken. */
static dmc_status collect(online *o, int32_t round, int64_t *steps)
{
    const int32_t n = o->c->episodes;
    const uint64_t before = o->p.replay->pushed;
    DMC_TRY(act(o, (uint64_t)o->c->eval_episodes + (uint64_t)round * (uint64_t)n, n, 1));
    if (o->result->returns) memcpy(o->result->returns + (size_t)round * (size_t)n, o->returns, (size_t)n * sizeof *o->returns);
    *steps = (int64_t)(o->p.replay->pushed - before);
    return DMC_OK;
}

/* ---- learning --------------------------------------------------------------------------------------- */

static dmc_status teach(online *o, int64_t steps)
{
    const double updates = floor(o->c->utd * (double)steps + 0.5);
    dmc__iql_metrics m;
    if (updates > INT32_MAX) return dmc__fail(DMC_ERANGE, "dmc_align_online: utd = %g of %lld steps is too much", o->c->utd,
                                              (long long)steps);
    DMC_TRY(dmc__critic_step_on(o->p.critic, o->p.replay, o->c->share, (int32_t)updates, &m));
    o->result->critic_updates += (int64_t)updates;
    o->result->q_loss = m.q_loss;
    o->result->v_loss = m.v_loss;
    return DMC_OK;
}

/* Row i of the ring as a policy saw it: the observations before it, as far as they are there. */
static void look_back(const online *o, size_t i)
{
    const dmc__experience *x = o->p.replay;
    const dmc__view *v = &o->p.align->view;
    const size_t s = (size_t)x->obs_dim, past = dmc__experience_past(x, i), frames = (size_t)v->n_obs;
    const size_t back = v->memory > 0 || past < frames - 1 ? past : frames - 1; /* a memory holds all of it */
    const float *first = x->obs + dmc__experience_slot(x, i - back) * s;
    for (size_t j = 0; j < frames; j++) memcpy(o->window + j * s, first, s * sizeof *first);
    for (size_t j = i - back + 1; j <= i; j++) dmc__view_push(v, x->obs + dmc__experience_slot(x, j) * s, o->window);
}

/* Every condition that is not from the data: `share` of them, spread evenly. */
static const float *draw_condition(void *user, const dmc__stream *s)
{
    online *o = user;
    const double share = o->c->share, n = (double)o->draws++;
    if (floor((n + 1) * share) <= floor(n * share)) return NULL;
    look_back(o, dmc__experience_draw(o->p.replay, s));
    return o->window;
}

static dmc_status run_method(online *o, dmc__align_result *r)
{
    dmc__align *a = o->p.align;
    const dmc__online_config *c = o->c;
    return c->method == DMC__ONLINE_RL ? dmc__rl_run(a, &c->rl, r)
           : c->method == DMC__ONLINE_DPO ? dmc__dpo_run(a, &c->dpo, r) : dmc__sft_run(a, &c->sft, r);
}

static dmc_status align(online *o, int32_t round)
{
    dmc__align *a = o->p.align;
    dmc__align_result r = {0};
    if (o->c->updates == 0) return DMC_OK;
    *o->p.round = round + 1; /* no pass to the aligner, which would compare it with those before */
    dmc__align_drop_reward(a); /* the critic is another: so are the scores it gave */
    a->draw_condition = draw_condition;
    a->draw_user = o;
    const dmc_status status = run_method(o, &r);
    a->draw_condition = NULL;
    a->draw_user = NULL;
    *o->p.round = 0;
    o->result->updates += r.updates;
    o->result->rollbacks += r.rollbacks;
    o->result->kl = r.kl;
    return status;
}

/* ---- a collapse of the returns (methods.md 6) ------------------------------------------------------- */

enum { BAD_ROUNDS = 2 };

static dmc_status go_back(online *o)
{
    dmc__align *a = o->p.align;
    o->bad = 0;
    o->result->restored++;
    a->config.lr *= 0.5; /* of this call: put right at its end */
    dmc__log_line(a->log, DMC__LOG_WARN, "online: the returns fell: the weights of the best round are restored, learning rate %g",
                  a->config.lr);
    DMC_TRY(dmc__learner_set(a->learner, o->best));
    return dmc__learner_reset_moments(a->learner);
}

/* The round's returns are of the weights as they are now. */
static dmc_status watch(online *o, int32_t round)
{
    double mean, se;
    summarise(o->returns, o->c->episodes, &mean, &se);
    if (round == 0) o->first_mean = mean;
    if (round == 0 || mean > o->best_mean) {
        o->best_mean = mean;
        o->best_se = se;
        o->bad = 0;
        return dmc__learner_get(o->p.align->learner, o->best);
    }
    const double slack = fmax(2 * hypot(se, o->best_se), 0.1 * fabs(o->best_mean - o->first_mean));
    o->bad = mean < o->best_mean - slack ? o->bad + 1 : 0;
    return o->bad >= BAD_ROUNDS ? go_back(o) : DMC_OK;
}

static dmc_status do_round(online *o, int32_t round)
{
    int64_t steps = 0;
    DMC_TRY(collect(o, round, &steps));
    o->result->steps += steps;
    if (o->c->restore) DMC_TRY(watch(o, round));
    DMC_TRY(teach(o, steps));
    const dmc_status status = align(o, round);
    if (status >= 0) o->result->rounds++;
    return status;
}

/* ---- all of it -------------------------------------------------------------------------------------- */

/* Episodes of a round or an evaluation. */
static size_t longest(const online *o)
{
    return (size_t)(o->c->episodes > o->c->eval_episodes ? o->c->episodes : o->c->eval_episodes);
}

static dmc_status open_online(online *o)
{
    const dmc__allocator *a = o->p.align->alloc;
    const size_t s = (size_t)o->p.env->obs_dim, act_dim = (size_t)o->p.env->act_dim;
    DMC_TRY(DMC_NEW(a, 2 * (s + act_dim), &o->map_store));
    DMC_TRY(DMC_NEW(a, (size_t)o->p.align->view.n_obs * s, &o->window));
    DMC_TRY(DMC_NEW(a, longest(o), &o->returns));
    DMC_TRY(DMC_NEW(a, dmc__learner_elems(o->p.align->learner), &o->best));
    dmc__critic_make_map(o->p.critic, o->p.model, o->map_store, &o->map);
    return DMC_OK;
}

static void close_online(online *o)
{
    const dmc__allocator *a = o->p.align->alloc;
    const size_t s = (size_t)o->p.env->obs_dim, act_dim = (size_t)o->p.env->act_dim;
    DMC_FREE(a, o->best, dmc__learner_elems(o->p.align->learner));
    DMC_FREE(a, o->returns, longest(o));
    DMC_FREE(a, o->window, (size_t)o->p.align->view.n_obs * s);
    DMC_FREE(a, o->map_store, 2 * (s + act_dim));
}

static dmc_status check(const dmc__online_parts *p)
{
    const int32_t s = p->model->obs.n, a = p->model->act.n;
    if (p->critic->obs.n != s || p->critic->act.n != a)
        return dmc__fail(DMC_ESHAPE, "dmc_align_online: the critic is for observations of %d and actions of %d, the model for %d "
                         "and %d", p->critic->obs.n, p->critic->act.n, s, a);
    if (p->env->obs_dim != s || p->env->act_dim != a)
        return dmc__fail(DMC_ESHAPE, "dmc_align_online: env has observations of %d and actions of %d, the model wants %d and %d",
                         p->env->obs_dim, p->env->act_dim, s, a);
    return DMC_OK;
}

dmc_status dmc__online_run(const dmc__online_parts *p, const dmc__online_config *c, dmc__online_result *r)
{
    const int64_t began = dmc__clock_ns();
    const double lr = p->align->config.lr;
    online o = {.p = *p, .c = c, .result = r};
    dmc_status status;
    r->before = r->before_se = r->after = r->after_se = r->kl = NAN;
    DMC_TRY(check(p));
    DMC_TRY_GOTO(status, open_online(&o), done);
    DMC_TRY_GOTO(status, evaluate(&o, &r->before, &r->before_se), done);
    for (int32_t i = 0; i < c->rounds && status == DMC_OK; i++) status = do_round(&o, i);
    if (status >= 0) {
        const dmc_status last = evaluate(&o, &r->after, &r->after_se);
        if (last < 0) status = last;
    }
done:
    close_online(&o);
    p->align->config.lr = lr;
    r->seconds = (double)(dmc__clock_ns() - began) * 1e-9;
    return status;
}
