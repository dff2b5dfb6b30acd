/* check_model_file.c — models, critics and adapters in files: bit-exact when whole, refused in words when not. */
#include "world_fixture.h"

#include "../../lib/model/model_file.h"

Suite *dmc_suite_model_file(void);

/* All memory of the tests, so that what a refused file left behind is seen; `largest` is the greatest single request. */
typedef struct ledger {
    failing_alloc f;
    size_t largest;
} ledger;

static ledger memory;
static dmc_context *ctx;
static dmc_dataset *data;

static void *take(void *user, size_t size, size_t align)
{
    ledger *l = user;
    if (size > l->largest) l->largest = size;
    return failing_alloc_take(&l->f, size, align);
}

static void give(void *user, void *p, size_t size)
{
    failing_alloc_give(&((ledger *)user)->f, p, size);
}

static void setup(void)
{
    dmc_context_options o;
    memset(&memory, 0, sizeof memory);
    fixture_make();
    dmc_context_options_init(&o, sizeof o);
    o.alloc = take;
    o.free = give;
    o.alloc_user = &memory;
    expect_ok(dmc_context_create(&o, &ctx));
    data = world_data(ctx);
}

static void teardown(void)
{
    dmc_dataset_destroy(data);
    dmc_context_destroy(ctx);
    ck_assert_int_eq(memory.f.live, 0);
    fixture_remove();
}

/* ---- the three kinds of file behind one face --------------------------------------------------------- */

typedef enum kind { MODEL, CRITIC, KINDS } kind;

static dmc_status load(kind k, const char *path, void **out)
{
    if (k == MODEL) return dmc_model_load(ctx, path, (dmc_model **)out);
    return dmc_critic_load(ctx, path, NULL, (dmc_critic **)out);
}

static void unload(kind k, void *thing)
{
    if (k == MODEL) dmc_model_destroy(thing);
    else dmc_critic_destroy(thing);
}

/* A small file of this kind; the model has a cascade. The path lasts. */
static const char *save(kind k)
{
    static char paths[KINDS][512];
    char *path = paths[k];
    strcpy(path, fixture_path(k == MODEL ? "a.model" : "a.critic"));
    if (k == MODEL) {
        dmc_model_options o = world_policy();
        o.hidden = 4;
        dmc_model *m = world_model(ctx, data, &o), *big = world_cascade(m);
        expect_ok(dmc_model_save(big, path));
        dmc_model_destroy(big);
        dmc_model_destroy(m);
    } else {
        dmc_critic_options o = world_critic_options();
        dmc_critic *c;
        o.hidden = 4;
        expect_ok(dmc_critic_create(ctx, data, &o, &c));
        expect_ok(dmc_critic_step(c, 2, NULL));
        expect_ok(dmc_critic_save(c, path));
        dmc_critic_destroy(c);
    }
    return path;
}

/* The file must be refused with a sentence, and nothing stay behind. */
static void must_refuse(kind k, const char *path, const char *what, size_t at)
{
    const int64_t before = memory.f.live;
    void *thing = &memory;
    const dmc_status status = load(k, path, &thing);
    ck_assert_msg(status < 0, "%s at byte %zu was accepted", what, at);
    ck_assert_ptr_null(thing);
    ck_assert_msg(strlen(dmc_last_error()) > 20, "%s at byte %zu: \"%s\"", what, at, dmc_last_error());
    ck_assert_msg(memory.f.live == before, "%s at byte %zu: %ld blocks leaked", what, at, (long)(memory.f.live - before));
}

/* ---- whole files ------------------------------------------------------------------------------------ */

static void sample_twice(const dmc_model *a, const dmc_model *b)
{
    dmc_sampler_options o = world_sampling(1, 2, DMC_SELECT_FIRST);
    float obs[WORLD_S], x[4], y[4];
    o.cascade_passes = 1;
    dmc_sampler *s = world_sampler(a, NULL, &o), *t = world_sampler(b, NULL, &o);
    world_observe(3, obs);
    ck_assert_int_ge(dmc_sampler_sample(s, obs, WORLD_S, x, 4), 0);
    ck_assert_int_ge(dmc_sampler_sample(t, obs, WORLD_S, y, 4), 0);
    ck_assert_mem_eq(x, y, sizeof x);
    dmc_sampler_destroy(t);
    dmc_sampler_destroy(s);
}

static void round_trip(const dmc_model *m)
{
    const char *path = fixture_path("m.dmc");
    dmc_model *back;
    expect_ok(dmc_model_save(m, path));
    expect_ok(dmc_model_load(ctx, path, &back));
    same_models(m, back);
    ck_assert_int_eq(!m->cascade, !back->cascade);
    dmc_model_destroy(back);
    ck_assert_int_eq(fixture_count(), 1); /* no temporary file stays */
}

START_TEST(models_come_back_bit_for_bit)
{
    dmc_model_options o = world_policy(), p = world_planner();
    o.control_hz = 0.1;
    o.predict = DMC_PREDICT_X0;
    p.schedule = DMC_SCHEDULE_LINEAR;
    p.clip = 1.0 / 3;
    dmc_model *policy = world_model(ctx, data, &o), *planner = world_model(ctx, data, &p);
    round_trip(policy);
    round_trip(planner);
    dmc_model_destroy(planner);
    dmc_model_destroy(policy);
}
END_TEST

START_TEST(cascades_come_back_too)
{
    const dmc_model_options o = world_policy();
    dmc_model *m = world_model(ctx, data, &o), *big = world_cascade(m), *back;
    round_trip(big);
    expect_ok(dmc_model_load(ctx, fixture_path("m.dmc"), &back));
    sample_twice(big, back);
    dmc_model_destroy(back);
    dmc_model_destroy(big);
    dmc_model_destroy(m);
}
END_TEST

/* A file written by one device is read by another: the numbers are floats. */
START_TEST(devices_share_files)
{
    const dmc_model_options o = world_policy();
    dmc_model *m = world_model(ctx, data, &o), *back;
    dmc_context_options c;
    dmc_context *ref64;
    float was[16 * 16], now[16 * 16];
    dmc_context_options_init(&c, sizeof c);
    c.device = "ref64";
    expect_ok(dmc_context_create(&c, &ref64));
    expect_ok(dmc_model_save(m, fixture_path("m.dmc")));
    expect_ok(dmc_model_load(ref64, fixture_path("m.dmc"), &back));
    expect_ok(dmc_model_get_tensor(m, "time_mlp.0.weight", was, 128));
    expect_ok(dmc_model_get_tensor(back, "time_mlp.0.weight", now, 128));
    ck_assert_mem_eq(was, now, 128 * sizeof *was);
    dmc_model_destroy(back);
    dmc_context_destroy(ref64);
    dmc_model_destroy(m);
}
END_TEST

START_TEST(files_that_are_not_there)
{
    dmc_model *m = (dmc_model *)(uintptr_t)1;
    dmc_critic *c = (dmc_critic *)(uintptr_t)1;
    expect_failure(dmc_model_load(ctx, fixture_path("none"), &m), DMC_ENOENT, "none");
    expect_failure(dmc_critic_load(ctx, fixture_path("none"), NULL, &c), DMC_ENOENT, "none");
    ck_assert(!m && !c);
    ck_assert_int_lt(dmc_model_load(ctx, fixture_folder, &m), 0);
    expect_failure(dmc_model_load(ctx, NULL, &m), DMC_EINVAL, "path is NULL");
    expect_failure(dmc_model_load(ctx, "x", NULL), DMC_EINVAL, "out is NULL");
    const dmc_model_options o = world_policy();
    m = world_model(ctx, data, &o);
    ck_assert_int_lt(dmc_model_save(m, fixture_path("no/such/folder")), 0);
    dmc_model_destroy(m);
}
END_TEST

START_TEST(a_file_of_another_kind)
{
    dmc_model *m;
    dmc_critic *c;
    const char *model = save(MODEL), *critic = save(CRITIC);
    expect_failure(dmc_model_load(ctx, critic, &m), DMC_EFORMAT, "it is not a libdmc model");
    expect_failure(dmc_critic_load(ctx, model, NULL, &c), DMC_EFORMAT, "it is not a libdmc critic");
}
END_TEST

static dmc_status load_model(void *path, void **out)
{
    return load(MODEL, path, out);
}

static dmc_status load_critic(void *path, void **out)
{
    return load(CRITIC, path, out);
}

static void unload_model(void *m)
{
    unload(MODEL, m);
}

static void unload_critic(void *c)
{
    unload(CRITIC, c);
}

START_TEST(loading_without_memory)
{
    world_without_memory(&memory.f, (void *)(uintptr_t)save(MODEL), load_model, unload_model);
    world_without_memory(&memory.f, (void *)(uintptr_t)save(CRITIC), load_critic, unload_critic);
}
END_TEST

/* ---- damaged files ---------------------------------------------------------------------------------- */

START_TEST(cut_off_anywhere)
{
    size_t n;
    unsigned char *bytes = fixture_read(save((kind)_i), &n);
    ck_assert_uint_gt(n, 97 * 20);
    for (size_t at = 0; at < n; at += 97) must_refuse((kind)_i, fixture_write("cut", bytes, at), "end", at);
    must_refuse((kind)_i, fixture_write("cut", bytes, n - 1), "end", n - 1);
    free(bytes);
}
END_TEST

START_TEST(one_bit_wrong_anywhere)
{
    size_t n;
    unsigned char *bytes = fixture_read(save((kind)_i), &n);
    for (size_t at = 0; at < n; at += 61) {
        bytes[at] ^= (unsigned char)(1u << at % 8);
        must_refuse((kind)_i, fixture_write("bit", bytes, n), "flipped bit", at);
        bytes[at] ^= (unsigned char)(1u << at % 8);
    }
    void *thing; /* untouched it is accepted: the loop above did test this file */
    expect_ok(load((kind)_i, fixture_write("bit", bytes, n), &thing));
    unload((kind)_i, thing);
    free(bytes);
}
END_TEST

/* ---- files with a digest that is right and a contract that lies -------------------------------------- */

/* Copy file `from` to "forged" with `old` in its contract replaced by `new`; without one tensor, or with one more. */
typedef struct forgery {
    const char *old, *new, *without, *with;
} forgery;

static char *edit(const char *text, const forgery *e)
{
    const size_t n = strlen(text) + 1, more = e->new ? strlen(e->new) : 0;
    char *out = malloc(n + more);
    memcpy(out, text, n);
    if (!e->old) return out;
    char *at = strstr(out, e->old);
    ck_assert_msg(at != NULL, "no %s in %s", e->old, text);
    const size_t less = strlen(e->old);
    memmove(at + more, at + less, strlen(at + less) + 1);
    memcpy(at, e->new, more);
    return out;
}

static const char *forge(kind k, const char *from, const forgery *e)
{
    const char *key = k == MODEL ? "dmc.model" : "dmc.critic", *path = fixture_path("forged");
    const dmc__allocator *a = &dmc__default_allocator;
    dmc__tensor_file *f;
    dmc__tensor_writer *w;
    expect_ok(dmc__tensor_file_open(a, from, 1, &f));
    expect_ok(dmc__tensor_writer_create(a, &w));
    char *text = edit(dmc__tensor_file_meta(f, key), e);
    expect_ok(dmc__tensor_writer_meta(w, key, text));
    free(text);
    for (int32_t i = 0; i < dmc__tensor_file_count(f); i++) {
        int32_t rank, shape[8];
        const size_t n = dmc__tensor_file_elems(f, i);
        float *x = malloc((n + 1) * sizeof *x);
        dmc__tensor_file_shape(f, i, &rank, shape);
        expect_ok(dmc__tensor_file_read(f, i, x, n));
        if (!e->without || strcmp(e->without, dmc__tensor_file_name(f, i)) != 0)
            expect_ok(dmc__tensor_writer_f32(w, dmc__tensor_file_name(f, i), rank, shape, x));
        free(x);
    }
    if (e->with) expect_ok(dmc__tensor_writer_f32(w, e->with, 1, (const int32_t[]){2}, (const float[]){1, 2}));
    expect_ok(dmc__tensor_writer_save(w, path));
    dmc__tensor_writer_destroy(w);
    dmc__tensor_file_close(f);
    return path;
}

static void must_refuse_forgery(kind k, const char *from, const forgery *e, dmc_status want, const char *part)
{
    const char *path = forge(k, from, e);
    const int64_t before = memory.f.live;
    void *thing = &memory;
    memory.largest = 0;
    expect_failure(load(k, path, &thing), want, part);
    ck_assert_ptr_null(thing);
    ck_assert_int_eq(memory.f.live, before);
    ck_assert_msg(memory.largest < 1 << 20, "%s: %zu bytes were asked for", e->new, memory.largest);
}

START_TEST(forged_models)
{
    static const struct { forgery e; dmc_status want; const char *part; } list[] = {
        {{"\"hidden\": 4", "\"hidden\": 8192", NULL, NULL}, DMC_EFORMAT, "the file holds"},
        {{"\"hidden\": 4", "\"hidden\": 65536", NULL, NULL}, DMC_EFORMAT, "\"hidden\" = 65536, must be 1..16384"},
        {{"\"hidden\": 4", "\"hidden\": 5", NULL, NULL}, DMC_EFORMAT, "the file holds"},
        {{"\"hidden\": 4", "\"hidden\": 3", NULL, NULL}, DMC_ESHAPE, "must be"},
        {{"\"blocks\": 1", "\"blocks\": 200", NULL, NULL}, DMC_EFORMAT, "the file holds"},
        {{"\"hidden\": 4", "\"hidden\": 4.5", NULL, NULL}, DMC_EFORMAT, "hidden = 4.5, must be a whole number"},
        {{"\"horizon\": 2", "\"horizon\": 1024", NULL, NULL}, DMC_EFORMAT, "the file holds"},
        {{"\"obs_dim\": 3", "\"obs_dim\": 4", NULL, NULL}, DMC_EFORMAT, "the file holds"},
        {{"\"obs_dim\": 3", "\"obs_dim\": 2", NULL, NULL}, DMC_EFORMAT, "\"shift\" has 3 numbers, must have 2"},
        {{"\"role\": \"policy\"", "\"role\": \"pilot\"", NULL, NULL}, DMC_EFORMAT, "role = \"pilot\" is not known"},
        {{"idql_mlp", "resnet", NULL, NULL}, DMC_EFORMAT, "network = \"resnet\" is not known"},
        {{"cosine", "sine", NULL, NULL}, DMC_EFORMAT, "schedule = \"sine\""},
        {{"epsilon", "delta", NULL, NULL}, DMC_EFORMAT, "predict = \"delta\""},
        {{"gaussian", "robust", NULL, NULL}, DMC_EFORMAT, "kind = \"robust\""},
        {{"\"format\": 1", "\"format\": 2", NULL, NULL}, DMC_EFORMAT, "\"format\" = 2"},
        {{"\"train_steps\": 5", "\"train_steps\": 1e9", NULL, NULL}, DMC_EFORMAT, "\"train_steps\" = 1e+09, must be 1..1000"},
        {{"\"train_steps\": 5", "\"train_steps\": 0", NULL, NULL}, DMC_EFORMAT, "must be 1..1000"},
        {{"\"n_obs\"", "\"m_obs\"", NULL, NULL}, DMC_EFORMAT, "no \"n_obs\""},
        {{"\"cascade\": 1", "\"cascade\": 0", NULL, NULL}, DMC_EFORMAT, "its contract describes"},
        {{"\"returns\": 0", "\"returns\": 1", NULL, NULL}, DMC_EFORMAT, "no \"return_min\""},
        {{"\"returns\": 0", "\"returns\": 1, \"return_min\": 0, \"return_max\": 1", NULL, NULL}, DMC_EINVAL, "role = planner"},
        {{"\"levels\": 4", "\"levels\": 9", NULL, NULL}, DMC_EFORMAT, "\"levels\" = 9, must be 1..8"},
        {{NULL, NULL, "affine_in.weight", NULL}, DMC_EFORMAT, "the file holds"},
        {{NULL, NULL, "cascade.affine_out.bias", NULL}, DMC_EFORMAT, "the file holds"},
        {{NULL, NULL, NULL, "stowaway"}, DMC_EFORMAT, "its contract describes"},
    };
    const char *from = save(MODEL);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        must_refuse_forgery(MODEL, from, &list[i].e, list[i].want, list[i].part);
}
END_TEST

/* A normaliser that would divide by zero or hold actions inside an empty interval. */
START_TEST(forged_units)
{
    const char *from = save(MODEL);
    dmc__tensor_file *f;
    expect_ok(dmc__tensor_file_open(&dmc__default_allocator, from, 1, &f));
    char *text = malloc(strlen(dmc__tensor_file_meta(f, "dmc.model")) + 1);
    strcpy(text, dmc__tensor_file_meta(f, "dmc.model"));
    dmc__tensor_file_close(f);
    const char *keys[2] = {"\"scale\": [", "\"min\": ["}, *words[2] = {"scale[0] = 0, must be above 0", "is above max"};
    const char *values[2] = {"0.0", "1e6"};
    for (int i = 0; i < 2; i++) {
        char old[128], new[160];
        const char *at = strstr(text, keys[i]);
        const int n = (int)(strchr(at, ',') - at);
        snprintf(old, sizeof old, "%.*s", n, at);
        snprintf(new, sizeof new, "%s%s", keys[i], values[i]);
        must_refuse_forgery(MODEL, from, &(forgery){old, new, NULL, NULL}, DMC_EFORMAT, words[i]);
    }
    free(text);
}
END_TEST

START_TEST(forged_critics)
{
    static const struct { forgery e; dmc_status want; const char *part; } list[] = {
        {{"\"hidden\": 4", "\"hidden\": 32768", NULL, NULL}, DMC_EFORMAT, "the file holds"},
        {{"\"hidden\": 4", "\"hidden\": 5.5", NULL, NULL}, DMC_EFORMAT, "hidden = 5.5, must be a whole number"},
        {{"\"hidden\": 4", "\"hidden\": 65536", NULL, NULL}, DMC_EOVERFLOW, "more than"},
        {{"\"hidden\": 4", "\"hidden\": 3", NULL, NULL}, DMC_ESHAPE, "must be"},
        {{"\"obs_dim\": 3", "\"obs_dim\": 2", NULL, NULL}, DMC_EFORMAT, "\"shift\" has 3 numbers, must have 2"},
        {{"\"batch\": 32", "\"batch\": 65537", NULL, NULL}, DMC_EFORMAT, "must be 1..65536"},
        {{"\"tau\": 0", "\"tau\": 1", NULL, NULL}, DMC_EFORMAT, "\"tau\" = 1.7"},
        {{"\"chunk\": 1", "\"chunk\": 1000", NULL, NULL}, DMC_EFORMAT, "the file holds"},
        {{"\"chunk\": 1", "\"chunk\": 0", NULL, NULL}, DMC_EFORMAT, "\"chunk\" = 0, must be 1..1024"},
        {{"\"split\": 0", "\"split\": 4", NULL, NULL}, DMC_EFORMAT, "\"split\" = 4, must be 0..3"},
        {{NULL, NULL, "v.V.6.bias", NULL}, DMC_EFORMAT, "the file holds"},
    };
    const char *from = save(CRITIC);
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        must_refuse_forgery(CRITIC, from, &list[i].e, list[i].want, list[i].part);
}
END_TEST

/* Files of the first releases know no chunks and no split. */
START_TEST(critics_of_the_first_releases)
{
    static const forgery list[] = {{"\"chunk\": 1", "\"xhunk\": 2", NULL, NULL}, {"\"split\": 0", "\"xplit\": 2", NULL, NULL}};
    const char *from = save(CRITIC);
    for (int i = 0; i < 2; i++) {
        dmc_critic *c;
        expect_ok(dmc_critic_load(ctx, forge(CRITIC, from, &list[i]), NULL, &c));
        ck_assert(c->config.chunk == 1 && c->config.split == DMC__CRITIC_TRAIN);
        dmc_critic_destroy(c);
    }
}
END_TEST

/* Values need no training batch, so a file cannot make us allocate one. */
START_TEST(a_critic_for_values_has_no_batch)
{
    const char *path = forge(CRITIC, save(CRITIC), &(forgery){"\"batch\": 32", "\"batch\": 65536", NULL, NULL});
    dmc_critic *c;
    char text[4096];
    memory.largest = 0;
    expect_ok(dmc_critic_load(ctx, path, NULL, &c));
    ck_assert_uint_lt(memory.largest, 1 << 20);
    expect_ok(dmc_critic_describe(c, text, sizeof text, NULL));
    ck_assert_ptr_nonnull(strstr(text, "\"batch\": 65536")); /* and still says so */
    dmc_critic_destroy(c);
}
END_TEST

/* ---- adapters --------------------------------------------------------------------------------------- */

static dmc_aligner *make_aligner(const dmc_model *m, int32_t rank, uint64_t seed)
{
    dmc_align_options o;
    dmc_aligner *a;
    dmc_align_options_init(&o, sizeof o);
    o.lora_rank = rank;
    o.batch = 8;
    o.candidates = 4;
    o.eval_conditions = 2;
    o.seed = seed;
    expect_ok(dmc_aligner_create(ctx, m, data, NULL, &o, &a));
    return a;
}

/* An adapter that says something: every number that learns is drawn from `salt`. */
static void stir(dmc_aligner *a, uint64_t salt)
{
    dmc__learner *l = a->run->learner;
    const size_t n = dmc__learner_elems(l);
    float *x = malloc(n * sizeof *x);
    expect_ok(dmc__learner_get(l, x));
    for (size_t i = 0; i < n; i++) x[i] += 0.1f * world_uniform(salt, i);
    expect_ok(dmc__learner_set(l, x));
    free(x);
}

static void same_published(const dmc_aligner *a, const dmc_aligner *b)
{
    dmc_model *x, *y;
    expect_ok(dmc_aligner_publish(a, &x));
    expect_ok(dmc_aligner_publish(b, &y));
    same_models(x, y);
    dmc_model_destroy(y);
    dmc_model_destroy(x);
}

START_TEST(adapters_come_back)
{
    const dmc_model_options o = world_policy();
    dmc_model *m = world_model(ctx, data, &o);
    dmc_aligner *a = make_aligner(m, _i, 1), *b = make_aligner(m, _i, 2);
    stir(a, 31);
    expect_ok(dmc_aligner_save(a, fixture_path("adapter")));
    expect_ok(dmc_aligner_load(b, fixture_path("adapter")));
    same_published(a, b);
    dmc_aligner_destroy(b);
    dmc_aligner_destroy(a);
    dmc_model_destroy(m);
}
END_TEST

/* With the cascade: one that was there before goes when the file has none. */
START_TEST(adapters_bring_their_cascade)
{
    const dmc_model_options o = world_policy();
    dmc_model *m = world_model(ctx, data, &o);
    dmc_aligner *plain = make_aligner(m, 4, 1), *a = make_aligner(m, 4, 2), *b = make_aligner(m, 4, 3);
    stir(a, 32);
    expect_ok(dmc__cascade_create(a->run, dmc__learner_weights(a->run->learner), &a->run->cascade));
    expect_ok(dmc_aligner_save(plain, fixture_path("plain")));
    expect_ok(dmc_aligner_save(a, fixture_path("cascade")));
    expect_ok(dmc_aligner_load(b, fixture_path("cascade")));
    ck_assert_ptr_nonnull(b->run->cascade);
    same_published(a, b);
    expect_ok(dmc_aligner_load(b, fixture_path("plain")));
    ck_assert_ptr_null(b->run->cascade);
    same_published(plain, b);
    dmc_aligner_destroy(b);
    dmc_aligner_destroy(a);
    dmc_aligner_destroy(plain);
    dmc_model_destroy(m);
}
END_TEST

START_TEST(adapters_know_their_foundation)
{
    dmc_model_options o = world_policy();
    dmc_model *m = world_model(ctx, data, &o);
    o.seed++;
    dmc_model *other = world_model(ctx, data, &o);
    dmc_aligner *a = make_aligner(m, 4, 1), *b = make_aligner(other, 4, 1);
    dmc_critic *c = world_critic(ctx, data, 1);
    expect_ok(dmc_aligner_save(a, fixture_path("adapter")));
    expect_failure(dmc_aligner_load(b, fixture_path("adapter")), DMC_ESHAPE, "was trained over foundation");
    expect_ok(dmc_model_save(m, fixture_path("model")));
    expect_failure(dmc_aligner_load(a, fixture_path("model")), DMC_EFORMAT, "it is not a libdmc adapter");
    expect_failure(dmc_aligner_load(a, fixture_path("nowhere")), DMC_ENOENT, "nowhere");
    dmc_critic_destroy(c);
    dmc_aligner_destroy(b);
    dmc_aligner_destroy(a);
    dmc_model_destroy(other);
    dmc_model_destroy(m);
}
END_TEST

/* Another rank, or damage: the adapter that was there stays whole. */
START_TEST(a_refused_adapter_changes_nothing)
{
    const dmc_model_options o = world_policy();
    dmc_model *m = world_model(ctx, data, &o), *before, *after;
    dmc_aligner *a = make_aligner(m, 4, 1), *b = make_aligner(m, 3, 1);
    size_t n;
    stir(a, 33);
    stir(b, 34);
    expect_ok(dmc_aligner_publish(b, &before));
    expect_ok(dmc_aligner_save(a, fixture_path("adapter")));
    expect_failure(dmc_aligner_load(b, fixture_path("adapter")), DMC_ESHAPE, "lora_A");
    unsigned char *bytes = fixture_read(fixture_path("adapter"), &n);
    for (size_t at = 0; at < n; at += 1 + n / 40)
        ck_assert_int_lt(dmc_aligner_load(b, fixture_write("cut", bytes, at)), 0);
    free(bytes);
    expect_ok(dmc_aligner_publish(b, &after));
    same_models(before, after);
    dmc_model_destroy(after);
    dmc_model_destroy(before);
    dmc_aligner_destroy(b);
    dmc_aligner_destroy(a);
    dmc_model_destroy(m);
}
END_TEST

/* All layers or none: the first ones of this file are fine, the last is missing. */
START_TEST(half_an_adapter_is_none)
{
    const dmc_model_options o = world_policy();
    dmc_model *m = world_model(ctx, data, &o), *before, *after;
    dmc_aligner *a = make_aligner(m, 4, 1), *b = make_aligner(m, 4, 2);
    dmc__tensor_file *f;
    dmc__tensor_writer *w;
    stir(a, 35);
    stir(b, 36);
    expect_ok(dmc_aligner_publish(b, &before));
    expect_ok(dmc_aligner_save(a, fixture_path("whole")));
    expect_ok(dmc__tensor_file_open(&dmc__default_allocator, fixture_path("whole"), 1, &f));
    expect_ok(dmc__tensor_writer_create(&dmc__default_allocator, &w));
    expect_ok(dmc__tensor_writer_meta(w, "dmc.adapter", dmc__tensor_file_meta(f, "dmc.adapter")));
    for (int32_t i = 0; i + 1 < dmc__tensor_file_count(f); i++) {
        int32_t rank, shape[8];
        const size_t n = dmc__tensor_file_elems(f, i);
        float *x = malloc(n * sizeof *x);
        dmc__tensor_file_shape(f, i, &rank, shape);
        expect_ok(dmc__tensor_file_read(f, i, x, n));
        expect_ok(dmc__tensor_writer_f32(w, dmc__tensor_file_name(f, i), rank, shape, x));
        free(x);
    }
    expect_ok(dmc__tensor_writer_save(w, fixture_path("half")));
    dmc__tensor_writer_destroy(w);
    dmc__tensor_file_close(f);
    expect_failure(dmc_aligner_load(b, fixture_path("half")), DMC_EFORMAT, "lora_B");
    expect_ok(dmc_aligner_publish(b, &after));
    same_models(before, after);
    dmc_model_destroy(after);
    dmc_model_destroy(before);
    dmc_aligner_destroy(b);
    dmc_aligner_destroy(a);
    dmc_model_destroy(m);
}
END_TEST

Suite *dmc_suite_model_file(void)
{
    Suite *s = suite_create("model_file");
    TCase *c = tcase_create("whole");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, models_come_back_bit_for_bit);
    tcase_add_test(c, cascades_come_back_too);
    tcase_add_test(c, devices_share_files);
    tcase_add_test(c, files_that_are_not_there);
    tcase_add_test(c, a_file_of_another_kind);
    tcase_add_test(c, loading_without_memory);
    suite_add_tcase(s, c);
    c = tcase_create("hostile");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, cut_off_anywhere, 0, KINDS);
    tcase_add_loop_test(c, one_bit_wrong_anywhere, 0, KINDS);
    tcase_add_test(c, forged_models);
    tcase_add_test(c, forged_units);
    tcase_add_test(c, forged_critics);
    tcase_add_test(c, critics_of_the_first_releases);
    tcase_add_test(c, a_critic_for_values_has_no_batch);
    suite_add_tcase(s, c);
    c = tcase_create("adapters");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, adapters_come_back, 0, 2); /* rank 0: all weights */
    tcase_add_test(c, adapters_bring_their_cascade);
    tcase_add_test(c, adapters_know_their_foundation);
    tcase_add_test(c, a_refused_adapter_changes_nothing);
    tcase_add_test(c, half_an_adapter_is_none);
    suite_add_tcase(s, c);
    return s;
}
