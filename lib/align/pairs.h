/* pairs.h — winners and losers, and where they come from (methods.md 3): candidates of the present weights, windows of the data,
 * the owner's callback. Winner and loser share condition and known entries, and count where both have entries. */
#ifndef DMC_ALIGN_PAIRS_H
#define DMC_ALIGN_PAIRS_H

#include "../data/neighbours.h"
#include "candidates.h"
#include "preference_net.h"

enum { DMC__PAIRS_CANDIDATES = 0, DMC__PAIRS_DATASET = 1, DMC__PAIRS_CALLBACK = 2 };

typedef struct dmc__pairs_config {
    int32_t source;              /* DMC__PAIRS_* */
    int32_t room;                /* pairs, at most */
    int32_t pool;                /* candidates, or windows, among which one wins and one loses */
    double margin;               /* a pair differs by more than this times the standard deviation */
    double radius, discount;     /* DATASET: of states that are near; of returns */
    dmc__preference *rank;       /* CANDIDATES: by this; NULL: by the reward */
} dmc__pairs_config;

typedef struct dmc__pairs {
    dmc__align *a;
    dmc__pairs_config c;
    int32_t kept;                /* pairs there are */
    size_t elems, cond_elems;
    float *win, *lose;           /* (room, elems) normalised */
    float *cond;                 /* (room, cond) */
    float *mask, *weight;        /* (room, elems): 1 = known (NULL: nothing is), loss weights */
    dmc__candidates *pool;       /* CANDIDATES */
    dmc__neighbours *neighbours; /* DATASET; and returns from every row, near rows, two states */
    float *returns, *state[2], *other; /* other: (elems) */
    dmc__near *near;
    double std;                  /* of returns of training rows */
    float *raw;                  /* CALLBACK: (room, conditions) in dataset units */
} dmc__pairs;

dmc_status dmc__pairs_create(dmc__align *a, const dmc__pairs_config *c, dmc__pairs **out);
void dmc__pairs_destroy(dmc__pairs *p);
/* New ones; kept may be 0. */
dmc_status dmc__pairs_refresh(dmc__pairs *p);

/* pairs_data.c, pairs_given.c */
dmc_status dmc__pairs_open_data(dmc__pairs *p);
dmc_status dmc__pairs_from_data(dmc__pairs *p);
dmc_status dmc__pairs_open_given(dmc__pairs *p);
dmc_status dmc__pairs_given(dmc__pairs *p);

#endif
