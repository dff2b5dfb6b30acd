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

enum { DMC__NAME_MAX = 96, DMC__MAX_RANK = 4 };

/* How a parameter starts, and how its stored order relates to PyTorch's. */
enum dmc__init {
    DMC__INIT_ZERO,
    DMC__INIT_ONE,
    DMC__INIT_UNIFORM,   /* U(+-scale)                                                   */
    DMC__INIT_NORMAL,    /* scale N(0,1)                                                 */
    DMC__INIT_ORTHOGONAL /* scale times orthonormal rows, or columns where rows are more */
};
/* PyTorch shape -> stored order. LINEAR (Co,Ci)->(Ci,Co); CONV (Co,Ci,k)->(k,Ci,Co); CONVT (Ci,Co,k)->(k,Ci,Co);
 * CONV2D (Co,Ci,k,k)->(k,k,Ci,Co). */
enum dmc__layout { DMC__LAYOUT_PLAIN, DMC__LAYOUT_LINEAR, DMC__LAYOUT_CONV, DMC__LAYOUT_CONVT, DMC__LAYOUT_CONV2D };

typedef struct dmc__param_spec {
    char name[DMC__NAME_MAX];        /* as in PyTorch's state_dict, e.g. "downs.0.0.conv1.0.weight" */
    int32_t rank, shape[DMC__MAX_RANK]; /* PyTorch shape */
    int32_t layout;                  /* DMC__LAYOUT_* */
    int32_t init;                    /* DMC__INIT_* */
    int32_t frozen;                  /* 1: a constant of the network, never moved by an optimizer */
    int32_t flat_t, flat_c;          /* LINEAR whose first inputs PyTorch has as a flattened (c,t) and we as (t,c); 0: not */
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
/* The first t c inputs are what PyTorch flattens from (c,t): a part reads them in our order, (t,c). */
void dmc__g_layer_flattens(dmc__graph *g, dmc__glayer l, int32_t t, int32_t c);
/* x (T,n) times inputs row..row+n, outputs col..col+co of the layer. */
dmc__val dmc__g_linear_part(dmc__graph *g, dmc__glayer l, dmc__val x, int32_t row, int32_t col, int32_t co, int32_t bias);
dmc__val dmc__g_conv1d(dmc__graph *g, const char *name, dmc__val x, int32_t co, int32_t k, int32_t stride, int32_t pad);
dmc__val dmc__g_convt1d(dmc__graph *g, const char *name, dmc__val x, int32_t co, int32_t k, int32_t stride, int32_t pad);
/* act: 0 none, 1 Mish, 2 ReLU. */
dmc__val dmc__g_groupnorm(dmc__graph *g, const char *name, dmc__val x, int32_t groups, double eps, int32_t act);
/* Scale and shift (c) of a norm, declared before its node: parameters stand in the order of PyTorch's modules, which draws
 * their starting values, though a node must come after all it reads. */
dmc__glayer dmc__g_norm(dmc__graph *g, const char *name, int32_t c);
/* groupnorm by such parameters, then e added to every row where it is (1,C), or every row times s plus b where it is [s | b]
 * (1,2C); then r (T,C) added. -1: without. One pass over memory does it all. */
dmc__val dmc__g_groupnorm_block(dmc__graph *g, const char *name, dmc__glayer norm, dmc__val x, int32_t groups, double eps,
                                int32_t act, dmc__val e, dmc__val r);
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
/* Attention of `heads` heads: columns of qkv (T,3D) are queries, keys and values; or queries q (Tq,D), and keys and values
 * kv (Tk,2D). Query t sees keys 0 .. t + shift, or all of them; p: dropout of shares. */
enum { DMC__NO_MASK = -1 };
dmc__val dmc__g_self_attention(dmc__graph *g, dmc__val qkv, int32_t heads, int32_t shift, double p);
dmc__val dmc__g_cross_attention(dmc__graph *g, dmc__val q, dmc__val kv, int32_t heads, int32_t shift, double p);
/* LN(x)(1 + scale) + shift, and x + gate h: shift, scale, gate are the columns of m (1,M) from there on. */
dmc__val dmc__g_adaln(dmc__graph *g, dmc__val x, dmc__val m, int32_t shift, int32_t scale, double eps);
dmc__val dmc__g_gate(dmc__graph *g, dmc__val x, dmc__val h, dmc__val m, int32_t gate);
/* The parameter `name`, (1,t,c) in PyTorch, which starts at scale N(0,1); and x (T,c) plus its rows row .. row+T. */
dmc__parid dmc__g_table(dmc__graph *g, const char *name, int32_t t, int32_t c, double scale);
dmc__val dmc__g_add_table(dmc__graph *g, dmc__parid table, int32_t row, dmc__val x);
/* A constant (t,c): row i is [sin | cos](i f_j), f_j = 10000^(-j/(c/2-1)), cast: rounded towards 0. */
dmc__val dmc__g_positions(dmc__graph *g, int32_t t, int32_t c, int32_t cast);
dmc__val dmc__g_mean_rows(dmc__graph *g, dmc__val x);                 /* (T,C) -> (1,C) */
/* Same memory seen as (t,c); t*c must equal the value's size. */
dmc__val dmc__g_reshape(dmc__graph *g, dmc__val x, int32_t t, int32_t c);
/* The last layer's weight starts like this, its bias at zero. */
void dmc__g_init(dmc__graph *g, enum dmc__init init, double scale);
/* The same for all linear layers whose parameters were declared from `from` on; std: N(0,std), 0: xavier_uniform_. */
void dmc__g_init_from(dmc__graph *g, dmc__parid from, double std);
/* The scale of torch's xavier_uniform_ for DMC__INIT_UNIFORM. */
double dmc__xavier(int32_t fan_in, int32_t fan_out);

/* ---- images ----------------------------------------------------------------------------------------- */
/* A value (frames*h*w, c): frames one after the other, each its rows of pixels, channels last. */
typedef struct dmc__gimage {
    dmc__val v; /* -1 after an error */
    int32_t h, w;
} dmc__gimage;

/* x's memory as frames of h by w pixels with c channels. */
dmc__gimage dmc__g_image(dmc__graph *g, dmc__val x, int32_t h, int32_t w, int32_t c);
/* Square kernel; bias = 0: no bias parameter. */
dmc__gimage dmc__g_conv2d(dmc__graph *g, const char *name, dmc__gimage x, int32_t co, int32_t k, int32_t stride, int32_t pad,
                          int32_t bias);
/* Statistics per frame. act as of dmc__g_groupnorm. */
dmc__gimage dmc__g_groupnorm2d(dmc__graph *g, const char *name, dmc__gimage x, int32_t groups, double eps, int32_t act);
dmc__gimage dmc__g_act2d(dmc__graph *g, enum dmc_op op, dmc__gimage x);
dmc__gimage dmc__g_add2d(dmc__graph *g, dmc__gimage x, dmc__gimage y);
/* Padding never wins; pad at most half a window. */
dmc__gimage dmc__g_maxpool2d(dmc__graph *g, dmc__gimage x, int32_t k, int32_t stride, int32_t pad);
/* The middle h by w pixels; with `random`, while dmc__plan_set_dropout is on, a window drawn for every frame. The size it has:
 * x itself. */
dmc__gimage dmc__g_crop2d(dmc__graph *g, dmc__gimage x, int32_t h, int32_t w, int32_t random);
/* Mean over the pixels of every channel, (frames, c). */
dmc__val dmc__g_mean2d(dmc__graph *g, dmc__gimage x);
/* Expected x, y of every channel, (frames, 2c). Parameter <name>.temperature. */
dmc__val dmc__g_spatial_softmax(dmc__graph *g, const char *name, dmc__gimage x);

/* ---- asking ---------------------------------------------------------------------------------------- */
int32_t dmc__graph_rows(const dmc__graph *g, dmc__val v);  /* T */
int32_t dmc__graph_cols(const dmc__graph *g, dmc__val v);  /* C */
int32_t dmc__graph_param_count(const dmc__graph *g);
const dmc__param_spec *dmc__graph_param(const dmc__graph *g, dmc__parid i);
dmc__parid dmc__graph_find_param(const dmc__graph *g, const char *name); /* -1: not there */
/* 0: a constant, or one that no node reads (it exists because published checkpoints have it). Nothing may move those. */
int32_t dmc__graph_param_learns(const dmc__graph *g, dmc__parid i);
size_t dmc__graph_param_elems(const dmc__graph *g);        /* size of the parameter block, padding included */
size_t dmc__graph_param_total(const dmc__graph *g);        /* sum of sizes but frozen: the published number */
/* Useful FLOP of one forward per sample: 2 per multiply-add, taps that fall on zero padding not counted. */
double dmc__graph_flops(const dmc__graph *g);
size_t dmc__graph_bytes(const dmc__graph *g);              /* held */

/* ---- parts ------------------------------------------------------------------------------------------ */
int32_t dmc__graph_value_count(const dmc__graph *g);
int32_t dmc__graph_node_count(const dmc__graph *g);
dmc__val dmc__graph_made_by(const dmc__graph *g, int32_t node); /* the value a node makes */
dmc__val dmc__graph_base(const dmc__graph *g, dmc__val v);      /* whose memory a value is; of a reshaping: its source */
/* bits: one byte per value, set by the caller for inputs, 0 elsewhere. Afterwards every value has the bits of all
 * inputs it depends on. */
void dmc__graph_spread(const dmc__graph *g, uint8_t *bits);

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

/* Some nodes of a graph. What they read and others make is an input of theirs, what they make and others read an
 * output. */
typedef struct dmc__plan_part {
    const uint8_t *node; /* (nodes) not 0: belongs                                                           */
    const uint8_t *lent; /* (values) not 0: an input that has no memory in the plan but is lent some; NULL: none */
} dmc__plan_part;

/* A plan for inference of a part. */
dmc_status dmc__plan_create_part(const dmc__graph *g, dmc__device *d, int32_t batch, const dmc__plan_part *part,
                                 dmc__plan **out);
/* Is the value an input of the plan? */
int32_t dmc__plan_reads(const dmc__plan *p, dmc__val v);
/* Where a lent input (B,T,C) is read from; before the first forward. Costs a few stores. */
void dmc__plan_lend(dmc__plan *p, dmc__val v, const void *memory);
/* Which memory the weights are read from and gradients added to; must be called before forward. Cheap. */
void dmc__plan_bind(dmc__plan *p, const void *params, void *grads);
/* After a bind, until the next: forward reads the weights of LINEAR, CONV1D and CONVT1D (layout not PLAIN) as 16-bit numbers
 * of this type (DMC_WEIGHT_BF16, _FP16), at the same element offsets in `half`; all other parameters stay where they were. */
void dmc__plan_bind_half(dmc__plan *p, const void *half, int32_t type);
/* From here on forward and backward drop what the stream (seed, DMC_STREAM_DROPOUT, step < 2^28) says; on = 0, as a plan
 * starts: nothing. Samples count from 0. A plan for inference never drops. */
void dmc__plan_set_dropout(dmc__plan *p, int32_t on, uint64_t seed, uint64_t step);
enum { DMC__PLAN_STREAMS = 4096 }; /* random streams of one step: one per node */
/* Added to the keys of what is dropped, word by word: device memory (4), read when a kernel runs, for recordings; its third word
 * is DMC__PLAN_STREAMS for a step. NULL, as a plan starts: nothing. */
void dmc__plan_set_dropout_base(dmc__plan *p, const uint64_t *base);
/* Device memory of an input or output (B,T,C), NULL if it is lent; of its gradient. Interior values: tests with TRAIN
 * only; interior gradients share memory and are NULL. */
void *dmc__plan_value(const dmc__plan *p, dmc__val v);
void *dmc__plan_grad(const dmc__plan *p, dmc__val v);
int32_t dmc__plan_batch(const dmc__plan *p);
dmc_status dmc__plan_forward(dmc__plan *p);
/* Output gradients must be filled in (all of them). Parameter gradients are added to, input gradients set. */
dmc_status dmc__plan_backward(dmc__plan *p);
size_t dmc__plan_bytes(const dmc__plan *p);                /* held, of host and device */

#endif
