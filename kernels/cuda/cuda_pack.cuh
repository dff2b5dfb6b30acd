/* cuda_pack.cuh — W neighbouring floats, 1 or 4, moved by one instruction. A kernel over packs is written once; its launcher
 * takes W = 4 where all pointers lie on 16 bytes and all widths are multiples of 4. */
#ifndef DMC_KERNELS_CUDA_PACK_CUH
#define DMC_KERNELS_CUDA_PACK_CUH

#include "cuda_launch.cuh"

template <int W> struct alignas(4 * W) pack {
    float v[W];
};

/* Pack i of x. */
template <int W> static __device__ inline pack<W> load_pack(const float *x, size_t i)
{
    return reinterpret_cast<const pack<W> *>(x)[i];
}

template <int W> static __device__ inline void store_pack(float *y, size_t i, const pack<W> &v)
{
    reinterpret_cast<pack<W> *>(y)[i] = v;
}

template <int W> static __device__ inline pack<W> pack_of(float value)
{
    pack<W> v;
    for (int e = 0; e < W; e++) v.v[e] = value;
    return v;
}

/* put_gradient of a pack; d = NULL: not wanted. */
template <int W> static __device__ inline void put_pack(float *d, size_t i, pack<W> g, int32_t add)
{
    if (!d) return;
    if (add) {
        const pack<W> before = load_pack<W>(d, i);
        for (int e = 0; e < W; e++) g.v[e] = before.v[e] + g.v[e];
    }
    store_pack<W>(d, i, g);
}

/* All on 16 bytes; NULL is. */
template <typename... Pointers> static inline bool on_fours(Pointers... p)
{
    return ((reinterpret_cast<uintptr_t>(p) | ...) & 15) == 0;
}

#endif
