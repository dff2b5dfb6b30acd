/* emu_blas.cpp — D = alpha op(A) op(B) + beta C (+ bias, one per row): D(m,n), op(A)(m,k), op(B)(k,n), by columns. Sums are
 * floats, added up in the order of k. Columns that do not all begin on 16 bytes are not supported. */
#include "cublasLt.h"
#include "emu_parts.h"

#include <atomic>
#include <vector>

struct emu_blas {
    int unused;
};

struct emu_product {
    int32_t trans_a, trans_b, epilogue;
    const float *bias;
};

struct emu_layout {
    cudaDataType type;
    uint64_t rows, cols;
    int64_t ld;
};

struct emu_preference {
    uint64_t workspace;
};

const char *cublasLtGetStatusName(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS         ? "CUBLAS_STATUS_SUCCESS"
           : status == CUBLAS_STATUS_INVALID_VALUE ? "CUBLAS_STATUS_INVALID_VALUE"
           : status == CUBLAS_STATUS_NOT_SUPPORTED ? "CUBLAS_STATUS_NOT_SUPPORTED"
                                                   : "CUBLAS_STATUS_OTHER";
}

/* ---- things that are made and thrown away --------------------------------------------------------------------------- */

template <typename T> static cublasStatus_t make(T **out, const T &value)
{
    *out = new T(value);
    return CUBLAS_STATUS_SUCCESS;
}

template <typename T> static cublasStatus_t destroy(T *thing)
{
    delete thing;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    return make(handle, {});
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    return destroy(handle);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *desc, cublasComputeType_t, cudaDataType_t scale)
{
    if (scale != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
    return make(desc, {CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr});
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc)
{
    return destroy(desc);
}

template <typename T> static cublasStatus_t take(T *to, const void *value, size_t bytes)
{
    if (bytes != sizeof *to) return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes)
{
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return take(&desc->trans_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return take(&desc->trans_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return take(&desc->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return take(&desc->bias, value, bytes);
    }
    return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows, uint64_t cols,
                                          int64_t ld)
{
    return make(layout, {type, rows, cols, ld});
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
    return destroy(layout);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
    return make(preference, {});
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
    return destroy(preference);
}

/* Alignment and schemes of reduction choose among algorithms: here there is one. */
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void *value,
                                                    size_t bytes)
{
    uint32_t ignored;
    if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return take(&preference->workspace, value, bytes);
    return take(&ignored, value, bytes);
}

/* ---- searches ------------------------------------------------------------------------------------------------------- */

static std::atomic<uint64_t> searches;

extern "C" __attribute__((visibility("default"))) uint64_t emu_searches(void)
{
    return searches;
}

enum { CHOSEN = 0x5a }; /* an algorithm that a search gave */

/* A library may say that it has no way by finding nothing, when it is asked, and when it is to multiply: which of them it is
 * here depends on the distance of columns, in floats, beyond whole 16 bytes. */
enum emu_refusal { ABLE = 0, FINDS_NOTHING = 1, REFUSES_TO_SEARCH = 2, REFUSES_TO_MULTIPLY = 3 };

static emu_refusal refusal(const emu_layout &a, const emu_layout &b, const emu_layout &d)
{
    return static_cast<emu_refusal>((a.ld | b.ld | d.ld) % 4);
}

/* ---- the product ---------------------------------------------------------------------------------------------------- */

typedef struct call {
    emu_product product;
    emu_layout a, b, d;
    const void *A, *B;
    const float *C;
    float *D, alpha, beta;
    int64_t ldc;
} call;

static bool shape_is(const emu_layout &l, uint64_t rows, uint64_t cols)
{
    return l.rows == rows && l.cols == cols && l.ld >= static_cast<int64_t>(rows) && rows > 0 && cols > 0;
}

static cublasStatus_t check(const emu_product &p, const emu_layout &a, const emu_layout &b, const emu_layout &c,
                            const emu_layout &d)
{
    const uint64_t k = p.trans_a ? a.rows : a.cols;
    if (p.trans_a > CUBLAS_OP_T || p.trans_b > CUBLAS_OP_T || c.type != CUDA_R_32F || d.type != CUDA_R_32F || a.type != b.type ||
        (p.epilogue != CUBLASLT_EPILOGUE_DEFAULT && p.epilogue != CUBLASLT_EPILOGUE_BIAS))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    const bool fits = (p.trans_a ? shape_is(a, k, d.rows) : shape_is(a, d.rows, k)) &&
                      (p.trans_b ? shape_is(b, d.cols, k) : shape_is(b, k, d.cols)) && shape_is(c, d.rows, d.cols) &&
                      shape_is(d, d.rows, d.cols);
    return fits ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

/* op(X) as floats, by columns without gaps. */
static std::vector<float> unfold(const void *x, const emu_layout &l, bool transposed)
{
    std::vector<float> out(l.rows * l.cols);
    for (size_t j = 0; j < l.cols; j++)
        for (size_t i = 0; i < l.rows; i++)
            out[transposed ? i * l.cols + j : j * l.rows + i] = static_cast<const float *>(x)[j * static_cast<size_t>(l.ld) + i];
    return out;
}

/* beta = 0: what C holds, even NaN, does not matter. */
static void finish_column(const call &c, size_t j, const float *sum)
{
    const bool biased = c.product.epilogue == CUBLASLT_EPILOGUE_BIAS;
    const float *const before = c.C + j * static_cast<size_t>(c.ldc);
    float *const out = c.D + j * static_cast<size_t>(c.d.ld);
    for (size_t i = 0; i < c.d.rows; i++) {
        float y = c.alpha * sum[i];
        if (c.beta != 0) y += c.beta * before[i];
        out[i] = biased ? y + c.product.bias[i] : y;
    }
}

static void multiply(const call &c)
{
    const size_t m = c.d.rows, n = c.d.cols, k = c.product.trans_a ? c.a.rows : c.a.cols;
    const std::vector<float> A = unfold(c.A, c.a, c.product.trans_a != 0), B = unfold(c.B, c.b, c.product.trans_b != 0);
    std::vector<float> sum(m);
    for (size_t j = 0; j < n; j++) {
        sum.assign(m, 0.0f);
        for (size_t l = 0; l < k; l++) {
            const float b = B[j * k + l], *const column = &A[l * m];
            for (size_t i = 0; i < m; i++) sum[i] += column[i] * b;
        }
        finish_column(c, j, sum.data());
    }
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t, int requested,
                                              cublasLtMatmulHeuristicResult_t results[], int *found)
{
    *found = 0;
    if (requested < 1) return CUBLAS_STATUS_INVALID_VALUE;
    searches++;
    const cublasStatus_t status = check(*desc, *a, *b, *c, *d);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (refusal(*a, *b, *d) == REFUSES_TO_SEARCH) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (refusal(*a, *b, *d) == FINDS_NOTHING) return CUBLAS_STATUS_SUCCESS;
    results[0] = {};
    results[0].algo.data[0] = CHOSEN;
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void *alpha, const void *A,
                              cublasLtMatrixLayout_t a, const void *B, cublasLtMatrixLayout_t b, const void *beta, const void *C,
                              cublasLtMatrixLayout_t c, void *D, cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *algo,
                              void *, size_t, cudaStream_t stream)
{
    const cublasStatus_t status = check(*desc, *a, *b, *c, *d);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (algo->data[0] != CHOSEN) return CUBLAS_STATUS_INVALID_VALUE;
    if (refusal(*a, *b, *d) != ABLE) return CUBLAS_STATUS_NOT_SUPPORTED;
    const call work = {*desc, *a, *b, *d, A, B, static_cast<const float *>(C), static_cast<float *>(D),
                       *static_cast<const float *>(alpha), *static_cast<const float *>(beta), c->ld};
    return emu_submit(stream, [work] { multiply(work); }) == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
