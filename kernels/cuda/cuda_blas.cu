/* cuda_blas.cu — products by cublasLt, which counts columns first: our rows are its columns, so that C^T = B^T A^T is asked for.
 * What it chose for a shape is kept, so that a call made before costs no search and works while a stream is recorded. Roof:
 * multiply-adds, or tensor cores with TF32 and bf16. Measured: not yet (docs/gpu-results.md). */
#include "cuda_blas.h"

#include <stdlib.h>
#include <string.h>

#include "cuda_device.h"

enum { KNOWN = 256 }; /* shapes that are kept; beyond that the oldest goes */

/* What the choice depends on. */
typedef struct shape_key {
    uint32_t m, n, k, lda, ldb, ldc;
    int32_t turn_a, turn_b, add, biased, aligned;
} shape_key;

typedef struct known_product {
    shape_key key;
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t a, b, c; /* as cublasLt has them: a is our b */
    cublasLtMatmulAlgo_t algo;
    int32_t no_way; /* for this shape cublasLt has no algorithm */
} known_product;

struct cuda_products {
    known_product known[KNOWN];
    uint32_t count, next;
};

static int32_t blas_result(cuda_queue *q, cublasStatus_t status, const char *what)
{
    if (status == CUBLAS_STATUS_SUCCESS) return CUDA_OK;
    q->failed = 1;
    return q->host->fail(CUDA_EDEVICE, "cuda:%d, %s: %s", q->device, what, cublasLtGetStatusName(status));
}

/* A lack is no error, and is remembered. */
static int32_t result_for(cuda_queue *q, known_product *p, cublasStatus_t status, const char *what)
{
    p->no_way = status == CUBLAS_STATUS_NOT_SUPPORTED;
    return p->no_way ? static_cast<int32_t>(CUDA_NO_WAY) : blas_result(q, status, what);
}

/* ---- a queue's memory of shapes ----------------------------------------------------------------------------------- */

int32_t cuda_products_open(cuda_queue *q)
{
    q->products = static_cast<cuda_products *>(calloc(1, sizeof(cuda_products)));
    if (!q->products) return q->host->fail(CUDA_ENOMEM, "out of memory: %zu bytes for products", sizeof(cuda_products));
    return blas_result(q, cublasLtCreate(&q->blas), "opening cublasLt");
}

static void forget(known_product *p)
{
    if (p->c) cublasLtMatrixLayoutDestroy(p->c);
    if (p->b) cublasLtMatrixLayoutDestroy(p->b);
    if (p->a) cublasLtMatrixLayoutDestroy(p->a);
    if (p->desc) cublasLtMatmulDescDestroy(p->desc);
    memset(p, 0, sizeof *p);
}

void cuda_products_close(cuda_queue *q)
{
    for (uint32_t i = 0; q->products && i < q->products->count; i++) forget(&q->products->known[i]);
    free(q->products);
    if (q->blas) cublasLtDestroy(q->blas);
    q->products = nullptr;
    q->blas = nullptr;
}

/* ---- describing a product ----------------------------------------------------------------------------------------- */

static cublasComputeType_t compute_type(const cuda_queue *q)
{
    if (q->matrix == DMC_MULTIPLY_TF32) return CUBLAS_COMPUTE_32F_FAST_TF32;
    return q->matrix == DMC_MULTIPLY_BF16 ? CUBLAS_COMPUTE_32F_FAST_16BF : CUBLAS_COMPUTE_32F;
}

static cublasStatus_t describe(known_product *p, cublasComputeType_t type)
{
    const cublasOperation_t turn = CUBLAS_OP_T;
    const cublasLtEpilogue_t biased = CUBLASLT_EPILOGUE_BIAS;
    const shape_key *const s = &p->key;
    cublasStatus_t status = cublasLtMatmulDescCreate(&p->desc, type, CUDA_R_32F);
    if (status == CUBLAS_STATUS_SUCCESS && s->turn_b)
        status = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSA, &turn, sizeof turn);
    if (status == CUBLAS_STATUS_SUCCESS && s->turn_a)
        status = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_TRANSB, &turn, sizeof turn);
    if (status == CUBLAS_STATUS_SUCCESS && s->biased)
        status = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &biased, sizeof biased);
    return status;
}

static cublasStatus_t lay_out(known_product *p)
{
    const shape_key *const s = &p->key;
    cublasStatus_t status = cublasLtMatrixLayoutCreate(&p->a, CUDA_R_32F, s->turn_b ? s->k : s->n, s->turn_b ? s->n : s->k, s->ldb);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatrixLayoutCreate(&p->b, CUDA_R_32F, s->turn_a ? s->m : s->k, s->turn_a ? s->k : s->m, s->lda);
    return status == CUBLAS_STATUS_SUCCESS ? cublasLtMatrixLayoutCreate(&p->c, CUDA_R_32F, s->n, s->m, s->ldc) : status;
}

static cublasStatus_t set_limits(cublasLtMatmulPreference_t want, const cuda_queue *q, uint32_t bytes)
{
    static const cublasLtMatmulPreferenceAttributes_t aligned[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    cublasStatus_t status = cublasLtMatmulPreferenceSetAttribute(want, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                                 &q->workspace_bytes, sizeof q->workspace_bytes);
    for (int i = 0; i < 4 && status == CUBLAS_STATUS_SUCCESS; i++)
        status = cublasLtMatmulPreferenceSetAttribute(want, aligned[i], &bytes, sizeof bytes);
    return status;
}

static cublasStatus_t choose(const cuda_queue *q, known_product *p)
{
    cublasLtMatmulPreference_t want = nullptr;
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    cublasStatus_t status = cublasLtMatmulPreferenceCreate(&want);
    if (status == CUBLAS_STATUS_SUCCESS) status = set_limits(want, q, static_cast<uint32_t>(p->key.aligned));
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulAlgoGetHeuristic(q->blas, p->desc, p->a, p->b, p->c, p->c, want, 1, &best, &found);
    if (want) cublasLtMatmulPreferenceDestroy(want);
    if (status == CUBLAS_STATUS_SUCCESS) status = found > 0 ? best.state : CUBLAS_STATUS_NOT_SUPPORTED;
    if (status == CUBLAS_STATUS_SUCCESS) p->algo = best.algo;
    return status;
}

static shape_key key_of(const cuda_gemm &g)
{
    const uintptr_t all = reinterpret_cast<uintptr_t>(g.a) | reinterpret_cast<uintptr_t>(g.b) | reinterpret_cast<uintptr_t>(g.c) |
                          reinterpret_cast<uintptr_t>(g.bias);
    return {g.m, g.n, g.k, g.lda, g.ldb, g.ldc, g.turn_a, g.turn_b, g.add, g.bias != nullptr, all % 16 == 0 ? 16 : 4};
}

/* The place of a shape that is new. */
static known_product *make_room(cuda_products *all)
{
    known_product *const p = &all->known[all->next];
    if (all->count < KNOWN) all->count++;
    all->next = (all->next + 1) % KNOWN;
    forget(p);
    return p;
}

static int32_t find(cuda_queue *q, const shape_key &key, known_product **out)
{
    cuda_products *const all = q->products;
    for (uint32_t i = 0; i < all->count; i++)
        if (memcmp(&all->known[i].key, &key, sizeof key) == 0) {
            *out = &all->known[i];
            return all->known[i].no_way ? static_cast<int32_t>(CUDA_NO_WAY) : CUDA_OK;
        }
    known_product *const p = make_room(all);
    p->key = key;
    cublasStatus_t status = describe(p, compute_type(q));
    if (status == CUBLAS_STATUS_SUCCESS) status = lay_out(p);
    if (status == CUBLAS_STATUS_SUCCESS) status = choose(q, p);
    *out = p;
    return result_for(q, p, status, "choosing a product");
}

/* ---- the call ----------------------------------------------------------------------------------------------------- */

static cublasStatus_t multiply(cuda_queue *q, const known_product *p, const cuda_gemm &g)
{
    const float one = 1, kept = g.add ? 1.0f : 0.0f;
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    if (g.bias)
        status = cublasLtMatmulDescSetAttribute(p->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &g.bias, sizeof g.bias);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    return cublasLtMatmul(q->blas, p->desc, &one, g.b, p->a, g.a, p->b, &kept, g.c, p->c, g.c, p->c, &p->algo, q->workspace,
                          q->workspace_bytes, q->stream);
}

int32_t cuda_blas(const dmc_kargs *k, const cuda_gemm &g)
{
    cuda_queue *const q = static_cast<cuda_queue *>(k->queue);
    known_product *p = nullptr;
    if (q->failed) return cuda_refuse(q, "multiplying");
    const int before = cuda_enter(q);
    int32_t status = find(q, key_of(g), &p);
    if (status == CUDA_OK) status = result_for(q, p, multiply(q, p, g), "multiplying");
    cuda_leave(q, before);
    return status;
}
