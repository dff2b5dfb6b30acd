/* neighbours.h — training rows whose states are near each other. */
#ifndef DMC_DATA_NEIGHBOURS_H
#define DMC_DATA_NEIGHBOURS_H

#include "normaliser.h"
#include "trajectories.h"

typedef struct dmc__near {
    double distance; /* root mean square over the columns of normalised states */
    dmc__position at;
} dmc__near;

typedef struct dmc__neighbours dmc__neighbours;

/* Of all rows of training episodes; t must stay. */
dmc_status dmc__neighbours_create(const dmc__allocator *a, const dmc__trajectories *t, const dmc__normaliser *obs,
                                  dmc__neighbours **out);
void dmc__neighbours_destroy(dmc__neighbours *n);
/* The rows nearest to a normalised state, at most `radius` away, one (the nearest) of an episode, at most `most` of them, nearest
 * first. Returns how many. */
int32_t dmc__neighbours_find(const dmc__neighbours *n, const float *state, double radius, int32_t most, dmc__near *out);
/* Distance of two normalised states. */
double dmc__neighbours_distance(const dmc__neighbours *n, const float *a, const float *b);

#endif
