/* options_model.c — the field table of dmc_model_options. */
#include "../../include/libdmc/model.h"
#include "options_rows.h"

#define MODEL_FIELDS(X, T)                                                                        \
    X##_CHOICE(T, role, DMC_ROLE_POLICY, "policy", 3, "policy planner value inverse",             \
               "policy: draws actions; planner: draws rows of state and action; value: return of a plan; " \
               "inverse: action between two states")                                              \
    X##_CHOICE(T, network, DMC_NETWORK_IDQL_MLP, "idql_mlp", 8,                                   \
               "idql_mlp unet1d_janner unet1d_chi transformer_chi dit1d dql_mlp unet1d_half dit1d_half inverse_mlp", \
               "architecture of the network")                                                     \
    X##_INT(T, horizon, 1, 1, 1024, "rows of a sample; U-Net: divisible by 2^(levels-1)")         \
    X##_INT(T, n_obs, 1, 1, 64, "policy: observations in the condition")                          \
    X##_INT(T, hidden, 256, 1, 8192, "idql_mlp: width; U-Net: channels of the first level")       \
    X##_INT(T, blocks, 3, 1, 64, "idql_mlp: residual blocks")                                     \
    X##_INT(T, emb_dim, 64, 2, 1024, "width of the time embedding, even")                         \
    X##_INT(T, kernel, 5, 1, 31, "U-Net: taps of a convolution, odd")                             \
    X##_CHOICE(T, schedule, DMC_SCHEDULE_COSINE, "cosine", 2, "cosine linear vp",                 \
               "noise schedule of the process")                                                   \
    X##_INT(T, train_steps, 20, 1, 1000, "diffusion steps of the process")                        \
    X##_CHOICE(T, predict, DMC_PREDICT_AUTO, "auto", 5, "epsilon x0 v velocity edm auto",         \
               "what the network predicts; auto: epsilon, of edm and flow their own")               \
    X##_CHOICE(T, obs_norm, DMC_NORM_GAUSSIAN, "gaussian", 2, "none gaussian minmax",             \
               "normalisation of observations")                                                   \
    X##_CHOICE(T, act_norm, DMC_NORM_MINMAX, "minmax", 2, "none gaussian minmax",                 \
               "normalisation of actions; minmax is to [-1,1]")                                   \
    X##_REAL(T, clip, -1, -1, 1e6, "predicted samples are clipped to +-clip, normalised; 0 = off; -1 = 1 for minmax, else off") \
    X##_REAL(T, control_hz, 0, 0, 1e6, "rate the data was recorded at, Hz; 0 = not stated")       \
    X##_SEED(T, seed, "seed of the initial weights")                                              \
    X##_TEXT(T, mult, "1,2,2,2", "U-Net: channel multipliers per level, cumulative product")      \
    X##_INT(T, heads, 4, 1, 256, "transformers: heads of attention, must divide hidden")          \
    X##_CHOICE(T, time_embed, DMC_TIME_POSITIONAL, "positional", 3, "positional sinusoidal fourier frozen", \
               "embedding of the diffusion time")                                                 \
    X##_INT(T, compat, 0, 0, 15, "faults of published code to repeat: 1 dit1d residual, 2 integer time frequencies, " \
                                "4 integer frequencies of dit1d positions, 8 continuous time as it is")                   \
    X##_CHOICE(T, encoder, DMC_ENCODER_NONE, "none", 3, "none mlp resnet18 resnet18_keypoints",   \
               "what stands before the network's condition")                                      \
    X##_INT(T, enc_hidden, 256, 1, 8192, "width inside the encoder")                              \
    X##_INT(T, enc_dim, 128, 1, 8192, "width behind the encoder")                                 \
    X##_REAL(T, dropout, 0, 0, DMC__BELOW_ONE, "probability of dropout while pre-training")       \
    X##_REAL(T, discount, 0.99, 0, 1, "role value, planner with returns: discount of the return")                       \
    X##_INT(T, crop_h, 0, 0, 2048, "resnet18: rows of an image that are seen; 0 = all")           \
    X##_INT(T, crop_w, 0, 0, 2048, "resnet18: columns of an image that are seen; 0 = all")        \
    X##_INT(T, crop_random, 1, 0, 1, "resnet18: 1 = the window is drawn while pre-training, 0 = the middle") \
    X##_INT(T, enc_width, 64, 1, 512, "resnet18: channels of the first stage")                    \
    X##_REAL(T, memory, 0, 0, DMC__BELOW_ONE, "decay of a running average in place of the oldest observation; 0 = off") \
    X##_CHOICE(T, process, DMC_PROCESS_VP, "vp", 4, "vp vp_grid vp_sde edm flow",                 \
               "how noise is added: T levels of betas; T levels of the SDE, or its time; score or flow matching") \
    X##_CHOICE(T, inpaint, DMC_INPAINT_CLEAN, "clean", 1, "clean noised",                         \
               "known entries of a noised sample: as they are, or noised like the rest")          \
    X##_REAL(T, sigma_data, 0.5, 1e-3, 1e3, "edm: deviation of the normalised data")              \
    X##_REAL(T, sigma_min, 0.002, 1e-6, 1e3, "edm: smallest noise level of a sampler")            \
    X##_REAL(T, sigma_max, 80, 1e-6, 1e6, "edm: largest noise level")                             \
    X##_REAL(T, log_mean, -1.2, -20, 20, "edm: mean of the logarithm of a training sample's noise level") \
    X##_REAL(T, log_std, 1.2, 0, 20, "edm: deviation of that logarithm")                          \
    X##_REAL(T, logit_std, 0, 0, 10, "flow: training time is the logistic of a normal of this deviation; 0 = uniform") \
    X##_REAL(T, cond_dropout, 0, 0, DMC__BELOW_ONE,                                               \
             "share of training samples without their condition, for classifier-free guidance")   \
    X##_INT(T, returns, 0, 0, 1, "planner: 1 = conditioned on the return, scaled to 0..1 over the data") \
    X##_INT(T, states_only, 0, 0, 1, "planner, value: 1 = rows of states without actions, which an inverse model gives")

DMC__OPTIONS_TABLE(dmc__options_model, DMC_OPTIONS_MODEL, dmc_model_options, MODEL_FIELDS, 0);
