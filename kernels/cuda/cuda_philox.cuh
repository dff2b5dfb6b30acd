/* cuda_philox.cuh — Philox4x32-10 of a counter that is packed as in kernels/ref/ref_philox.h: the same integers.
 *
 * Element n of sample s is word n%4 of block n/4 of the stream (seed, purpose, step, s). No number depends on another, so that
 * any thread can make any of them.
 */
#ifndef DMC_KERNELS_CUDA_PHILOX_CUH
#define DMC_KERNELS_CUDA_PHILOX_CUH

#include "cuda_launch.cuh"

enum { PHILOX_ROUNDS = 10, PHILOX_WORDS = 4 };

/* The key of a call, as kernels get it: what is added to it stands in device memory, and is read when the kernel runs. */
struct cuda_key {
    uint64_t word[4];
    const uint64_t *base; /* NULL: nothing is added */
};

static inline cuda_key cuda_key_of(const dmc_kargs *k)
{
    return {{k->key[0], k->key[1], k->key[2], k->key[3]}, k->key_base};
}

static __device__ inline void cuda_key_load(const cuda_key &k, uint64_t key[4])
{
    for (int i = 0; i < 4; i++) key[i] = k.word[i] + (k.base ? k.base[i] : 0);
}

/* One round: two products of 32 bits, whose halves change places. */
static __device__ inline uint4 philox_round(uint4 w, uint32_t key0, uint32_t key1)
{
    const uint64_t p = static_cast<uint64_t>(0xD2511F53u) * w.x, q = static_cast<uint64_t>(0xCD9E8D57u) * w.z;
    return make_uint4(static_cast<uint32_t>(q >> 32) ^ w.y ^ key0, static_cast<uint32_t>(q),
                      static_cast<uint32_t>(p >> 32) ^ w.w ^ key1, static_cast<uint32_t>(p));
}

/* Block `block` of sample `sample`: counter {block, sample, step, purpose|step>>32|sample>>32} under key {seed}. */
static __device__ inline uint4 cuda_philox(const uint64_t key[4], uint64_t sample, uint32_t block)
{
    const uint64_t seed = key[0], purpose = key[1], step = key[2];
    const uint64_t high = purpose << 16 | (step >> 32 & 0xff) << 8 | (sample >> 32 & 0xff);
    uint4 w = make_uint4(block, static_cast<uint32_t>(sample), static_cast<uint32_t>(step), static_cast<uint32_t>(high));
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        w = philox_round(w, key0, key1);
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return w;
}

/* Word number e < 4. */
static __device__ inline uint32_t cuda_word(uint4 w, size_t e)
{
    return e == 0 ? w.x : e == 1 ? w.y : e == 2 ? w.z : w.w;
}

#endif
