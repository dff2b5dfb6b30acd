/* bench_ops.c — see bench_ops.h. `of roof` is the time the machine cannot beat, for the
 * operations on taps that exist and for each operand once from the level of memory the working
 * set fits, divided by the time taken. */
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

typedef struct bench_case {
    enum dmc_op op;
    int32_t dim[DMC_KDIM];
    int32_t times; /* how often a network has it; 0: not part of a sum */
} bench_case;

/* Sizes in elements and useful operations of a case; 0 = absent operand. */
typedef struct sizes {
    size_t in[DMC_KIN], par[DMC_KPAR], out, state;
    double flop;
} sizes;

typedef struct bench {
    FILE *json;
    const dmc_bench_roof *roof;
    dmc_kernel_table table;
    int rows;
    double floor_s, took_s; /* of the network so far */
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

/* Pairs of an input and an output place of one axis of an image. */
static double pairs_of_places(int32_t in, int32_t out, const int32_t *tap)
{
    const int32_t d[] = {0, in, 0, out, 0, tap[0], tap[1], tap[2]};
    return pairs_of_rows(d, 0);
}

/* dim: B H W Ci Ho Wo Co k stride pad */
static sizes conv2d_sizes(const bench_case *c)
{
    const int32_t *d = c->dim;
    const size_t B = (size_t)d[0], K = (size_t)d[3], M = (size_t)d[6];
    return (sizes){{B * (size_t)(d[1] * d[2]) * K},
                   {(size_t)(d[7] * d[7]) * K * M},
                   B * (size_t)(d[4] * d[5]) * M,
                   0,
                   2.0 * (double)(B * K * M) * pairs_of_places(d[1], d[4], d + 7) * pairs_of_places(d[2], d[5], d + 7)};
}

static sizes dense_sizes(const bench_case *c)
{
    const int32_t *d = c->dim;
    const size_t B = (size_t)d[0];
    if (c->op == DMC_OP_LINEAR) {
        const size_t K = (size_t)d[1], M = (size_t)d[2];
        return (sizes){{B * K}, {K * M, M}, B * M, 0, 2.0 * (double)(B * K * M)};
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

/* dim[5], which the kernel does not read: 1 = with a residual, behind the modulation if there is one. */
static sizes norm_sizes(const int32_t *d)
{
    const size_t n = (size_t)d[0] * (size_t)d[1] * (size_t)d[2], C = (size_t)d[2], e = (size_t)d[0] * (size_t)d[4],
                 r = d[5] ? n : 0;
    return (sizes){{n, e != 0 ? e : r, e != 0 ? r : 0}, {C, C}, n, 0, 0};
}

static sizes other_sizes(const bench_case *c)
{
    const int32_t *d = c->dim;
    const size_t n = (size_t)d[0], nm = n * (size_t)(d[1] > 0 ? d[1] : 1),
                 nmk = nm * (size_t)(d[2] > 0 ? d[2] : 1);
    switch (c->op) {
    case DMC_OP_CONV2D: return conv2d_sizes(c);
    case DMC_OP_MAXPOOL2D:
        return (sizes){{nmk * (size_t)d[3]}, {0}, n * (size_t)(d[4] * d[5]) * (size_t)d[3], 0, 0};
    case DMC_OP_SPATIAL_SOFTMAX: return (sizes){{nmk * (size_t)d[3]}, {1}, n * 2 * (size_t)d[3], 0, 0};
    case DMC_OP_CROP2D: return (sizes){{nmk * (size_t)d[3]}, {0}, n * (size_t)(d[4] * d[5]) * (size_t)d[3], 0, 0};
    case DMC_OP_GROUPNORM: return norm_sizes(d);
    case DMC_OP_LAYERNORM: return (sizes){{nm}, {(size_t)d[1], (size_t)d[1]}, nm, 0, 0};
    case DMC_OP_ADD_TIME: return (sizes){{nmk, n * (size_t)d[2]}, {0}, nmk, 0, 0};
    case DMC_OP_CONCAT: return (sizes){{nm, n * (size_t)d[2]}, {0}, nm + n * (size_t)d[2], 0, 0};
    case DMC_OP_TRANSITION: return (sizes){{nm, nm, nm}, {nm, nm}, nm, 0, 0};
    case DMC_OP_MSE: return (sizes){{nm, nm}, {nm}, n, 0, 0};
    case DMC_OP_NORMAL: return (sizes){{0}, {0}, nm, 0, 0};
    case DMC_OP_SUMSQ: return (sizes){{n}, {0}, 1, 0, 0};
    case DMC_OP_ADAMW: return (sizes){{n, 1}, {0}, n, 2 * n, 0};
    case DMC_OP_REPEAT: return (sizes){{(size_t)(d[2] + d[4]) * (size_t)d[1]}, {0}, nm, 0, 0};
    case DMC_OP_ADD: return (sizes){{n, n}, {0}, n, 0, 0};
    default: return (sizes){{n}, {0}, n, 0, 0};
    }
}

/* Attention: two products forward (five backward, of which the two that make the shares again are not counted: twice
 * forward). */
static sizes transformer_sizes(const bench_case *c)
{
    const int32_t *d = c->dim;
    const size_t B = (size_t)d[0], n = B * (size_t)d[1] * (size_t)d[2];
    if (c->op == DMC_OP_ADALN) return (sizes){{n, B * (size_t)d[3]}, {0}, n, 0, 0};
    if (c->op == DMC_OP_GATE) return (sizes){{n, n, B * (size_t)d[3]}, {0}, n, 0, 0};
    if (c->op != DMC_OP_ATTENTION) return (sizes){{n}, {(size_t)d[1] * (size_t)d[2]}, n, 0, 0};
    const size_t D = (size_t)d[3] * (size_t)d[4], q = B * (size_t)d[1] * D, kv = B * (size_t)d[2] * D;
    const int self = d[1] == d[2];
    return (sizes){{self ? 3 * q : q, self ? 0 : 2 * kv}, {0}, q, 0, 4.0 * (double)(n * D)};
}

static sizes sizes_of(const bench_case *c)
{
    if (c->op == DMC_OP_ATTENTION || c->op == DMC_OP_ADALN || c->op == DMC_OP_GATE || c->op == DMC_OP_ADD_TABLE)
        return transformer_sizes(c);
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
    for (int i = 0; i < DMC_KATTR; i++) k->attr[i] = c->op == DMC_OP_ATTENTION ? 0 : 0.5;
    if (c->op == DMC_OP_GROUPNORM) k->attr[1] = 1;
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
    const dmc_kargs *k;
    dmc_kernel kernel;
} call;

static void run_call(void *arg)
{
    const call *const c = arg;
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

/* One direction of one case. A backward pass does a dense op's work twice and reads what it
 * writes to. */
static void measure(bench *s, const bench_case *c, const sizes *z, const dmc_kargs *k, int backward)
{
    call work = {k, backward ? s->table.op[c->op].bwd : s->table.op[c->op].fwd};
    double elements = (double)(z->out + z->state);
    for (int i = 0; i < DMC_KIN; i++) elements += (double)z->in[i];
    for (int i = 0; i < DMC_KPAR; i++) elements += (double)z->par[i];
    const double bytes = elements * sizeof(float) * (backward ? 2 : 1),
                 flop = z->flop * (backward ? 2 : 1);
    const double took = dmc_bench_time(run_call, &work, 0.02);
    const double by_flop = flop / (s->roof->gflops * 1e9),
                 by_bytes = bytes / (dmc_bench_bandwidth(s->roof, bytes) * 1e9);
    const double least = by_flop > by_bytes ? by_flop : by_bytes;
    char shape[96] = "";
    show_shape(shape, sizeof shape, c);
    printf("%-10s %s %-28s %9.2f us  %6.1f GFLOP/s  %6.1f GB/s  %6.3f ns/out  %3.0f %% of roof",
           op_names[c->op], backward ? "bwd" : "fwd", shape, took * 1e6, flop / took * 1e-9,
           bytes / took * 1e-9, took * 1e9 / (double)z->out, 100 * least / took);
    printf(c->times > 0 ? "  x%d\n" : "\n", c->times);
    if (s->json != NULL)
        fprintf(s->json,
                "%s\n  {\"op\": \"%s\", \"pass\": \"%s\", \"dim\": \"%s\", \"us\": %.3f, "
                "\"gflops\": %.2f, "
                "\"gbps\": %.2f, \"of_roof\": %.3f}",
                s->rows > 0 ? "," : "", op_names[c->op], backward ? "backward" : "forward", shape,
                took * 1e6, flop / took * 1e-9, bytes / took * 1e-9, least / took);
    s->rows++;
    s->took_s += took * c->times;
    s->floor_s += by_flop * c->times;
}

static int bench_one(bench *s, const bench_case *c, int backward)
{
    if (s->table.op[c->op].bwd == NULL && backward) return 0;
    const sizes z = sizes_of(c);
    dmc_kargs k = {0};
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
    {DMC_OP_GROUPNORM, {1, 32, 32, 8}, 1},
    {DMC_OP_GROUPNORM, {1, 32, 32, 8, 32, 0}, 2},
    {DMC_OP_GROUPNORM, {1, 32, 32, 8, 0, 1}, 2},
    {DMC_OP_GROUPNORM, {1, 16, 64, 8, 64, 0}, 2},
    {DMC_OP_GROUPNORM, {1, 16, 64, 8, 0, 1}, 2},
    {DMC_OP_GROUPNORM, {1, 8, 128, 8, 128, 0}, 2},
    {DMC_OP_GROUPNORM, {1, 8, 128, 8, 0, 1}, 2},
    {DMC_OP_GROUPNORM, {1, 4, 256, 8, 256, 0}, 4},
    {DMC_OP_GROUPNORM, {1, 4, 256, 8, 0, 1}, 4},
    {DMC_OP_GROUPNORM, {1, 4, 128, 8, 128, 0}, 2},
    {DMC_OP_GROUPNORM, {1, 4, 128, 8, 0, 1}, 2},
    {DMC_OP_GROUPNORM, {1, 8, 64, 8, 64, 0}, 2},
    {DMC_OP_GROUPNORM, {1, 8, 64, 8, 0, 1}, 2},
    {DMC_OP_GROUPNORM, {1, 16, 32, 8, 32, 0}, 2},
    {DMC_OP_GROUPNORM, {1, 16, 32, 8, 0, 1}, 2},
};

/* Convolutions and norms of a ResNet-18 that sees 84 x 84 pixels. */
static const bench_case resnet[] = {
    {DMC_OP_CONV2D, {1, 84, 84, 3, 42, 42, 64, 7, 2, 3}, 1},
    {DMC_OP_MAXPOOL2D, {1, 42, 42, 64, 21, 21, 3, 2, 1}, 1},
    {DMC_OP_CONV2D, {1, 21, 21, 64, 21, 21, 64, 3, 1, 1}, 4},
    {DMC_OP_CONV2D, {1, 21, 21, 64, 11, 11, 128, 3, 2, 1}, 1},
    {DMC_OP_CONV2D, {1, 21, 21, 64, 11, 11, 128, 1, 2, 0}, 1},
    {DMC_OP_CONV2D, {1, 11, 11, 128, 11, 11, 128, 3, 1, 1}, 3},
    {DMC_OP_CONV2D, {1, 11, 11, 128, 6, 6, 256, 3, 2, 1}, 1},
    {DMC_OP_CONV2D, {1, 11, 11, 128, 6, 6, 256, 1, 2, 0}, 1},
    {DMC_OP_CONV2D, {1, 6, 6, 256, 6, 6, 256, 3, 1, 1}, 3},
    {DMC_OP_CONV2D, {1, 6, 6, 256, 3, 3, 512, 3, 2, 1}, 1},
    {DMC_OP_CONV2D, {1, 6, 6, 256, 3, 3, 512, 1, 2, 0}, 1},
    {DMC_OP_CONV2D, {1, 3, 3, 512, 3, 3, 512, 3, 1, 1}, 3},
    {DMC_OP_GROUPNORM, {1, 1764, 64, 4}, 1},
    {DMC_OP_GROUPNORM, {1, 441, 64, 4}, 4},
    {DMC_OP_GROUPNORM, {1, 121, 128, 8}, 5},
    {DMC_OP_GROUPNORM, {1, 36, 256, 16}, 5},
    {DMC_OP_GROUPNORM, {1, 9, 512, 32}, 5},
    {DMC_OP_SPATIAL_SOFTMAX, {1, 3, 3, 512}, 0},
    {DMC_OP_CROP2D, {1, 96, 96, 3, 84, 84}, 0},
};

/* Everything else, at sizes of the other networks, of a batch of samples and of a set of
 * weights. */
static const bench_case others[] = {
    {DMC_OP_LINEAR, {1, 256, 1024}, 0},
    {DMC_OP_LINEAR, {1, 1024, 256}, 0},
    {DMC_OP_LINEAR, {10, 320, 1280}, 0},
    {DMC_OP_LINEAR, {64, 256, 1024}, 0},
    {DMC_OP_LINEAR, {256, 1024, 256}, 0},
    {DMC_OP_LINEAR, {2048, 1280, 320}, 0},
    {DMC_OP_LINEAR, {1, 5120, 1024}, 0},
    {DMC_OP_LINEAR, {4, 5120, 1024}, 0},
    {DMC_OP_CONV1D, {1, 4, 1024, 4, 1024, 5, 1, 2}, 0},
    {DMC_OP_CONV1D, {8, 4, 1024, 4, 1024, 5, 1, 2}, 0},
    {DMC_OP_GROUPNORM, {1, 4, 1024, 8, 2048, 0}, 0},
    {DMC_OP_GROUPNORM, {64, 4, 1024, 8, 2048, 0}, 0},
    {DMC_OP_GROUPNORM, {1, 1764, 64, 4, 0, 1}, 0},
    {DMC_OP_LAYERNORM, {256, 256}, 0},
    {DMC_OP_LAYERNORM, {640, 320}, 0},
    {DMC_OP_ATTENTION, {1, 10, 10, 10, 32}, 0},
    {DMC_OP_ATTENTION, {64, 10, 10, 10, 32}, 0},
    {DMC_OP_ATTENTION, {1, 32, 32, 10, 32}, 0},
    {DMC_OP_ATTENTION, {64, 32, 32, 10, 32}, 0},
    {DMC_OP_ATTENTION, {64, 10, 10, 4, 64}, 0},
    {DMC_OP_ATTENTION, {64, 10, 3, 4, 64}, 0},
    {DMC_OP_ATTENTION, {64, 10, 10, 4, 192}, 0},
    {DMC_OP_ATTENTION, {1, 1024, 1024, 8, 32}, 0},
    {DMC_OP_ADALN, {64, 10, 320, 1920}, 0},
    {DMC_OP_GATE, {64, 10, 320, 1920}, 0},
    {DMC_OP_ADD_TABLE, {64, 10, 256}, 0},
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
    {DMC_OP_REPEAT, {64, 256, 0, 64, 1}, 0},
};

/* A network's list at one batch size, with the time of a network's worth of it at the end. */
static int bench_list(bench *s, const char *name, const bench_case *list, size_t n, int32_t batch, int backward)
{
    int failed = 0;
    s->floor_s = s->took_s = 0;
    for (size_t i = 0; i < n; i++) {
        bench_case c = list[i];
        c.dim[0] = batch;
        failed |= bench_one(s, &c, backward);
    }
    printf("  %s, batch %d, %s: %.1f us in these ops, %.0f %% of the multiply-add roof\n\n", name, batch,
           backward ? "backward" : "forward", s->took_s * 1e6, 100 * s->floor_s / s->took_s);
    return failed;
}

static int bench_unet(bench *s, int32_t batch, int backward)
{
    return bench_list(s, "Janner U-Net", unet, sizeof unet / sizeof *unet, batch, backward);
}

static int bench_resnet(bench *s, int32_t frames, int backward)
{
    return bench_list(s, "ResNet-18 of 84 x 84", resnet, sizeof resnet / sizeof *resnet, frames, backward);
}

int dmc_bench_ops(const dmc_bench_setup *setup)
{
    static const int32_t batches[] = {1, 16, 64}, frames[] = {1, 2, 32};
    const dmc_bench_roof *const roof = &setup->roof[0];
    FILE *const json = setup->json;
    bench s = {.json = json, .roof = roof};
    int failed = 0;
    dmc__kernels_ref_f32(&s.table);
    printf("kernels: %s; roof: %.1f GFLOP/s, reading 256 KiB %.1f, 4 MiB %.1f, 256 MiB %.1f GB/s\n",
           dmc__kernels_cpu(&s.table), roof->gflops, dmc_bench_bandwidth(roof, 256 << 10),
           dmc_bench_bandwidth(roof, 4 << 20), dmc_bench_bandwidth(roof, 256 << 20));
    if (json != NULL) fprintf(json, "[");
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        for (int backward = 0; backward < 2; backward++)
            failed |= bench_unet(&s, batches[i], backward);
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
        for (int backward = 0; backward < 2; backward++) failed |= bench_resnet(&s, frames[i], backward);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        for (int backward = 0; backward < 2; backward++)
            failed |= bench_one(&s, &others[i], backward);
    if (json != NULL) fprintf(json, "\n]\n");
    return failed ? -1 : 0;
}
