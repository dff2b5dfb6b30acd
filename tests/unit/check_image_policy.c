/* check_image_policy.c — a policy that sees, through the public functions: what it is made of, its file, its sampler, learning
 * from images, and alignment, whose critic and rewards know observations only. */
#include "world_fixture.h"

Suite *dmc_suite_image_policy(void);

/* Wide enough for two columns of keypoints. */
enum { H = 12, W = 34, FRAME = H * W, CAMERAS = 2 };

static dmc_context *ctx;
static dmc_dataset *data;

/* A bright square in the dark; where it stands, 0..1 from left to right, is up to `where`. */
static void draw_square(uint8_t *frame, double where, uint64_t noise)
{
    const int left = (int)(where * (W - 4) + 0.5);
    for (int i = 0; i < FRAME; i++) {
        const int r = i / W, c = i % W, inside = r >= 5 && r < 9 && c >= left && c < left + 4;
        frame[i] = (uint8_t)(inside ? 230 : 30 + 10 * world_uniform(noise, (uint64_t)i));
    }
}

/* The world's data; camera `front` shows what action 0 will be, `wrist` nothing. The observation is without it. */
static dmc_dataset *seen_data(dmc_context *in)
{
    static float obs[WORLD_ROWS * WORLD_S], act[WORLD_ROWS * WORLD_A], rew[WORLD_ROWS];
    static uint8_t end[WORLD_ROWS], front[WORLD_ROWS * FRAME], wrist[WORLD_ROWS * FRAME];
    dmc_dataset *d;
    for (uint32_t i = 0; i < WORLD_ROWS; i++) {
        world_observe(i, obs + (size_t)i * WORLD_S);
        act[2 * i] = world_uniform(20, i);
        act[2 * i + 1] = 7 + 0.5f * world_uniform(21, i);
        rew[i] = act[2 * i];
        end[i] = i % WORLD_EPISODE == WORLD_EPISODE - 1;
        draw_square(front + (size_t)i * FRAME, 0.5 + 0.5 * act[2 * i], 30 + i);
        draw_square(wrist + (size_t)i * FRAME, 0.5 + 0.5 * world_uniform(22, i), 1000 + i);
    }
    expect_ok(dmc_dataset_create(in, WORLD_ROWS, WORLD_S, WORLD_A, obs, act, rew, end, NULL, NULL, &d));
    expect_ok(dmc_dataset_add_images(d, "wrist", H, W, 1, wrist, sizeof wrist));
    expect_ok(dmc_dataset_add_images(d, "front", H, W, 1, front, sizeof front));
    return d;
}

static dmc_model_options seeing(void)
{
    dmc_model_options o = world_policy();
    o.encoder = DMC_ENCODER_RESNET18;
    o.enc_width = 4;
    o.enc_hidden = 16;
    o.enc_dim = 8;
    o.crop_h = H - 2;
    o.crop_w = W - 1;
    return o;
}

static void setup(void)
{
    fixture_make();
    expect_ok(dmc_context_create(NULL, &ctx));
    data = seen_data(ctx);
}

static void teardown(void)
{
    dmc_dataset_destroy(data);
    dmc_context_destroy(ctx);
    fixture_remove();
}

/* ---- data and model --------------------------------------------------------------------------------- */

START_TEST(a_dataset_keeps_its_cameras)
{
    int32_t n, h, w, c;
    const uint8_t *pixels;
    uint8_t frame[FRAME];
    dmc_dataset *back;
    expect_ok(dmc_dataset_save(data, fixture_path("seen.hdf5")));
    expect_ok(dmc_dataset_open(ctx, fixture_path("seen.hdf5"), NULL, &back));
    expect_ok(dmc_dataset_cameras(back, &n, &h, &w, &c));
    ck_assert(n == CAMERAS && h == H && w == W && c == 1);
    ck_assert_str_eq(dmc_dataset_camera(back, 0), "front");
    ck_assert_str_eq(dmc_dataset_camera(back, 1), "wrist");
    ck_assert_ptr_null(dmc_dataset_camera(back, 2));
    expect_ok(dmc_dataset_frames(back, 3, "front", &pixels));
    draw_square(frame, 0.5 + 0.5 * world_uniform(20, 3 * WORLD_EPISODE + 2), 30 + 3 * WORLD_EPISODE + 2);
    ck_assert_mem_eq(pixels + 2 * FRAME, frame, FRAME);
    expect_failure(dmc_dataset_frames(back, 24, "front", &pixels), DMC_ERANGE, "i = 24, must be 0..23");
    expect_failure(dmc_dataset_frames(back, 0, "back", &pixels), DMC_EKEY, "no camera \"back\"");
    expect_failure(dmc_dataset_add_images(back, "third", H, W, 1, frame, FRAME), DMC_ESHAPE,
                   "n = 408 bytes, must be steps * h * w * c = 480 * 12 * 34 * 1");
    expect_failure(dmc_dataset_add_images(back, "third", H, 0, 1, frame, FRAME), DMC_ESHAPE, "(12,0,1)");
    expect_failure(dmc_dataset_add_images(back, NULL, H, W, 1, frame, FRAME), DMC_EINVAL, "camera is NULL");
    dmc_dataset_destroy(back);
}
END_TEST

START_TEST(a_model_knows_its_cameras)
{
    const dmc_model_options o = seeing();
    dmc_model *const m = world_model(ctx, data, &o), *back;
    int32_t n, h, w, c, rank, shape[4];
    expect_ok(dmc_model_cameras(m, &n, &h, &w, &c));
    ck_assert(n == CAMERAS && h == H && w == W && c == 1);
    ck_assert_str_eq(dmc_model_camera(m, 1), "wrist");
    ck_assert_ptr_null(dmc_model_camera(m, 2));
    expect_ok(dmc_model_tensor_sizes(m, "condition.key_model_map.wrist.conv1.weight", &rank, shape));
    ck_assert(rank == 4 && shape[0] == 4 && shape[1] == 1 && shape[2] == 7 && shape[3] == 7);
    shape[3] = 99; /* of the older function a caller may have room for three sizes */
    expect_ok(dmc_model_tensor_shape(m, "condition.key_model_map.wrist.conv1.weight", &rank, shape));
    ck_assert(rank == 4 && shape[2] == 7 && shape[3] == 99);
    expect_ok(dmc_model_save(m, fixture_path("m.dmc")));
    expect_ok(dmc_model_load(ctx, fixture_path("m.dmc"), &back));
    same_models(m, back);
    char *const text = world_describe(back);
    ck_assert_ptr_nonnull(strstr(text, "\"camera_names\": \"front,wrist\""));
    ck_assert_ptr_nonnull(strstr(text, "\"crop_w\": 33"));
    free(text);
    dmc_model_destroy(back);
    dmc_model_destroy(m);
}
END_TEST

static const struct refused {
    int what;
    dmc_status status;
    const char *sentence;
} refused[] = {
    {0, DMC_EINVAL, "encoder = resnet18 needs images, the data have no camera"},
    {1, DMC_EINVAL, "an encoder of images takes role = policy, role = planner"},
    {2, DMC_ERANGE, "crop of 13 x 33 pixels, images have 12 x 34"},
    {3, DMC_ERANGE, "enc_width = 24, must be 1, 2, 4, 8 or a multiple of 16"},
    {4, DMC_ESHAPE, "dmc_trainer_create: the data have no images of camera \"front\", which the model sees by"},
    {5, DMC_ESHAPE, "dmc_trainer_create: the data have images (12,34,1), the model wants (6,34,2)"},
};
enum { REFUSED = sizeof refused / sizeof *refused };

static dmc_status try_trainer(const dmc_model *m, const dmc_dataset *d)
{
    dmc_trainer *t;
    const dmc_status status = dmc_trainer_create(ctx, m, d, NULL, &t);
    ck_assert_ptr_null(t);
    return status;
}

/* Frames of the same number of bytes. */
static dmc_dataset *other_frames(void)
{
    static uint8_t zero[WORLD_ROWS * FRAME];
    dmc_dataset *const d = world_data(ctx);
    expect_ok(dmc_dataset_add_images(d, "front", H / 2, W, 2, zero, sizeof zero));
    expect_ok(dmc_dataset_add_images(d, "wrist", H / 2, W, 2, zero, sizeof zero));
    return d;
}

START_TEST(what_does_not_fit_is_refused)
{
    const struct refused *const r = &refused[_i];
    dmc_model_options o = r->what == 1 ? world_planner() : seeing();
    dmc_dataset *const blind = world_data(ctx), *const other = other_frames();
    dmc_model *m = NULL;
    o.encoder = DMC_ENCODER_RESNET18;
    if (r->what == 2) o.crop_h = H + 1;
    if (r->what == 3) o.enc_width = 24;
    if (r->what == 5) o.crop_h = 5;
    dmc_status status = dmc_model_create(ctx, r->what == 0 ? blind : r->what == 5 ? other : data, &o, &m);
    if (r->what >= 4) {
        expect_ok(status);
        status = try_trainer(m, r->what == 4 ? blind : data);
    } else {
        ck_assert_ptr_null(m);
    }
    expect_failure(status, r->status, r->sentence);
    dmc_model_destroy(m);
    dmc_dataset_destroy(other);
    dmc_dataset_destroy(blind);
}
END_TEST

static const int32_t networks[] = {DMC_NETWORK_IDQL_MLP,   DMC_NETWORK_DQL_MLP,         DMC_NETWORK_UNET1D_JANNER,
                                   DMC_NETWORK_UNET1D_CHI, DMC_NETWORK_TRANSFORMER_CHI, DMC_NETWORK_DIT1D};
enum { NETWORKS = sizeof networks / sizeof *networks };

/* Weights that are nowhere zero, as those of a trained model. */
static void shake(dmc_model *m)
{
    for (int32_t i = 0; i < dmc_model_tensor_count(m); i++) {
        const char *const name = dmc_model_tensor_name(m, i);
        const size_t n = dmc__graph_param(m->net->graph, i)->size;
        float *const w = malloc(n * sizeof *w);
        expect_ok(dmc_model_get_tensor(m, name, w, n));
        for (size_t j = 0; j < n; j++) w[j] += 0.1f * world_uniform(100 + (uint64_t)i, j);
        expect_ok(dmc_model_set_tensor(m, name, w, n));
        free(w);
    }
}

/* A pixel of either camera, in either frame, and an observation change what the network says. */
START_TEST(every_network_sees)
{
    enum { ROW = 2 * (WORLD_S + CAMERAS * FRAME), MIDDLE = FRAME / 2 + W / 2 };
    dmc_model_options o = seeing();
    static float cond[ROW];
    float z[4 * WORLD_A] = {0}, t = 2, was[4 * WORLD_A], is[4 * WORLD_A];
    o.network = networks[_i];
    o.horizon = 4;
    o.mult = "1,2";
    o.emb_dim = o.hidden;
    dmc_model *const m = world_model(ctx, data, &o);
    shake(m);
    for (int i = 0; i < ROW; i++) cond[i] = world_uniform(50, (uint64_t)i);
    expect_ok(dmc_model_forward(m, 1, z, &t, cond, was));
    for (int k = 0; k < 2 * CAMERAS + 2; k++) {
        float *const x = cond + (k < 2 * CAMERAS ? 2 * WORLD_S + k * FRAME + MIDDLE : (k - 2 * CAMERAS) * WORLD_S);
        const float keep = *x;
        *x += 2;
        expect_ok(dmc_model_forward(m, 1, z, &t, cond, is));
        ck_assert_msg(memcmp(was, is, sizeof is) != 0, "number %d has no effect", (int)(x - cond));
        *x = keep;
    }
    dmc_model_destroy(m);
}
END_TEST

/* A model without eyes ignores images. */
START_TEST(images_may_be_ignored)
{
    const dmc_model_options o = world_policy();
    dmc_model *const m = world_model(ctx, data, &o);
    int32_t n;
    expect_ok(dmc_model_cameras(m, &n, NULL, NULL, NULL));
    ck_assert_int_eq(n, 0);
    ck_assert_int_eq(m->spec.net.cond, 2 * WORLD_S);
    dmc_model_destroy(m);
}
END_TEST

/* ---- sampling --------------------------------------------------------------------------------------- */

enum { BATCH = 2, ROW = 2 * (WORLD_S + CAMERAS * FRAME), OUT = 2 * WORLD_A };

/* Images of moment `which`: every camera and condition has its own. */
static void show(dmc_sampler *s, uint64_t which)
{
    static uint8_t frame[BATCH * FRAME];
    static const char *const names[CAMERAS] = {"front", "wrist"};
    for (int k = CAMERAS - 1; k >= 0; k--) {
        for (uint64_t b = 0; b < BATCH; b++)
            draw_square(frame + b * FRAME, 0.5 + 0.5 * world_uniform(40 + (uint64_t)k, 10 * which + b), which);
        expect_ok(dmc_sampler_set_image(s, names[k], frame, sizeof frame));
    }
}

static void observe(uint64_t which, float obs[BATCH * WORLD_S])
{
    for (uint64_t b = 0; b < BATCH; b++) world_observe(10 * which + b, obs + b * WORLD_S);
}

/* What the network is fed when `old` and `new` were seen, in the order view.h promises. */
static void make_condition(const dmc_model *m, uint64_t b, uint64_t old, uint64_t new, float cond[ROW])
{
    const uint64_t which[2] = {old, new};
    for (int i = 0; i < 2; i++) {
        float obs[BATCH * WORLD_S];
        uint8_t frame[FRAME];
        observe(which[i], obs);
        dmc__normaliser_apply(&m->obs, obs + b * WORLD_S, 1, cond + i * WORLD_S);
        for (uint64_t k = 0; k < CAMERAS; k++) {
            float *const to = cond + 2 * WORLD_S + (2 * k + (uint64_t)i) * FRAME;
            draw_square(frame, 0.5 + 0.5 * world_uniform(40 + k, 10 * which[i] + b), which[i]);
            for (int j = 0; j < FRAME; j++) to[j] = (float)frame[j] / 255 * 2 - 1;
        }
    }
}

/* Calls see moments 1, 2, 3: the first fills the window, then the newest come last. */
START_TEST(frames_are_kept_as_observations_are)
{
    const dmc_model_options mo = seeing();
    dmc_sampler_options o = world_sampling(BATCH, 1, DMC_SELECT_FIRST);
    dmc_model *const m = world_model(ctx, data, &mo);
    static float cond[BATCH * ROW], want[BATCH * OUT], got[BATCH * OUT], act[BATCH * OUT], obs[BATCH * WORLD_S];
    o.sampler = DMC_SAMPLER_DDIM; /* and from no noise: an answer depends on nothing but the condition */
    o.temperature = 0;
    o.steps = 5;
    dmc_sampler *const s = world_sampler(m, NULL, &o);
    for (int reset = 0; reset < 2; reset++) {
        for (uint64_t call = 1; call <= 3; call++) {
            show(s, call);
            observe(call, obs);
            ck_assert_int_ge(dmc_sampler_sample(s, obs, BATCH * WORLD_S, act, BATCH * OUT), DMC_OK);
            expect_ok(dmc_sampler_candidates(s, got, BATCH * OUT));
            for (uint64_t b = 0; b < BATCH; b++) make_condition(m, b, call > 1 ? call - 1 : 1, call, cond + b * ROW);
            world_denoise(m, &o, BATCH, cond, want);
            for (int i = 0; i < BATCH * 2; i++) dmc__normaliser_invert(&m->act, want + i * WORLD_A, 1, want + i * WORLD_A);
            for (int i = 0; i < BATCH * OUT; i++) ck_assert_float_eq_tol(got[i], want[i], 1e-4f);
        }
        expect_ok(dmc_sampler_reset(s, 5));
    }
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* Guidance leaves out images too: guidance 0 is a network that is fed zeros, and learns from them. */
START_TEST(no_condition_is_no_image)
{
    dmc_model_options mo = seeing();
    dmc_sampler_options o = world_sampling(BATCH, 1, DMC_SELECT_FIRST);
    dmc_train_metrics metrics = {.struct_size = sizeof metrics};
    dmc_trainer *t;
    mo.cond_dropout = .5;
    dmc_model *const m = world_model(ctx, data, &mo);
    static const float zeros[BATCH * ROW];
    static float want[BATCH * OUT], got[2][BATCH * OUT], act[BATCH * OUT], obs[BATCH * WORLD_S];
    o.sampler = DMC_SAMPLER_DDIM;
    o.steps = 5;
    for (int i = 0; i < 2; i++) {
        o.guidance = 2 * i;
        dmc_sampler *const s = world_sampler(m, NULL, &o);
        show(s, 1);
        observe(1, obs);
        ck_assert_int_ge(dmc_sampler_sample(s, obs, BATCH * WORLD_S, act, BATCH * OUT), DMC_OK);
        expect_ok(dmc_sampler_candidates(s, got[i], BATCH * OUT));
        dmc_sampler_destroy(s);
    }
    world_denoise(m, &o, BATCH, zeros, want);
    for (int i = 0; i < BATCH * 2; i++) dmc__normaliser_invert(&m->act, want + i * WORLD_A, 1, want + i * WORLD_A);
    for (int i = 0; i < BATCH * OUT; i++) ck_assert_float_eq_tol(got[0][i], want[i], 1e-4f);
    ck_assert_mem_ne(got[0], got[1], sizeof want);
    expect_ok(dmc_trainer_create(NULL, m, data, NULL, &t));
    expect_ok(dmc_trainer_step(t, 1, &metrics));
    ck_assert(isfinite(metrics.loss));
    dmc_trainer_destroy(t);
    dmc_model_destroy(m);
}
END_TEST

START_TEST(a_missing_image_holds_the_last_actions)
{
    const dmc_model_options mo = seeing();
    const dmc_sampler_options o = world_sampling(BATCH, 1, DMC_SELECT_FIRST);
    dmc_model *const m = world_model(ctx, data, &mo);
    dmc_sampler *const s = world_sampler(m, NULL, &o);
    float obs[BATCH * WORLD_S], good[BATCH * OUT], act[BATCH * OUT];
    static uint8_t frame[BATCH * FRAME];
    observe(1, obs);
    expect_failure(dmc_sampler_sample(s, obs, BATCH * WORLD_S, act, BATCH * OUT), DMC_ESTATE, "no image of camera \"front\"");
    show(s, 1);
    ck_assert_int_ge(dmc_sampler_sample(s, obs, BATCH * WORLD_S, good, BATCH * OUT), DMC_OK);
    expect_ok(dmc_sampler_set_image(s, "front", frame, sizeof frame));
    expect_failure(dmc_sampler_sample(s, obs, BATCH * WORLD_S, act, BATCH * OUT), DMC_ESTATE, "no image of camera \"wrist\"");
    ck_assert_mem_eq(act, good, sizeof act);
    /* what came for the refused call does not count for the next */
    expect_ok(dmc_sampler_set_image(s, "wrist", frame, sizeof frame));
    expect_failure(dmc_sampler_sample(s, obs, BATCH * WORLD_S, act, BATCH * OUT), DMC_ESTATE, "no image of camera \"front\"");
    expect_failure(dmc_sampler_set_image(s, "back", frame, sizeof frame), DMC_EKEY, "no camera \"back\"");
    expect_failure(dmc_sampler_set_image(s, "front", frame, FRAME), DMC_ESHAPE,
                   "n = 408, must be batch * h * w * c = 816 (12 x 34 x 1)");
    expect_failure(dmc_sampler_set_image(s, NULL, frame, FRAME), DMC_EINVAL, "camera is NULL");
    show(s, 2);
    expect_ok(dmc_sampler_reset(s, 1));
    expect_failure(dmc_sampler_sample(s, obs, BATCH * WORLD_S, act, BATCH * OUT), DMC_ESTATE, "no image");
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

START_TEST(the_blind_have_no_camera)
{
    const dmc_model_options mo = world_policy();
    dmc_model *const m = world_model(ctx, data, &mo);
    const dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_sampler *const s = world_sampler(m, NULL, &o);
    expect_failure(dmc_sampler_set_image(s, "front", (const uint8_t *)"", 0), DMC_EKEY, "no camera \"front\"");
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

/* A simulator of this interface has no images to give. */
START_TEST(evaluation_is_refused)
{
    const dmc_model_options mo = seeing();
    dmc_model *const m = world_model(ctx, data, &mo);
    const dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_sampler *const s = world_sampler(m, NULL, &o);
    const dmc_env env = {.struct_size = sizeof env, .obs_dim = WORLD_S, .act_dim = WORLD_A, .max_steps = 1, .count = 1,
                         .reset = (void *)1, .step = (void *)1};
    double r;
    expect_failure(dmc_evaluate(s, &env, 1, 1, 0, 0, &r), DMC_EINVAL, "sees by 2 cameras, a dmc_env gives no images");
    dmc_sampler_destroy(s);
    dmc_model_destroy(m);
}
END_TEST

typedef struct make_args {
    dmc_context *ctx;
    const dmc_model *m;
} make_args;

static dmc_status create_sampler(void *user, void **out)
{
    const make_args *a = user;
    const dmc_sampler_options o = world_sampling(2, 1, DMC_SELECT_FIRST);
    return dmc_sampler_create(a->ctx, a->m, NULL, &o, (dmc_sampler **)out);
}

static void destroy_sampler(void *s)
{
    dmc_sampler_destroy(s);
}

static dmc_status create_data(void *user, void **out)
{
    static float x[3 * WORLD_S];
    static uint8_t frame[3 * FRAME];
    dmc_dataset *d;
    *out = NULL;
    dmc_status status = dmc_dataset_create(*(dmc_context **)user, 3, 1, 1, x, x, x, frame, NULL, NULL, &d);
    if (status < 0) return status;
    status = dmc_dataset_add_images(d, "front", H, W, 1, frame, sizeof frame);
    if (status < 0) dmc_dataset_destroy(d);
    else *out = d;
    return status;
}

static void destroy_data(void *d)
{
    dmc_dataset_destroy(d);
}

START_TEST(without_memory)
{
    failing_alloc f = {0};
    dmc_context *own = world_context(&f, "cpu");
    const dmc_model_options mo = seeing();
    dmc_model *const m = world_model(own, data, &mo);
    make_args a = {own, m};
    world_without_memory(&f, &a, create_sampler, destroy_sampler);
    world_without_memory(&f, &own, create_data, destroy_data);
    dmc_model_destroy(m);
    dmc_context_destroy(own);
    ck_assert_int_eq(f.live, 0);
}
END_TEST

/* ---- learning --------------------------------------------------------------------------------------- */

static dmc_train_options training(int32_t steps)
{
    dmc_train_options o;
    expect_ok(dmc_train_options_init(&o, sizeof o));
    o.steps = steps;
    o.batch = 24;
    o.lr = 3e-3;
    o.ema = 0.95;
    o.seed = 4;
    return o;
}

/* Actions of one plain sample where the square stands at `where`. */
static float act_on(dmc_sampler *s, double where, uint64_t noise)
{
    uint8_t frame[FRAME];
    float obs[WORLD_S], act[OUT / 2];
    world_observe(noise, obs);
    draw_square(frame, where, noise);
    expect_ok(dmc_sampler_set_image(s, "front", frame, FRAME));
    draw_square(frame, 0.5, noise + 1);
    expect_ok(dmc_sampler_set_image(s, "wrist", frame, FRAME));
    ck_assert_int_ge(dmc_sampler_sample(s, obs, WORLD_S, act, OUT / 2), DMC_OK);
    return act[0];
}

/* Mean distance of action 0 from where the square stands, over fresh images. Chance is about 0.6. */
static double error_of(const dmc_model *m)
{
    const dmc_sampler_options o = world_sampling(1, 1, DMC_SELECT_FIRST);
    dmc_sampler *const s = world_sampler(m, NULL, &o);
    double sum = 0;
    for (int i = 0; i < 20; i++) {
        const double where = (i + 0.5) / 20;
        sum += fabs(act_on(s, where, (uint64_t)(5000 + i)) - (2 * where - 1)) / 20;
    }
    dmc_sampler_destroy(s);
    return sum;
}

/* Both encoders, on new images. One observation, so that the square shown is the one that counts. */
START_TEST(it_learns_to_see)
{
    dmc_model_options mo = seeing();
    const int32_t updates = _i ? 800 : 400;
    const dmc_train_options o = training(updates);
    dmc_train_metrics first = {.struct_size = sizeof first}, last = first;
    dmc_trainer *t;
    dmc_model *after;
    mo.horizon = 1;
    mo.n_obs = 1;
    mo.hidden = 32;
    mo.encoder = _i ? DMC_ENCODER_RESNET18_KEYPOINTS : DMC_ENCODER_RESNET18;
    if (_i) mo.crop_h = mo.crop_w = 0;
    dmc_model *const m = world_model(ctx, data, &mo);
    expect_ok(dmc_trainer_create(ctx, m, data, &o, &t));
    expect_ok(dmc_trainer_step(t, 20, &first));
    expect_ok(dmc_trainer_step(t, updates - 40, NULL));
    expect_ok(dmc_trainer_step(t, 20, &last));
    expect_ok(dmc_trainer_publish(t, &after));
    const double error = error_of(after);
    ck_assert_msg(last.loss < 0.75 * first.loss, "loss %g at first, %g at last", first.loss, last.loss);
    ck_assert_msg(error < 0.2, "action 0 is %g off", error);
    dmc_model_destroy(after);
    dmc_trainer_destroy(t);
    dmc_model_destroy(m);
}
END_TEST

/* Windows are drawn by number of update: a stopped training goes on with the same ones. */
START_TEST(it_goes_on_to_the_last_bit)
{
    const dmc_model_options mo = seeing();
    const dmc_train_options o = training(20);
    dmc_model *const m = world_model(ctx, data, &mo), *x, *y, *z;
    dmc_model_options still = mo;
    dmc_trainer *a, *b, *c;
    still.crop_random = 0;
    dmc_model *const middle = world_model(ctx, data, &still);
    expect_ok(dmc_trainer_create(ctx, m, data, &o, &a));
    expect_ok(dmc_trainer_create(ctx, m, data, &o, &b));
    expect_ok(dmc_trainer_create(ctx, middle, data, &o, &c));
    expect_ok(dmc_trainer_step(a, 3, NULL));
    expect_ok(dmc_trainer_save(a, fixture_path("state.dmc")));
    expect_ok(dmc_trainer_step(a, 3, NULL));
    expect_ok(dmc_trainer_resume(b, fixture_path("state.dmc")));
    expect_ok(dmc_trainer_step(b, 3, NULL));
    expect_ok(dmc_trainer_step(c, 6, NULL));
    expect_ok(dmc_trainer_publish(a, &x));
    expect_ok(dmc_trainer_publish(b, &y));
    expect_ok(dmc_trainer_publish(c, &z));
    same_models(x, y);
    const size_t n = dmc__graph_param_elems(x->net->graph);
    ck_assert(memcmp(x->weights, z->weights, n * sizeof(float)) != 0); /* windows do move */
    dmc_model_destroy(x);
    dmc_model_destroy(y);
    dmc_model_destroy(z);
    dmc_trainer_destroy(a);
    dmc_trainer_destroy(b);
    dmc_trainer_destroy(c);
    dmc_model_destroy(middle);
    dmc_model_destroy(m);
}
END_TEST

/* ---- critics and rewards ---------------------------------------------------------------------------- */

/* The critic's value of the chosen candidate is that of the newest observation and the chosen action. */
START_TEST(a_critic_sees_observations_only)
{
    const dmc_model_options mo = seeing();
    const dmc_sampler_options o = world_sampling(BATCH, 4, DMC_SELECT_GREEDY);
    dmc_model *const m = world_model(ctx, data, &mo);
    dmc_critic *const critic = world_critic(ctx, data, 50);
    dmc_sampler *const s = world_sampler(m, critic, &o);
    dmc_sampler_info info = {.struct_size = sizeof info};
    float obs[BATCH * WORLD_S], act[BATCH * OUT], all[BATCH * 4 * OUT], q1, q2;
    for (uint64_t call = 1; call <= 2; call++) {
        float best = -INFINITY;
        show(s, call);
        observe(call, obs);
        ck_assert_int_ge(dmc_sampler_sample(s, obs, BATCH * WORLD_S, act, BATCH * OUT), DMC_OK);
        expect_ok(dmc_sampler_get_info(s, &info));
        expect_ok(dmc_sampler_candidates(s, all, BATCH * 4 * OUT));
        for (int i = 0; i < 4; i++) {
            expect_ok(dmc_critic_q(critic, 1, obs, all + i * OUT, &q1, &q2));
            best = fmaxf(best, fminf(q1, q2));
        }
        ck_assert_double_eq_tol(info.q, best, 1e-3 * (1 + fabs(best)));
    }
    dmc_sampler_destroy(s);
    dmc_critic_destroy(critic);
    dmc_model_destroy(m);
}
END_TEST

/* Rows of the data by their first number: the callback must be shown such rows, two of one episode or one twice. */
static int32_t reward_action(void *user, size_t n, const float *z, const float *obs, float *r, float *grad)
{
    int32_t *const strange = user;
    for (size_t i = 0; i < n; i++) {
        r[i] = z[i * OUT];
        for (int k = 0; k < 2; k++) {
            int found = 0;
            for (uint64_t row = 0; row < WORLD_ROWS && !found; row++) {
                float o[WORLD_S];
                world_observe(row, o);
                const float *const got = obs + (i * 2 + (size_t)k) * WORLD_S;
                found = fabsf(o[0] - got[0]) < 1e-4f && fabsf(o[2] - got[2]) < 1e-3f;
            }
            *strange += !found;
        }
    }
    (void)grad;
    return 0;
}

/* All that alignment does with a condition: banks, candidates, roll-outs, the reward. */
START_TEST(alignment_raises_the_reward)
{
    const dmc_model_options mo = seeing();
    dmc_model *const m = world_model(ctx, data, &mo);
    dmc_align_options o;
    dmc_sft_options sft;
    dmc_rl_options rl;
    dmc_align_report report = {.struct_size = sizeof report};
    dmc_aligner *a;
    int32_t strange = 0;
    dmc_align_options_init(&o, sizeof o);
    dmc_sft_options_init(&sft, sizeof sft);
    dmc_rl_options_init(&rl, sizeof rl);
    o.batch = 16;
    o.candidates = 4;
    o.eval_conditions = 8;
    o.eval_every = 10;
    o.lr = 3e-3;
    o.lora_targets = _i ? "" : "affine*";
    sft.updates = rl.updates = 20;
    sft.rounds = 1;
    sft.pool = 4;
    sft.conditions = 16;
    sft.replay = 0;
    rl.method = DMC_RL_PPO;
    expect_ok(dmc_aligner_create(ctx, m, data, NULL, &o, &a));
    expect_ok(dmc_aligner_set_reward(a, reward_action, &strange, 0));
    expect_ok(_i ? dmc_align_rl(a, &rl, &report) : dmc_align_sft(a, &sft, &report));
    ck_assert_int_eq(strange, 0);
    ck_assert_msg(report.after >= report.before, "%g before, %g after", report.before, report.after);
    if (!_i) ck_assert_msg(report.after > report.before + report.before_se, "%g before, %g after", report.before, report.after);
    dmc_aligner_destroy(a);
    dmc_model_destroy(m);
}
END_TEST

Suite *dmc_suite_image_policy(void)
{
    Suite *s = suite_create("image_policy");
    TCase *t = tcase_create("image_policy");
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_dataset_keeps_its_cameras);
    tcase_add_test(t, a_model_knows_its_cameras);
    tcase_add_loop_test(t, what_does_not_fit_is_refused, 0, REFUSED);
    tcase_add_loop_test(t, every_network_sees, 0, NETWORKS);
    tcase_add_test(t, images_may_be_ignored);
    tcase_add_test(t, frames_are_kept_as_observations_are);
    tcase_add_test(t, no_condition_is_no_image);
    tcase_add_test(t, a_missing_image_holds_the_last_actions);
    tcase_add_test(t, the_blind_have_no_camera);
    tcase_add_test(t, evaluation_is_refused);
    tcase_add_test(t, without_memory);
    tcase_add_loop_test(t, it_learns_to_see, 0, 2);
    tcase_add_test(t, it_goes_on_to_the_last_bit);
    tcase_add_test(t, a_critic_sees_observations_only);
    tcase_add_loop_test(t, alignment_raises_the_reward, 0, 2);
    suite_add_tcase(s, t);
    return s;
}
