/* graph_steps.h — the inside of a plan: kernel calls that are ready to run, and one block of memory. */
#ifndef DMC_GRAPH_STEPS_H
#define DMC_GRAPH_STEPS_H

#include "graph_place.h"
#include "graph_types.h"

#define DMC__NOWHERE SIZE_MAX

/* One kernel call. */
typedef struct dmc__step {
    dmc_kernel run;
    dmc_kargs args;
    int32_t node;          /* whose call it is                                           */
    size_t par[DMC_KPAR];  /* bytes into the weights; DMC__NOWHERE = none                */
    size_t dpar[DMC_KPAR]; /* bytes into the gradients; DMC__NOWHERE = none or frozen    */
    uint32_t din;          /* backward: bit i = makes the gradient of in[i]              */
    int32_t is_dense;      /* par[0] is a matrix: may consist of 16-bit numbers           */
} dmc__step;

/* What is known about the gradient of a value. */
enum {
    DMC__GRAD_WANTED = 1, /* something that learns, or an input, is behind it */
    DMC__GRAD_ARRIVES = 2 /* somebody writes it                               */
};

/* What a value is to a plan; 0: the plan does not have it. */
enum {
    DMC__VALUE_MADE = 1,  /* by a node of the plan                                                            */
    DMC__VALUE_GIVEN = 2, /* comes from outside: the graph's input, or made by a node that is not in the plan */
    DMC__VALUE_SHOWN = 4, /* goes outside: the graph's output, or read by a node that is not in the plan      */
    DMC__VALUE_LENT = 8   /* given, in memory of the caller's                                                 */
};

struct dmc__plan {
    const dmc__graph *graph;
    dmc__device *device;
    int32_t batch, flags;
    int32_t values;                /* of the graph at create time */
    int32_t nodes;                 /* in the plan: step i is that of its i-th node; for training, of node i */
    dmc__step *forward;            /* (nodes)                     */
    dmc__step *backward;           /* (backward_room), in the order they run */
    int32_t backward_room, backward_steps;
    uint8_t *grad, *border;        /* (values) DMC__GRAD_*, DMC__VALUE_* */
    dmc__val *source;              /* (values) whose memory a value is: another's behind a node that is left out */
    dmc__piece *piece;             /* (pieces): values, their gradients, what nodes save, scratch */
    int32_t pieces;
    void *block;
    size_t bytes;                  /* of the block */
};

/* Pieces by what they are for. */
static inline dmc__piece *dmc__plan_value_piece(const dmc__plan *p, dmc__val base)
{
    return &p->piece[base];
}
static inline dmc__piece *dmc__plan_grad_piece(const dmc__plan *p, dmc__val base)
{
    return &p->piece[p->values + base];
}
static inline dmc__piece *dmc__plan_save_piece(const dmc__plan *p, int32_t step)
{
    return &p->piece[2 * p->values + step];
}
static inline dmc__piece *dmc__plan_scratch_piece(const dmc__plan *p)
{
    return &p->piece[2 * p->values + p->nodes];
}

/* A step of the graph's node i: dimensions, attributes and the places of its parameters. */
void dmc__plan_start_step(const dmc__plan *p, int32_t i, dmc__step *s);
/* Fill p->border. part NULL: the whole graph. */
void dmc__plan_mark_border(dmc__plan *p, const dmc__plan_part *part);
/* Which backward steps there are, in which order, and who overwrites and who adds. */
int32_t dmc__plan_count_backward(const dmc__graph *g);
void dmc__plan_order_backward(dmc__plan *p, const uint8_t *train);
/* Sizes and lifetimes of all pieces; asks the kernels for theirs. */
dmc_status dmc__plan_size_pieces(dmc__plan *p);

#endif
