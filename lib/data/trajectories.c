/* trajectories.c — episodes in memory and windows cut from them. */
#include "trajectories.h"

#include <math.h>
#include <string.h>

#include "../base/checked.h"

enum { STREAM_SPLIT = 9 }; /* DMC_STREAM_SPLIT of kernels.h, which data does not know */

/* ---- making
 * -------------------------------------------------------------------------------------- */

static dmc_status check_arguments(size_t n, int32_t obs_dim, int32_t act_dim, double held_out)
{
    if (n < 1) return dmc__fail(DMC_ESHAPE, "trajectories: n = 0, must be at least 1 step");
    if (n > INT32_MAX)
        return dmc__fail(DMC_EOVERFLOW, "trajectories: n = %zu, must be at most %d", n, INT32_MAX);
    if (obs_dim < 1 || act_dim < 1)
        return dmc__fail(DMC_ESHAPE, "trajectories: obs_dim = %d, act_dim = %d, must be at least 1",
                         obs_dim, act_dim);
    if (!(held_out >= 0 && held_out <= 0.5))
        return dmc__fail(DMC_ERANGE, "trajectories: held_out = %g, must be 0..0.5", held_out);
    return DMC_OK;
}

/* A copy of x (rows,cols), refused if an entry is not finite. */
static dmc_status copy_finite(const dmc__allocator *a, const char *name, const float *x,
                              size_t rows, int32_t cols, float **out)
{
    size_t n;
    if (!dmc__mul_ok(rows, (size_t)cols, &n))
        return dmc__fail(DMC_EOVERFLOW, "trajectories: %s (%zu,%d) is too large", name, rows, cols);
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return dmc__fail(DMC_ENUMERIC, "%s: row %zu, column %zu is %f, must be finite", name,
                             i / (size_t)cols, i % (size_t)cols, x[i]);
    DMC_TRY(DMC_NEW(a, n, out));
    memcpy(*out, x, n * sizeof *x);
    return DMC_OK;
}

static bool ends_at(const dmc__trajectories *t, const uint8_t *timeouts, size_t row)
{
    return t->terminal[row] || (timeouts && timeouts[row]) || row + 1 == t->rows;
}

static dmc_status cut_episodes(dmc__trajectories *t, const uint8_t *terminals,
                               const uint8_t *timeouts)
{
    DMC_TRY(DMC_NEW(t->alloc, t->rows, &t->terminal));
    for (size_t i = 0; i < t->rows; i++) t->terminal[i] = terminals[i] != 0;
    int32_t episodes = 0;
    for (size_t i = 0; i < t->rows; i++) episodes += ends_at(t, timeouts, i);
    DMC_TRY(DMC_NEW(t->alloc, (size_t)episodes + 1, &t->start));
    t->episodes = episodes;
    int32_t e = 0;
    for (size_t i = 0; i < t->rows; i++)
        if (ends_at(t, timeouts, i)) t->start[++e] = i + 1;
    return DMC_OK;
}

/* The nearest whole number of episodes, but not none when some are asked for and can be spared. */
static int32_t count_held(int32_t episodes, double share)
{
    if (share <= 0 || episodes < 2) return 0;
    const int32_t n = (int32_t)floor(share * episodes + 0.5);
    return n > 0 ? n : 1;
}

/* The first n_held of a shuffle are held out; both lists are kept in the file's order. */
static void divide(dmc__trajectories *t, uint64_t seed, uint8_t *is_held)
{
    const dmc__stream s = {.seed = seed, .purpose = STREAM_SPLIT};
    int32_t *order = t->train;
    for (int32_t i = 0; i < t->episodes; i++) order[i] = i;
    for (int32_t i = t->episodes - 1; i > 0; i--) {
        const int32_t j = (int32_t)dmc__rng_below(&s, (uint32_t)i, (uint64_t)i + 1);
        const int32_t swapped = order[i];
        order[i] = order[j];
        order[j] = swapped;
    }
    for (int32_t i = 0; i < t->n_held; i++) is_held[order[i]] = 1;
    int32_t trains = 0, helds = 0;
    for (int32_t e = 0; e < t->episodes; e++)
        if (is_held[e])
            t->held[helds++] = e;
        else
            t->train[trains++] = e;
}

/* rows[k] = rows of the first k episodes of the list */
static void sum_rows(const dmc__trajectories *t, const int32_t *list, int32_t n, size_t *rows)
{
    for (int32_t k = 0; k < n; k++)
        rows[k + 1] = rows[k] + t->start[list[k] + 1] - t->start[list[k]];
}

/* train and held are the two parts of one block, and so are their sums of rows. */
static dmc_status split_episodes(dmc__trajectories *t, double held_out, uint64_t seed)
{
    uint8_t *is_held;
    DMC_TRY(DMC_NEW(t->alloc, t->episodes, &t->train));
    DMC_TRY(DMC_NEW(t->alloc, (size_t)t->episodes + 2, &t->train_rows));
    DMC_TRY(DMC_NEW(t->alloc, t->episodes, &is_held));
    t->n_held = count_held(t->episodes, held_out);
    t->n_train = t->episodes - t->n_held;
    t->held = t->train + t->n_train;
    t->held_rows = t->train_rows + t->n_train + 1;
    divide(t, seed, is_held);
    DMC_FREE(t->alloc, is_held, t->episodes);
    sum_rows(t, t->train, t->n_train, t->train_rows);
    sum_rows(t, t->held, t->n_held, t->held_rows);
    return DMC_OK;
}

dmc_status dmc__trajectories_create(const dmc__allocator *a, size_t n, int32_t obs_dim,
                                    int32_t act_dim, const float *obs, const float *act,
                                    const float *rew, const uint8_t *terminals,
                                    const uint8_t *timeouts, double held_out, uint64_t seed,
                                    dmc__trajectories **out)
{
    *out = NULL;
    DMC_TRY(check_arguments(n, obs_dim, act_dim, held_out));
    dmc__trajectories *t;
    DMC_TRY(DMC_NEW(a, 1, &t));
    t->alloc = a;
    t->rows = n;
    t->obs_dim = obs_dim;
    t->act_dim = act_dim;
    dmc_status status = copy_finite(a, "observations", obs, n, obs_dim, &t->obs);
    if (status == DMC_OK) status = copy_finite(a, "actions", act, n, act_dim, &t->act);
    if (status == DMC_OK) status = copy_finite(a, "rewards", rew, n, 1, &t->rew);
    if (status == DMC_OK) status = cut_episodes(t, terminals, timeouts);
    if (status == DMC_OK) status = split_episodes(t, held_out, seed);
    if (status == DMC_OK)
        *out = t;
    else
        dmc__trajectories_destroy(t);
    return status;
}

void dmc__trajectories_destroy(dmc__trajectories *t)
{
    if (!t) return;
    const dmc__allocator *a = t->alloc;
    dmc__images_free(&t->images, a);
    DMC_FREE(a, t->obs, t->rows * (size_t)t->obs_dim);
    DMC_FREE(a, t->act, t->rows * (size_t)t->act_dim);
    DMC_FREE(a, t->rew, t->rows);
    DMC_FREE(a, t->terminal, t->rows);
    DMC_FREE(a, t->start, (size_t)t->episodes + 1);
    DMC_FREE(a, t->train, t->episodes);
    DMC_FREE(a, t->train_rows, (size_t)t->episodes + 2);
    DMC_FREE(a, t, 1);
}

void dmc__trajectories_returns(const dmc__trajectories *t, double discount, float *out)
{
    for (int32_t e = 0; e < t->episodes; e++) {
        double sum = 0;
        for (size_t i = t->start[e + 1]; i-- > t->start[e];) {
            sum = t->rew[i] + discount * sum;
            out[i] = (float)sum;
        }
    }
}

void dmc__trajectories_return_range(const dmc__trajectories *t, double discount, double *least, double *greatest)
{
    *least = t->rows ? INFINITY : 0;
    *greatest = t->rows ? -INFINITY : 0;
    for (int32_t e = 0; e < t->episodes; e++) {
        double sum = 0;
        for (size_t i = t->start[e + 1]; i-- > t->start[e];) {
            sum = t->rew[i] + discount * sum;
            *least = fmin(*least, sum);
            *greatest = fmax(*greatest, sum);
        }
    }
}

double dmc__trajectories_return_from(const dmc__trajectories *t, dmc__position p, double discount)
{
    double sum = 0, weight = 1;
    for (size_t i = t->start[p.episode] + (size_t)p.row; i < t->start[p.episode + 1] && weight > 1e-9; i++, weight *= discount)
        sum += weight * t->rew[i];
    return sum;
}

double dmc__trajectories_return(const dmc__trajectories *t, int32_t episode)
{
    double sum = 0;
    for (size_t i = t->start[episode]; i < t->start[episode + 1]; i++) sum += t->rew[i];
    return sum;
}

/* ---- drawing and cutting
 * ------------------------------------------------------------------------- */

dmc__position dmc__trajectories_draw(const dmc__trajectories *t, bool held, const dmc__stream *s)
{
    const int32_t *list = held ? t->held : t->train;
    const size_t *rows = held ? t->held_rows : t->train_rows;
    const int32_t n = held ? t->n_held : t->n_train;
    if (n == 0) return (dmc__position){-1, -1};
    const size_t row = (size_t)dmc__rng_below(s, 0, rows[n]);
    int32_t low = 0, high = n; /* rows[low] <= row < rows[high] */
    while (high - low > 1) {
        const int32_t middle = low + (high - low) / 2;
        if (rows[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return (dmc__position){list[low], (int32_t)(row - rows[low])};
}

static int32_t length_of(const dmc__trajectories *t, int32_t episode)
{
    return (int32_t)(t->start[episode + 1] - t->start[episode]);
}

/* Row number `row` of an episode, held at its ends, among all rows. */
static size_t place_of(const dmc__trajectories *t, int32_t episode, int32_t row)
{
    const int32_t last = length_of(t, episode) - 1;
    return t->start[episode] + (size_t)(row < 0 ? 0 : row > last ? last : row);
}

static const float *row_of(const dmc__trajectories *t, const float *x, int32_t cols,
                           int32_t episode, int32_t row)
{
    return x + place_of(t, episode, row) * (size_t)cols;
}

void dmc__window_context(const dmc__trajectories *t, dmc__position p, int32_t n, float *out)
{
    const size_t s = (size_t)t->obs_dim;
    for (int32_t i = 0; i < n; i++)
        memcpy(out + (size_t)i * s, row_of(t, t->obs, t->obs_dim, p.episode, p.row - (n - 1) + i),
               s * sizeof *out);
}

void dmc__window_frames(const dmc__trajectories *t, dmc__position p, int32_t n, int32_t camera,
                        float *out)
{
    const size_t frame = dmc__images_frame(&t->images);
    for (int32_t i = 0; i < n; i++)
        dmc__images_convert(t->images.pixels[camera] + place_of(t, p.episode, p.row - (n - 1) + i) * frame,
                            frame, out + (size_t)i * frame);
}

/* 1 where row p.row + i exists */
static void mark_valid(const dmc__trajectories *t, dmc__position p, int32_t h, uint8_t *valid)
{
    const int32_t left = length_of(t, p.episode) - p.row;
    for (int32_t i = 0; valid && i < h; i++) valid[i] = i < left;
}

/* Rows p.row .. p.row+h-1 of x (rows,cols) into the first columns of out (h,width). p.row + h is
 * far from overflow: h is at most 1024. */
static void copy_window(const dmc__trajectories *t, dmc__position p, const float *x, int32_t cols,
                        int32_t h, float *out, int32_t width)
{
    for (int32_t i = 0; i < h; i++)
        memcpy(out + (size_t)i * (size_t)width, row_of(t, x, cols, p.episode, p.row + i),
               (size_t)cols * sizeof *out);
}

void dmc__window_actions(const dmc__trajectories *t, dmc__position p, int32_t h, float *out,
                         uint8_t *valid)
{
    copy_window(t, p, t->act, t->act_dim, h, out, t->act_dim);
    mark_valid(t, p, h, valid);
}

void dmc__window_plan(const dmc__trajectories *t, dmc__position p, int32_t h, float *out,
                      uint8_t *valid)
{
    const int32_t width = t->obs_dim + t->act_dim;
    copy_window(t, p, t->obs, t->obs_dim, h, out, width);
    copy_window(t, p, t->act, t->act_dim, h, out + t->obs_dim, width);
    mark_valid(t, p, h, valid);
}

void dmc__window_states(const dmc__trajectories *t, dmc__position p, int32_t h, float *out, uint8_t *valid)
{
    copy_window(t, p, t->obs, t->obs_dim, h, out, t->obs_dim);
    mark_valid(t, p, h, valid);
}
