#include <libdmc/libdmc.h>

#include "../../lib/config/field.h"
#include "../../lib/config/number_text.h"
#include "file_fixture.h"

#include <float.h>
#include <locale.h>
#include <math.h>

enum { FIRST_KIND = DMC_OPTIONS_CONTEXT, LAST_KIND = DMC_OPTIONS_SYNTH };

/* A struct of any kind. */
typedef union any_options {
    char bytes[2 * DMC__OPTIONS_MAX];
    double align;
    uint32_t struct_size;
    dmc_model_options model;
    dmc_train_options train;
    dmc_sampler_options sampler;
    dmc_critic_options critic;
    dmc_sequence_options sequence;
    dmc_likelihood_options likelihood;
    dmc_context_options context;
} any_options;

static size_t width_of(const dmc__field *f)
{
    return f->type == DMC_FIELD_INT32 || f->type == DMC_FIELD_ENUM ? 4 : 8;
}

static int count_names(const char *text)
{
    int n = *text != '\0';
    for (const char *p = text; *p; p++) n += *p == ' ';
    return n;
}

/* ---- the tables ---------------------------------------------------------------------------------
 */

START_TEST(tables_are_sound)
{
    const dmc__field_table *t = dmc__field_table_find(_i);
    ck_assert_ptr_nonnull(t);
    ck_assert_int_eq(t->kind, _i);
    ck_assert_uint_eq(dmc_options_size(_i), t->size);
    any_options o;
    expect_ok(dmc_options_init(_i, &o));
    ck_assert_uint_eq(o.struct_size, t->size);
    expect_ok(dmc_options_check(_i, &o));
    for (int32_t i = 0; i < t->count; i++) {
        const dmc__field *f = &t->field[i];
        ck_assert_ptr_eq(dmc__field_find(t, f->key), f); /* no key twice */
        ck_assert_uint_gt(strlen(f->doc), 3);
        if (f->type == DMC_FIELD_ENUM) ck_assert_int_eq(count_names(f->text), (int)f->max + 1);
        if (f->type != DMC_FIELD_STRING) {
            ck_assert(f->min < f->max || f->min == 0);
            ck_assert(f->initial >= f->min && f->initial <= f->max);
        }
        any_options same = o;
        memset(same.bytes + f->offset, 0x5a, width_of(f));
        expect_ok(
            dmc_options_set(_i, &same, f->key, f->shown)); /* the default as text is the default */
        if (f->type == DMC_FIELD_STRING)
            ck_assert_str_eq(f->shown, f->text);
        else
            ck_assert_mem_eq(&same, &o, t->size);
    }
}
END_TEST

/* A value in range that is not the default. */
static const char *other_value(int32_t kind, const dmc__field *f, char buf[32])
{
    switch (f->type) {
    case DMC_FIELD_ENUM: return dmc__field_choice(kind, f->key, f->initial == 0, buf, 32);
    case DMC_FIELD_INT32:
        return f->max == 1 ? (f->initial == 1 ? "0" : "1") : (f->initial == 2 ? "1" : "2");
    case DMC_FIELD_DOUBLE: return f->initial == 0.25 ? "0.5" : "0.25";
    case DMC_FIELD_UINT64: return "7";
    default: return "text";
    }
}

/* Setting a field changes its own bytes and no others. */
START_TEST(fields_do_not_overlap)
{
    const dmc__field_table *t = dmc__field_table_find(_i);
    for (int32_t i = 0; i < t->count; i++) {
        const dmc__field *f = &t->field[i];
        any_options o, before;
        char buf[32];
        dmc__field_defaults(t, &o);
        before = o;
        expect_ok(dmc_options_set(_i, &o, f->key, other_value(_i, f, buf)));
        ck_assert(memcmp(o.bytes + f->offset, before.bytes + f->offset, width_of(f)) != 0);
        memcpy(o.bytes + f->offset, before.bytes + f->offset, width_of(f));
        ck_assert_mem_eq(&o, &before, t->size);
    }
}
END_TEST

START_TEST(defaults_are_those_of_the_headers)
{
    dmc_model_options m;
    dmc_train_options t;
    dmc_critic_options c;
    dmc_sampler_options s;
    dmc_align_options a;
    dmc_rl_options rl;
    dmc_context_options x;
    expect_ok(dmc_model_options_init(&m, sizeof m));
    ck_assert(m.role == DMC_ROLE_POLICY && m.network == DMC_NETWORK_IDQL_MLP && m.horizon == 1);
    ck_assert(m.n_obs == 1 && m.hidden == 256 && m.blocks == 3 && m.emb_dim == 64 && m.kernel == 5);
    ck_assert(m.schedule == DMC_SCHEDULE_COSINE && m.train_steps == 20);
    ck_assert(m.predict == DMC_PREDICT_AUTO && m.process == DMC_PROCESS_VP && m.obs_norm == DMC_NORM_GAUSSIAN);
    ck_assert(m.act_norm == DMC_NORM_MINMAX && m.clip == -1 && m.control_hz == 0 && m.seed == 0);
    ck_assert_str_eq(m.mult, "1,2,2,2");
    expect_ok(dmc_train_options_init(&t, sizeof t));
    ck_assert(t.steps == 10000 && t.batch == 256 && t.warmup == 0 && t.lr == 3e-4);
    ck_assert(t.weight_decay == 1e-5 && t.grad_clip == 1 && t.ema == 0.995);
    ck_assert(t.action_weight == 10 && t.mask_share == 0 && t.seed == 0);
    expect_ok(dmc_critic_options_init(&c, sizeof c));
    ck_assert(c.hidden == 256 && c.batch == 256 && c.steps == 0 && c.lr == 3e-4 && c.tau == 0.7);
    ck_assert(c.gamma == 0.99 && c.polyak == 0.005 && c.seed == 0);
    expect_ok(dmc_sampler_options_init(&s, sizeof s));
    ck_assert(s.sampler == DMC_SAMPLER_AUTO && s.steps == 0 && s.grid == DMC_GRID_AUTO);
    ck_assert(s.batch == 1 && s.candidates == 1 && s.select == DMC_SELECT_FIRST);
    ck_assert(s.cascade_passes == 0 && s.eta == 0 && s.temperature == 1 && s.beta == 1 &&
              s.seed == 0 && s.weights == DMC_WEIGHTS_FLOAT32 && s.horizon == 0);
    expect_ok(dmc_align_options_init(&a, sizeof a));
    ck_assert(a.lora_rank == 16 && a.batch == 256 && a.candidates == 8 && a.eval_every == 50);
    ck_assert(a.eval_conditions == 64 && a.lora_alpha == 16 && a.lr == 3e-4 && a.weight_decay == 0);
    ck_assert(a.grad_clip == 1 && a.std_floor == 0.1 && a.seed == 0);
    ck_assert_str_eq(a.lora_targets, "*");
    expect_ok(dmc_rl_options_init(&rl, sizeof rl));
    ck_assert(rl.method == DMC_RL_QVPG && rl.updates == 300 && rl.last_k == 3);
    ck_assert(rl.kappa == DMC_KAPPA_GEOM && rl.epochs == 2 && rl.kappa_gamma == 0.99);
    ck_assert(rl.clip == 0.02 && rl.kl == 0.1 && rl.advantage_clip == 5);
    ck_assert(rl.reduce == DMC_REDUCE_MEAN && rl.advantage_std == DMC_STD_BATCH && rl.clip_base == 0);
    ck_assert(rl.target_kl == 1 && rl.kl_target == 0);
    ck_assert(rl.last_k_kind == DMC_LAST_K_FIXED && rl.granularity == DMC_GRANULARITY_SAMPLE);
    ck_assert(rl.entropy == 0 && rl.entropy_target == 0);
    expect_ok(dmc_context_options_init(&x, sizeof x));
    ck_assert(x.threads == 1 && x.log_level == DMC_LOG_INFO && !x.alloc && !x.free && !x.log);
    ck_assert(!x.parallel_for && !x.alloc_user && !x.log_user && !x.parallel_user && !x.reserved0);
    ck_assert_str_eq(x.device, "cpu");
}
END_TEST

START_TEST(defaults_of_the_smaller_structs)
{
    dmc_dataset_options d;
    dmc_dpo_options p;
    dmc_sft_options f;
    dmc_cascade_options k;
    dmc_sequence_options q;
    expect_ok(dmc_dataset_options_init(&d, sizeof d));
    ck_assert(d.reward == DMC_REWARD_RAW && d.max_steps == 0 && d.held_out == 0.05 && d.seed == 0);
    expect_ok(dmc_dpo_options_init(&p, sizeof p));
    ck_assert(p.updates == 800 && p.refresh == 25 && p.pool == 16 && p.gamma == 5);
    ck_assert(p.anchor == 0.1 && p.margin == 0.25);
    expect_ok(dmc_sft_options_init(&f, sizeof f));
    ck_assert(f.updates == 600 && f.rounds == 3 && f.pool == 16 && f.conditions == 512);
    ck_assert(f.likelihood == 0.1 && f.replay == 0.25);
    expect_ok(dmc_cascade_options_init(&k, sizeof k));
    ck_assert(k.updates == 600 && k.conditions == 512 && k.pool == 8 && k.fork_min == 0.3);
    ck_assert(k.fork_max == 0.7 && k.gain == 0.1 && k.adherence == 0.01);
    expect_ok(dmc_sequence_options_init(&q, sizeof q));
    ck_assert(q.passes == 2 && q.cascade == 0);
    ck_assert_str_eq(q.order, "rl,dpo,sft");
}
END_TEST

START_TEST(choices_are_the_enumerations)
{
    static const struct {
        int32_t kind;
        const char *key;
        int32_t value;
        const char *name;
    } rows[] = {
        {DMC_OPTIONS_CONTEXT, "log_level", DMC_LOG_ERROR, "error"},
        {DMC_OPTIONS_CONTEXT, "log_level", DMC_LOG_WARN, "warn"},
        {DMC_OPTIONS_CONTEXT, "log_level", DMC_LOG_INFO, "info"},
        {DMC_OPTIONS_CONTEXT, "log_level", DMC_LOG_DEBUG, "debug"},
        {DMC_OPTIONS_DATASET, "reward", DMC_REWARD_RAW, "raw"},
        {DMC_OPTIONS_DATASET, "reward", DMC_REWARD_RANGE, "range"},
        {DMC_OPTIONS_DATASET, "reward", DMC_REWARD_MINUS1, "minus1"},
        {DMC_OPTIONS_MODEL, "role", DMC_ROLE_PLANNER, "planner"},
        {DMC_OPTIONS_MODEL, "network", DMC_NETWORK_UNET1D_JANNER, "unet1d_janner"},
        {DMC_OPTIONS_MODEL, "schedule", DMC_SCHEDULE_LINEAR, "linear"},
        {DMC_OPTIONS_MODEL, "schedule", DMC_SCHEDULE_VP, "vp"},
        {DMC_OPTIONS_MODEL, "predict", DMC_PREDICT_X0, "x0"},
        {DMC_OPTIONS_MODEL, "predict", DMC_PREDICT_V, "v"},
        {DMC_OPTIONS_MODEL, "obs_norm", DMC_NORM_NONE, "none"},
        {DMC_OPTIONS_MODEL, "act_norm", DMC_NORM_GAUSSIAN, "gaussian"},
        {DMC_OPTIONS_SAMPLER, "sampler", DMC_SAMPLER_DDIM, "ddim"},
        {DMC_OPTIONS_SAMPLER, "weights", DMC_WEIGHTS_BF16, "bf16"},
        {DMC_OPTIONS_SAMPLER, "weights", DMC_WEIGHTS_FP16, "fp16"},
        {DMC_OPTIONS_SAMPLER, "grid", DMC_GRID_TRAILING, "trailing"},
        {DMC_OPTIONS_SAMPLER, "grid", DMC_GRID_LEADING, "leading"},
        {DMC_OPTIONS_SAMPLER, "select", DMC_SELECT_EXPECTATION, "expectation"},
        {DMC_OPTIONS_SAMPLER, "select", DMC_SELECT_GREEDY, "greedy"},
        {DMC_OPTIONS_SAMPLER, "select", DMC_SELECT_SOFTMAX, "softmax"},
        {DMC_OPTIONS_RL, "method", DMC_RL_PPO, "ppo"},
        {DMC_OPTIONS_RL, "method", DMC_RL_REINFORCE, "reinforce"},
        {DMC_OPTIONS_RL, "method", DMC_RL_AUTO, "auto"},
        {DMC_OPTIONS_RL, "kappa", DMC_KAPPA_LINEAR, "linear"},
        {DMC_OPTIONS_RL, "kappa", DMC_KAPPA_CONST, "const"},
        {DMC_OPTIONS_RL, "kappa", DMC_KAPPA_PROJ, "proj"},
        {DMC_OPTIONS_RL, "kappa", DMC_KAPPA_COS, "cos"},
        {DMC_OPTIONS_RL, "kappa", DMC_KAPPA_PAIRCOS, "paircos"},
        {DMC_OPTIONS_RL, "reduce", DMC_REDUCE_SUM, "sum"},
        {DMC_OPTIONS_RL, "last_k_kind", DMC_LAST_K_RANDOM, "random"},
        {DMC_OPTIONS_RL, "last_k_kind", DMC_LAST_K_CURRICULUM, "curriculum"},
        {DMC_OPTIONS_RL, "granularity", DMC_GRANULARITY_ROW, "row"},
        {DMC_OPTIONS_RL, "advantage_std", DMC_STD_GROUP, "group"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char name[32];
        ck_assert_str_eq(
            dmc__field_choice(rows[i].kind, rows[i].key, rows[i].value, name, sizeof name),
            rows[i].name);
    }
    char name[32];
    ck_assert_str_eq(dmc__field_choice(DMC_OPTIONS_RL, "method", 4, name, sizeof name), "?");
    ck_assert_str_eq(dmc__field_choice(DMC_OPTIONS_RL, "method", -1, name, sizeof name), "?");
    ck_assert_str_eq(dmc__field_choice(DMC_OPTIONS_RL, "updates", 0, name, sizeof name), "?");
    ck_assert_str_eq(dmc__field_choice(99, "method", 0, name, sizeof name), "?");
    ck_assert_str_eq(dmc__field_choice(DMC_OPTIONS_MODEL, "network", 1, name, 5), "unet");
}
END_TEST

/* ---- ranges -------------------------------------------------------------------------------------
 */

/* Put a number into a field, whatever its range. */
static void put_number(const dmc__field *f, any_options *o, double v)
{
    const int32_t narrow = (int32_t)v;
    if (width_of(f) == 4)
        memcpy(o->bytes + f->offset, &narrow, 4);
    else
        memcpy(o->bytes + f->offset, &v, 8);
}

START_TEST(every_bound_is_checked)
{
    const dmc__field_table *t = dmc__field_table_find(_i);
    for (int32_t i = 0; i < t->count; i++) {
        const dmc__field *f = &t->field[i];
        if (f->type == DMC_FIELD_STRING || f->type == DMC_FIELD_UINT64) continue;
        const int whole = width_of(f) == 4;
        any_options o;
        char part[128];
        snprintf(part, sizeof part, "%s: %s = ", t->name, f->key);
        dmc__field_defaults(t, &o);
        put_number(f, &o, f->min);
        expect_ok(dmc__field_check(t, &o));
        put_number(f, &o, f->max);
        expect_ok(dmc__field_check(t, &o));
        put_number(f, &o, whole ? f->min - 1 : nextafter(f->min, -INFINITY));
        expect_failure(dmc__field_check(t, &o), DMC_ERANGE, part);
        if (whole && f->max == INT32_MAX) continue;
        put_number(f, &o, whole ? f->max + 1 : nextafter(f->max, INFINITY));
        expect_failure(dmc__field_check(t, &o), DMC_ERANGE, part);
        if (whole) continue;
        put_number(f, &o, NAN);
        expect_failure(dmc__field_check(t, &o), DMC_ERANGE, part);
        put_number(f, &o, INFINITY);
        expect_failure(dmc__field_check(t, &o), DMC_ERANGE, part);
    }
}
END_TEST

START_TEST(sentences_name_value_and_bound)
{
    dmc_train_options t;
    dmc_critic_options c;
    dmc_rl_options r;
    expect_ok(dmc_train_options_init(&t, sizeof t));
    t.batch = 0;
    expect_failure(dmc_options_check(DMC_OPTIONS_TRAIN, &t), DMC_ERANGE,
                   "dmc_train_options: batch = 0, must be 1..65536");
    expect_ok(dmc_critic_options_init(&c, sizeof c));
    c.tau = 1;
    expect_failure(dmc_options_check(DMC_OPTIONS_CRITIC, &c), DMC_ERANGE,
                   "dmc_critic_options: tau = 1, must be above 0 and below 1");
    expect_ok(dmc_rl_options_init(&r, sizeof r));
    r.method = 7;
    expect_failure(dmc_options_check(DMC_OPTIONS_RL, &r), DMC_ERANGE,
                   "dmc_rl_options: method = 7, must be one of: ppo reinforce qvpg auto");
    r.method = 0;
    r.clip = 0;
    expect_failure(dmc_options_check(DMC_OPTIONS_RL, &r), DMC_ERANGE,
                   "clip = 0, must be above 0 and at most 1");
}
END_TEST

START_TEST(reserved_fields_must_be_zero)
{
    static const int32_t kinds[] = {DMC_OPTIONS_CONTEXT, DMC_OPTIONS_DATASET, DMC_OPTIONS_SFT,
                                    DMC_OPTIONS_SEQUENCE};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const dmc__field_table *t = dmc__field_table_find(kinds[i]);
        any_options o;
        const int32_t one = 1;
        dmc__field_defaults(t, &o);
        ck_assert_uint_ne(t->reserved, 0);
        memcpy(o.bytes + t->reserved, &one, sizeof one);
        expect_failure(dmc_options_check(kinds[i], &o), DMC_EINVAL, "reserved0 = 1, must be 0");
    }
}
END_TEST

/* ---- versions of a struct -----------------------------------------------------------------------
 */

START_TEST(null_options_are_defaults)
{
    any_options taken, defaults;
    for (int32_t kind = FIRST_KIND; kind <= LAST_KIND; kind++) {
        dmc__field_defaults(dmc__field_table_find(kind), &defaults);
        expect_ok(dmc__field_take(kind, NULL, &taken));
        ck_assert_mem_eq(&taken, &defaults, dmc_options_size(kind));
    }
    expect_failure(dmc__field_take(99, NULL, &taken), DMC_EINVAL, "kind = 99");
}
END_TEST

START_TEST(zeroed_struct_is_refused_with_the_init_function)
{
    dmc_model_options zero = {0}, taken;
    expect_failure(dmc__field_take(DMC_OPTIONS_MODEL, &zero, &taken), DMC_EINVAL,
                   "call dmc_model_options_init first");
    zero.struct_size = 3;
    expect_failure(dmc__field_take(DMC_OPTIONS_MODEL, &zero, &taken), DMC_EINVAL,
                   "struct_size = 3");
    zero.struct_size = 0xcccccccc;
    expect_failure(dmc__field_take(DMC_OPTIONS_MODEL, &zero, &taken), DMC_EINVAL,
                   "struct_size = 3435973836");
    zero.struct_size = offsetof(dmc_model_options, clip) + 4; /* half of a double */
    expect_failure(dmc__field_take(DMC_OPTIONS_MODEL, &zero, &taken), DMC_EINVAL,
                   "dmc_model_options_init");
}
END_TEST

START_TEST(older_program_gets_new_defaults)
{
    dmc_train_options user, taken;
    memset(&user, 0xcc, sizeof user);
    expect_ok(dmc_train_options_init(&user, offsetof(dmc_train_options, ema)));
    ck_assert_uint_eq(user.struct_size, offsetof(dmc_train_options, ema));
    ck_assert(*(unsigned char *)&user.ema == 0xcc); /* nothing is written behind the older struct */
    user.batch = 32;
    expect_ok(dmc__field_take(DMC_OPTIONS_TRAIN, &user, &taken));
    ck_assert_int_eq(taken.batch, 32);
    ck_assert(taken.ema == 0.995 && taken.struct_size == sizeof taken);
    expect_failure(dmc_options_set(DMC_OPTIONS_TRAIN, &user, "ema", "0.9"), DMC_EKEY,
                   "ema is newer");
    char text[32];
    expect_ok(dmc_options_get(DMC_OPTIONS_TRAIN, &user, "ema", text, sizeof text));
    ck_assert_str_eq(text, "0.995");
}
END_TEST

START_TEST(newer_program_may_not_set_unknown_fields)
{
    struct {
        dmc_train_options known;
        int64_t newer;
    } user;
    dmc_train_options taken;
    expect_ok(dmc_train_options_init(&user.known, sizeof user.known));
    user.known.struct_size = sizeof user;
    user.known.steps = 7;
    user.newer = 0;
    expect_ok(dmc__field_take(DMC_OPTIONS_TRAIN, &user, &taken));
    ck_assert(taken.steps == 7 && taken.struct_size == sizeof taken);
    user.newer = 1;
    expect_failure(dmc__field_take(DMC_OPTIONS_TRAIN, &user, &taken), DMC_EINVAL,
                   "it is older than the program");
}
END_TEST

START_TEST(null_text_means_its_default)
{
    dmc_model_options user, taken;
    expect_ok(dmc_model_options_init(&user, sizeof user));
    user.mult = NULL;
    expect_ok(dmc__field_take(DMC_OPTIONS_MODEL, &user, &taken));
    ck_assert_str_eq(taken.mult, "1,2,2,2");
}
END_TEST

typedef dmc_status (*init_function)(void *, size_t);
#define INIT(x) (init_function) dmc_##x##_options_init

START_TEST(init_functions_refuse_wrong_sizes)
{
    static const init_function inits[] = {
        NULL,         INIT(context), INIT(dataset), INIT(model), INIT(train),
        INIT(critic), INIT(sampler), INIT(align),   INIT(rl),    INIT(dpo),
        INIT(sft),    INIT(cascade), INIT(sequence), INIT(likelihood),
        INIT(online),   INIT(synth)};
    any_options o;
    char part[64];
    const dmc__field_table *t = dmc__field_table_find(_i);
    snprintf(part, sizeof part, "%s_init: size = 0, must be sizeof(%s) = %u", t->name, t->name,
             t->size);
    expect_failure(inits[_i](&o, 0), DMC_EINVAL, part);
    snprintf(part, sizeof part, "%s_init: size = %u", t->name, t->size + 8);
    expect_failure(inits[_i](&o, t->size + 8), DMC_EINVAL, part);
    expect_failure(inits[_i](&o, ((size_t)1 << 32) + t->size), DMC_EINVAL, "_init: size = 4294967");
    snprintf(part, sizeof part, "%s_init: o = NULL", t->name);
    expect_failure(inits[_i](NULL, t->size), DMC_EINVAL, part);
    memset(&o, 0x5a, sizeof o);
    expect_ok(inits[_i](&o, t->size));
    any_options defaults;
    dmc__field_defaults(t, &defaults);
    ck_assert_mem_eq(&o, &defaults, t->size);
    ck_assert_int_eq(o.bytes[t->size], 0x5a);
}
END_TEST

/* ---- text ---------------------------------------------------------------------------------------
 */

START_TEST(set_and_get_each_type)
{
    dmc_sampler_options s;
    dmc_model_options m;
    char text[64];
    expect_ok(dmc_sampler_options_init(&s, sizeof s));
    expect_ok(dmc_options_set(DMC_OPTIONS_SAMPLER, &s, "steps", "+64"));
    ck_assert_int_eq(s.steps, 64);
    expect_ok(dmc_options_set(DMC_OPTIONS_SAMPLER, &s, "sampler", "ddim"));
    ck_assert_int_eq(s.sampler, DMC_SAMPLER_DDIM);
    expect_ok(dmc_options_set(DMC_OPTIONS_SAMPLER, &s, "eta", ".5e0"));
    ck_assert(s.eta == 0.5);
    expect_ok(dmc_options_set(DMC_OPTIONS_SAMPLER, &s, "seed", "18446744073709551615"));
    ck_assert(s.seed == UINT64_MAX);
    expect_ok(dmc_options_get(DMC_OPTIONS_SAMPLER, &s, "seed", text, sizeof text));
    ck_assert_str_eq(text, "18446744073709551615");
    expect_ok(dmc_options_get(DMC_OPTIONS_SAMPLER, &s, "sampler", text, sizeof text));
    ck_assert_str_eq(text, "ddim");
    expect_ok(dmc_options_get(DMC_OPTIONS_SAMPLER, &s, "steps", text, sizeof text));
    ck_assert_str_eq(text, "64");
    expect_ok(dmc_options_get(DMC_OPTIONS_SAMPLER, &s, "eta", text, sizeof text));
    ck_assert_str_eq(text, "0.5");
    expect_ok(dmc_model_options_init(&m, sizeof m));
    expect_ok(dmc_options_set(DMC_OPTIONS_MODEL, &m, "mult", "1,4"));
    expect_ok(dmc_options_get(DMC_OPTIONS_MODEL, &m, "mult", text, 4));
    ck_assert_str_eq(text, "1,4");
    expect_failure(dmc_options_get(DMC_OPTIONS_MODEL, &m, "mult", text, 3), DMC_ESHAPE,
                   "size = 3 for mult, must be at least 4");
    expect_failure(dmc_options_get(DMC_OPTIONS_MODEL, &m, "mult", NULL, 0), DMC_ESHAPE,
                   "at least 4");
}
END_TEST

static const struct {
    const char *key, *value;
    dmc_status status;
    const char *part;
} bad_values[] = {
    {"steps", "", DMC_EPARSE, "steps = \"\" is not a whole number"},
    {"steps", "x", DMC_EPARSE, "steps = \"x\" is not a whole number"},
    {"steps", "1.5", DMC_EPARSE, "steps = \"1.5\" is not a whole number"},
    {"steps", " 1", DMC_EPARSE, "steps"},
    {"steps", "1 ", DMC_EPARSE, "steps"},
    {"steps", "-", DMC_EPARSE, "steps"},
    {"steps", "-+1", DMC_EPARSE, "steps"},
    {"steps", "0x10", DMC_EPARSE, "steps"},
    {"steps", "-1", DMC_ERANGE, "steps = -1, must be 0..1000"},
    {"steps", "1001", DMC_ERANGE, "steps = 1001, must be 0..1000"},
    {"steps", "99999999999999999999", DMC_ERANGE, "steps = 99999999999999999999, must be 0..1000"},
    {"steps", "4294967296", DMC_ERANGE, "steps = 4294967296"},
    {"eta", "nan", DMC_EPARSE, "eta = \"nan\" is not a number"},
    {"eta", "inf", DMC_EPARSE, "eta"},
    {"eta", "0x1p-1", DMC_EPARSE, "eta"},
    {"eta", "1e", DMC_EPARSE, "eta"},
    {"eta", ".", DMC_EPARSE, "eta"},
    {"eta", "0,5", DMC_EPARSE, "eta"},
    {"eta", "1e999", DMC_ERANGE, "eta = 1e999, must be 0..1"},
    {"eta", "1.0000001", DMC_ERANGE, "eta = 1.0000001, must be 0..1"},
    {"seed", "-1", DMC_EPARSE, "seed"},
    {"seed", "18446744073709551616", DMC_ERANGE, "must be 0..18446744073709551615"},
    {"sampler", "dimd", DMC_EKEY, "did you mean \"ddim\"?, must be one of: ddpm ddim"},
    {"sampler", "0", DMC_EKEY, "sampler = \"0\", must be one of: ddpm ddim"},
    {"sampler", "DDIM", DMC_EKEY, "must be one of"},
    {"candidats", "2", DMC_EKEY,
     "dmc_sampler_options has no option \"candidats\", did you mean \"candidates\"?"},
    {"zzzzzzzz", "2", DMC_EKEY, "dmc_sampler_options has no option \"zzzzzzzz\""},
    {"", "2", DMC_EKEY, "no option \"\""},
};

START_TEST(bad_text_is_refused)
{
    dmc_sampler_options s, before;
    expect_ok(dmc_sampler_options_init(&s, sizeof s));
    before = s;
    expect_failure(
        dmc_options_set(DMC_OPTIONS_SAMPLER, &s, bad_values[_i].key, bad_values[_i].value),
        bad_values[_i].status, bad_values[_i].part);
    ck_assert_mem_eq(&s, &before, sizeof s);
}
END_TEST

START_TEST(wrong_arguments_are_refused)
{
    dmc_sampler_options s;
    dmc_option_info info;
    char text[8];
    expect_ok(dmc_sampler_options_init(&s, sizeof s));
    ck_assert_uint_eq(dmc_options_size(0), 0);
    ck_assert_uint_eq(dmc_options_size(LAST_KIND + 1), 0);
    expect_failure(dmc_options_init(0, &s), DMC_EINVAL, "dmc_options_init: kind = 0");
    expect_failure(dmc_options_init(DMC_OPTIONS_SAMPLER, NULL), DMC_EINVAL, "options = NULL");
    expect_failure(dmc_options_set(-1, &s, "steps", "1"), DMC_EINVAL, "dmc_options_set: kind = -1");
    expect_failure(dmc_options_set(DMC_OPTIONS_SAMPLER, NULL, "steps", "1"), DMC_EINVAL,
                   "options = NULL");
    expect_failure(dmc_options_set(DMC_OPTIONS_SAMPLER, &s, NULL, "1"), DMC_EINVAL, "key = NULL");
    expect_failure(dmc_options_set(DMC_OPTIONS_SAMPLER, &s, "steps", NULL), DMC_EINVAL,
                   "value = NULL for steps");
    expect_failure(dmc_options_get(DMC_OPTIONS_SAMPLER, &s, "step", text, 8), DMC_EKEY,
                   "did you mean \"steps\"?");
    expect_failure(dmc_options_get(DMC_OPTIONS_SAMPLER, &s, "steps", NULL, 8), DMC_EINVAL,
                   "buf = NULL");
    expect_failure(dmc_options_get(DMC_OPTIONS_SAMPLER, NULL, "steps", text, 8), DMC_EINVAL,
                   "options = NULL");
    expect_failure(dmc_options_describe(99, 0, &info), DMC_EINVAL, "kind = 99");
    expect_failure(dmc_options_describe(DMC_OPTIONS_SAMPLER, 0, NULL), DMC_EINVAL, "out = NULL");
    expect_failure(dmc_options_check(99, &s), DMC_EINVAL, "kind = 99");
    expect_failure(dmc_options_check(DMC_OPTIONS_SAMPLER, NULL), DMC_EINVAL, "options = NULL");
    s.struct_size = 0;
    expect_failure(dmc_options_set(DMC_OPTIONS_SAMPLER, &s, "steps", "1"), DMC_EINVAL,
                   "dmc_sampler_options_init");
    expect_failure(dmc_options_get(DMC_OPTIONS_SAMPLER, &s, "steps", text, 8), DMC_EINVAL,
                   "dmc_sampler_options_init");
    expect_failure(dmc_options_check(DMC_OPTIONS_SAMPLER, &s), DMC_EINVAL,
                   "dmc_sampler_options_init");
}
END_TEST

START_TEST(describe_lists_every_row)
{
    dmc_option_info info;
    const dmc__field_table *t = dmc__field_table_find(DMC_OPTIONS_SAMPLER);
    int32_t n = 0;
    char index[32];
    while (dmc_options_describe(DMC_OPTIONS_SAMPLER, n, &info) == DMC_OK) n++;
    ck_assert_int_eq(n, t->count);
    snprintf(index, sizeof index, "index = %d", n);
    expect_failure(dmc_options_describe(DMC_OPTIONS_SAMPLER, n, &info), DMC_ERANGE, index);
    expect_failure(dmc_options_describe(DMC_OPTIONS_SAMPLER, -1, &info), DMC_ERANGE, "index = -1");
    expect_ok(dmc_options_describe(DMC_OPTIONS_SAMPLER, 0, &info));
    ck_assert_str_eq(info.key, "sampler");
    ck_assert_str_eq(info.choices, "ddpm ddim euler heun euler_maruyama flow_sde reinflow dpm dpmpp dpmpp_2m sde_dpm sde_dpmpp "
                     "sde_dpmpp_2m auto");
    ck_assert_str_eq(info.initial, "auto");
    ck_assert_int_eq(info.type, DMC_FIELD_ENUM);
    expect_ok(dmc_options_describe(DMC_OPTIONS_SAMPLER, 3, &info));
    ck_assert_str_eq(info.key, "batch");
    ck_assert_str_eq(info.choices, "");
    ck_assert(info.type == DMC_FIELD_INT32 && info.min == 1 && info.max == 4096);
    expect_ok(dmc_options_describe(DMC_OPTIONS_TRAIN, 3, &info));
    ck_assert_str_eq(info.initial, "3e-4");
}
END_TEST

/* ---- numbers ------------------------------------------------------------------------------------
 */

START_TEST(doubles_survive_text)
{
    static const double hard[] = {0.0,
                                  -0.0,
                                  0.1,
                                  1.0 / 3,
                                  1e23,
                                  9007199254740993.0,
                                  DBL_MAX,
                                  DBL_MIN,
                                  5e-324,
                                  3e-4,
                                  1e22,
                                  123456789012345680.0,
                                  2.2250738585072011e-308};
    char text[DMC__NUMBER_TEXT];
    double back;
    for (size_t i = 0; i < sizeof hard / sizeof *hard; i++) {
        expect_ok(dmc__number_double(dmc__number_print(hard[i], text), &back));
        ck_assert_mem_eq(&back, &hard[i], sizeof back);
    }
    uint64_t state = 1;
    for (int i = 0; i < 20000; i++) {
        double v;
        state = state * 6364136223846793005u + 1442695040888963407u;
        const uint64_t bits = state ^ state >> 29;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v)) continue;
        expect_ok(dmc__number_double(dmc__number_print(v, text), &back));
        ck_assert_mem_eq(&back, &v, sizeof back);
    }
    ck_assert_int_eq(dmc__number_double("1e999", &back), DMC_ERANGE);
    ck_assert_int_eq(dmc__number_double("-1e999", &back), DMC_ERANGE);
    ck_assert_str_eq(dmc__number_print(0.1, text), "0.1");
    ck_assert_str_eq(dmc__number_print(1e6, text), "1000000");
    ck_assert_str_eq(dmc__number_print(NAN, text), "nan");
    ck_assert_str_eq(dmc__number_print(-INFINITY, text), "-inf");
}
END_TEST

START_TEST(whole_numbers_at_their_limits)
{
    int64_t i;
    uint64_t u;
    ck_assert(dmc__number_i64("9223372036854775807", &i) == DMC_OK && i == INT64_MAX);
    ck_assert(dmc__number_i64("-9223372036854775807", &i) == DMC_OK && i == -INT64_MAX);
    ck_assert_int_eq(dmc__number_i64("9223372036854775808", &i), DMC_ERANGE);
    ck_assert(dmc__number_u64("00000000000000000000000001", &u) == DMC_OK && u == 1);
    ck_assert_int_eq(dmc__number_u64("", &u), DMC_EPARSE);
    ck_assert_int_eq(dmc__number_u64("+", &u), DMC_EPARSE);
    ck_assert_int_eq(dmc__number_u64("1_000", &u), DMC_EPARSE);
}
END_TEST

/* A locale with a decimal comma: one that is installed, or one compiled into the test's folder. */
static const char *comma_locale(void)
{
    char command[256];
    const char *found = setlocale(LC_ALL, "de_DE.UTF-8");
    if (found) return found;
    snprintf(command, sizeof command,
             "localedef --no-archive -i de_DE -f UTF-8 %s/de_DE.UTF-8 >/dev/null 2>&1",
             fixture_folder);
    if (system(command) != 0) return NULL;
    setenv("LOCPATH", fixture_folder, 1);
    return setlocale(LC_ALL, "de_DE.UTF-8");
}

START_TEST(numbers_ignore_the_locale)
{
    char text[DMC__NUMBER_TEXT], host[16], command[128];
    double v = 0;
    fixture_make();
    const char *found = comma_locale();
    snprintf(host, sizeof host, "%.2f", 1.25);
    const dmc_status status = dmc__number_double("0.5", &v);
    const dmc_status comma = dmc__number_double("0,5", &v);
    dmc__number_print(1.25, text);
    setlocale(LC_ALL, "C");
    unsetenv("LOCPATH");
    snprintf(command, sizeof command, "rm -r %s", fixture_folder);
    ck_assert_int_eq(system(command), 0);
    if (!found) {
        printf("SKIP: no locale with a decimal comma (package locales)\n");
        return;
    }
    ck_assert_str_eq(host, "1,25");
    ck_assert(status == DMC_OK && comma == DMC_EPARSE && v == 0.5);
    ck_assert_str_eq(text, "1.25");
}
END_TEST

START_TEST(nearest_names)
{
    static const char *const names[] = {"horizon", "hidden", "lr"};
    ck_assert_str_eq(dmc__name_nearest("horzion", names, 3), "horizon");
    ck_assert_str_eq(dmc__name_nearest("hiden", names, 3), "hidden");
    ck_assert_str_eq(dmc__name_nearest("lr2", names, 3), "lr");
    ck_assert_ptr_null(dmc__name_nearest("xy", names, 3)); /* not a letter in common */
    ck_assert_ptr_null(dmc__name_nearest("", names, 3));
    ck_assert_ptr_null(dmc__name_nearest("learning_rate", names, 3));
    ck_assert_ptr_null(dmc__name_nearest("horizon", names, 0));
    ck_assert_str_eq(dmc__name_nearest("hxxxzon", names, 3), "horizon");
    ck_assert_ptr_null(dmc__name_nearest("hxxxxon", names, 3)); /* four letters away */
    char longest[1000];
    memset(longest, 'h', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *const long_names[] = {longest + 743, longest + 742, longest};
    ck_assert_ptr_null(dmc__name_nearest(longest, names, 3));
    ck_assert_ptr_eq(dmc__name_nearest(longest + 743, long_names, 3),
                     long_names[0]); /* 256 letters */
    ck_assert_ptr_null(dmc__name_nearest(longest, long_names, 3));
    ck_assert_str_eq(dmc__field_nearest(dmc__field_table_find(DMC_OPTIONS_MODEL), "train_step"),
                     "train_steps");
}
END_TEST

Suite *dmc_suite_field(void);
Suite *dmc_suite_field(void)
{
    Suite *s = suite_create("field");
    TCase *c = tcase_create("all");
    tcase_add_loop_test(c, tables_are_sound, FIRST_KIND, LAST_KIND + 1);
    tcase_add_loop_test(c, fields_do_not_overlap, FIRST_KIND, LAST_KIND + 1);
    tcase_add_test(c, defaults_are_those_of_the_headers);
    tcase_add_test(c, defaults_of_the_smaller_structs);
    tcase_add_test(c, choices_are_the_enumerations);
    tcase_add_loop_test(c, every_bound_is_checked, FIRST_KIND, LAST_KIND + 1);
    tcase_add_test(c, sentences_name_value_and_bound);
    tcase_add_test(c, reserved_fields_must_be_zero);
    tcase_add_test(c, null_options_are_defaults);
    tcase_add_test(c, zeroed_struct_is_refused_with_the_init_function);
    tcase_add_test(c, older_program_gets_new_defaults);
    tcase_add_test(c, newer_program_may_not_set_unknown_fields);
    tcase_add_test(c, null_text_means_its_default);
    tcase_add_loop_test(c, init_functions_refuse_wrong_sizes, FIRST_KIND, LAST_KIND + 1);
    tcase_add_test(c, set_and_get_each_type);
    tcase_add_loop_test(c, bad_text_is_refused, 0, sizeof bad_values / sizeof *bad_values);
    tcase_add_test(c, wrong_arguments_are_refused);
    tcase_add_test(c, describe_lists_every_row);
    tcase_add_test(c, doubles_survive_text);
    tcase_add_test(c, whole_numbers_at_their_limits);
    tcase_add_test(c, numbers_ignore_the_locale);
    tcase_add_test(c, nearest_names);
    suite_add_tcase(s, c);
    return s;
}
