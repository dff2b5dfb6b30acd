/* sampler.h — draw actions from a model, in real time (docs/real-time.md).
 *
 * Life:  create -> (reset, sample ...) -> destroy.  create takes all memory, packs weights and warms up. The calls
 * marked REAL-TIME allocate nothing, take no lock, make no system call (one thread) and do the same amount of
 * work every time; tests/rt proves it. Calls compute in a floating-point mode of their own and put the caller's back.
 *
 * Threads: a sampler belongs to one thread at a time. Any number of samplers may share one model.
 */
#ifndef LIBDMC_SAMPLER_H
#define LIBDMC_SAMPLER_H

#include "critic.h"
#include "model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dmc_sampler dmc_sampler;

/* Every table, with its formula and source: docs/math/samplers.md. */
enum {
    DMC_SAMPLER_DDPM = 0,            /* ancestral; on every process                                        */
    DMC_SAMPLER_DDIM = 1,            /* with eta; on every process                                         */
    DMC_SAMPLER_EULER = 2,           /* ODE; edm: with churn                                               */
    DMC_SAMPLER_HEUN = 3,            /* ODE, two network calls a step; edm: with churn                     */
    DMC_SAMPLER_EULER_MARUYAMA = 4,  /* reverse SDE; not on flow                                           */
    DMC_SAMPLER_FLOW_SDE = 5,        /* flow: Flow-GRPO's SDE, sde_noise                                   */
    DMC_SAMPLER_REINFLOW = 6,        /* flow: Euler plus noise of deviation step_noise                     */
    DMC_SAMPLER_DPM = 7,             /* DPM-Solver-1, an ODE                                               */
    DMC_SAMPLER_DPMPP = 8,           /* DPM-Solver++(1)                                                    */
    DMC_SAMPLER_DPMPP_2M = 9,        /* DPM-Solver++(2M)                                                   */
    DMC_SAMPLER_SDE_DPM = 10,        /* the three SDEs of these; sde_dpm on every process but flow         */
    DMC_SAMPLER_SDE_DPMPP = 11,
    DMC_SAMPLER_SDE_DPMPP_2M = 12,
    DMC_SAMPLER_AUTO = 13            /* ddpm; on edm heun, on flow euler                                   */
};
/* Where on the way from noise to sample the steps are. */
enum {
    DMC_GRID_LINSPACE = 0,           /* equal steps of time, ends included                                 */
    DMC_GRID_TRAILING = 1,           /* equal steps, the clean end left out                                */
    DMC_GRID_LEADING = 2,            /* equal steps, the noisy end left out                                */
    DMC_GRID_QUAD = 3,               /* power 1.5: short steps where it is clean                           */
    DMC_GRID_LOGSNR = 4,             /* equal steps of ln(alpha/sigma); not on flow                        */
    DMC_GRID_KARRAS = 5,             /* equal steps of (sigma/alpha)^(1/rho); not on flow                  */
    DMC_GRID_CUSTOM = 6,             /* grid_times                                                         */
    DMC_GRID_AUTO = 7                /* linspace; on edm karras, on flow trailing                          */
};
enum {
    DMC_GUIDE_NONE = 0,
    DMC_GUIDE_CRITIC = 1,            /* dQ/dz of the predicted sample; needs a critic                      */
    DMC_GUIDE_VALUE = 2              /* dV/dz of the noised plan; needs a model of role value              */
};
enum {
    DMC_SELECT_FIRST = 0,        /* the first candidate: one plain sample                              */
    DMC_SELECT_EXPECTATION = 1,  /* mean of the candidates                                             */
    DMC_SELECT_GREEDY = 2,       /* argmax of min(Q1,Q2); needs a critic                               */
    DMC_SELECT_SOFTMAX = 3       /* drawn with weights exp(beta Q); needs a critic                     */
};

/* What the network's matrix weights are read as. Networks that do not fit a cache wait for their weights, and for 16-bit
 * ones half as long; sums are in single precision all the same. bf16 keeps 8 bits of a weight, fp16 11 (and none above 65504). */
enum { DMC_WEIGHTS_FLOAT32 = 0, DMC_WEIGHTS_BF16 = 1, DMC_WEIGHTS_FP16 = 2 };

typedef struct dmc_sampler_options {
    uint32_t struct_size;
    int32_t sampler;        /* DMC_SAMPLER_*; default auto                                             */
    int32_t steps;          /* denoising steps K, 1..T, of continuous processes 1..1000; 0 = T; default 0 */
    int32_t grid;           /* DMC_GRID_*; default auto                                                */
    int32_t batch;          /* conditions answered per call, 1..4096; default 1                        */
    int32_t candidates;     /* samples per condition, 1..4096; default 1                               */
    int32_t select;         /* DMC_SELECT_*; default first                                             */
    int32_t cascade_passes; /* 0..3: passes through the model's cascade, if it has one; default 0      */
    double eta;             /* ddim: 0 deterministic .. 1 = ddpm; default 0                            */
    double temperature;     /* multiplies the initial noise; default 1                                 */
    double beta;            /* softmax: inverse temperature; default 1                                 */
    uint64_t seed;          /* default 0                                                               */
    int32_t weights;        /* DMC_WEIGHTS_*; 16-bit copies belong to the sampler; default float32     */
    int32_t horizon;        /* rows of a sample, at most 1024; 0 = the model's; default 0. Another one only for networks without */
                            /* weights per row (U-Nets, by whose 2^(levels-1) it must be divisible): others refuse               */
    double rho;             /* grid karras; default 7                                                  */
    double churn;           /* euler and heun on edm: S_churn of Karras et al. 2022, alg. 2; default 0 */
    double churn_min, churn_max; /* noise levels with churn; default 0.05 and 50                       */
    double churn_noise;     /* S_noise; default 1.003                                                  */
    double sde_noise;       /* flow_sde: a of Flow-GRPO; default 0.7                                   */
    double step_noise;      /* reinflow: deviation of the noise of every step; default 0.1             */
    double std_floor;       /* least deviation of a step's noise, the last step's too; 0: that has none; default 0 */
    double warm_start;      /* 0, or the share of the way to noise that the last plan, moved up by `exec` rows (its last row is */
                            /* repeated), is noised to and denoised from: at the first step whose time is at most this share of */
                            /* the clock's end; on edm: of the way from sigma_min to sigma_max in sigma^(1/rho). After a reset, */
                            /* and after held actions, an answer begins with noise. Passes through a cascade do too. 0..1;      */
                            /* default 0                                                               */
    double guidance;        /* classifier-free: w f(z,t,c) + (1 - w) f(z,t,none); other than 1 needs a model trained with */
                            /* cond_dropout > 0, and twice the work (0: the null alone); not of cascades; default 1 */
    double target_return;   /* planner with returns: the return asked for, 0 least .. 1 greatest of the data; default 1 */
    double guide_scale;     /* guide: how far the predicted sample is moved (docs/math/guidance.md), not of cascades; default 1 */
    const char *grid_times; /* grid custom: `steps` places on the process's clock, noisiest first, commas between; default "" */
    const char *rotations;  /* expectation: first columns of six-number rotations (two columns of a rotation matrix) in the */
                            /* action, which are averaged and made orthonormal again; default ""       */
    const char *majorities; /* expectation: columns of the action (grippers) of which the median is taken; default "" */
    int32_t guide;          /* DMC_GUIDE_*; default none                                               */
    int32_t exec;           /* rows a controller executes between calls, for warm_start: then below the horizon; default 1 */
    int32_t jump;           /* RePaint: length of a jump back, in steps; default 5                     */
    int32_t jumps;          /* RePaint: how often each stretch of `jump` steps is walked; 1 = once; default 1. Of use with known */
                            /* entries and a model of inpaint = noised; an aligner's own chains never jump back */
    int32_t table_compat;   /* 1 = tables as CleanDiffuser has them; default 0                         */
    int32_t reserved0;      /* 0                                                                       */
} dmc_sampler_options;

/* What happened in the last answer (of condition 0 where it is per condition), and counts since the sampler was made or reset.
 * An answer is a call of dmc_sampler_sample, _sample_until or _finish that was not refused for its arguments. */
typedef struct dmc_sampler_info {
    uint32_t struct_size;
    int32_t steps;          /* denoising steps done, those of cascade passes included                  */
    int32_t chosen;         /* index of the candidate chosen, -1 for expectation and held actions      */
    int32_t clamped;        /* action entries clamped to the model's limits, all conditions            */
    double q;               /* min(Q1,Q2) of the chosen candidate, NaN without a critic                */
    int64_t nanoseconds;    /* of the call; of begin, steps and finish together                        */
    int32_t planned;        /* denoising steps of a whole answer                                       */
    int32_t held;           /* 1: the actions are the last good ones                                   */
    int32_t partial;        /* 1: from fewer steps than planned                                        */
    int32_t reserved0;
    uint64_t call, seed;    /* its noise: number of the call since the reset, 0 first; held answers have none of their own */
    int64_t calls;          /* answers, of which: */
    int64_t partials, holds, clampings;
    int64_t longest_step;   /* nanoseconds of the longest denoising step                               */
} dmc_sampler_info;

/* Defaults. size = sizeof *o. */
DMC_API dmc_status dmc_sampler_options_init(dmc_sampler_options *o, size_t size);

/* critic may be NULL unless `select` needs one; it must have the model's widths.
 * Errors: DMC_ERANGE (e.g. steps > T, a horizon the network cannot halve), DMC_EINVAL (greedy without a critic, a horizon other
 * than the model's for a network with weights per row), DMC_ESHAPE, DMC_ENOMEM. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_create(dmc_context *ctx, const dmc_model *m, const dmc_critic *critic,
                                                    const dmc_sampler_options *o, dmc_sampler **out);
/* What a sampler may use besides its model; zero what is not there. */
typedef struct dmc_sampler_parts {
    uint32_t struct_size;     /* sizeof */
    uint32_t reserved0;       /* 0 */
    const dmc_critic *critic; /* for select and guide; must have the model's widths                          */
    const dmc_model *value;   /* for guide = value: role value, with the model's data widths and horizon     */
} dmc_sampler_parts;

/* The same with more parts; parts NULL: none. All parts must outlive the sampler. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_create_with(dmc_context *ctx, const dmc_model *m, const dmc_sampler_parts *parts,
                                                         const dmc_sampler_options *o, dmc_sampler **out);

/* Bytes that dmc_sampler_create_in needs for these arguments, found by making one with memory of malloc. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_size(const dmc_model *m, const dmc_sampler_parts *parts,
                                                  const dmc_sampler_options *o, size_t *bytes);
/* The same in the caller's memory, at any alignment: nothing is allocated, by no allocator, and dmc_sampler_destroy touches
 * nothing outside. The sampler has a one-thread context of its own there, on the model's device. parts NULL: none.
 * Errors: as dmc_sampler_create; DMC_ENOMEM if `size` is too small, with the number it should have been (to find that out malloc
 * is used). Ownership: the buffer stays yours and must outlive the sampler. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_create_in(const dmc_model *m, const dmc_sampler_parts *parts,
                                                       const dmc_sampler_options *o, void *buffer, size_t size,
                                                       dmc_sampler **out);
/* Accepts NULL. */
DMC_API void dmc_sampler_destroy(dmc_sampler *s);

/* One whole answer to something made up, on the calling thread: its stack, the code and all memory an answer touches are mapped
 * and warm afterwards, so that the next calls make no page fault. Then as dmc_sampler_reset with the same seed. Making a sampler
 * does this, too, on the thread that makes it; call it again on the thread that samples, behind mlockall. Allocates nothing.
 * Errors: DMC_ENUMERIC if the model's samples are not finite. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_prefault(dmc_sampler *s);

/* A policy that sees: frames (batch,h,w,c) of one of its cameras for the next sample call, which needs one of every camera; older
 * frames are kept inside, as observations are. n = batch*h*w*c. Errors: DMC_EKEY (no such camera), DMC_ESHAPE. REAL-TIME.
 * Ownership: the pixels are copied. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_set_image(dmc_sampler *s, const char *camera, const uint8_t *pixels, size_t n);

/* In-painting: what is known of the samples from the next answer on, until it is set again: a chunk's first rows, which are being
 * executed already, a state to come by, a goal. mask (batch,horizon,columns), not 0 where known, and values in dataset units, where
 * columns are those of dmc_sampler_plan; mask NULL: nothing. In plans and candidates known entries are these floats bit for bit;
 * actions are clamped to the limits all the same. What a planner knows without being told, its first state, comes out as it was
 * observed; a value given here goes before it. dmc_sampler_reset and _rebind keep what is known. A model fills the rest in well if
 * it was trained with such masks (mask_share, window_share), or has inpaint = noised and is sampled with jumps.
 * Errors: DMC_ESHAPE; DMC_ENUMERIC if a known value is not finite; what was known stays known then. REAL-TIME. Ownership: both
 * are copied. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_set_known(dmc_sampler *s, const uint8_t *mask, const float *values, size_t n);

/* One control step: obs (batch,obs_dim) in dataset units is the newest observation; a policy's older ones are
 * kept inside (the first is replicated). out receives the actions (batch,horizon,act_dim) in dataset units,
 * clamped to the model's action limits; a controller executes the first rows of it.
 * Returns DMC_OK, or DMC_CLAMPED (success) if an entry was clamped. DMC_ESHAPE if a count is wrong.
 * DMC_ESTATE if a camera's image is missing, DMC_ENUMERIC if an observation is not finite or a result became so: out then
 * holds the last good actions (zeros clamped to the limits before the first) and is safe to send. REAL-TIME. Ownership:
 * buffers stay yours. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_sample(dmc_sampler *s, const float *obs, size_t n_obs, float *out,
                                                    size_t n_out);

/* Nanoseconds of CLOCK_MONOTONIC, for deadlines. REAL-TIME. */
DMC_API int64_t dmc_clock_now(void);

/* As dmc_sampler_sample, but finished by `deadline_ns` (dmc_clock_now() + what there is to spend): the clock is read between
 * denoising steps, and a step that would probably end too late, going by the longest of the steps so far (older ones count for
 * less), is not begun. One step is made in any case when the deadline is still ahead, so an answer may be late by at most what one
 * denoising step and the choice take. Steps of cascade passes count; a pass that is not through is given up.
 * Returns DMC_OK or DMC_CLAMPED, equal to dmc_sampler_sample bit for bit; DMC_PARTIAL (success) if steps were left out: the
 * samples are the ones the last step predicted; DMC_EDEADLINE if the deadline was past: out holds the last good actions, the
 * observation is kept in the history. Other errors: as dmc_sampler_sample. REAL-TIME. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_sample_until(dmc_sampler *s, const float *obs, size_t n_obs, int64_t deadline_ns,
                                                          float *out, size_t n_out);

/* The same in the caller's own time: begin with an observation, make steps while there is time, finish. What is begun again before
 * it is finished starts over: both observations are in the history, the number of the call stays. dmc_sampler_sample,
 * _sample_until, _reset, _rebind and _prefault give up what was begun. REAL-TIME.
 * Errors: DMC_ESHAPE, DMC_ESTATE (an image is missing), DMC_ENUMERIC (not finite): then nothing is begun. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_begin(dmc_sampler *s, const float *obs, size_t n_obs);
/* One denoising step of all candidates. *left (may be NULL) receives how many are left, 0 after an error. REAL-TIME.
 * Errors: DMC_ESTATE if nothing was begun or no step is left. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_step(dmc_sampler *s, int32_t *left);
/* Choose and write the actions, after the first step at any time. Returns as dmc_sampler_sample, DMC_PARTIAL (success) if steps
 * were left. DMC_ESTATE if nothing was begun, or no step was made yet (then the answer stays begun), or DMC_ENUMERIC: out holds
 * the last good actions. REAL-TIME. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_finish(dmc_sampler *s, float *out, size_t n_out);

/* Details of the last answer; set info->struct_size first (that of an earlier version will do). REAL-TIME. */
DMC_API dmc_status dmc_sampler_get_info(const dmc_sampler *s, dmc_sampler_info *info);

/* The chosen z of condition b in dataset units: policy (horizon,act_dim), planner (horizon,obs_dim+act_dim).
 * REAL-TIME. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_plan(const dmc_sampler *s, int32_t b, float *out, size_t n);
/* All candidates of the last call, (batch*candidates, horizon, cols), in dataset units. DMC_ESTATE between begin and finish.
 * REAL-TIME. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_candidates(const dmc_sampler *s, float *out, size_t n);

/* Forget the observation history and the last plan and start the noise over at call 0 with this seed. REAL-TIME. */
DMC_API dmc_status dmc_sampler_reset(dmc_sampler *s, uint64_t seed);

/* Use the weights of another model with the same contract, normalisation included. The old model may be destroyed then; the
 * new one must outlive the sampler. Allocates nothing; not while sampling. REAL-TIME. */
DMC_API DMC_NODISCARD dmc_status dmc_sampler_rebind(dmc_sampler *s, const dmc_model *m);

/* Bytes the sampler holds of its context's allocator, to the byte: its networks' plans, the values that are kept between
 * steps, its copy of the network's shape, staging, and the evaluation of the critic. Not the model, the critic or the context,
 * which others share; a sampler made without a context has a private one, which counts. NULL: 0. */
DMC_API size_t dmc_sampler_memory(const dmc_sampler *s);

#ifdef __cplusplus
}
#endif
#endif
