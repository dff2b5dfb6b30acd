/* neighbours.c — states sorted along the column that spreads most: what is near lies in a range of it, which is searched. */
#include "neighbours.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct place {
    float key;         /* the state's column `along` */
    dmc__position at;
} place;

struct dmc__neighbours {
    const dmc__allocator *alloc;
    size_t rows, width;
    int32_t along;
    place *place;      /* (rows) by key                   */
    float *state;      /* (rows, width) normalised, alike */
};

static dmc_status allocate(dmc__neighbours *n, const dmc__trajectories *t)
{
    n->rows = t->n_train ? t->train_rows[t->n_train] : 0;
    n->width = (size_t)t->obs_dim;
    DMC_TRY(DMC_NEW(n->alloc, n->rows, &n->place));
    return DMC_NEW(n->alloc, n->rows * n->width, &n->state);
}

/* The column with the largest variance, of what is normalised. */
static int32_t widest(const float *x, size_t rows, size_t width)
{
    double most = -1;
    int32_t best = 0;
    for (size_t j = 0; j < width; j++) {
        double sum = 0, square = 0;
        for (size_t i = 0; i < rows; i++) {
            sum += x[i * width + j];
            square += (double)x[i * width + j] * x[i * width + j];
        }
        const double variance = square - sum * sum / (double)(rows ? rows : 1);
        if (variance > most) most = variance, best = (int32_t)j;
    }
    return best;
}

static int by_key(const void *x, const void *y)
{
    const place *const a = x, *const b = y;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    if (a->at.episode != b->at.episode) return a->at.episode < b->at.episode ? -1 : 1;
    return (a->at.row > b->at.row) - (a->at.row < b->at.row);
}

static const float *row_at(const dmc__trajectories *t, dmc__position p)
{
    return t->obs + (t->start[p.episode] + (size_t)p.row) * (size_t)t->obs_dim;
}

static void fill(dmc__neighbours *n, const dmc__trajectories *t, const dmc__normaliser *obs)
{
    size_t i = 0;
    for (int32_t e = 0; e < t->n_train; e++) {
        const int32_t episode = t->train[e], rows = (int32_t)(t->start[episode + 1] - t->start[episode]);
        for (int32_t r = 0; r < rows; r++, i++) {
            n->place[i].at = (dmc__position){episode, r};
            dmc__normaliser_apply(obs, row_at(t, n->place[i].at), 1, n->state + i * n->width);
        }
    }
    n->along = widest(n->state, n->rows, n->width);
    for (i = 0; i < n->rows; i++) n->place[i].key = n->state[i * n->width + (size_t)n->along];
    if (n->rows) qsort(n->place, n->rows, sizeof *n->place, by_key);
    for (i = 0; i < n->rows; i++) dmc__normaliser_apply(obs, row_at(t, n->place[i].at), 1, n->state + i * n->width);
}

dmc_status dmc__neighbours_create(const dmc__allocator *a, const dmc__trajectories *t, const dmc__normaliser *obs,
                                  dmc__neighbours **out)
{
    dmc__neighbours *n;
    *out = NULL;
    DMC_TRY(DMC_NEW(a, 1, &n));
    n->alloc = a;
    const dmc_status status = allocate(n, t);
    if (status < 0) {
        dmc__neighbours_destroy(n);
        return status;
    }
    fill(n, t, obs);
    *out = n;
    return DMC_OK;
}

void dmc__neighbours_destroy(dmc__neighbours *n)
{
    if (!n) return;
    DMC_FREE(n->alloc, n->place, n->rows);
    DMC_FREE(n->alloc, n->state, n->rows * n->width);
    DMC_FREE(n->alloc, n, 1);
}

double dmc__neighbours_distance(const dmc__neighbours *n, const float *a, const float *b)
{
    double sum = 0;
    for (size_t j = 0; j < n->width; j++) sum += ((double)a[j] - b[j]) * ((double)a[j] - b[j]);
    return sqrt(sum / (double)n->width);
}

/* The first row whose key is at least this. */
static size_t first_from(const dmc__neighbours *n, double key)
{
    size_t low = 0, high = n->rows;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (n->place[middle].key < key) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* Into a list of n, sorted, with room for `most`: the new one in the place of its episode's, if it is nearer. */
static int32_t insert(dmc__near *list, int32_t n, int32_t most, dmc__near new)
{
    int32_t out = n < most ? n : most - 1; /* the place that is given up */
    if (n == most && new.distance >= list[n - 1].distance) return n;
    for (int32_t i = 0; i < n; i++) {
        if (list[i].at.episode != new.at.episode) continue;
        if (list[i].distance <= new.distance) return n;
        out = i;
    }
    const int32_t after = out == n ? n + 1 : n;
    while (out > 0 && list[out - 1].distance > new.distance) {
        list[out] = list[out - 1];
        out--;
    }
    list[out] = new;
    return after;
}

int32_t dmc__neighbours_find(const dmc__neighbours *n, const float *state, double radius, int32_t most, dmc__near *out)
{
    const double reach = radius * sqrt((double)n->width) * (1 + 1e-6), key = state[n->along];
    int32_t found = 0;
    for (size_t i = first_from(n, key - reach); i < n->rows && n->place[i].key <= key + reach; i++) {
        const double distance = dmc__neighbours_distance(n, state, n->state + i * n->width);
        if (distance <= radius) found = insert(out, found, most, (dmc__near){distance, n->place[i].at});
    }
    return found;
}
