/* graph.h — a network is data: a flat list of ops over values.
 *
 * Builder calls append ops; shapes are checked at once, and the first error (which names the layer and both
 * shapes) sticks: later calls do nothing and dmc__graph_status returns it, so builders need no error
 * handling of their own. A value is (B,T,C) with the batch B left open until a plan is made.
 */
#ifndef DMC_GRAPH_H
#define DMC_GRAPH_H

#include "../backend/backend.h"

typedef struct dmc__graph dmc__graph;
typedef int32_t dmc__val;   /* index of a value; -1 after an error */
typedef int32_t dmc__parid; /* index of a parameter; -1 = none     */

enum { DMC__NAME_MAX = 96, DMC__MAX_RANK = 3 };

/* How a parameter starts, and how its stored order relates to PyTorch's. */
enum dmc__init { DMC__INIT_ZERO, DMC__INIT_ONE, DMC__INIT_UNIFORM /* U(+-scale) */, DMC__INIT_NORMAL /* scale*N */ };
/* PyTorch shape -> stored order. LINEAR (Co,Ci)->(Ci,Co); CONV (Co,Ci,k)->(k,Ci,Co); CONVT (Ci,Co,k)->(k,Ci,Co). */
enum dmc__layout { DMC__LAYOUT_PLAIN, DMC__LAYOUT_LINEAR, DMC__LAYOUT_CONV, DMC__LAYOUT_CONVT };

typedef struct dmc__param_spec {
    char name[DMC__NAME_MAX];        /* as in PyTorch's state_dict, e.g. "downs.0.0.conv1.0.weight" */
    int32_t rank, shape[DMC__MAX_RANK]; /* PyTorch shape */
    int32_t layout;                  /* DMC__LAYOUT_* */
    int32_t init;                    /* DMC__INIT_* */
    int32_t frozen;                  /* 1: a constant of the network, never moved by an optimizer */
    double scale;
    size_t size, offset;             /* elements; offset in the parameter block, multiple of 16 */
} dmc__param_spec;

dmc_status dmc__graph_create(const dmc__allocator *a, dmc__graph **out);
void dmc__graph_destroy(dmc__graph *g);
dmc_status dmc__graph_status(const dmc__graph *g);

/* ---- building -------------------------------------------------------------------------------------- */
dmc__val dmc__graph_input(dmc__graph *g, const char *name, int32_t t, int32_t c);
void dmc__graph_output(dmc__graph *g, dmc__val v);

/* Prefix pushed in front of parameter and op names ("downs.0."); nests. */
void dmc__graph_push(dmc__graph *g, const char *format, ...) DMC_PRINTF(2, 3);
void dmc__graph_pop(dmc__graph *g);

/* bias = 0: no bias parameter. name is the layer's ("conv1.0"): parameters get ".weight", ".bias". */
dmc__val dmc__g_linear(dmc__graph *g, const char *name, dmc__val x, int32_t co, int32_t bias);
/* Linear of the columns of x[0], x[1], ... joined, without joining them: one node per part, added up. */
dmc__val dmc__g_linear_sum(dmc__graph *g, const char *name, int32_t n, const dmc__val *x, int32_t co, int32_t bias);
/* A linear layer that several nodes use parts of: full parameter names; bias NULL = none. */
typedef struct dmc__glayer {
    dmc__parid weight, bias;
} dmc__glayer;
dmc__glayer dmc__g_layer(dmc__graph *g, const char *weight, const char *bias, int32_t ci, int32_t co);
/* x (T,n) times inputs row..row+n, outputs col..col+co of the layer. */
dmc__val dmc__g_linear_part(dmc__graph *g, dmc__glayer l, dmc__val x, int32_t row, int32_t col, int32_t co, int32_t bias);
dmc__val dmc__g_conv1d(dmc__graph *g, const char *name, dmc__val x, int32_t co, int32_t k, int32_t stride, int32_t pad);
dmc__val dmc__g_convt1d(dmc__graph *g, const char *name, dmc__val x, int32_t co, int32_t k, int32_t stride, int32_t pad);
/* act: 0 none, 1 Mish, 2 ReLU. */
dmc__val dmc__g_groupnorm(dmc__graph *g, const char *name, dmc__val x, int32_t groups, double eps, int32_t act);
/* The same, then e added to every row where it is (1,C), or every row times s plus b where it is [s | b] (1,2C); then r
 * (T,C) added. -1: without. One pass over memory does it all. */
dmc__val dmc__g_groupnorm_block(dmc__graph *g, const char *name, dmc__val x, int32_t groups, double eps, int32_t act,
                                dmc__val e, dmc__val r);
dmc__val dmc__g_layernorm(dmc__graph *g, const char *name, dmc__val x, double eps);
dmc__val dmc__g_act(dmc__graph *g, enum dmc_op op, dmc__val x); /* MISH SILU RELU TANH GELU GELU_TANH */
dmc__val dmc__g_leaky_relu(dmc__graph *g, dmc__val x, double slope);
/* x, but while dmc__plan_set_dropout is on an element is 0 with probability p, else scaled by 1/(1-p). p = 0 adds nothing. */
dmc__val dmc__g_dropout(dmc__graph *g, dmc__val x, double p);
/* Columns from .. from + count. */
dmc__val dmc__g_slice(dmc__graph *g, dmc__val x, int32_t from, int32_t count);
dmc__val dmc__g_add(dmc__graph *g, dmc__val x, dmc__val y);
dmc__val dmc__g_add_time(dmc__graph *g, dmc__val x, dmc__val e);      /* (T,C) + (1,C) */
dmc__val dmc__g_concat(dmc__graph *g, dmc__val x, dmc__val y, dmc__val z /* -1: none */);
/* (1,1) -> (1,c), kind 0 or 1 of TIMESTEP; and kind 2, whose frozen frequencies are the parameter `freqs` (c/2). */
dmc__val dmc__g_timestep(dmc__graph *g, dmc__val t, int32_t c, int32_t kind, int32_t cast);
dmc__val dmc__g_fourier(dmc__graph *g, const char *freqs, dmc__val t, int32_t c, int32_t cast);
/* Same memory seen as (t,c); t*c must equal the value's size. */
dmc__val dmc__g_reshape(dmc__graph *g, dmc__val x, int32_t t, int32_t c);
/* Multiply the init scale of the last layer's weight (and bias) by s; 0 makes it start at zero. */
void dmc__g_scale_init(dmc__graph *g, double s);

/* ---- asking ---------------------------------------------------------------------------------------- */
int32_t dmc__graph_rows(const dmc__graph *g, dmc__val v);  /* T */
int32_t dmc__graph_cols(const dmc__graph *g, dmc__val v);  /* C */
int32_t dmc__graph_param_count(const dmc__graph *g);
const dmc__param_spec *dmc__graph_param(const dmc__graph *g, dmc__parid i);
dmc__parid dmc__graph_find_param(const dmc__graph *g, const char *name); /* -1: not there */
size_t dmc__graph_param_elems(const dmc__graph *g);        /* size of the parameter block, padding included */
size_t dmc__graph_param_total(const dmc__graph *g);        /* sum of sizes but frozen: the published number */
/* Useful FLOP of one forward per sample: 2 per multiply-add, taps that fall on zero padding not counted. */
double dmc__graph_flops(const dmc__graph *g);

/* ---- plan: memory for one batch size ---------------------------------------------------------------- */
typedef struct dmc__plan dmc__plan;

enum {
    DMC__PLAN_INFER = 0,   /* values share memory by liveness; no backward */
    DMC__PLAN_TRAIN = 1,   /* tape kept; parameter gradients               */
    DMC__PLAN_DINPUT = 2   /* tape kept; gradients of the inputs           */
};

/* params/grads are device blocks laid out by the graph (grads NULL unless TRAIN). train: one byte per
 * parameter, 0 = frozen (its gradient is not computed); NULL = all. The graph must outlive the plan. */
dmc_status dmc__plan_create(const dmc__graph *g, dmc__device *d, int32_t batch, int32_t flags,
                            const uint8_t *train, dmc__plan **out);
void dmc__plan_destroy(dmc__plan *p);
/* Which memory the weights are read from and gradients added to; must be called before forward. Cheap. */
void dmc__plan_bind(dmc__plan *p, const void *params, void *grads);
/* From here on forward and backward drop what the stream (seed, DMC_STREAM_DROPOUT, step < 2^28) says; on = 0, as a plan
 * starts: nothing. Samples count from 0. */
void dmc__plan_set_dropout(dmc__plan *p, int32_t on, uint64_t seed, uint64_t step);
/* Device memory of an input or output (B,T,C); of its gradient. Interior values: tests with TRAIN only. */
void *dmc__plan_value(const dmc__plan *p, dmc__val v);
void *dmc__plan_grad(const dmc__plan *p, dmc__val v);
int32_t dmc__plan_batch(const dmc__plan *p);
dmc_status dmc__plan_forward(dmc__plan *p);
/* Output gradients must be filled in (all of them). Parameter gradients are added to, input gradients set. */
dmc_status dmc__plan_backward(dmc__plan *p);
size_t dmc__plan_bytes(const dmc__plan *p);

#endif
