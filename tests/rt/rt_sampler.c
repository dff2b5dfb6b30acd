/* rt_sampler.c — the calls of a sampler that answer do nothing a control loop could stumble over.
 *
 * malloc and its kin, and the pthread locks, are replaced in this program and counted; a seccomp filter kills a child at
 * its first system call but exit. 10,000 calls each, policy, planner and a policy that sees, every selection rule, with a
 * critic, and every kind of guidance; a million single steps; page faults after warming up; lateness by the real clock.
 */
#include <check.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../include/libdmc/libdmc.h"

enum { CALLS = 10000, S = 4, A = 2, SIDE = 10, PIXELS = SIDE * SIDE };
/* In place of a role: a policy that sees. */
enum { SEEING = -1 };

/* ---- interposer ------------------------------------------------------------------------------------- */

static volatile int counting;
static volatile long counted;

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t m);
extern void *__libc_realloc(void *p, size_t n);
extern void *__libc_memalign(size_t a, size_t n);
extern void __libc_free(void *p);

void *malloc(size_t n)
{
    counted += counting;
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t m)
{
    counted += counting;
    return __libc_calloc(n, m);
}

void *realloc(void *p, size_t n)
{
    counted += counting;
    return __libc_realloc(p, n);
}

int posix_memalign(void **out, size_t a, size_t n)
{
    counted += counting;
    *out = __libc_memalign(a, n);
    return *out ? 0 : ENOMEM;
}

void *aligned_alloc(size_t a, size_t n)
{
    counted += counting;
    return __libc_memalign(a, n);
}

void free(void *p)
{
    counted += counting;
    __libc_free(p);
}

int pthread_mutex_lock(pthread_mutex_t *m)
{
    static int (*real)(pthread_mutex_t *);
    counted += counting;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    return real(m);
}

/* ---- what is sampled -------------------------------------------------------------------------------- */

typedef struct rig {
    dmc_context *ctx;
    dmc_dataset *data;
    dmc_model *model;
    dmc_critic *critic;
    dmc_model *value;       /* where it guides */
    dmc_sampler *sampler;
    size_t n_out;
    int32_t sees, guide;
    double guidance;        /* 1: none */
    int32_t planner, inpaint;
} rig;

static dmc_dataset *make_data(void)
{
    enum { N = 64 };
    static float obs[N * S], act[N * A], rew[N];
    static uint8_t end[N];
    dmc_dataset *d;
    for (int32_t i = 0; i < N; i++) {
        for (int32_t j = 0; j < S; j++) obs[i * S + j] = (float)((i * 7 + j * 3) % 11) / 11;
        for (int32_t j = 0; j < A; j++) act[i * A + j] = (float)((i * 5 + j) % 13) / 6.5f - 1;
        rew[i] = act[i * A];
        end[i] = i % 16 == 15;
    }
    ck_assert_int_eq(dmc_dataset_create(NULL, N, S, A, obs, act, rew, end, NULL, NULL, &d), DMC_OK);
    static uint8_t pixels[N * PIXELS];
    for (int32_t i = 0; i < N * PIXELS; i++) pixels[i] = (uint8_t)(i * 31);
    ck_assert_int_eq(dmc_dataset_add_images(d, "eye", SIDE, SIDE, 1, pixels, sizeof pixels), DMC_OK);
    return d;
}

static void make_model(rig *r, int32_t role)
{
    dmc_model_options m;
    const int32_t planner = role == DMC_ROLE_PLANNER;
    dmc_model_options_init(&m, sizeof m);
    m.role = planner ? role : DMC_ROLE_POLICY;
    m.encoder = r->sees ? DMC_ENCODER_RESNET18 : DMC_ENCODER_NONE;
    m.crop_h = m.crop_w = SIDE - 1;
    m.enc_width = 2;
    m.enc_hidden = m.enc_dim = 8;
    m.network = planner ? DMC_NETWORK_UNET1D_JANNER : DMC_NETWORK_IDQL_MLP;
    m.horizon = planner ? 8 : 2;
    m.n_obs = planner ? 1 : 3;
    m.hidden = 32;
    m.blocks = 2;
    m.emb_dim = 16;
    m.mult = "1,2";
    m.train_steps = 5;
    m.obs_norm = DMC_NORM_MINMAX;
    m.returns = planner && r->guidance != 1;
    m.cond_dropout = r->guidance != 1 ? 0.25 : 0;
    m.inpaint = r->inpaint;
    r->planner = planner;
    ck_assert_msg(dmc_model_create(NULL, r->data, &m, &r->model) == DMC_OK, "%s", dmc_last_error());
    r->n_out = (size_t)m.horizon * A;
    r->value = NULL;
    if (r->guide != DMC_GUIDE_VALUE) return;
    m.role = DMC_ROLE_VALUE;
    m.network = DMC_NETWORK_UNET1D_HALF;
    m.kernel = 3;
    m.returns = 0;
    m.cond_dropout = 0;
    ck_assert_msg(dmc_model_create(NULL, r->data, &m, &r->value) == DMC_OK, "%s", dmc_last_error());
}

static void make_critic(rig *r)
{
    dmc_critic_options o;
    dmc_critic_options_init(&o, sizeof o);
    if (r->guide == DMC_GUIDE_CRITIC) o.hidden = 32; /* it has a backward pass in every step */
    ck_assert_msg(dmc_critic_create(NULL, r->data, &o, &r->critic) == DMC_OK, "%s", dmc_last_error());
}

static void rig_open_guided(rig *r, int32_t role, int32_t threads, int32_t select, int32_t weights)
{
    dmc_sampler_options o;
    dmc_context_options c;
    *r = (rig){0};
    r->data = make_data();
    r->sees = role == SEEING;
    make_model(r, role);
    make_critic(r);
    const dmc_sampler_parts parts = {.struct_size = sizeof parts, .critic = r->critic, .value = r->value};
    dmc_context_options_init(&c, sizeof c);
    c.threads = threads;
    ck_assert_int_eq(dmc_context_create(&c, &r->ctx), DMC_OK);
    dmc_sampler_options_init(&o, sizeof o);
    o.candidates = 4;
    o.select = select;
    o.weights = weights;
    o.guide = r->guide;
    o.guide_scale = 0.1;
    o.guidance = r->guidance;
    ck_assert_msg(dmc_sampler_create_with(r->ctx, r->model, &parts, &o, &r->sampler) == DMC_OK, "%s", dmc_last_error());
}

static void rig_open_as(rig *r, int32_t role, int32_t threads, int32_t select, int32_t weights)
{
    r->guide = DMC_GUIDE_NONE;
    r->guidance = 1;
    rig_open_guided(r, role, threads, select, weights);
}

static void rig_open(rig *r, int32_t role, int32_t threads, int32_t select)
{
    rig_open_as(r, role, threads, select, DMC_WEIGHTS_FLOAT32);
}

static void rig_close(rig *r)
{
    dmc_sampler_destroy(r->sampler);
    dmc_model_destroy(r->value);
    dmc_critic_destroy(r->critic);
    dmc_model_destroy(r->model);
    dmc_dataset_destroy(r->data);
    dmc_context_destroy(r->ctx);
}

static const int32_t roles[] = {DMC_ROLE_POLICY, DMC_ROLE_PLANNER};
static const int32_t selects[] = {DMC_SELECT_FIRST, DMC_SELECT_EXPECTATION, DMC_SELECT_GREEDY, DMC_SELECT_SOFTMAX};

static const struct { int32_t role, guide; double guidance; } guided[] = {
    {DMC_ROLE_POLICY, DMC_GUIDE_NONE, 2},  {DMC_ROLE_POLICY, DMC_GUIDE_NONE, 0},     {DMC_ROLE_POLICY, DMC_GUIDE_CRITIC, 1},
    {DMC_ROLE_PLANNER, DMC_GUIDE_NONE, 2}, {DMC_ROLE_PLANNER, DMC_GUIDE_CRITIC, 1}, {DMC_ROLE_PLANNER, DMC_GUIDE_VALUE, 1.5},
};

/* Kind number i of CHOICES: every role with every selection, one that sees, and those that are guided. */
enum { SIGHT = 8, GUIDED = sizeof guided / sizeof *guided, CHOICES = SIGHT + 1 + GUIDED };
static void rig_choose(rig *r, int i, int32_t weights)
{
    if (i > SIGHT) {
        r->guide = guided[i - SIGHT - 1].guide;
        r->guidance = guided[i - SIGHT - 1].guidance;
        rig_open_guided(r, guided[i - SIGHT - 1].role, 1, DMC_SELECT_FIRST, weights);
    } else if (i == SIGHT) rig_open_as(r, SEEING, 1, DMC_SELECT_GREEDY, weights);
    else rig_open_as(r, roles[i % 2], 1, selects[i / 2], weights);
}

/* Calls with changing observations; the worst status. */
static dmc_status run_calls(rig *r, int32_t calls)
{
    float obs[S], out[64];
    uint8_t pixels[PIXELS] = {0};
    dmc_status worst = DMC_OK;
    for (int32_t i = 0; i < calls; i++) {
        pixels[i % PIXELS] ^= 255;
        if (r->sees && dmc_sampler_set_image(r->sampler, "eye", pixels, PIXELS) < worst) worst = DMC_EINVAL;
        for (int32_t j = 0; j < S; j++) obs[j] = (float)((i + j) % 17) / 17;
        const dmc_status status = dmc_sampler_sample(r->sampler, obs, S, out, r->n_out);
        if (status < worst) worst = status;
    }
    return worst;
}

/* `steps` single steps, in answers of 1, 2, ... steps and to the end, with all else a loop may call in between. */
static dmc_status run_steps(rig *r, int32_t steps)
{
    float obs[S], out[64];
    dmc_sampler_info info = {.struct_size = sizeof info};
    dmc_status worst = DMC_OK;
    for (int32_t done = 0, answers = 0; done < steps; answers++) {
        int32_t left = 1;
        for (int32_t j = 0; j < S; j++) obs[j] = (float)((answers + j) % 17) / 17;
        dmc_status status = dmc_sampler_begin(r->sampler, obs, S);
        for (int32_t i = 0; status >= 0 && left > 0 && i <= answers % 8; i++, done++)
            status = dmc_sampler_step(r->sampler, &left);
        if (status >= 0) status = dmc_sampler_finish(r->sampler, out, r->n_out);
        if (status >= 0) status = dmc_sampler_get_info(r->sampler, &info);
        if (status >= 0 && info.partial != (left > 0)) status = DMC_EINVAL;
        if (status < worst) worst = status;
    }
    return worst;
}

/* Deadlines that are ahead, and some that are not. */
static dmc_status run_until(rig *r)
{
    float obs[S] = {0}, out[64];
    dmc_status worst = DMC_OK;
    for (int32_t i = 0; i < CALLS; i++) {
        const int64_t deadline = i % 16 ? dmc_clock_now() + i % 7 * 2000 : 0;
        const dmc_status status = dmc_sampler_sample_until(r->sampler, obs, S, deadline, out, r->n_out);
        if (status < worst && status != DMC_EDEADLINE) worst = status;
        if (i % 16 == 0 && status != DMC_EDEADLINE) worst = DMC_EINVAL;
        if (i % 1000 == 0 && dmc_sampler_prefault(r->sampler) < 0) worst = DMC_EINVAL;
        if (i % 100 == 0 && dmc_sampler_step(r->sampler, NULL) != DMC_ESTATE) worst = DMC_EINVAL;
        if (i % 100 == 0 && dmc_sampler_finish(r->sampler, out, r->n_out) != DMC_ESTATE) worst = DMC_EINVAL;
    }
    return worst;
}

/* ---- tests ------------------------------------------------------------------------------------------ */

START_TEST(the_counter_counts)
{
    void *volatile p; /* volatile: the compiler may not leave the pair out */
    counted = 0;
    counting = 1;
    p = malloc(10);
    free(p);
    counting = 0;
    ck_assert_int_eq(counted, 2);
}
END_TEST

START_TEST(no_allocation_and_no_lock)
{
    rig r = {0};
    rig_choose(&r, _i, DMC_WEIGHTS_FLOAT32);
    counted = 0;
    counting = 1;
    const dmc_status status = run_calls(&r, CALLS);
    counting = 0;
    ck_assert_msg(status >= DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(counted, 0);
    rig_close(&r);
}
END_TEST

/* Sampling from 16-bit weights, and making them anew for another model. */
START_TEST(half_weights_allocate_nothing)
{
    rig r = {0};
    dmc_model *other;
    rig_open_as(&r, roles[_i % 2], 1, DMC_SELECT_FIRST, DMC_WEIGHTS_BF16 + _i / 2);
    ck_assert_int_eq(dmc_model_clone(r.model, &other), DMC_OK);
    counted = 0;
    counting = 1;
    dmc_status status = run_calls(&r, CALLS);
    const dmc_status rebound = dmc_sampler_rebind(r.sampler, other);
    if (status >= DMC_OK) status = run_calls(&r, CALLS);
    counting = 0;
    ck_assert_msg(status >= DMC_OK && rebound == DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(counted, 0);
    rig_close(&r);
    dmc_model_destroy(other);
}
END_TEST

/* A million single steps of a policy, fewer of a planner. */
START_TEST(steps_allocate_nothing)
{
    enum { STEPS = 1000000 };
    rig r = {0};
    rig_open(&r, roles[_i], 1, DMC_SELECT_GREEDY);
    counted = 0;
    counting = 1;
    dmc_status status = run_steps(&r, _i ? STEPS / 20 : STEPS);
    if (status >= 0) status = run_until(&r);
    counting = 0;
    ck_assert_msg(status >= DMC_OK, "%d: %s", status, dmc_last_error());
    ck_assert_int_eq(counted, 0);
    rig_close(&r);
}
END_TEST

/* In the caller's memory even making a sampler allocates nothing, nor does destroying it. */
START_TEST(a_buffer_is_all_it_takes)
{
    rig r = {0};
    dmc_sampler *s = NULL;
    dmc_sampler_options o;
    size_t bytes;
    rig_choose(&r, _i, DMC_WEIGHTS_BF16);
    const dmc_sampler_parts parts = {.struct_size = sizeof parts, .critic = r.critic, .value = r.value};
    dmc_sampler_options_init(&o, sizeof o);
    o.candidates = 4;
    o.guide = r.guide;
    o.guidance = r.guidance;
    o.select = selects[_i / 2 % 4];
    o.weights = _i % 3;
    o.majorities = "0";
    o.guide = _i % 2 ? DMC_GUIDE_CRITIC : DMC_GUIDE_NONE;
    ck_assert_int_eq(dmc_sampler_size(r.model, &parts, &o, &bytes), DMC_OK);
    void *memory = malloc(bytes);
    counted = 0;
    counting = 1;
    const dmc_status made = dmc_sampler_create_in(r.model, &parts, &o, memory, bytes, &s);
    dmc_sampler *const own = r.sampler;
    r.sampler = s;
    const dmc_status status = made >= 0 ? run_calls(&r, 300) : made;
    dmc_sampler_destroy(s);
    counting = 0;
    r.sampler = own;
    ck_assert_msg(status >= DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(counted, 0);
    free(memory);
    rig_close(&r);
}
END_TEST

static long faults_so_far(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return u.ru_minflt + u.ru_majflt;
}

/* Page faults of 1000 calls on a thread of its own, which has not sampled before. */
static void *count_faults(void *arg)
{
    rig *r = arg;
    float obs[S] = {0}, out[64];
    static long faults;
    faults = -1;
    if (dmc_sampler_prefault(r->sampler) < 0 || dmc_sampler_sample(r->sampler, obs, S, out, r->n_out) < 0) return &faults;
    long before = faults_so_far();
    before = faults_so_far();
    for (int32_t i = 0; i < 1000; i++) {
        obs[0] = (float)(i % 10) / 10;
        if (dmc_sampler_sample(r->sampler, obs, S, out, r->n_out) < 0) return &faults;
    }
    faults = faults_so_far() - before;
    return &faults;
}

/* The kernel may take a page away now and then, though not from three new samplers in a row. */
START_TEST(no_page_fault_after_prefault)
{
    long fewest = 1000;
    for (int attempt = 0; attempt < 3 && fewest; attempt++) {
        rig r = {0};
        pthread_t t;
        void *faults;
        rig_choose(&r, _i, DMC_WEIGHTS_FLOAT32);
        if (r.sees) { /* an image would be needed for every call */
            rig_close(&r);
            return;
        }
        ck_assert_int_eq(pthread_create(&t, NULL, count_faults, &r), 0);
        ck_assert_int_eq(pthread_join(t, &faults), 0);
        ck_assert_int_ge(*(long *)faults, 0);
        if (*(long *)faults < fewest) fewest = *(long *)faults;
        rig_close(&r);
    }
    ck_assert_int_eq(fewest, 0);
}
END_TEST

/* Told what is known before every call, and taking it back; every answer but the first begins with the plan before. */
static dmc_status run_known(rig *r)
{
    static uint8_t mask[64];
    static float values[64];
    const size_t n = r->n_out / A * (r->planner ? S + A : A);
    float obs[S], out[64];
    dmc_status worst = DMC_OK;
    for (int32_t i = 0; i < CALLS; i++) {
        for (size_t j = 0; j < n; j++) {
            mask[j] = (uint8_t)((j + (size_t)i) % 3 == 0);
            values[j] = (float)(i % 7) / 7;
        }
        for (int32_t j = 0; j < S; j++) obs[j] = (float)((i + j) % 17) / 17;
        dmc_status status = dmc_sampler_set_known(r->sampler, i % 5 ? mask : NULL, values, n);
        if (status < worst) worst = status;
        status = dmc_sampler_sample(r->sampler, obs, S, out, r->n_out);
        if (status < worst) worst = status;
    }
    values[0] = strtof("nan", NULL);
    mask[0] = 1;
    return dmc_sampler_set_known(r->sampler, mask, values, n) == DMC_ENUMERIC ? worst : DMC_EINVAL;
}

/* Policies and planners, in both conventions of in-painting. */
static void rig_open_warm(rig *r, int i)
{
    dmc_sampler_options o;
    *r = (rig){.inpaint = i / 2};
    r->data = make_data();
    make_model(r, roles[i % 2]);
    dmc_sampler_options_init(&o, sizeof o);
    o.candidates = 4;
    o.warm_start = 0.5;
    ck_assert_msg(dmc_sampler_create(NULL, r->model, NULL, &o, &r->sampler) == DMC_OK, "%s", dmc_last_error());
}

START_TEST(known_and_warm_allocate_nothing)
{
    rig r = {0};
    rig_open_warm(&r, _i);
    counted = 0;
    counting = 1;
    const dmc_status status = run_known(&r);
    counting = 0;
    ck_assert_msg(status >= DMC_OK, "%s", dmc_last_error());
    ck_assert_int_eq(counted, 0);
    rig_close(&r);
}
END_TEST

/* Errors are real-time too, and a controller still gets something safe to send. */
START_TEST(a_refused_observation_allocates_nothing)
{
    rig r = {0};
    float obs[S] = {0}, out[64];
    rig_open(&r, roles[_i], 1, DMC_SELECT_FIRST);
    ck_assert_int_ge(dmc_sampler_sample(r.sampler, obs, S, out, r.n_out), DMC_OK);
    const float good = out[0];
    obs[1] = strtof("inf", NULL);
    out[0] = 99;
    counted = 0;
    counting = 1;
    const dmc_status status = dmc_sampler_sample(r.sampler, obs, S, out, r.n_out);
    counting = 0;
    ck_assert_int_eq(status, DMC_ENUMERIC);
    ck_assert_int_eq(counted, 0);
    ck_assert_float_eq(out[0], good);
    rig_close(&r);
}
END_TEST

static int run_all(rig *r)
{
    if (run_calls(r, CALLS) < DMC_OK) return 1;
    return r->sees ? 0 : run_steps(r, 10000) < DMC_OK || run_until(r) < DMC_OK;
}

static int run_all_known(rig *r)
{
    return run_known(r) < DMC_OK;
}

/* In a child: exit is allowed, anything else kills. */
static void run_under_seccomp(rig *r, int (*run)(rig *r))
{
    int state;
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
        if (!f || seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(exit_group), 0) < 0 || seccomp_load(f) < 0) _exit(77);
        _exit(run(r));
    }
    ck_assert_int_eq(waitpid(child, &state, 0), child);
    ck_assert_msg(!WIFSIGNALED(state), "a system call was made: killed by signal %d", WTERMSIG(state));
    ck_assert_int_eq(WEXITSTATUS(state), 0);
}

START_TEST(no_system_call)
{
    rig r = {0};
    rig_choose(&r, _i, _i / 2 % 3);
    run_under_seccomp(&r, run_all);
    rig_close(&r);
}
END_TEST

START_TEST(known_and_warm_make_no_system_call)
{
    rig r = {0};
    rig_open_warm(&r, _i);
    run_under_seccomp(&r, run_all_known);
    rig_close(&r);
}
END_TEST

static void spin(int64_t ns)
{
    for (const int64_t end = dmc_clock_now() + ns; dmc_clock_now() < end;) {}
}

/* A host's loop that makes a network slow: what it does in parallel takes 0.2 ms more. */
static void run_slowly(void *user, void (*task)(void *arg, size_t i), void *arg, size_t n)
{
    (void)user;
    spin(200000);
    for (size_t i = 0; i < n; i++) task(arg, i);
}

/* 30 steps of a millisecond or more, deadlines everywhere from no time to more than enough. The call returns before the deadline,
 * or late by the last step; where something else had the processor in between, twice in 40 at most, later. */
START_TEST(late_by_a_step_at_most)
{
    rig r = {0};
    dmc_context_options c;
    dmc_sampler_options o;
    dmc_sampler_info info = {.struct_size = sizeof info};
    float obs[S] = {0}, out[64];
    int32_t late = 0, partial = 0, full = 0;
    rig_open(&r, DMC_ROLE_PLANNER, 1, DMC_SELECT_FIRST);
    dmc_sampler_destroy(r.sampler);
    dmc_context_destroy(r.ctx);
    dmc_context_options_init(&c, sizeof c);
    c.threads = 2;
    c.parallel_for = run_slowly;
    ck_assert_int_eq(dmc_context_create(&c, &r.ctx), DMC_OK);
    dmc_sampler_options_init(&o, sizeof o);
    o.candidates = 64;
    ck_assert_int_eq(dmc_sampler_create(r.ctx, r.model, NULL, &o, &r.sampler), DMC_OK);
    ck_assert_int_ge(dmc_sampler_sample(r.sampler, obs, S, out, r.n_out), 0);
    ck_assert_int_eq(dmc_sampler_get_info(r.sampler, &info), DMC_OK);
    const int64_t step = info.longest_step, whole = info.nanoseconds;
    ck_assert_int_gt(step, 1000000);
    for (int32_t i = 1; i <= 40; i++) {
        const int64_t deadline = dmc_clock_now() + whole * i / 30;
        const dmc_status status = dmc_sampler_sample_until(r.sampler, obs, S, deadline, out, r.n_out);
        const int64_t over = dmc_clock_now() - deadline;
        ck_assert_int_ge(status, DMC_OK);
        ck_assert_int_eq(dmc_sampler_get_info(r.sampler, &info), DMC_OK);
        ck_assert_int_ge(info.steps, 1);
        ck_assert_int_eq(info.partial, info.steps < info.planned);
        partial += info.partial;
        full += !info.partial;
        late += over > step;
    }
    ck_assert_int_gt(partial, 10);
    ck_assert_int_gt(full, 3);
    ck_assert_int_le(late, 2);
    rig_close(&r);
}
END_TEST

/* One thread or two: the same bits. */
START_TEST(threads_do_not_change_bits)
{
    enum { STEPS = 50 };
    static float out[2][STEPS][16];
    for (int32_t t = 0; t < 2; t++) {
        rig r = {0};
        rig_open(&r, roles[_i], 1 + t, DMC_SELECT_GREEDY);
        for (int32_t i = 0; i < STEPS; i++) {
            const float obs[S] = {(float)i / STEPS, 0.5f, -0.25f, 1};
            ck_assert_int_ge(dmc_sampler_sample(r.sampler, obs, S, out[t][i], r.n_out), DMC_OK);
        }
        rig_close(&r);
    }
    ck_assert_mem_eq(out[0], out[1], sizeof out[0]);
}
END_TEST

/* Two samplers on two threads share one model. */
typedef struct worker {
    dmc_sampler *sampler;
    size_t n_out;
    float last[64];
} worker;

static void *work(void *arg)
{
    worker *w = arg;
    const float obs[S] = {0.1f, 0.2f, 0.3f, 0.4f};
    for (int32_t i = 0; i < 300; i++)
        if (dmc_sampler_sample(w->sampler, obs, S, w->last, w->n_out) < 0) return arg;
    return NULL;
}

START_TEST(two_samplers_share_a_model)
{
    rig r = {0};
    worker w[2];
    pthread_t t[2];
    dmc_sampler_options o;
    rig_open(&r, roles[_i], 1, DMC_SELECT_FIRST);
    dmc_sampler_options_init(&o, sizeof o);
    o.candidates = 4;
    for (int32_t i = 0; i < 2; i++) {
        w[i].n_out = r.n_out;
        ck_assert_int_eq(dmc_sampler_create(NULL, r.model, r.critic, &o, &w[i].sampler), DMC_OK);
        ck_assert_int_eq(pthread_create(&t[i], NULL, work, &w[i]), 0);
    }
    for (int32_t i = 0; i < 2; i++) {
        void *failed;
        ck_assert_int_eq(pthread_join(t[i], &failed), 0);
        ck_assert_ptr_null(failed);
        dmc_sampler_destroy(w[i].sampler);
    }
    ck_assert_mem_eq(w[0].last, w[1].last, r.n_out * sizeof(float));
    rig_close(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rt");
    TCase *t = tcase_create("sampler");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, the_counter_counts);
    tcase_add_loop_test(t, no_allocation_and_no_lock, 0, CHOICES);
    tcase_add_loop_test(t, half_weights_allocate_nothing, 0, 4);
    tcase_add_loop_test(t, steps_allocate_nothing, 0, 2);
    tcase_add_loop_test(t, a_buffer_is_all_it_takes, 0, CHOICES);
    tcase_add_loop_test(t, no_page_fault_after_prefault, 0, CHOICES);
    tcase_add_test(t, late_by_a_step_at_most);
    tcase_add_loop_test(t, known_and_warm_allocate_nothing, 0, 4);
    tcase_add_loop_test(t, a_refused_observation_allocates_nothing, 0, 2);
    tcase_add_loop_test(t, no_system_call, 0, CHOICES);
    tcase_add_loop_test(t, known_and_warm_make_no_system_call, 0, 4);
    tcase_add_loop_test(t, threads_do_not_change_bits, 0, 2);
    tcase_add_loop_test(t, two_samplers_share_a_model, 0, 2);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
