/* check_resume.c — F6: a run that was stopped and resumed ends with the same weights, bit for bit, as one that was not. */
#include "align_fixture.h"

#include "../../lib/base/hash.h"

Suite *dmc_suite_resume(void);

static const char *const file = "build/check_resume.state";

typedef struct plan {
    dmc_sequence_options q;
    dmc_rl_options rl;
    dmc_dpo_options dpo;
    dmc_sft_options sft;
    dmc_cascade_options cascade;
} plan;

static plan short_plan(void)
{
    plan p;
    dmc_sequence_options_init(&p.q, sizeof p.q);
    dmc_rl_options_init(&p.rl, sizeof p.rl);
    dmc_dpo_options_init(&p.dpo, sizeof p.dpo);
    dmc_sft_options_init(&p.sft, sizeof p.sft);
    dmc_cascade_options_init(&p.cascade, sizeof p.cascade);
    p.rl.updates = p.dpo.updates = p.sft.updates = p.cascade.updates = 10;
    p.dpo.pool = p.sft.pool = p.cascade.pool = 8;
    p.sft.conditions = p.cascade.conditions = 32;
    p.dpo.refresh = 4;
    return p;
}

static dmc_status run_plan(const bandit *b, const plan *p, dmc_align_report *r)
{
    return dmc_align_sequence(b->aligner, &p->q, &p->rl, &p->dpo, &p->sft, &p->cascade, r);
}

static dmc_align_options options(void)
{
    dmc_align_options o = bandit_options();
    o.eval_every = 4;
    o.lr = 5e-4;
    return o;
}

static uint64_t hash_of(const bandit *b)
{
    size_t n;
    float *w = bandit_weights(b->aligner, &n);
    const uint64_t h = dmc__hash(w, n * sizeof *w);
    free(w);
    return h;
}

/* A new aligner in the place of the bandit's, resumed from the file. */
static void resume(bandit *b)
{
    const dmc_align_options o = options();
    dmc_aligner_destroy(b->aligner);
    b->aligner = bandit_aligner(b, &o);
    ck_assert_msg(dmc_aligner_resume(b->aligner, file) == DMC_OK, "%s", dmc_last_error());
}

typedef struct timer { int32_t now, stop, stops; dmc_aligner *checkpoint; } timer;

/* Stops at update number `stop` of all, or writes a checkpoint there and goes on. */
static int32_t tick(void *user, const dmc_align_progress *p)
{
    timer *c = user;
    (void)p;
    if (++c->now != c->stop) return 0;
    c->stops++;
    if (!c->checkpoint) return 1;
    ck_assert_msg(dmc_aligner_checkpoint(c->checkpoint, file) == DMC_OK, "%s", dmc_last_error());
    return 0;
}

static void same_report(const dmc_align_report *x, const dmc_align_report *y)
{
    ck_assert_int_eq(x->updates, y->updates);
    ck_assert_int_eq(x->rollbacks, y->rollbacks);
    ck_assert_double_eq(x->before, y->before);
    ck_assert_double_eq(x->after, y->after);
    ck_assert_double_eq(x->kl, y->kl);
    ck_assert_int_eq(x->end, y->end);
}

/* In the middle of rl, dpo, sft of the first pass, at the end of a stage, of rl in the second, in the cascade. */
START_TEST(a_stopped_sequence)
{
    static const int32_t stops[] = {3, 14, 26, 10, 37, 64};
    const dmc_align_options o = options();
    plan p = short_plan();
    bandit b;
    timer c = {.stop = stops[_i % 6]};
    dmc_align_report whole = {.struct_size = sizeof whole}, rest = whole;
    p.q.cascade = 1;
    bandit_open(&b, "cpu", 100, &o);
    ck_assert_msg(run_plan(&b, &p, &whole) == DMC_OK, "%s", dmc_last_error());
    const uint64_t expected = hash_of(&b);
    dmc_aligner_destroy(b.aligner);
    b.aligner = bandit_aligner(&b, &o);
    if (_i >= 6) c.checkpoint = b.aligner;
    ck_assert_int_eq(dmc_aligner_set_progress(b.aligner, tick, &c), DMC_OK);
    ck_assert_int_eq(run_plan(&b, &p, &rest), _i >= 6 ? DMC_OK : DMC_STOPPED);
    ck_assert_int_eq(c.stops, 1);
    if (_i < 6) ck_assert_msg(dmc_aligner_checkpoint(b.aligner, file) == DMC_OK, "%s", dmc_last_error());
    resume(&b);
    ck_assert_msg(run_plan(&b, &p, &rest) == DMC_OK, "%s", dmc_last_error());
    ck_assert_uint_eq(hash_of(&b), expected);
    same_report(&rest, &whole);
    bandit_close(&b);
    remove(file);
}
END_TEST

/* Between two methods: draws go on. */
START_TEST(an_aligner_at_rest)
{
    const dmc_align_options o = options();
    const plan p = short_plan();
    bandit b;
    bandit_open(&b, "cpu", 100, &o);
    ck_assert_int_eq(dmc_align_rl(b.aligner, &p.rl, NULL), DMC_OK);
    ck_assert_int_eq(dmc_aligner_checkpoint(b.aligner, file), DMC_OK);
    ck_assert_int_eq(dmc_align_dpo(b.aligner, &p.dpo, NULL), DMC_OK);
    const uint64_t expected = hash_of(&b);
    resume(&b);
    ck_assert_int_eq(dmc_align_dpo(b.aligner, &p.dpo, NULL), DMC_OK);
    ck_assert_uint_eq(hash_of(&b), expected);
    bandit_close(&b);
    remove(file);
}
END_TEST

/* ---- a method that keeps a record of itself ------------------------------------------------------------- */

typedef struct momentum {
    dmc__align *a;
    double own;              /* what a checkpoint must not forget */
    float *grad;
    size_t n;
    int32_t updates, loads;
} momentum;

static dmc_status push(void *self, int32_t u, dmc__align_note *note)
{
    momentum *m = self;
    const dmc__adamw_config opt = dmc__align_adamw(m->a);
    const dmc__stream s = {1, DMC_STREAM_BATCH, dmc__align_draw(m->a), 0};
    (void)u;
    m->updates++;
    m->own = 0.9 * m->own + 1;
    note->loss = m->own;
    for (size_t i = 0; i < m->n; i++) m->grad[i] = (float)(m->own * (dmc__rng_uniform(&s, (uint32_t)i) - 0.5));
    DMC_TRY(dmc__dev_in(m->a->device, dmc__learner_grads(m->a->learner), m->grad, m->n));
    return dmc__learner_update(m->a->learner, &opt, NULL);
}

static size_t own_size(const void *self)
{
    (void)self;
    return 1;
}

static dmc_status own_save(const void *self, double *state)
{
    *state = ((const momentum *)self)->own;
    return DMC_OK;
}

static dmc_status own_load(void *self, const double *state, size_t n)
{
    momentum *m = self;
    ck_assert_uint_eq(n, 1);
    m->own = *state;
    m->loads++;
    return DMC_OK;
}

static int32_t stop_at_seven(void *user, const dmc__align_note *n)
{
    (void)user;
    return n->update == 7;
}

/* Every score is the best, so the last weights are kept. */
static dmc_status rising(void *user, double *mean, double *se)
{
    static double score;
    (void)user;
    *mean = ++score;
    *se = 0;
    return DMC_OK;
}

static dmc_status run_momentum(const bandit *b, momentum *m, int32_t stop)
{
    dmc__align *a = b->aligner->run;
    dmc__align_result r;
    *m = (momentum){.a = a, .n = dmc__graph_param_elems(a->net->graph)};
    m->grad = calloc(m->n, sizeof *m->grad);
    a->hooks.score = rising;
    a->hooks.progress = stop ? stop_at_seven : NULL;
    const dmc__stage s = {.name = "momentum", .updates = 12, .self = m, .update = push, .learner = a->learner,
                          .state_size = own_size, .save = own_save, .load = own_load};
    ck_assert_int_eq(dmc__align_need_reward(a), DMC_OK);
    const dmc_status status = dmc__stage_run(a, &s, &r);
    free(m->grad);
    return status;
}

/* It goes on in the middle of its stage: five updates are left of twelve. */
START_TEST(the_middle_of_a_stage)
{
    const dmc_align_options o = options();
    bandit b;
    momentum m;
    bandit_open(&b, "cpu", 100, &o);
    ck_assert_msg(run_momentum(&b, &m, 0) == DMC_OK, "%s", dmc_last_error());
    const uint64_t expected = hash_of(&b);
    const uint64_t draws = b.aligner->run->draws;
    dmc_aligner_destroy(b.aligner);
    b.aligner = bandit_aligner(&b, &o);
    ck_assert_int_eq(run_momentum(&b, &m, 1), DMC_STOPPED);
    ck_assert_int_eq(m.updates, 7);
    ck_assert_msg(dmc_aligner_checkpoint(b.aligner, file) == DMC_OK, "%s", dmc_last_error());
    resume(&b);
    ck_assert_msg(run_momentum(&b, &m, 0) == DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(m.updates, 5);
    ck_assert_int_eq(m.loads, 1);
    ck_assert_uint_eq(b.aligner->run->draws, draws);
    ck_assert_uint_eq(hash_of(&b), expected);
    bandit_close(&b);
    remove(file);
}
END_TEST

/* ---- refusals -------------------------------------------------------------------------------------------- */

static void refused(dmc_status status, dmc_status expected, const char *words)
{
    ck_assert_int_eq(status, expected);
    ck_assert_msg(strstr(dmc_last_error(), words) != NULL, "%s", dmc_last_error());
}

START_TEST(another_method_is_refused)
{
    const dmc_align_options o = options();
    plan p = short_plan();
    bandit b;
    timer c = {.stop = 3};
    bandit_open(&b, "cpu", 100, &o);
    ck_assert_int_eq(dmc_aligner_set_progress(b.aligner, tick, &c), DMC_OK);
    ck_assert_int_eq(dmc_align_rl(b.aligner, &p.rl, NULL), DMC_STOPPED);
    ck_assert_int_eq(dmc_aligner_checkpoint(b.aligner, file), DMC_OK);
    resume(&b);
    const uint64_t before = hash_of(&b);
    refused(dmc_align_dpo(b.aligner, &p.dpo, NULL), DMC_ESTATE, "is of rl of 10 updates");
    ck_assert_uint_eq(hash_of(&b), before);
    p.rl.updates = 11;
    refused(dmc_align_rl(b.aligner, &p.rl, NULL), DMC_ESTATE, "this is rl of 11");
    p.rl.updates = 10;
    ck_assert_int_eq(dmc_align_rl(b.aligner, &p.rl, NULL), DMC_OK);
    ck_assert_int_eq(dmc_align_dpo(b.aligner, &p.dpo, NULL), DMC_OK);
    bandit_close(&b);
    remove(file);
}
END_TEST

START_TEST(other_files_are_refused)
{
    dmc_align_options o = options();
    bandit b;
    bandit_open(&b, "cpu", 100, &o);
    ck_assert_int_eq(dmc_aligner_save(b.aligner, file), DMC_OK);
    refused(dmc_aligner_resume(b.aligner, file), DMC_EFORMAT, "no checkpoint");
    ck_assert_int_eq(dmc_aligner_checkpoint(b.aligner, file), DMC_OK);
    ck_assert_int_eq(dmc_aligner_load(b.aligner, file), DMC_OK); /* a checkpoint holds the adapter */
    o.lora_rank = 2;
    dmc_aligner_destroy(b.aligner);
    b.aligner = bandit_aligner(&b, &o);
    ck_assert_int_lt(dmc_aligner_resume(b.aligner, file), 0);
    ck_assert_int_lt(dmc_aligner_resume(b.aligner, "build/nowhere.state"), 0);
    bandit_close(&b);
    remove(file);
}
END_TEST

Suite *dmc_suite_resume(void)
{
    Suite *s = suite_create("resume");
    TCase *t = tcase_create("resume");
    tcase_add_loop_test(t, a_stopped_sequence, 0, 12);
    tcase_add_test(t, an_aligner_at_rest);
    tcase_add_test(t, the_middle_of_a_stage);
    tcase_add_test(t, another_method_is_refused);
    tcase_add_test(t, other_files_are_refused);
    suite_add_tcase(s, t);
    return s;
}
