/* kernels.h — everything a kernel sees. Kernels include this file and nothing else of libdmc.
 *
 * A backend is a table of `dmc_op_impl`, one per row of ops.def. kernels/ref fills every slot in plain
 * scalar C and so defines what each op means; kernels/cpu and kernels/cuda overwrite slots.
 *
 * Tensor pointers are `void *` because the element type belongs to the backend: float for ref, cpu and
 * cuda; double for ref64, which is the reference compiled a second time and is what gradients and golden
 * files are checked with.
 */
#ifndef DMC_KERNELS_H
#define DMC_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum dmc_op {
#define OP(NAME, name, n_in, n_par, has_bwd) DMC_OP_##NAME,
#include "ops.def"
#undef OP
    DMC_OP_COUNT
};

enum { DMC_KIN = 3, DMC_KPAR = 2, DMC_KDIM = 10, DMC_KATTR = 10 };

/* What a matrix weight consists of: elements like everything else, or 16-bit numbers (bfloat16: the upper half of
 * a float; IEEE binary16). NARROW makes the latter. */
enum dmc_weight_type { DMC_WEIGHT_FLOAT = 0, DMC_WEIGHT_BF16 = 1, DMC_WEIGHT_FP16 = 2 };

/* Data-parallel loop: run calls fn(arg, i) once for every i < n, in any order, on any thread, and returns
 * when all are done. Where a result depends on how work is cut, that is by shape alone, never by thread
 * count, so that threads change no result. NULL means: call in a plain loop. */
typedef void (*dmc_task)(void *arg, size_t i);
typedef struct dmc_parallel {
    void (*run)(void *pool, dmc_task fn, void *arg, size_t n);
    void *pool;
    int32_t threads;
} dmc_parallel;

typedef struct dmc_kargs {
    const void *in[DMC_KIN];    /* inputs; NULL where the op allows it                                  */
    void *out, *out2;           /* results                                                              */
    const void *par[DMC_KPAR];  /* weights, or the side inputs named in ops.def                         */
    void *save;                 /* written by forward, read by backward; size from dmc_op_need          */
    void *scratch;              /* dead after the call; size from dmc_op_need                           */
    const void *dout;           /* backward: gradient of out                                            */
    void *din[DMC_KIN];         /* backward: gradient of in[i]; NULL = not wanted                       */
    void *dpar[DMC_KPAR];       /* backward: gradient of par[i], always added to; NULL = not wanted     */
    uint32_t acc;               /* backward: bit i set = add to din[i], clear = overwrite it            */
    int32_t dim[DMC_KDIM];      /* order given in ops.def                                               */
    int32_t weight_type;        /* forward of LINEAR, CONV1D, CONVT1D: what par[0] holds, DMC_WEIGHT_*; */
                                /* sums are in single precision or better whatever it is                */
    double attr[DMC_KATTR];     /* order given in ops.def                                               */
    uint64_t key[4];            /* random stream of NORMAL and of dropout                               */
    /* Only backends that record get these (plugin.h): calls that are written down once and done often take what */
    /* changes from tensor memory. NULL: nothing. */
    const uint64_t *key_base;   /* added to key, word by word                                           */
    const double *live;         /* ADAMW: in place of attr                                              */
    const dmc_parallel *par_for;/* NULL = serial                                                        */
    void *queue;                /* the backend's state: where a device does the call                    */
} dmc_kargs;

/* Bytes an op needs beside its operands. Alignment of both is 64. */
typedef struct dmc_op_need {
    size_t save, scratch_fwd, scratch_bwd;
} dmc_op_need;

/* 0 = ok; otherwise a dmc_status number (device failure). CPU kernels cannot fail. */
typedef int32_t (*dmc_kernel)(const dmc_kargs *k);

typedef struct dmc_op_impl {
    dmc_kernel fwd;
    dmc_kernel bwd; /* NULL exactly where ops.def says has_backward = 0 */
    /* Called once at create time with dim, attr, din/dpar wishes (non-NULL markers are not required) set.
     * Reports memory. NULL = needs nothing. */
    int32_t (*prepare)(dmc_kargs *k, dmc_op_need *need);
} dmc_op_impl;

typedef struct dmc_kernel_table {
    dmc_op_impl op[DMC_OP_COUNT];
} dmc_kernel_table;

/* Fill every slot with the reference, float or double elements. */
void dmc__kernels_ref_f32(dmc_kernel_table *t);
void dmc__kernels_ref_f64(dmc_kernel_table *t);
/* Overwrite the slots this CPU has something better for (CPUID at run time); leaves the rest. Returns the
 * name of the instruction set chosen ("avx512", "avx2", "generic"). */
const char *dmc__kernels_cpu(dmc_kernel_table *t);

/* Purposes of random streams (key[1] of NORMAL): numbers are part of the reproducibility promise. */
enum dmc_stream {
    DMC_STREAM_INIT = 1,     /* weight initialisation                     */
    DMC_STREAM_BATCH = 2,    /* which samples enter a batch                */
    DMC_STREAM_TIME = 3,     /* diffusion time of a training sample        */
    DMC_STREAM_NOISE = 4,    /* epsilon of a training sample               */
    DMC_STREAM_LATENT = 5,   /* z_T of a sampling chain                    */
    DMC_STREAM_STEP = 6,     /* xi of one transition of a sampling chain   */
    DMC_STREAM_BANK = 7,     /* fixed noise bank of the likelihood         */
    DMC_STREAM_SELECT = 8,   /* softmax choice among candidates            */
    DMC_STREAM_SPLIT = 9,    /* train / held-out split                     */
    DMC_STREAM_MASK = 10,    /* random in-painting masks                   */
    DMC_STREAM_ENV = 11,     /* environment resets                         */
    DMC_STREAM_DROPOUT = 12, /* what dropout keeps while training          */
    DMC_STREAM_KNOWN = 13    /* noise of known entries in a sampling chain */
};

#endif
