/* ops_rows.c — the operations under test: operands and shapes. How to add one: kernels/README.md.
 *
 * The `unet` shapes are those of the temporal U-Net for hopper (horizon 32, 14 features, kernel 5,
 * channels 32 64 128 256) and of a policy of width 256.
 */
#include "ops_case.h"

#include <stddef.h>

#define SHAPES(name) static const op_shape name[]
#define DIM(...) {.dim = {__VA_ARGS__}}
#define END {.dim = {0}}

/* ---- layers --------------------------------------------------------------------------------- */

/* N Ci Co Cw; the first Co of Cw columns are used */
SHAPES(linear_odd) = {DIM(1, 1, 1, 1), DIM(7, 13, 33, 33), DIM(33, 7, 13, 13), DIM(1, 33, 7, 7),
                      DIM(13, 1, 7, 7), DIM(3, 64, 16, 16), DIM(7, 13, 7, 33), DIM(1, 33, 13, 14),
                      DIM(2, 7, 1, 13), DIM(33, 13, 33, 64), END};
SHAPES(linear_unet) = {DIM(1, 32, 128, 128), DIM(1, 128, 32, 32), DIM(1, 32, 256, 256), DIM(1, 256, 256, 256),
                       DIM(1, 256, 3, 3), DIM(1, 320, 320, 960), DIM(1, 64, 200, 333), END};

/* B T Ci Co, taps stride pad */
#define CONV(B, T, Ci, Co, k, s, p) DIM(B, T, Ci, ((T) + 2 * (p) - (k)) / (s) + 1, Co, k, s, p)
SHAPES(conv1d_odd) = {
    CONV(2, 7, 13, 33, 5, 1, 2), CONV(1, 1, 7, 13, 5, 1, 2), CONV(3, 13, 7, 7, 3, 2, 1),
    CONV(2, 8, 5, 3, 4, 2, 1),   CONV(1, 7, 13, 7, 1, 1, 0), CONV(2, 5, 3, 1, 3, 1, 0),
    CONV(1, 2, 1, 3, 5, 2, 2),   CONV(2, 7, 3, 3, 4, 1, 1),  CONV(1, 1, 33, 7, 1, 1, 0),
    CONV(1, 9, 2, 2, 1, 2, 0),   CONV(2, 33, 1, 1, 5, 1, 2), CONV(1, 2, 16, 8, 3, 1, 4),
    CONV(5, 4, 16, 16, 5, 1, 2), CONV(1, 11, 3, 5, 3, 3, 1), END,
};
SHAPES(conv1d_unet) = {
    CONV(1, 32, 14, 32, 5, 1, 2), CONV(1, 32, 32, 32, 5, 1, 2),  CONV(1, 16, 32, 64, 5, 1, 2),
    CONV(1, 16, 64, 64, 5, 1, 2), CONV(1, 8, 64, 128, 5, 1, 2),  CONV(1, 8, 128, 128, 5, 1, 2),
    CONV(1, 4, 128, 256, 5, 1, 2), CONV(1, 4, 256, 256, 5, 1, 2), CONV(1, 4, 512, 128, 5, 1, 2),
    CONV(1, 8, 256, 64, 5, 1, 2), CONV(1, 16, 128, 32, 5, 1, 2), CONV(1, 32, 32, 32, 3, 2, 1),
    CONV(1, 16, 64, 64, 3, 2, 1), CONV(1, 8, 128, 128, 3, 2, 1), CONV(1, 32, 32, 14, 1, 1, 0),
    CONV(1, 4, 512, 128, 1, 1, 0), END,
};

#define CONVT(B, T, Ci, Co, k, s, p) DIM(B, T, Ci, ((T) - 1) * (s) - 2 * (p) + (k), Co, k, s, p)
SHAPES(convt1d_odd) = {
    CONVT(2, 7, 13, 7, 4, 2, 1), CONVT(1, 1, 7, 13, 4, 2, 1), CONVT(3, 5, 3, 7, 3, 1, 1),
    CONVT(2, 4, 33, 3, 5, 2, 2), CONVT(1, 7, 2, 3, 1, 1, 0),  CONVT(2, 3, 3, 5, 1, 2, 0),
    CONVT(1, 13, 1, 1, 3, 2, 0), CONVT(5, 4, 16, 16, 4, 2, 1), END,
};
SHAPES(convt1d_unet) = {CONVT(1, 4, 128, 128, 4, 2, 1), CONVT(1, 8, 64, 64, 4, 2, 1),
                        CONVT(1, 16, 32, 32, 4, 2, 1), END};

#define GNORM(B, T, C, G, act) {.dim = {B, T, C, G}, .attr = {1e-5, act}}
/* Modulation E wide; R: with a residual. Beyond what the kernel reads: dim[6], dim[7], 1 where in1, in2 is the residual. */
#define GBLOCK(B, T, C, G, act, E, R)                                                                                  \
    {.dim = {B, T, C, G, E, 0, (R) && (E) == 0, (R) && (E) > 0}, .attr = {1e-5, act}}
SHAPES(groupnorm_odd) = {
    GNORM(2, 7, 33, 3, 0), GNORM(2, 7, 33, 3, 1),  GNORM(3, 13, 7, 1, 1), GNORM(1, 1, 8, 8, 0),
    GNORM(1, 1, 8, 8, 1),  GNORM(2, 4, 16, 8, 1),  GNORM(1, 1, 7, 1, 1),  GNORM(2, 33, 13, 13, 1),
    GNORM(1, 2, 24, 3, 0), GNORM(2, 32, 40, 8, 1), GNORM(1, 3, 64, 1, 1),
    GBLOCK(2, 7, 33, 3, 1, 33, 1), GBLOCK(3, 13, 7, 1, 1, 14, 1), GBLOCK(2, 4, 16, 8, 2, 32, 0), GBLOCK(2, 5, 24, 3, 2, 0, 1),
    GBLOCK(1, 1, 13, 13, 0, 26, 1), GBLOCK(2, 3, 20, 5, 0, 20, 0), END,
};
SHAPES(groupnorm_unet) = {
    GNORM(1, 32, 32, 8, 1), GNORM(1, 16, 64, 8, 1), GNORM(1, 8, 128, 8, 1), GNORM(1, 4, 256, 8, 1),
    GNORM(1, 4, 128, 8, 1), GNORM(1, 16, 32, 8, 1), GBLOCK(1, 32, 32, 8, 1, 32, 0), GBLOCK(1, 4, 256, 8, 1, 0, 1),
    GBLOCK(1, 4, 1024, 8, 1, 2048, 1), GBLOCK(1, 441, 64, 4, 2, 0, 1), GBLOCK(1, 100, 165, 15, 1, 165, 1),
    /* groups wider than a block of threads, in fours and one by one */
    GBLOCK(1, 5, 1300, 1, 2, 0, 1), GNORM(1, 3, 521, 1, 1), END,
};

#define LNORM(N, C) {.dim = {N, C}, .attr = {1e-5}}
SHAPES(layernorm_odd) = {LNORM(1, 1), LNORM(7, 13), LNORM(13, 33), LNORM(1, 7), LNORM(3, 64), END};
SHAPES(layernorm_unet) = {LNORM(1, 256), LNORM(4, 256), LNORM(1, 1031), END};

#define ONE(n, attribute) {.dim = {n}, .attr = {attribute}}
SHAPES(flat_odd) = {DIM(1), DIM(7), DIM(13), DIM(33), DIM(100), END};
SHAPES(flat_unet) = {DIM(32 * 32), DIM(32 * 14), END};

SHAPES(add_time_odd) = {DIM(1, 1, 1), DIM(2, 7, 13), DIM(3, 1, 33), DIM(1, 13, 7), END};
SHAPES(add_time_unet) = {DIM(1, 32, 32), DIM(1, 16, 64), DIM(1, 8, 128), DIM(1, 4, 256), END};

SHAPES(concat_odd) = {DIM(1, 1, 1, 0), DIM(7, 13, 33, 0), DIM(5, 7, 1, 13), DIM(1, 33, 7, 7), END};
SHAPES(concat_unet) = {DIM(4, 256, 256, 0), DIM(8, 128, 128, 0), DIM(16, 64, 64, 0),
                       DIM(1, 11, 3, 64), END};

SHAPES(relu_odd) = {ONE(7, 0), ONE(33, 0), ONE(100, 0.01), ONE(13, -0.5), END};
SHAPES(slice_odd) = {DIM(1, 1, 0, 1), DIM(7, 13, 3, 7), DIM(3, 33, 20, 13), DIM(5, 7, 0, 7), END};
SHAPES(slice_unet) = {DIM(2, 27653, 5, 27648), DIM(1, 512, 256, 256), END};
#define DROP(B, N, p) {.dim = {B, N}, .attr = {p}}
SHAPES(dropout_odd) = {DROP(1, 1, 0.5), DROP(7, 13, 0.1), DROP(3, 33, 0.9), DROP(2, 7, 0), END};
SHAPES(dropout_unet) = {DROP(1, 256, 0.1), DROP(1, 2560, 0.3), END};

SHAPES(timestep_odd) = {DIM(1, 2), DIM(7, 34), DIM(13, 6), DIM(7, 34, 1), DIM(5, 6, 1, 0), DIM(7, 14, 2), DIM(3, 8, 0, 1),
                        DIM(3, 6, 2, 1), END};
SHAPES(timestep_unet) = {DIM(1, 32), DIM(1, 64), END};

/* B Tq Tk H d, p causal shift; with one input Tq = Tk */
#define ATT(B, Tq, Tk, H, d, p, causal, shift) {.dim = {B, Tq, Tk, H, d}, .attr = {p, causal, shift}}
SHAPES(self_odd) = {
    ATT(1, 1, 1, 1, 1, 0, 0, 0),    ATT(2, 7, 7, 3, 13, 0, 0, 0),   ATT(1, 13, 13, 1, 33, 0, 1, 0),
    ATT(3, 5, 5, 2, 7, 0, 1, 1),    ATT(2, 7, 7, 2, 5, 0.3, 1, 0),  ATT(1, 33, 33, 1, 2, 0.5, 0, 0),
    ATT(1, 70, 70, 1, 2, 0, 0, 0),  ATT(1, 67, 67, 1, 1, 0.2, 1, 2), END,
};
SHAPES(self_unet) = {
    ATT(1, 10, 10, 10, 32, 0, 0, 0), ATT(1, 32, 32, 10, 32, 0, 0, 0), ATT(1, 16, 16, 4, 64, 0.3, 1, 0),
    ATT(1, 10, 10, 2, 192, 0, 1, 0), ATT(1, 150, 150, 1, 32, 0.1, 1, 0), ATT(1, 140, 140, 2, 70, 0, 0, 0), END,
};
SHAPES(cross_odd) = {
    ATT(1, 1, 2, 1, 1, 0, 0, 0),   ATT(2, 7, 3, 3, 13, 0, 0, 0),  ATT(3, 13, 3, 2, 5, 0, 1, 1),
    ATT(2, 1, 33, 1, 7, 0, 0, 0),  ATT(2, 7, 5, 2, 3, 0.3, 1, 1), ATT(1, 3, 70, 1, 2, 0.4, 1, 0),
    ATT(1, 70, 3, 1, 2, 0, 1, 1), END,
};
SHAPES(cross_unet) = {
    ATT(1, 10, 3, 4, 64, 0, 1, 1), ATT(1, 16, 3, 4, 64, 0.3, 1, 1), ATT(1, 7, 200, 2, 33, 0, 0, 0),
    ATT(1, 100, 9, 2, 16, 0, 1, 0), END,
};
/* B T C M, columns of shift and scale */
#define MODULATE(B, T, C, M, ...) {.dim = {B, T, C, M, __VA_ARGS__}, .attr = {1e-2}}
SHAPES(adaln_odd) = {MODULATE(1, 1, 1, 2, 0, 1), MODULATE(2, 7, 13, 33, 3, 20), MODULATE(3, 13, 7, 14, 7, 0),
                     MODULATE(1, 1, 33, 66, 0, 33), END};
SHAPES(adaln_unet) = {MODULATE(1, 10, 320, 1920, 960, 1280), MODULATE(1, 32, 384, 768, 0, 384), END};
SHAPES(gate_odd) = {MODULATE(1, 1, 1, 1, 0), MODULATE(2, 7, 13, 33, 20), MODULATE(3, 13, 7, 7, 0),
                    MODULATE(1, 1, 33, 66, 33), END};
SHAPES(gate_unet) = {MODULATE(1, 10, 320, 1920, 640), MODULATE(1, 32, 384, 2304, 1920), END};
SHAPES(positions_odd) = {DIM(1, 1, 4), DIM(2, 7, 14), DIM(3, 13, 34), DIM(1, 33, 14, 1), END};
SHAPES(positions_unet) = {DIM(1, 32, 320), DIM(1, 1000, 22), END};
/* ---- images --------------------------------------------------------------------------------- */

/* B H W Ci Ho Wo Co, taps stride pad */
#define OUTPUTS(n, k, s, p) (((n) + 2 * (p) - (k)) / (s) + 1)
#define CONV2D(B, H, W, Ci, Co, k, s, p) DIM(B, H, W, Ci, OUTPUTS(H, k, s, p), OUTPUTS(W, k, s, p), Co, k, s, p)
SHAPES(conv2d_odd) = {
    CONV2D(2, 7, 5, 3, 13, 3, 1, 1), CONV2D(1, 1, 1, 7, 5, 3, 1, 1), CONV2D(3, 5, 6, 7, 3, 3, 2, 1),
    CONV2D(1, 7, 9, 3, 5, 7, 2, 3),  CONV2D(4, 2, 3, 5, 33, 1, 1, 0), CONV2D(3, 5, 4, 3, 7, 1, 2, 0),
    CONV2D(1, 6, 5, 2, 3, 4, 3, 2),  CONV2D(2, 5, 5, 1, 1, 5, 1, 0), CONV2D(1, 2, 13, 1, 3, 2, 1, 1),
    CONV2D(5, 3, 3, 16, 16, 3, 1, 1), CONV2D(1, 8, 3, 2, 2, 3, 1, 2), CONV2D(1, 2, 2, 3, 2, 2, 3, 0), END,
};
/* of a ResNet-18: first layer, a block, a step down and its skip, the last */
SHAPES(conv2d_unet) = {
    CONV2D(1, 11, 11, 3, 64, 7, 2, 3), CONV2D(1, 6, 6, 64, 64, 3, 1, 1), CONV2D(1, 6, 6, 64, 128, 3, 2, 1),
    CONV2D(1, 6, 6, 64, 128, 1, 2, 0), CONV2D(1, 3, 3, 256, 160, 3, 1, 1), END,
};

#define POOL(B, H, W, C, k, s, p) DIM(B, H, W, C, OUTPUTS(H, k, s, p), OUTPUTS(W, k, s, p), k, s, p)
SHAPES(maxpool2d_odd) = {
    POOL(2, 7, 5, 13, 3, 2, 1), POOL(1, 1, 1, 7, 3, 2, 1), POOL(3, 6, 9, 33, 2, 2, 0),
    POOL(1, 5, 7, 1, 3, 1, 1),  POOL(2, 4, 4, 16, 1, 1, 0), POOL(1, 7, 8, 5, 2, 3, 1), END,
};
SHAPES(maxpool2d_unet) = {POOL(1, 42, 42, 64, 3, 2, 1), END};

SHAPES(spatial_softmax_odd) = {DIM(2, 3, 5, 7), DIM(1, 1, 1, 1), DIM(3, 1, 7, 13), DIM(1, 5, 1, 33), DIM(2, 2, 2, 16), END};
SHAPES(spatial_softmax_unet) = {DIM(1, 3, 3, 512), DIM(1, 12, 12, 64), DIM(1, 37, 41, 3), END};

/* B H W C h w, random */
#define CROP(B, H, W, C, h, w, random) {.dim = {B, H, W, C, h, w}, .attr = {random}}
SHAPES(crop2d_odd) = {
    CROP(3, 7, 9, 3, 4, 5, 0), CROP(3, 7, 9, 3, 4, 5, 1),     CROP(1, 1, 1, 7, 1, 1, 1),
    CROP(7, 2, 3, 1, 1, 3, 1), CROP(2, 5, 4, 13, 4, 1, 0), CROP(2, 13, 7, 4, 13, 7, 1), END,
};
SHAPES(crop2d_unet) = {CROP(1, 96, 96, 3, 84, 84, 1), CROP(1, 96, 96, 3, 84, 84, 0), END};

/* ---- loose operations ----------------------------------------------------------------------- */

SHAPES(sample_odd) = {DIM(1, 1), DIM(3, 7), DIM(7, 13), DIM(2, 33), DIM(4, 4), END};
SHAPES(sample_unet) = {DIM(1, 32 * 14), DIM(1, 3), END};

SHAPES(fill_odd) = {ONE(1, -2.5), ONE(33, 0.1), ONE(100, 0), END};

/* P Q a b S, and the clip; 0: none */
#define STEP(B, N, c) {.dim = {B, N}, .attr = {1.25, -0.75, 0.6, 0.3, 0.2, c}}
/* mu takes up d h; h is then replaced if u or w is not 0 */
#define CARRY(B, N, c, d, u, w) {.dim = {B, N}, .attr = {1.25, -0.75, 0.6, 0.3, 0.2, c, 0, d, u, w}}
SHAPES(transition_odd) = {STEP(1, 1, 0), STEP(3, 7, 0), STEP(3, 7, 1), STEP(7, 13, 0.5),
                          STEP(2, 33, 1), CARRY(3, 13, 1, 0.7, 0, 0), END};
/* Of no use to difference quotients: gradients that lead back inside, and an h that every call changes. */
#define INWARD(B, N, c) {.dim = {B, N}, .attr = {1.25, -0.75, 0.6, 0.3, 0.2, c, 1}}
SHAPES(transition_unet) = {STEP(1, 32 * 14, 1), STEP(1, 32 * 14, 0), INWARD(3, 130, 0.5), CARRY(2, 33, 0, -0.4, 1.5, 0.5),
                           END};

/* std, 1 = mean, lo hi; both bounds are reached */
#define LOGP(B, N, ...) {.dim = {B, N}, .attr = {__VA_ARGS__}}
SHAPES(logp_odd) = {LOGP(1, 1, 1, 0), LOGP(3, 7, 0.5, 0), LOGP(3, 7, 0.5, 1),
                    LOGP(7, 13, 0.3, 0, -5, 0), LOGP(2, 33, 0.3, 1, -20, 0.2), END};
SHAPES(logp_unet) = {LOGP(1, 32 * 14, 0.5, 0), LOGP(1, 32 * 14, 0.3, 1, -5, 0), END};
SHAPES(kl_odd) = {LOGP(1, 1, 1, 0), LOGP(3, 7, 0.5, 0), LOGP(7, 13, 0.3, 1), END};
SHAPES(kl_unet) = {LOGP(1, 32 * 14, 0.5, 1), END};

#define SEED(B, mode) {.dim = {B}, .attr = {mode, 0.2, 0.25}}
SHAPES(pg_seed_odd) = {SEED(1, 0), SEED(13, 0), SEED(1, 1), SEED(33, 1), END};
SHAPES(dpo_seed_odd) = {ONE(1, 2), ONE(7, 0.5), ONE(33, 2000), END};
SHAPES(expectile_odd) = {ONE(1, 0.7), ONE(33, 0.9), ONE(7, 0.5), END};
SHAPES(expectile_unet) = {ONE(4, 0.7), END};

SHAPES(cols_odd) = {DIM(1, 1, 1, 0, 0, 1), DIM(5, 7, 13, 2, 3, 4), DIM(7, 33, 13, 20, 0, 13),
                    DIM(3, 7, 33, 0, 26, 7), END};
SHAPES(cols_unet) = {DIM(32, 14, 11, 0, 0, 11), DIM(32, 3, 14, 0, 11, 3), END};

/* lr b1 b2 eps wd step max_norm ema_rate */
#define ADAMW(n, ...) {.dim = {n}, .attr = {__VA_ARGS__}}
SHAPES(adamw_odd) = {ADAMW(1, 1e-3, 0.9, 0.999, 1e-8, 1e-2, 1, 0, 0.995),
                     ADAMW(13, 1e-2, 0.9, 0.999, 1e-8, 0, 3, 0.1, 0.5),
                     ADAMW(100, 3e-4, 0.8, 0.99, 1e-6, 1e-5, 1000, 10, 0.9999), END};
SHAPES(adamw_unet) = {ADAMW(2563, 2e-4, 0.9, 0.999, 1e-8, 1e-5, 10, 0.1, 0.995), END};
SHAPES(lerp_odd) = {ONE(1, 0.005), ONE(33, 0.5), ONE(100, 1), END};
SHAPES(lerp_unet) = {ONE(1024, 0.005), END};

#define LORA(R, Co, r) {.dim = {R, Co, r}, .attr = {0.5}}
SHAPES(lora_odd) = {LORA(1, 1, 1), LORA(13, 7, 3), LORA(33, 13, 8), LORA(35, 7, 1),
                    LORA(7, 33, 4), END};
SHAPES(lora_unet) = {LORA(20, 256, 8), LORA(5, 64, 16), END};

/* B N, first group turn */
SHAPES(repeat_odd) = {DIM(1, 1, 0, 1, 1), DIM(7, 13, 2, 7, 1), DIM(7, 33, 0, 3, 3), DIM(13, 7, 1, 1, 5),
                      DIM(13, 5, 3, 2, 4), END};
SHAPES(repeat_unet) = {DIM(1, 32, 19, 64, 1), DIM(1, 256, 0, 4, 16), DIM(1, 64, 0, 1, 1), END};
#define NARROW(n, type) DIM(n, DMC_WEIGHT_##type)
SHAPES(narrow_odd) = {NARROW(1, BF16), NARROW(33, BF16), NARROW(100, BF16), NARROW(1, FP16),
                      NARROW(13, FP16), NARROW(100, FP16), END};
SHAPES(narrow_unet) = {NARROW(20000, BF16), NARROW(20000, FP16), END};

/* ---- the rows, in the order of ops.def ------------------------------------------------------ */

#define OP(NAME, name) DMC_OP_##NAME, #name

const op_row op_rows[] = {
    {OP(LINEAR, linear),
     {[IN0] = "01d", [PAR0] = "13d", [PAR1] = "2d?", [OUT] = "02"},
     linear_odd, linear_unet},
    {OP(CONV1D, conv1d),
     {[IN0] = "012d", [PAR0] = "524d", [PAR1] = "4d?", [OUT] = "034"},
     conv1d_odd, conv1d_unet},
    {OP(CONVT1D, convt1d),
     {[IN0] = "012d", [PAR0] = "524d", [PAR1] = "4d?", [OUT] = "034"},
     convt1d_odd, convt1d_unet},
    {OP(GROUPNORM, groupnorm),
     {[IN0] = "012d", [IN1] = "04+0126d?", [IN2] = "0127d?", [PAR0] = "2d", [PAR1] = "2d", [OUT] = "012"},
     groupnorm_odd, groupnorm_unet},
    {OP(LAYERNORM, layernorm),
     {[IN0] = "01d", [PAR0] = "1d", [PAR1] = "1d", [OUT] = "01"},
     layernorm_odd, layernorm_unet},
    {OP(MISH, mish), {[IN0] = "0dl", [OUT] = "0i"}, flat_odd, flat_unet},
    {OP(SILU, silu), {[IN0] = "0dl", [OUT] = "0i"}, flat_odd, flat_unet},
    {OP(RELU, relu), {[IN0] = "0dl", [OUT] = "0i"}, relu_odd, flat_unet},
    {OP(TANH, tanh), {[IN0] = "0dl", [OUT] = "0i"}, flat_odd, flat_unet},
    {OP(GELU, gelu), {[IN0] = "0dl", [OUT] = "0i"}, flat_odd, flat_unet},
    {OP(GELU_TANH, gelu_tanh), {[IN0] = "0dl", [OUT] = "0i"}, flat_odd, flat_unet},
    {OP(ADD, add), {[IN0] = "0d", [IN1] = "0d", [OUT] = "0i"}, flat_odd, flat_unet},
    {OP(ADD_TIME, add_time),
     {[IN0] = "012d", [IN1] = "02d", [OUT] = "012i"},
     add_time_odd, add_time_unet},
    {OP(CONCAT, concat),
     {[IN0] = "01d", [IN1] = "02d", [IN2] = "03d", [OUT] = "01+02+03"},
     concat_odd, concat_unet},
    {OP(SLICE, slice), {[IN0] = "01d", [OUT] = "03"}, slice_odd, slice_unet},
    {OP(TIMESTEP, timestep), {[IN0] = "0t", [PAR0] = "1", [OUT] = "01"}, timestep_odd, timestep_unet},
    {OP(DROPOUT, dropout), {[IN0] = "01d", [OUT] = "01i"}, dropout_odd, dropout_unet},
    {OP(ATTENTION, attention), {[IN0] = "0134+0134+0134d", [OUT] = "0134"}, self_odd, self_unet},
    {OP(ATTENTION, attention),
     {[IN0] = "0134d", [IN1] = "0234+0234d", [OUT] = "0134"},
     cross_odd, cross_unet},
    {OP(ADALN, adaln), {[IN0] = "012d", [IN1] = "03d", [OUT] = "012"}, adaln_odd, adaln_unet},
    {OP(GATE, gate),
     {[IN0] = "012d", [IN1] = "012d", [IN2] = "03d", [OUT] = "012i"},
     gate_odd, gate_unet},
    {OP(ADD_TABLE, add_table), {[IN0] = "012d", [PAR0] = "12d", [OUT] = "012i"}, add_time_odd, add_time_unet},
    {OP(POSITIONS, positions), {[OUT] = "012"}, positions_odd, positions_unet},
    {OP(MEAN_ROWS, mean_rows), {[IN0] = "012d", [OUT] = "02"}, add_time_odd, add_time_unet},

    {OP(CONV2D, conv2d),
     {[IN0] = "0123d", [PAR0] = "7736d", [PAR1] = "6d?", [OUT] = "0456"},
     conv2d_odd, conv2d_unet},
    {OP(MAXPOOL2D, maxpool2d), {[IN0] = "0123d", [OUT] = "0453"}, maxpool2d_odd, maxpool2d_unet},
    {OP(SPATIAL_SOFTMAX, spatial_softmax),
     {[IN0] = "0123d", [PAR0] = "dp", [OUT] = "03+03"},
     spatial_softmax_odd, spatial_softmax_unet},
    {OP(CROP2D, crop2d), {[IN0] = "0123d", [OUT] = "0453"}, crop2d_odd, crop2d_unet},

    {OP(NORMAL, normal), {[OUT] = "01"}, sample_odd, sample_unet},
    {OP(FILL, fill), {[OUT] = "0"}, fill_odd, NULL},
    {OP(DIFFUSE, diffuse),
     {[IN0] = "01", [IN1] = "01", [IN2] = "01m?", [PAR0] = "0+0+0+0", [OUT] = "01", [OUT2] = "01"},
     sample_odd, sample_unet},
    {OP(TRANSITION, transition),
     {[IN0] = "01d", [IN1] = "01d", [IN2] = "01?", [PAR0] = "01m?", [PAR1] = "01", [OUT] = "01i",
      [OUT2] = "01?", [STATE] = "01?"},
     transition_odd, transition_unet},
    {OP(GAUSS_LOGP, gauss_logp),
     {[IN0] = "01", [IN1] = "01d", [PAR0] = "01m?", [OUT] = "0"},
     logp_odd, logp_unet},
    {OP(GAUSS_KL, gauss_kl),
     {[IN0] = "01d", [IN1] = "01", [PAR0] = "01m?", [OUT] = "0"},
     kl_odd, kl_unet},
    {OP(MSE, mse),
     {[IN0] = "01d", [IN1] = "01", [PAR0] = "01w?", [OUT] = "0"},
     sample_odd, sample_unet},
    {OP(PG_SEED, pg_seed),
     {[IN0] = "0", [IN1] = "0", [IN2] = "0", [PAR0] = "0p?", [OUT] = "0", [OUT2] = "0+0+0"},
     pg_seed_odd, NULL},
    {OP(DPO_SEED, dpo_seed),
     {[IN0] = "0p", [IN1] = "0p", [IN2] = "0", [OUT] = "0", [OUT2] = "0+0"},
     dpo_seed_odd, NULL},
    {OP(EXPECTILE, expectile),
     {[IN0] = "0d", [IN1] = "0", [IN2] = "0?", [OUT] = "0"},
     expectile_odd, expectile_unet},
    {OP(TD_TARGET, td_target),
     {[IN0] = "0", [IN1] = "0", [IN2] = "0", [OUT] = "0"},
     flat_odd, NULL},
    {OP(COLS, cols),
     {[IN0] = "01dc", [PAR0] = "5?", [PAR1] = "5?", [OUT] = "02k"},
     cols_odd, cols_unet},
    {OP(SUMSQ, sumsq), {[IN0] = "0", [OUT] = ""}, flat_odd, flat_unet},
    {OP(ADAMW, adamw),
     {[IN0] = "0", [IN1] = "pg?", [OUT] = "0k", [OUT2] = "0k?", [STATE] = "0+0p"},
     adamw_odd, adamw_unet},
    {OP(LERP, lerp), {[IN0] = "0", [OUT] = "0k"}, lerp_odd, lerp_unet},
    {OP(NARROW, narrow), {[IN0] = "0l", [OUT] = "0h"}, narrow_odd, narrow_unet},
    {OP(LORA, lora),
     {[IN0] = "01", [PAR0] = "02d", [PAR1] = "21d", [OUT] = "01"},
     lora_odd, lora_unet},
    {OP(REPEAT, repeat), {[IN0] = "12+14", [OUT] = "01"}, repeat_odd, repeat_unet},
};
const int op_row_count = sizeof op_rows / sizeof op_rows[0];
