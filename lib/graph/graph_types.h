/* graph_types.h — the inside of a graph, for the files of this folder. */
#ifndef DMC_GRAPH_TYPES_H
#define DMC_GRAPH_TYPES_H

#include "graph.h"

enum { DMC__GRAPH_TEXT = 384, DMC__GRAPH_DEPTH = 16 };

/* (B,t,c). A reshaped value has the memory and the gradient of its base; every other value is its own base. */
typedef struct dmc__graph_value {
    int32_t t, c;
    dmc__val base;
    int32_t is_input, is_output; /* of bases: the value or a reshaping of it */
} dmc__graph_value;

/* One op. Nodes stand in the order they run in; in and out are bases. */
typedef struct dmc__graph_node {
    enum dmc_op op;
    int32_t n_in;
    dmc__val in[DMC_KIN], out;
    dmc__parid par[DMC_KPAR]; /* -1 = none */
    size_t par_at[DMC_KPAR];  /* first element of the parameter that is used */
    int32_t random;           /* attribute that is a dropout probability, plus 1; 0 = draws nothing */
    int32_t dim[DMC_KDIM];    /* of one sample: dim[0] is a count that grows with the batch, in every op */
    double attr[DMC_KATTR];
    char name[DMC__NAME_MAX]; /* prefix included */
} dmc__graph_node;

struct dmc__graph {
    const dmc__allocator *alloc;
    dmc__graph_value *value;
    dmc__graph_node *node;
    dmc__param_spec *param;
    int32_t values, value_room, nodes, node_room, params, param_room;
    size_t param_elems, param_total;
    double flops;
    char prefix[DMC__NAME_MAX];
    size_t prefix_end[DMC__GRAPH_DEPTH]; /* length of the prefix before each push */
    int32_t depth;
    dmc_status status;          /* of the first error, and its sentence */
    char error[DMC__GRAPH_TEXT];
};

/* A node of this op with these inputs, named prefix + name. 0 after an error. */
int32_t dmc__graph_start(dmc__graph *g, enum dmc_op op, const char *name, int32_t n_in, const dmc__val *in,
                         dmc__graph_node *n);
/* Append a parameter prefix + name. -1 after an error. */
dmc__parid dmc__graph_add_param(dmc__graph *g, const char *name, const dmc__param_spec *s);
/* Append a parameter <node>.tail; the node's name has the prefix already. -1 after an error. */
dmc__parid dmc__graph_add_to_node(dmc__graph *g, const dmc__graph_node *n, const char *tail, const dmc__param_spec *s);
/* Record an error if it is the first; returns -1, what a builder call returns after an error. */
dmc__val dmc__graph_refuse(dmc__graph *g, dmc_status status, const char *format, ...) DMC_PRINTF(3, 4);
/* Room for one more item behind the `count` there are. */
dmc_status dmc__graph_grow(dmc__graph *g, void **items, size_t size, int32_t count, int32_t *room);
/* A value of its own (base = -1) or a reshaping of `base`; `name` is for the error. -1 after an error. */
dmc__val dmc__graph_add_value(dmc__graph *g, const char *name, int32_t t, int32_t c, dmc__val base);
/* Append a node and its output, (t,c). -1 after an error. */
dmc__val dmc__graph_add_node(dmc__graph *g, const dmc__graph_node *n, int32_t t, int32_t c);
/* A weight and a bias (co; bias NULL: none) of these names, both U(+-1/sqrt(fan_in)). */
void dmc__graph_add_layer(dmc__graph *g, const char *weight, const char *bias, const dmc__param_spec *spec, int32_t co,
                          dmc__parid par[2]);
/* The same for a node: parameters <node>.weight and, with `bias`, <node>.bias. */
void dmc__graph_add_weights(dmc__graph *g, dmc__graph_node *n, const dmc__param_spec *weight, int32_t co, int32_t bias);

#endif
