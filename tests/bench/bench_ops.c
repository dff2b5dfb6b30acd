/* bench_ops.c — see bench_ops.h. `of roof` is the time the machine cannot beat, for the
 * operations on taps that exist and for each operand once from the level of memory the working
 * set fits, divided by the time taken.
 *
 * A network that fits no cache finds the weights of every layer in memory: the cases of such a
 * network read their weights from another place at every call, places as large as a network in all,
 * and their roof is that of memory. */
#include "bench_ops.h"

#include "kernels/kernels.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *const op_names[] = {
#define OP(NAME, name, n_in, n_par, has_bwd) #name,
#include "kernels/ops.def"
#undef OP
};

static const char *const type_names[] = {"", "  bf16", "  fp16"};

typedef struct bench_case {
    enum dmc_op op;
    int32_t dim[DMC_KDIM];
    int32_t times; /* how often a network has it; 0: not part of a sum */
} bench_case;

/* The layers of a network for one sample, and the batches they are timed at. */
typedef struct bench_net {
    const char *name;
    const bench_case *cases;
    size_t count;
    int32_t weights;  /* DMC_WEIGHT_*: anything but FLOAT forward only        */
    size_t megabytes; /* of weights that are in no cache; 0: they are in one */
    int32_t batch[5]; /* ends with 0                                          */
} bench_net;

/* Sizes in elements and useful operations of a case; 0 = absent operand. */
typedef struct sizes {
    size_t in[DMC_KIN], par[DMC_KPAR], out, state;
    double flop;
} sizes;

/* Weights of networks that are in no cache: small numbers, whatever type they are read as. */
enum { FAR_MEGABYTES = 256, MOST_WEIGHT = 32 };

typedef struct bench {
    FILE *json;
    dmc_bench_roof roof; /* multiply-adds: of the moment */
    dmc_kernel_table table;
    int rows;
    float *far;             /* FAR_MEGABYTES and MOST_WEIGHT of them    */
    size_t far_bytes;       /* of the network; 0: its weights are near  */
    int32_t weights;        /* DMC_WEIGHT_* of its dense layers         */
    double floor_s, took_s; /* of the network so far                    */
} bench;

static double pairs_of_rows(const int32_t *d, int up)
{
    double n = 0;
    for (int32_t p = 0; p < (up ? d[1] : d[3]); p++)
        for (int32_t j = 0; j < d[5]; j++) {
            const int32_t r = p * d[6] + j - d[7];
            n += r >= 0 && r < (up ? d[3] : d[1]);
        }
    return n;
}

static sizes dense_sizes(const bench_case *c)
{
    const int32_t *d = c->dim;
    const size_t B = (size_t)d[0];
    if (c->op == DMC_OP_LINEAR) {
        const size_t K = (size_t)d[1], M = (size_t)d[2];
        return (sizes){{B * K}, {K * M, M}, B * M, 0, 2.0 * (double)(B * K * M)}; /* Cw = 0 */
    }
    if (c->op == DMC_OP_LORA) {
        const size_t M = (size_t)d[1], r = (size_t)d[2];
        return (sizes){{B * M}, {B * r, r * M}, B * M, 0, 2.0 * (double)(B * r * M)};
    }
    const size_t K = (size_t)d[2], M = (size_t)d[4];
    return (sizes){{B * (size_t)d[1] * K},
                   {(size_t)d[5] * K * M, M},
                   B * (size_t)d[3] * M,
                   0,
                   2.0 * (double)(B * K * M) * pairs_of_rows(d, c->op == DMC_OP_CONVT1D)};
}

static sizes other_sizes(const bench_case *c)
{
    const int32_t *d = c->dim;
    const size_t n = (size_t)d[0], nm = n * (size_t)(d[1] > 0 ? d[1] : 1),
                 nmk = nm * (size_t)(d[2] > 0 ? d[2] : 1);
    switch (c->op) {
    case DMC_OP_GROUPNORM: return (sizes){{nmk}, {(size_t)d[2], (size_t)d[2]}, nmk, 0, 0};
    case DMC_OP_LAYERNORM: return (sizes){{nm}, {(size_t)d[1], (size_t)d[1]}, nm, 0, 0};
    case DMC_OP_ADD_TIME: return (sizes){{nmk, n * (size_t)d[2]}, {0}, nmk, 0, 0};
    case DMC_OP_CONCAT: return (sizes){{nm, n * (size_t)d[2]}, {0}, nm + n * (size_t)d[2], 0, 0};
    case DMC_OP_TRANSITION: return (sizes){{nm, nm, nm}, {nm, nm}, nm, 0, 0};
    case DMC_OP_MSE: return (sizes){{nm, nm}, {nm}, n, 0, 0};
    case DMC_OP_NORMAL: return (sizes){{0}, {0}, nm, 0, 0};
    case DMC_OP_NARROW: return (sizes){{n}, {0}, n / 2 + 1, 0, 0};
    case DMC_OP_SUMSQ: return (sizes){{n}, {0}, 1, 0, 0};
    case DMC_OP_ADAMW: return (sizes){{n, 1}, {0}, n, 2 * n, 0};
    case DMC_OP_ADD: return (sizes){{n, n}, {0}, n, 0, 0};
    default: return (sizes){{n}, {0}, n, 0, 0};
    }
}

static sizes sizes_of(const bench_case *c)
{
    const int dense = c->op == DMC_OP_LINEAR || c->op == DMC_OP_CONV1D || c->op == DMC_OP_CONVT1D ||
                      c->op == DMC_OP_LORA;
    return dense ? dense_sizes(c) : other_sizes(c);
}

/* n floats between -1 and 1, not denormal, 64-byte aligned; NULL for n = 0. */
static float *make_floats(size_t n, uint32_t seed, int *failed)
{
    float *const x = n > 0 ? aligned_alloc(64, (n * sizeof *x + 63) / 64 * 64) : NULL;
    if (n > 0 && x == NULL) *failed = 1;
    for (size_t i = 0; x != NULL && i < n; i++) {
        seed = seed * 1664525U + 1013904223U;
        x[i] = (float)(int32_t)seed * 0x1p-31F;
    }
    return x;
}

static void free_operands(dmc_kargs *k)
{
    for (int i = 0; i < DMC_KIN; i++) free((void *)(uintptr_t)k->in[i]), free(k->din[i]);
    for (int i = 0; i < DMC_KPAR; i++) free((void *)(uintptr_t)k->par[i]), free(k->dpar[i]);
    free(k->out);
    free((void *)(uintptr_t)k->dout);
    free(k->save);
    free(k->scratch);
}

static int make_operands(const bench *s, const bench_case *c, const sizes *z, dmc_kargs *k)
{
    int failed = 0;
    dmc_op_need need = {0};
    memcpy(k->dim, c->dim, sizeof k->dim);
    for (int i = 0; i < DMC_KATTR; i++) k->attr[i] = 0.5;
    if (s->table.op[c->op].prepare != NULL) s->table.op[c->op].prepare(k, &need);
    const size_t scratch =
        need.scratch_fwd > need.scratch_bwd ? need.scratch_fwd : need.scratch_bwd;
    for (int i = 0; i < DMC_KIN; i++) {
        k->in[i] = make_floats(z->in[i], 1, &failed);
        k->din[i] = make_floats(c->op == DMC_OP_LORA ? 0 : z->in[i], 2, &failed);
    }
    for (int i = 0; i < DMC_KPAR; i++) {
        k->par[i] = make_floats(z->par[i], 3, &failed);
        k->dpar[i] = make_floats(z->par[i], 4, &failed);
    }
    k->out = make_floats(z->out, 5, &failed);
    k->dout = make_floats(z->out, 6, &failed);
    k->save = make_floats(need.save / sizeof(float) + z->state, 7, &failed);
    k->scratch = make_floats(scratch / sizeof(float), 8, &failed);
    for (size_t i = 0; k->save != NULL && i < z->state; i++) ((float *)k->save)[i] += 1.5F;
    return failed;
}

typedef struct call {
    dmc_kargs *k;
    dmc_kernel kernel;
    const char *far; /* where weights begin, every time at the next `step`; NULL: they stay */
    size_t step, at, end;
} call;

static void run_call(void *arg)
{
    call *const c = arg;
    if (c->far != NULL) c->k->par[0] = c->far + c->at;
    c->at = c->at + c->step < c->end ? c->at + c->step : 0;
    c->kernel(c->k);
}

static void show_shape(char *text, size_t room, const bench_case *c)
{
    size_t at = 0;
    int last = DMC_KDIM;
    while (last > 1 && c->dim[last - 1] == 0) last--;
    for (int i = 0; i < last && at < room; i++)
        at += (size_t)snprintf(text + at, room - at, i > 0 ? " %d" : "%d", c->dim[i]);
}

/* Bytes of all operands, weights included. */
static double count_bytes(const bench *s, const sizes *z)
{
    double elements = (double)(z->out + z->state);
    for (int i = 0; i < DMC_KIN; i++) elements += (double)z->in[i];
    for (int i = 0; i < DMC_KPAR; i++) elements += (double)z->par[i];
    return 4 * elements - (s->weights && z->flop > 0 ? 2.0 * (double)z->par[0] : 0);
}

/* One direction of one case. A backward pass does a dense op's work twice and reads what it
 * writes to. */
static void measure(bench *s, const bench_case *c, const sizes *z, dmc_kargs *k, int backward)
{
    const int far = s->far_bytes > 0 && z->flop > 0;
    const size_t weight = z->par[0] * (s->weights ? 2 : 4);
    call work = {k, backward ? s->table.op[c->op].bwd : s->table.op[c->op].fwd, far ? (const char *)s->far : NULL,
                 (weight + 63) / 64 * 64, 0, s->far_bytes};
    const void *const near = k->par[0];
    const double bytes = count_bytes(s, z) * (backward ? 2 : 1), flop = z->flop * (backward ? 2 : 1);
    s->roof.gflops = dmc_bench_multiply_rate();
    const double took = dmc_bench_time(run_call, &work, 0.02);
    k->par[0] = near;
    const double by_flop = flop / (s->roof.gflops * 1e9),
                 by_bytes = far ? (double)weight / (dmc_bench_read_rate(s->far, s->far_bytes) * 1e9)
                                : bytes / (dmc_bench_bandwidth(&s->roof, bytes) * 1e9);
    const double least = by_flop > by_bytes ? by_flop : by_bytes;
    char shape[96] = "";
    show_shape(shape, sizeof shape, c);
    printf("%-10s %s %-28s %9.2f us  %6.1f GFLOP/s  %6.1f GB/s  %6.3f ns/out  %3.0f %% of roof",
           op_names[c->op], backward ? "bwd" : "fwd", shape, took * 1e6, flop / took * 1e-9,
           bytes / took * 1e-9, took * 1e9 / (double)z->out, 100 * least / took);
    if (z->flop > 0) printf("%s%s", far ? "  far" : "", type_names[s->weights]);
    printf(c->times > 0 ? "  x%d\n" : "\n", c->times);
    if (s->json != NULL)
        fprintf(s->json,
                "%s\n  {\"op\": \"%s\", \"pass\": \"%s\", \"dim\": \"%s\", \"weights\": %d, \"far\": %d, "
                "\"us\": %.3f, \"gflops\": %.2f, \"gbps\": %.2f, \"of_roof\": %.3f}",
                s->rows > 0 ? "," : "", op_names[c->op], backward ? "backward" : "forward", shape, (int)s->weights, far,
                took * 1e6, flop / took * 1e-9, bytes / took * 1e-9, least / took);
    s->rows++;
    s->took_s += took * c->times;
    s->floor_s += least * c->times;
}

static int bench_one(bench *s, const bench_case *c, int backward)
{
    if (s->table.op[c->op].bwd == NULL && backward) return 0;
    const sizes z = sizes_of(c);
    dmc_kargs k = {.weight_type = z.flop > 0 ? s->weights : DMC_WEIGHT_FLOAT};
    const int failed = make_operands(s, c, &z, &k);
    if (!failed) measure(s, c, &z, &k, backward);
    free_operands(&k);
    return failed;
}

/* Convolutions and norms of the Janner U-Net of hopper (14 channels, horizon 32, widths 32 64
 * 128 256). */
static const bench_case unet[] = {
    {DMC_OP_CONV1D, {1, 32, 14, 32, 32, 5, 1, 2}, 1},
    {DMC_OP_CONV1D, {1, 32, 32, 32, 32, 5, 1, 2}, 4},
    {DMC_OP_CONV1D, {1, 16, 32, 16, 64, 5, 1, 2}, 1},
    {DMC_OP_CONV1D, {1, 16, 64, 16, 64, 5, 1, 2}, 3},
    {DMC_OP_CONV1D, {1, 8, 64, 8, 128, 5, 1, 2}, 1},
    {DMC_OP_CONV1D, {1, 8, 128, 8, 128, 5, 1, 2}, 3},
    {DMC_OP_CONV1D, {1, 4, 128, 4, 256, 5, 1, 2}, 1},
    {DMC_OP_CONV1D, {1, 4, 256, 4, 256, 5, 1, 2}, 7},
    {DMC_OP_CONV1D, {1, 4, 512, 4, 128, 5, 1, 2}, 1},
    {DMC_OP_CONV1D, {1, 4, 128, 4, 128, 5, 1, 2}, 3},
    {DMC_OP_CONV1D, {1, 8, 256, 8, 64, 5, 1, 2}, 1},
    {DMC_OP_CONV1D, {1, 8, 64, 8, 64, 5, 1, 2}, 3},
    {DMC_OP_CONV1D, {1, 16, 128, 16, 32, 5, 1, 2}, 1},
    {DMC_OP_CONV1D, {1, 16, 32, 16, 32, 5, 1, 2}, 3},
    {DMC_OP_CONV1D, {1, 32, 32, 16, 32, 3, 2, 1}, 1},
    {DMC_OP_CONV1D, {1, 16, 64, 8, 64, 3, 2, 1}, 1},
    {DMC_OP_CONV1D, {1, 8, 128, 4, 128, 3, 2, 1}, 1},
    {DMC_OP_CONVT1D, {1, 4, 128, 8, 128, 4, 2, 1}, 1},
    {DMC_OP_CONVT1D, {1, 8, 64, 16, 64, 4, 2, 1}, 1},
    {DMC_OP_CONVT1D, {1, 16, 32, 32, 32, 4, 2, 1}, 1},
    {DMC_OP_CONV1D, {1, 32, 14, 32, 32, 1, 1, 0}, 1},
    {DMC_OP_CONV1D, {1, 16, 32, 16, 64, 1, 1, 0}, 1},
    {DMC_OP_CONV1D, {1, 8, 64, 8, 128, 1, 1, 0}, 1},
    {DMC_OP_CONV1D, {1, 4, 128, 4, 256, 1, 1, 0}, 1},
    {DMC_OP_CONV1D, {1, 4, 512, 4, 128, 1, 1, 0}, 1},
    {DMC_OP_CONV1D, {1, 8, 256, 8, 64, 1, 1, 0}, 1},
    {DMC_OP_CONV1D, {1, 16, 128, 16, 32, 1, 1, 0}, 1},
    {DMC_OP_CONV1D, {1, 32, 32, 32, 14, 1, 1, 0}, 1},
    {DMC_OP_GROUPNORM, {1, 32, 32, 8}, 5},
    {DMC_OP_GROUPNORM, {1, 16, 64, 8}, 4},
    {DMC_OP_GROUPNORM, {1, 8, 128, 8}, 4},
    {DMC_OP_GROUPNORM, {1, 4, 256, 8}, 8},
    {DMC_OP_GROUPNORM, {1, 4, 128, 8}, 4},
    {DMC_OP_GROUPNORM, {1, 8, 64, 8}, 4},
    {DMC_OP_GROUPNORM, {1, 16, 32, 8}, 4},
};

/* Chi's U-Net of PushT (horizon 16, widths 256 512 1024): convolutions, and the linear layers of the condition (FiLM). */
static const bench_case chi[] = {
    {DMC_OP_CONV1D, {1, 16, 2, 16, 256, 5, 1, 2}, 1},     {DMC_OP_CONV1D, {1, 16, 256, 16, 256, 5, 1, 2}, 4},
    {DMC_OP_CONV1D, {1, 8, 256, 8, 512, 5, 1, 2}, 1},     {DMC_OP_CONV1D, {1, 8, 512, 8, 512, 5, 1, 2}, 3},
    {DMC_OP_CONV1D, {1, 4, 512, 4, 1024, 5, 1, 2}, 1},    {DMC_OP_CONV1D, {1, 4, 1024, 4, 1024, 5, 1, 2}, 7},
    {DMC_OP_CONV1D, {1, 4, 2048, 4, 512, 5, 1, 2}, 1},    {DMC_OP_CONV1D, {1, 4, 512, 4, 512, 5, 1, 2}, 3},
    {DMC_OP_CONV1D, {1, 8, 1024, 8, 256, 5, 1, 2}, 1},    {DMC_OP_CONV1D, {1, 8, 256, 8, 256, 5, 1, 2}, 3},
    {DMC_OP_CONV1D, {1, 16, 256, 8, 256, 3, 2, 1}, 1},    {DMC_OP_CONV1D, {1, 8, 512, 4, 512, 3, 2, 1}, 1},
    {DMC_OP_CONVT1D, {1, 4, 512, 8, 512, 4, 2, 1}, 1},    {DMC_OP_CONVT1D, {1, 8, 256, 16, 256, 4, 2, 1}, 1},
    {DMC_OP_CONV1D, {1, 8, 256, 8, 512, 1, 1, 0}, 1},     {DMC_OP_CONV1D, {1, 4, 512, 4, 1024, 1, 1, 0}, 1},
    {DMC_OP_CONV1D, {1, 4, 2048, 4, 512, 1, 1, 0}, 1},    {DMC_OP_CONV1D, {1, 8, 1024, 8, 256, 1, 1, 0}, 1},
    {DMC_OP_LINEAR, {1, 512, 512}, 4},                    {DMC_OP_LINEAR, {1, 512, 1024}, 4},
    {DMC_OP_LINEAR, {1, 512, 2048}, 4},
};

/* Diffusion Policy's DiT (10 tokens of 320, two blocks), IDQL's policy and its two Q networks (hopper). */
static const bench_case dit[] = {
    {DMC_OP_LINEAR, {10, 320, 960}, 2}, {DMC_OP_LINEAR, {10, 320, 320}, 2}, {DMC_OP_LINEAR, {10, 320, 1280}, 2},
    {DMC_OP_LINEAR, {10, 1280, 320}, 2}, {DMC_OP_LINEAR, {1, 320, 1920}, 2}, {DMC_OP_LINEAR, {1, 320, 640}, 1},
};
static const bench_case idql[] = {
    {DMC_OP_LINEAR, {1, 78, 256}, 1}, {DMC_OP_LINEAR, {1, 256, 1024}, 3}, {DMC_OP_LINEAR, {1, 1024, 256}, 3},
    {DMC_OP_LINEAR, {1, 256, 3}, 1},
};
static const bench_case wide[] = {{DMC_OP_LINEAR, {1, 5120, 1024}, 1}};
static const bench_case twin_q[] = {
    {DMC_OP_LINEAR, {1, 14, 256}, 2}, {DMC_OP_LINEAR, {1, 256, 256}, 2}, {DMC_OP_LINEAR, {1, 256, 1}, 2},
};

/* Everything else, at sizes of the other networks, of a batch of samples and of a set of
 * weights. */
static const bench_case others[] = {
    {DMC_OP_LINEAR, {1, 256, 1024}, 0},
    {DMC_OP_LINEAR, {10, 320, 1280}, 0},
    {DMC_OP_LINEAR, {80, 320, 1280}, 0},
    {DMC_OP_LINEAR, {2048, 1280, 320}, 0},
    {DMC_OP_NARROW, {3956302, DMC_WEIGHT_BF16}, 0},
    {DMC_OP_LAYERNORM, {256, 256}, 0},
    {DMC_OP_LAYERNORM, {640, 320}, 0},
    {DMC_OP_MISH, {65536}, 0},
    {DMC_OP_SILU, {65536}, 0},
    {DMC_OP_RELU, {65536}, 0},
    {DMC_OP_TANH, {65536}, 0},
    {DMC_OP_ADD, {65536}, 0},
    {DMC_OP_ADD_TIME, {64, 8, 128}, 0},
    {DMC_OP_CONCAT, {512, 128, 128}, 0},
    {DMC_OP_NORMAL, {1, 448}, 0},
    {DMC_OP_NORMAL, {64, 448}, 0},
    {DMC_OP_TRANSITION, {64, 448}, 0},
    {DMC_OP_MSE, {64, 448}, 0},
    {DMC_OP_SUMSQ, {3956302}, 0},
    {DMC_OP_ADAMW, {3956302}, 0},
    {DMC_OP_LERP, {3956302}, 0},
    {DMC_OP_LORA, {1280, 256, 16}, 0},
};

#define NET(name, cases, weights, megabytes, ...) \
    {name, cases, sizeof(cases) / sizeof *(cases), DMC_WEIGHT_##weights, megabytes, {__VA_ARGS__}}
static const bench_net nets[] = {
    NET("Janner U-Net", unet, FLOAT, 16, 1, 16, 64), NET("Janner U-Net", unet, BF16, 8, 1, 16),
    NET("Chi U-Net", chi, FLOAT, 256, 1, 8, 64),     NET("Chi U-Net", chi, BF16, 128, 1, 8),
    NET("Chi U-Net", chi, FP16, 128, 1),             NET("DiT", dit, FLOAT, 16, 1, 8, 64),
    NET("DiT", dit, BF16, 8, 1, 8),                  NET("IDQL", idql, FLOAT, 6, 1, 16, 64, 256),
    NET("IDQL", idql, BF16, 3, 1, 16),               NET("twin Q", twin_q, FLOAT, 0, 1, 64, 256),
    NET("wide layer", wide, FLOAT, 256, 1, 4, 8),    NET("wide layer", wide, BF16, 128, 1, 4, 8),
    NET("wide layer", wide, FP16, 128, 1, 4, 8),
};

/* All layers of a network at one batch size, and at the end the time of a network's worth of them. */
static int bench_layers(bench *s, const bench_net *n, int32_t batch, int backward)
{
    int failed = 0;
    s->floor_s = s->took_s = 0;
    s->far_bytes = n->megabytes << 20;
    s->weights = n->weights;
    for (size_t i = 0; i < n->count; i++) {
        bench_case c = n->cases[i];
        c.dim[0] *= batch;
        failed |= bench_one(s, &c, backward);
    }
    s->far_bytes = 0;
    s->weights = DMC_WEIGHT_FLOAT;
    printf("  %s%s, batch %d, %s: %.1f us in these ops, %.0f %% of their roofs\n\n", n->name, type_names[n->weights], batch,
           backward ? "backward" : "forward", s->took_s * 1e6, 100 * s->floor_s / s->took_s);
    return failed;
}

static int bench_net_run(bench *s, const bench_net *n)
{
    int failed = 0;
    for (const int32_t *b = n->batch; *b > 0; b++)
        for (int backward = 0; backward < (n->weights ? 1 : 2); backward++) failed |= bench_layers(s, n, *b, backward);
    return failed;
}

/* 0x3c00 and 10 random bits of a 16-bit number: about 0.01 or 1 as bf16, fp16 or half of a float. */
static float *make_far(void)
{
    const size_t bytes = (size_t)(FAR_MEGABYTES + MOST_WEIGHT) << 20;
    uint16_t *const far = aligned_alloc(64, bytes);
    uint32_t seed = 1;
    for (size_t i = 0; far != NULL && i < bytes / sizeof *far; i++) {
        seed = seed * 1664525U + 1013904223U;
        far[i] = (uint16_t)(0x3c00 | (seed >> 16 & 0x80ff));
    }
    return (float *)(void *)far;
}

int dmc_bench_ops(FILE *json, const dmc_bench_roof *roof)
{
    bench s = {.json = json, .roof = *roof, .far = make_far()};
    int failed = s.far == NULL;
    dmc__kernels_ref_f32(&s.table);
    printf("kernels: %s; roof: %.1f GFLOP/s, read L2 %.1f L3 %.1f memory %.1f GB/s\n",
           dmc__kernels_cpu(&s.table), roof->gflops, roof->l2, roof->l3, roof->dram);
    if (json != NULL) fprintf(json, "[");
    for (size_t i = 0; !failed && i < sizeof nets / sizeof *nets; i++) failed |= bench_net_run(&s, &nets[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        for (int backward = 0; backward < 2; backward++)
            failed |= bench_one(&s, &others[i], backward);
    if (json != NULL) fprintf(json, "\n]\n");
    free(s.far);
    return failed ? -1 : 0;
}
