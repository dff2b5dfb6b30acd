/* cuda_philox.cuh — random bits from a counter on the device: Philox4x32-10, counter and key packed as in
 * kernels/ref/ref_philox.h, so that every backend draws the same words. */
#ifndef DMC_KERNELS_CUDA_PHILOX_CUH
#define DMC_KERNELS_CUDA_PHILOX_CUH

#include "cuda_launch.cuh"

/* The key of a call: what the call says, plus what lies in device memory (NULL: nothing), word by word. */
struct cuda_key {
    uint64_t word[4];
    const uint64_t *base;
};

static inline cuda_key cuda_key_of(const dmc_kargs *k)
{
    return {{k->key[0], k->key[1], k->key[2], k->key[3]}, k->key_base};
}

static __device__ inline void cuda_key_load(const cuda_key &k, uint64_t key[4])
{
    for (int i = 0; i < 4; i++) key[i] = k.word[i] + (k.base ? k.base[i] : 0);
}

/* Block `block` of sample `sample` (key[3] is not added here) of the stream key = {seed, purpose, step}. */
static __device__ inline uint4 cuda_philox(const uint64_t key[4], uint64_t sample, uint32_t block)
{
    uint32_t key0 = static_cast<uint32_t>(key[0]), key1 = static_cast<uint32_t>(key[0] >> 32);
    uint32_t w0 = block, w1 = static_cast<uint32_t>(sample), w2 = static_cast<uint32_t>(key[2]);
    uint32_t w3 = static_cast<uint32_t>(key[1] << 16 | (key[2] >> 32 & 0xff) << 8 | (sample >> 32 & 0xff));
    for (int round = 0; round < 10; round++) {
        const uint64_t p = static_cast<uint64_t>(w0) * 0xD2511F53u, q = static_cast<uint64_t>(w2) * 0xCD9E8D57u;
        w0 = static_cast<uint32_t>(q >> 32) ^ w1 ^ key0;
        w1 = static_cast<uint32_t>(q);
        w2 = static_cast<uint32_t>(p >> 32) ^ w3 ^ key1;
        w3 = static_cast<uint32_t>(p);
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return uint4{w0, w1, w2, w3};
}

#endif
