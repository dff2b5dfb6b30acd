/* api_dataset.c — dmc_dataset: trajectories from files or memory. */
#include <math.h>
#include <string.h>

#include "../io/hdf5_dataset.h"
#include "handles.h"

static void measure_returns(dmc_dataset *d)
{
    double sum = 0, square = 0;
    const int32_t n = d->data->episodes;
    for (int32_t i = 0; i < n; i++) {
        const double r = dmc__trajectories_return(d->data, i);
        sum += r;
        square += r * r;
        d->min = i == 0 ? r : fmin(d->min, r);
        d->max = i == 0 ? r : fmax(d->max, r);
    }
    d->mean = sum / n;
    d->sd = sqrt(fmax(square / n - d->mean * d->mean, 0));
}

void dmc__dataset_reward_map(const dmc_dataset *d, double *scale, double *shift)
{
    *scale = 1;
    *shift = 0;
    if (d->reward == DMC_REWARD_RANGE && d->max > d->min) *scale = 1000 / (d->max - d->min);
    if (d->reward == DMC_REWARD_MINUS1) *shift = -1;
}

/* Takes the images out of x, copies the rest. */
static dmc_status make_dataset(const dmc__context_ref *ref, dmc__hdf5_arrays *x, const dmc_dataset_options *o,
                               dmc_dataset **out)
{
    const dmc__allocator *a = &ref->ctx->alloc;
    dmc_dataset *d;
    DMC_TRY(DMC_NEW(a, 1, &d));
    const dmc_status status = dmc__trajectories_create(a, x->n, x->obs_dim, x->act_dim, x->obs, x->act, x->rew, x->terminals,
                                                       x->timeouts, o->held_out, o->seed, &d->data);
    if (status < 0) {
        DMC_FREE(a, d, 1);
        return status;
    }
    d->data->images = x->images;
    x->images = (dmc__images){0};
    d->ref = *ref;
    d->reward = o->reward;
    measure_returns(d);
    *out = d;
    return DMC_OK;
}

dmc_status dmc_dataset_open(dmc_context *ctx, const char *path, const dmc_dataset_options *o, dmc_dataset **out)
{
    dmc_dataset_options c;
    dmc__context_ref ref;
    dmc__hdf5_arrays x;
    DMC_NEED("dmc_dataset_open", out);
    *out = NULL;
    DMC_NEED("dmc_dataset_open", path);
    DMC_TRY(dmc__field_take(DMC_OPTIONS_DATASET, o, &c));
    DMC_TRY(dmc__context_acquire(ctx, &ref));
    dmc_status status = dmc__hdf5_read(&ref.ctx->alloc, path, (size_t)c.max_steps, &x);
    if (status >= 0) {
        status = make_dataset(&ref, &x, &c, out);
        dmc__hdf5_arrays_free(&ref.ctx->alloc, &x);
    }
    if (status < 0) dmc__context_release(&ref);
    return status;
}

dmc_status dmc_dataset_create(dmc_context *ctx, size_t n, int32_t obs_dim, int32_t act_dim, const float *obs, const float *act,
                              const float *rew, const uint8_t *terminals, const uint8_t *timeouts,
                              const dmc_dataset_options *o, dmc_dataset **out)
{
    dmc_dataset_options c;
    dmc__context_ref ref;
    DMC_NEED("dmc_dataset_create", out);
    *out = NULL;
    DMC_NEED("dmc_dataset_create", obs);
    DMC_NEED("dmc_dataset_create", act);
    DMC_NEED("dmc_dataset_create", rew);
    DMC_NEED("dmc_dataset_create", terminals);
    DMC_TRY(dmc__field_take(DMC_OPTIONS_DATASET, o, &c));
    DMC_TRY(dmc__context_acquire(ctx, &ref));
    if (c.max_steps > 0 && n > (size_t)c.max_steps) n = (size_t)c.max_steps;
    /* Only read: the struct is the one the file reader fills. */
    dmc__hdf5_arrays x = {n, obs_dim, act_dim, (float *)(uintptr_t)obs, (float *)(uintptr_t)act, (float *)(uintptr_t)rew,
                                (uint8_t *)(uintptr_t)terminals, (uint8_t *)(uintptr_t)timeouts, {0}};
    const dmc_status status = make_dataset(&ref, &x, &c, out);
    if (status < 0) dmc__context_release(&ref);
    return status;
}

dmc_status dmc_dataset_add_images(dmc_dataset *d, const char *camera, int32_t h, int32_t w, int32_t c, const uint8_t *pixels,
                                  size_t n)
{
    static const char who[] = "dmc_dataset_add_images";
    uint8_t *to;
    DMC_NEED("dmc_dataset_add_images", d);
    DMC_NEED("dmc_dataset_add_images", camera);
    DMC_NEED("dmc_dataset_add_images", pixels);
    const size_t rows = d->data->rows, frame = h > 0 && w > 0 && c > 0 ? (size_t)h * (size_t)w * (size_t)c : 0;
    if (frame > 0 && (n % frame || n / frame != rows))
        return dmc__fail(DMC_ESHAPE, "%s: n = %zu bytes, must be steps * h * w * c = %zu * %d * %d * %d", who, n, rows, h, w, c);
    DMC_TRY(dmc__images_add(&d->data->images, &d->ref.ctx->alloc, who, camera, rows, (const int32_t[]){h, w, c}, &to));
    memcpy(to, pixels, rows * frame);
    return DMC_OK;
}

dmc_status dmc_dataset_cameras(const dmc_dataset *d, int32_t *count, int32_t *h, int32_t *w, int32_t *c)
{
    DMC_NEED("dmc_dataset_cameras", d);
    const dmc__images *const m = &d->data->images;
    if (count) *count = m->cameras;
    if (h) *h = m->h;
    if (w) *w = m->w;
    if (c) *c = m->c;
    return DMC_OK;
}

const char *dmc_dataset_camera(const dmc_dataset *d, int32_t i)
{
    return d && i >= 0 && i < d->data->images.cameras ? d->data->images.name[i] : NULL;
}

/* The stored form: terminals as they were, a timeout wherever an episode ends without one. */
dmc_status dmc_dataset_save(const dmc_dataset *d, const char *path)
{
    DMC_NEED("dmc_dataset_save", d);
    DMC_NEED("dmc_dataset_save", path);
    const dmc__trajectories *t = d->data;
    uint8_t *timeouts;
    DMC_TRY(DMC_NEW(&d->ref.ctx->alloc, t->rows, &timeouts));
    for (int32_t e = 0; e < t->episodes; e++) {
        const size_t last = t->start[e + 1] - 1;
        timeouts[last] = !t->terminal[last];
    }
    const dmc__hdf5_arrays x = {t->rows, t->obs_dim, t->act_dim, t->obs, t->act, t->rew, t->terminal, timeouts, t->images};
    const dmc_status status = dmc__hdf5_write(path, &x);
    DMC_FREE(&d->ref.ctx->alloc, timeouts, t->rows);
    return status;
}

void dmc_dataset_destroy(dmc_dataset *d)
{
    if (!d) return;
    dmc__context_ref ref = d->ref;
    dmc__trajectories_destroy(d->data);
    DMC_FREE(&ref.ctx->alloc, d, 1);
    dmc__context_release(&ref);
}

dmc_status dmc_dataset_get_info(const dmc_dataset *d, dmc_dataset_info *info)
{
    DMC_NEED("dmc_dataset_get_info", d);
    DMC_NEED("dmc_dataset_get_info", info);
    if (info->struct_size != sizeof *info)
        return dmc__fail(DMC_EINVAL, "dmc_dataset_get_info: info->struct_size = %u, set it to sizeof *info = %zu",
                         info->struct_size,
                         sizeof *info);
    const dmc__trajectories *t = d->data;
    size_t longest = 0;
    for (int32_t e = 0; e < t->episodes; e++)
        if (t->start[e + 1] - t->start[e] > longest) longest = t->start[e + 1] - t->start[e];
    *info = (dmc_dataset_info){.struct_size = sizeof *info, .obs_dim = t->obs_dim, .act_dim = t->act_dim, .episodes = t->episodes,
                               .held_out_episodes = t->n_held, .longest = (int32_t)longest, .steps = t->rows,
                               .return_mean = d->mean, .return_sd = d->sd, .return_min = d->min, .return_max = d->max};
    return DMC_OK;
}

dmc_status dmc_dataset_episode(const dmc_dataset *d, int32_t i, const float **obs, const float **act, const float **rew,
                               int32_t *len)
{
    DMC_NEED("dmc_dataset_episode", d);
    const dmc__trajectories *t = d->data;
    if (i < 0 || i >= t->episodes)
        return dmc__fail(DMC_ERANGE, "dmc_dataset_episode: i = %d, must be 0..%d", i, t->episodes - 1);
    const size_t row = t->start[i];
    if (obs) *obs = t->obs + row * (size_t)t->obs_dim;
    if (act) *act = t->act + row * (size_t)t->act_dim;
    if (rew) *rew = t->rew + row;
    if (len) *len = (int32_t)(t->start[i + 1] - row);
    return DMC_OK;
}

dmc_status dmc_dataset_frames(const dmc_dataset *d, int32_t i, const char *camera, const uint8_t **pixels)
{
    DMC_NEED("dmc_dataset_frames", d);
    DMC_NEED("dmc_dataset_frames", camera);
    DMC_NEED("dmc_dataset_frames", pixels);
    *pixels = NULL;
    const dmc__trajectories *t = d->data;
    if (i < 0 || i >= t->episodes)
        return dmc__fail(DMC_ERANGE, "dmc_dataset_frames: i = %d, must be 0..%d", i, t->episodes - 1);
    const int32_t k = dmc__images_find(&t->images, camera);
    if (k < 0) return dmc__fail(DMC_EKEY, "dmc_dataset_frames: the dataset has no camera \"%.40s\"", camera);
    *pixels = t->images.pixels[k] + t->start[i] * dmc__images_frame(&t->images);
    return DMC_OK;
}

dmc_status dmc_dataset_is_held_out(const dmc_dataset *d, int32_t i, int32_t *held)
{
    DMC_NEED("dmc_dataset_is_held_out", d);
    DMC_NEED("dmc_dataset_is_held_out", held);
    const dmc__trajectories *t = d->data;
    if (i < 0 || i >= t->episodes)
        return dmc__fail(DMC_ERANGE, "dmc_dataset_is_held_out: i = %d, must be 0..%d", i, t->episodes - 1);
    *held = 0;
    for (int32_t k = 0; k < t->n_held; k++)
        if (t->held[k] == i) *held = 1;
    return DMC_OK;
}
