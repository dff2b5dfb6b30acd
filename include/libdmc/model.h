/* model.h — a diffusion model for control: network + noise process + normaliser + feature contract.
 *
 * Two roles are sampled. A *policy* draws actions z (horizon, act_dim) given the last `n_obs` observations. A *planner*
 * draws z (horizon, obs_dim + act_dim), rows of [state | action], with the current state in-painted in row 0; with
 * states_only z (horizon, obs_dim).
 * Two roles help a planner and are only trained and evaluated (dmc_model_forward): *value* regresses the discounted return
 * of a noised plan (a classifier for guidance; network unet1d_half or dit1d_half), *inverse* the action between two states
 * (Decision Diffuser's inverse dynamics; network inverse_mlp, horizon 2).
 * Everything a controller must agree on (widths, normalisation, limits, process) is inside, is saved with the
 * weights, and is checked when used.
 *
 * Threads: read-only once made, except dmc_model_set_tensor; may be shared by any number of samplers.
 */
#ifndef LIBDMC_MODEL_H
#define LIBDMC_MODEL_H

#include "dataset.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dmc_model dmc_model;

enum { DMC_ROLE_POLICY = 0, DMC_ROLE_PLANNER = 1, DMC_ROLE_VALUE = 2, DMC_ROLE_INVERSE = 3 };
enum {
    DMC_NETWORK_IDQL_MLP = 0,        /* IDQL's residual MLP; SynthER's with its own sizes           */
    DMC_NETWORK_UNET1D_JANNER = 1,   /* Diffuser's temporal U-Net                                   */
    DMC_NETWORK_UNET1D_CHI = 2,      /* Diffusion Policy's U-Net with FiLM                          */
    DMC_NETWORK_TRANSFORMER_CHI = 3, /* Diffusion Policy's transformer                              */
    DMC_NETWORK_DIT1D = 4,           /* diffusion transformer with adaptive norms (Decision Diffuser) */
    DMC_NETWORK_DQL_MLP = 5,         /* Diffusion-QL's MLP                                          */
    DMC_NETWORK_UNET1D_HALF = 6,     /* role value                                                  */
    DMC_NETWORK_DIT1D_HALF = 7,      /* role value                                                  */
    DMC_NETWORK_INVERSE_MLP = 8      /* role inverse                                                */
};
enum { DMC_TIME_POSITIONAL = 0, DMC_TIME_SINUSOIDAL = 1, DMC_TIME_FOURIER = 2, DMC_TIME_FROZEN = 3 };
enum { DMC_COMPAT_RESIDUAL = 1, DMC_COMPAT_INT_TIME = 2, DMC_COMPAT_INT_POSITIONS = 4, DMC_COMPAT_RAW_TIME = 8 };
enum {
    DMC_ENCODER_NONE = 0,
    DMC_ENCODER_MLP = 1,               /* Linear ReLU Linear over all observations together                */
    DMC_ENCODER_RESNET18 = 2,          /* a ResNet-18 per camera, joined to the observation: a policy that sees */
    DMC_ENCODER_RESNET18_KEYPOINTS = 3 /* the same with a spatial softmax in place of the last mean        */
};
enum { DMC_SCHEDULE_COSINE = 0, DMC_SCHEDULE_LINEAR = 1, DMC_SCHEDULE_VP = 2 };
enum {
    DMC_PREDICT_EPSILON = 0,
    DMC_PREDICT_X0 = 1,
    DMC_PREDICT_V = 2,
    DMC_PREDICT_VELOCITY = 3,        /* eps - x0                                                    */
    DMC_PREDICT_EDM = 4,             /* F of Karras et al. 2022: x0 = c_skip z + c_out F            */
    DMC_PREDICT_AUTO = 5             /* epsilon; of the edm process edm, of flow velocity           */
};
/* Every process noises a sample as z = alpha x0 + sigma eps; docs/math/diffusion.md. */
enum {
    DMC_PROCESS_VP = 0,              /* T levels of a beta schedule (DDPM)                          */
    DMC_PROCESS_VP_GRID = 1,         /* T levels of the continuous schedule (CleanDiffuser's discrete SDE) */
    DMC_PROCESS_VP_SDE = 2,          /* continuous time                                             */
    DMC_PROCESS_EDM = 3,             /* score matching (Karras et al. 2022)                         */
    DMC_PROCESS_FLOW = 4             /* flow matching, rectified flow: alpha = 1-t, sigma = t       */
};
/* Known entries of a noised sample, in training and sampling: as they are, or noised like the rest. */
enum { DMC_INPAINT_CLEAN = 0, DMC_INPAINT_NOISED = 1 };
enum { DMC_NORM_NONE = 0, DMC_NORM_GAUSSIAN = 1, DMC_NORM_MINMAX = 2 };

typedef struct dmc_model_options {
    uint32_t struct_size;
    int32_t role;          /* DMC_ROLE_*; default policy                                              */
    int32_t network;       /* DMC_NETWORK_*; default idql_mlp                                         */
    int32_t horizon;       /* rows of z, 1..1024; default 1. U-Net: divisible by 2^(levels-1)         */
    int32_t n_obs;         /* policy: observations in the condition, 1..64; default 1                 */
    int32_t hidden;        /* mlp, transformer: width; unet: channels of the first level; default 256 */
    int32_t blocks;        /* idql_mlp: residual blocks; transformer: layers; default 3               */
    int32_t emb_dim;       /* width of the time embedding, even; default 64                           */
    int32_t kernel;        /* unet: taps, odd; default 5                                              */
    int32_t schedule;      /* DMC_SCHEDULE_*; default cosine                                          */
    int32_t train_steps;   /* T, levels of the process, 1..1000; of continuous ones only the steps a  */
                           /* sampler takes by default; default 20                                    */
    int32_t predict;       /* DMC_PREDICT_*; default auto                                             */
    int32_t obs_norm;      /* DMC_NORM_*; default gaussian                                            */
    int32_t act_norm;      /* DMC_NORM_*; default minmax to [-1,1]                                    */
    double clip;           /* predicted sample is clipped to +-clip (normalised units); 0 = off; -1 = 1 where all */
                           /* that is drawn is normalised by minmax, else off; default -1             */
    double control_hz;     /* rate the data was recorded at, for the contract; 0 = not stated         */
    uint64_t seed;         /* of the initial weights; default 0                                       */
    const char *mult;      /* unet: channel multipliers per level, cumulative product; default "1,2,2,2" */
    int32_t heads;         /* transformers: heads of attention, dividing hidden; default 4            */
    int32_t time_embed;    /* DMC_TIME_*: [cos|sin] (default), [sin|cos], learned Fourier, frozen Fourier */
    int32_t compat;        /* sum of DMC_COMPAT_*: faults of published code to repeat, for its weights; default 0 */
    int32_t encoder;       /* DMC_ENCODER_*: what stands before the network's condition; default none */
    int32_t enc_hidden;    /* width inside the encoder; default 256                                   */
    int32_t enc_dim;       /* width behind the encoder; default 128                                   */
    double dropout;        /* probability while pre-training, 0..<1; default 0                        */
    double discount;       /* role value, planner with returns: of the return, 0..1; default 0.99     */
    int32_t crop_h, crop_w; /* resnet18: window of an image that is seen; 0 = all; default 0          */
    int32_t crop_random;   /* resnet18: 1 = windows are drawn while pre-training, else the middle; default 1 */
    int32_t enc_width;     /* resnet18: channels of the first stage, 1, 2, 4, 8 or a multiple of 16; default 64 */
    double memory;         /* policy: 0, or the decay of a recurrent state that stands in the condition in place of */
                           /* the oldest of the n_obs >= 2 observations: m <- memory m + (1 - memory) o for every   */
                           /* observation o that leaves the window, from the first one on; 0..<1; default 0         */
    int32_t process;       /* DMC_PROCESS_*; default vp                                               */
    int32_t inpaint;       /* DMC_INPAINT_*; default clean                                            */
    double sigma_data;     /* edm: deviation of the normalised data; default 0.5                      */
    double sigma_min, sigma_max; /* edm: noise levels a sampler walks through; default 0.002 and 80   */
    double log_mean, log_std; /* edm: ln of a training sample's noise level is normal; default -1.2 and 1.2 */
    double logit_std;      /* flow: t of a training sample is the logistic of a normal of this deviation; 0 = uniform; default 0 */
    double cond_dropout;   /* share of training samples that learn without their condition (it is zeros), for classifier-free */
                           /* guidance; 0..<1; refused for a model without a condition; default 0     */
    int32_t returns;       /* planner: 1 = its condition is (return, 1), the discounted return of the rest of the episode scaled */
                           /* to 0..1 over the data, or (0, 0) where it is left out; default 0        */
    int32_t states_only;   /* planner, value: 1 = rows of z are states alone (Decision Diffuser), horizon >= 2; the actions of a */
                           /* planner's answers come from a model of role inverse (dmc_sampler_parts); default 0 */
} dmc_model_options;

/* Defaults. size = sizeof *o. */
DMC_API dmc_status dmc_model_options_init(dmc_model_options *o, size_t size);

/* An untrained model for this dataset: widths, normaliser and action limits come from the data.
 * Errors: DMC_ERANGE and DMC_ESHAPE name the option and the bound; DMC_ENOMEM. */
DMC_API DMC_NODISCARD dmc_status dmc_model_create(dmc_context *ctx, const dmc_dataset *data,
                                                  const dmc_model_options *o, dmc_model **out);

/* Read / write the model file (docs/formats.md): safetensors-compatible, contract in __metadata__, XXH3-128
 * digest verified before use. Saving is atomic. Errors: DMC_ENOENT, DMC_EFORMAT, DMC_ECORRUPT, DMC_ESHAPE. */
DMC_API DMC_NODISCARD dmc_status dmc_model_load(dmc_context *ctx, const char *path, dmc_model **out);
DMC_API DMC_NODISCARD dmc_status dmc_model_save(const dmc_model *m, const char *path);

/* An independent copy. */
DMC_API DMC_NODISCARD dmc_status dmc_model_clone(const dmc_model *m, dmc_model **out);
DMC_API void dmc_model_destroy(dmc_model *m);
/* Bytes the model holds of its context's allocator, to the byte: weights (those of a cascade too), the network's shape,
 * normalisers, noise process. Not the context, which others share; a model made without one has a private one, which counts.
 * NULL: 0. */
DMC_API size_t dmc_model_memory(const dmc_model *m);

/* The whole contract as JSON (NUL-terminated) into buf. *need receives the size with NUL; buf may be NULL to
 * ask. DMC_ESHAPE if buf is too small. */
DMC_API dmc_status dmc_model_describe(const dmc_model *m, char *buf, size_t size, size_t *need);

/* Sizes: of z, of the condition, of one observation and one action. Any pointer may be NULL. */
DMC_API dmc_status dmc_model_sizes(const dmc_model *m, int32_t *horizon, int32_t *z_cols, int32_t *n_obs,
                                   int32_t *obs_dim, int32_t *act_dim);

/* A policy that sees: how many cameras (0: it does not) and the size of their frames; the name of camera i, NULL if there is
 * none. Any out pointer may be NULL. */
DMC_API dmc_status dmc_model_cameras(const dmc_model *m, int32_t *count, int32_t *h, int32_t *w, int32_t *c);
DMC_API const char *dmc_model_camera(const dmc_model *m, int32_t i);

/* Number of network parameters, the figure papers print. */
DMC_API uint64_t dmc_model_parameters(const dmc_model *m);

/* One evaluation of the network f(z, t, c) on a batch, in normalised units, without any diffusion step:
 * z (batch,horizon,cols), t (batch) as the network receives it (0..T-1 for discrete processes), cond
 * (batch,n_obs*obs_dim) for policies, with cameras followed in each row by n_obs frames (h,w,c) of every camera, as numbers
 * from -1 to 1 (byte/255*2-1); (batch,2) for planners with returns, (return 0..1, 1) or (0, 0) for none; NULL otherwise; out
 * (batch,horizon,cols), of role value (batch), of role inverse (batch,act_dim).
 * Allocates; not real-time. Errors: DMC_EINVAL, DMC_ERANGE (batch), DMC_ENOMEM. */
DMC_API DMC_NODISCARD dmc_status dmc_model_forward(const dmc_model *m, int32_t batch, const float *z, const float *t,
                                                   const float *cond, float *out);

/* Tensors by PyTorch name and shape ("downs.0.0.conv1.0.weight"); names in the model file's order. */
DMC_API int32_t dmc_model_tensor_count(const dmc_model *m);
DMC_API const char *dmc_model_tensor_name(const dmc_model *m, int32_t i);
/* *rank receives how many sizes the tensor has, shape the first 3 of them, or with _sizes all, at most 4 (convolutions over
 * images). DMC_EKEY (with the nearest name) if there is none. */
DMC_API dmc_status dmc_model_tensor_shape(const dmc_model *m, const char *name, int32_t *rank, int32_t shape[3]);
DMC_API dmc_status dmc_model_tensor_sizes(const dmc_model *m, const char *name, int32_t *rank, int32_t shape[4]);
DMC_API DMC_NODISCARD dmc_status dmc_model_get_tensor(const dmc_model *m, const char *name, float *out, size_t n);
/* Not while the model is shared. n must be the tensor's size; values must be finite. */
DMC_API DMC_NODISCARD dmc_status dmc_model_set_tensor(dmc_model *m, const char *name, const float *values, size_t n);

#ifdef __cplusplus
}
#endif
#endif
