/* aligner.h — move a model towards a reward without leaving what it knows (Huh & Mohapatra, eq. 6).
 *
 * An aligner holds a LoRA adapter over a frozen foundation model and runs four methods on it, alone or in passes:
 * dmc_align_rl (eqs. 7-9), dmc_align_dpo (eqs. 10-12), dmc_align_sft (section 3.3), dmc_align_cascade (section
 * 3.4), dmc_align_sequence. Each returns when its updates are done, keeps the best weights seen by evaluation, and
 * restores them when a run collapses. Conditions (observations) come from the dataset.
 *
 * Reward: the critic given at creation, or a callback. Evaluation: the same critic, or a callback (a simulator).
 * Threads: one at a time. Model, dataset and critic must outlive the aligner.
 */
#ifndef LIBDMC_ALIGNER_H
#define LIBDMC_ALIGNER_H

#include "critic.h"
#include "model.h"
#include "sampler.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dmc_aligner dmc_aligner;

typedef struct dmc_align_options {
    uint32_t struct_size;
    int32_t lora_rank;      /* 0 = train all weights; default 16                                           */
    int32_t batch;          /* samples per update; default 256                                             */
    int32_t candidates;     /* G, samples per condition; divides batch; default 8                          */
    int32_t eval_every;     /* updates between evaluations; default 50                                     */
    int32_t eval_conditions;/* conditions of the fixed evaluation bank; default 64                         */
    double lora_alpha;      /* scale s = alpha / rank; default 16                                          */
    double lr;              /* AdamW; default 3e-4                                                         */
    double weight_decay;    /* default 0                                                                   */
    double grad_clip;       /* global norm; default 1                                                      */
    double std_floor;       /* sigma floor of stochastic steps, also used in log-probabilities; default 0.1 */
    double row_discount;    /* planner: row h of a plan counts row_discount^h in the reward; 0 = row 0 only; default 0.99 */
    uint64_t seed;          /* default 0                                                                   */
    const char *lora_targets; /* comma-separated patterns with * over tensor names; default "*" (all linear and conv) */
    /* DMC_SAMPLER_* of the samples that are judged and learnt from; default auto: ddpm, on edm and flow euler. PPO and REINFORCE
     * need noise in every step: in place of a deterministic sampler they take ddpm. Not heun, dpmpp_2m, sde_dpmpp_2m. */
    int32_t sampler;
    int32_t steps;          /* denoising steps, at most the model's; default 0 = the model's               */
    int32_t converge;       /* 1: a stage ends when its score no longer rises, before its updates are done; default 0 */
    int32_t accept;         /* 1: a stage leaves its last weights where they score within 1 standard error (paired) of the best
                               and no lower than those it began with; default 0 = always the best          */
    /* 0: an update that is not finite, or scores that fell in two evaluations, are a collapse: the best weights come back, the
     * learning rate is halved, the constraint doubled, and the third ends the stage. 1: so are a loss 8 median deviations above the
     * 50 before it, twice; a gradient of 20 times their median; half of the samples unlikely under the foundation (where a quarter
     * of its own are not); candidates all alike while scores fall; critics that disagree 3 times as much as on data. Default 0 */
    int32_t guard;
    int32_t reserved0;      /* 0                                                                           */
    double kl_limit;        /* nats per dimension of the whole chain to the foundation: beyond it a warning, beyond 5 of it a
                               collapse; default 0 = none                                                  */
} dmc_align_options;

enum { DMC_RL_PPO = 0, DMC_RL_REINFORCE = 1, DMC_RL_QVPG = 2, DMC_RL_AUTO = 3 };
enum { DMC_KL_EPSILON = 0, DMC_KL_EXACT = 1 };
enum { DMC_LAST_K_FIXED = 0, DMC_LAST_K_RANDOM = 1, DMC_LAST_K_CURRICULUM = 2 };
enum { DMC_GRANULARITY_SAMPLE = 0, DMC_GRANULARITY_ROW = 1 };
enum { DMC_REDUCE_MEAN = 0, DMC_REDUCE_SUM = 1 };
enum { DMC_STD_BATCH = 0, DMC_STD_GROUP = 1 };
enum {
    DMC_KAPPA_GEOM = 0,
    DMC_KAPPA_LINEAR = 1,
    DMC_KAPPA_CONST = 2,
    DMC_KAPPA_PROJ = 3,   /* for each sample: the step's share of the way from z_T to z_0 */
    DMC_KAPPA_COS = 4,    /* the angle between the step and that way                      */
    DMC_KAPPA_PAIRCOS = 5 /* the angle between (z_t, z_{t-1}) and (z_T, z_0)              */
};

typedef struct dmc_rl_options {
    uint32_t struct_size;
    /* DMC_RL_*; default qvpg. auto: ppo and qvpg from the same weights, each for a quarter of the updates, then the one with the
     * better score for the rest (ppo alone where the reward has no gradient); progress counts updates of each part. */
    int32_t method;
    int32_t updates;        /* default 300                                                                 */
    int32_t last_k;         /* K: denoising steps that learn, 1..T; 0 = T; default 3                       */
    int32_t kappa;          /* DMC_KAPPA_*: credit over denoising steps; default geom. From proj on not for qvpg */
    int32_t epochs;         /* PPO: passes over a batch of chains; default 2                               */
    int32_t kl_kind;        /* DMC_KL_*: |eps - eps_ref|^2 per step (evenly conditioned), or the exact KL; default epsilon */
    int32_t reserved0;      /* 0                                                                           */
    double kappa_gamma;     /* geom: kappa_t = gamma^(t-1); default 0.99                                   */
    double clip;            /* PPO: ratio clip epsilon; default 0.02 (log-probability is a mean over dims) */
    /* beta of the divergence to the model at the start of the call, a mean over the entries of a sample; default 0.1. Over the
     * learning steps it is reduced as what it stands beside: summed for qvpg and reinforce, a mean for ppo, so that beta weighs
     * one step's divergence against one step's advantage there. Progress reports the KL in nats per dimension, summed over the
     * steps, whatever kl_kind. */
    double kl;
    double advantage_clip;  /* default 5                                                                   */
    /* DMC_REDUCE_*: log-probabilities, and the divergence beside them, over the entries of a sample; default mean. The sum is the
     * exact density and wants a wider clip, say 0.1, and few entries. Not for qvpg, which has a mean. */
    int32_t reduce;
    int32_t advantage_std;  /* DMC_STD_*: advantages are over the deviation of the batch, or of each group; default batch */
    double clip_base;       /* PPO: clip at the noisiest learning step, rising to `clip` at the last; default 0 = clip */
    /* PPO: an epoch is dropped, and those after it, once the mean of (rho-1) - ln rho is above this; 0 = off; default 1 */
    double target_kl;
    /* Where above 0, `kl` is where the weight starts: after an update whose KL (nats per dimension, summed over the learning steps)
     * was above 1.5 kl_target it is 1.5 times as large, below kl_target/1.5 as small. Default 0 */
    double kl_target;
    /* DMC_LAST_K_*: last_k steps learn in every update; or as many from 1 to last_k as are drawn for it; or a curriculum of 1, 2, 4
     * .. last_k, doubled where the stage finds no new best in two evaluations, halved where it collapses. Default fixed */
    int32_t last_k_kind;
    /* DMC_GRANULARITY_*: PPO and REINFORCE judge a sample; or each row of a plan by its own Q against the same row of the other
     * candidates: planners with the critic's reward and row_discount above 0. Default sample */
    int32_t granularity;
    /* alpha_H, weight of the entropy of the candidates of a condition (nearest neighbours, nats) against rewards of deviation 1:
     * what a policy loses otherwise is the best of many candidates. Draws `candidates` per condition for qvpg, too. Default 0 */
    double entropy;
    /* Where above 0, `entropy` is the least weight: it rises by half in an update that finds the median deviation of the candidates
     * below this share of what it was in the first, and falls by a third, to no less, above 1.5 times that. Default 0 */
    double entropy_target;
} dmc_rl_options;

enum { DMC_PAIRS_CANDIDATES = 0, DMC_PAIRS_DATASET = 1, DMC_PAIRS_CALLBACK = 2 };
enum { DMC_PREFERENCE_VALUE = 0, DMC_PREFERENCE_BRADLEY_TERRY = 1 };
enum { DMC_WEIGHTING_CONST = 0, DMC_WEIGHTING_SNR = 1, DMC_WEIGHTING_SIGMOID = 2 };

typedef struct dmc_dpo_options {
    uint32_t struct_size;
    int32_t updates;        /* default 800                                                                 */
    int32_t refresh;        /* updates between new preference pairs; default 25                            */
    int32_t pool;           /* candidates per condition from which best and worst are taken; default 16    */
    double gamma;           /* per summed squared error (scaled by the dimension inside); default 5        */
    double anchor;          /* weight of the winner's denoising loss; default 0.1                          */
    double margin;          /* pairs closer than margin * std(reward) are dropped; default 0.25            */
    /* Preferences can be won by forgetting both, losers faster than winners. A collapse (best weights back, learning rate halved,
     * gamma doubled) is where the winners' error is this many times the reference's, over about ten updates; 1 or more, 0 = never;
     * default 1.5. */
    double displacement;
    /* DMC_WEIGHTING_*: what the error of a pair counts by the signal-to-noise ratio l = alpha^2/sigma^2 of its level:
     * 1, min(l,5)/l, or l/(1+l), the sigmoid of ln l; default const. The anchor is not weighted. */
    int32_t weighting;
    int32_t reference_every;/* updates after which the present weights become the reference; default 0: those at the start */
    /* DMC_PAIRS_*: the best and the worst of `pool` samples of the present weights; of up to `pool` windows of the training data,
     * of different episodes, whose first states are near each other, by the return from there to the episode's end (the winner's
     * condition stands for both, and rows past the end of one count for neither); or what dmc_aligner_set_pairs's function
     * gives, whatever pool and margin. Default candidates. */
    int32_t pairs;
    int32_t conditions;     /* pairs made at a refresh, at most, of which updates take others each time; default 0: half of batch */
    double radius;          /* dataset: root mean square over the columns of normalised states; default 0.1 */
    double discount;        /* dataset: of the return; 0..1, default 1                                     */
    /* DMC_PREFERENCE_*: by what candidates are ranked. Value: the reward. Bradley-Terry: a network f(sample, condition), learnt
     * before the first update from pairs = dataset or callback, which then are not learnt from themselves, so that
     * sigmoid(f(win) - f(lose)) is the share of such pairs won. Not for models that see images. Default value. */
    int32_t preference;
    int32_t preference_updates; /* Bradley-Terry: updates of f, Adam at 1e-3 on half of batch pairs; default 500 */
} dmc_dpo_options;

typedef struct dmc_sft_options {
    uint32_t struct_size;
    int32_t updates;        /* default 600                                                                 */
    int32_t rounds;         /* times the data are generated anew; default 3                                */
    int32_t pool;           /* candidates per condition; the best is kept; default 16                      */
    int32_t conditions;     /* conditions per round; default 512                                           */
    int32_t reserved0;      /* must be 0                                                                   */
    double likelihood;      /* samples below this quantile of the foundation's likelihood of data are dropped; default 0.1 */
    double replay;          /* share of a batch from the dataset's best windows, 0..1; default 0.25        */
    double quantile;        /* 0, or in place of top_k: samples that reach this quantile of all rewards of a round are kept;
                             * default 0, methods.md .9                                                    */
    double weight_beta;     /* kept samples weigh min(exp(beta A), 100) / mean, A = (r - mean of the condition's candidates) / std
                             * of all; 0 = alike; default 0                                                */
    int32_t top_k;          /* best samples kept of each condition, 1..pool; default 1                     */
    int32_t keep_rounds;    /* rounds whose samples are learnt from; default 3                             */
    int32_t accept;         /* 1: a round that ends with a lower score than it began with is undone; default 1 */
    int32_t early_stop;     /* every so many updates: if kept samples that are not learnt from (an eighth) became less likely, the
                             * next round begins at once; 0 = never; default 0                             */
} dmc_sft_options;

/* How the samples of a pair are variations of one: they share a latent; a window of rows is drawn anew and the others are
 * in-painted (for models trained with window_share); not at all; or, from the first refresh on, a sample of the model and the best
 * that the cascade makes of it, which is fine-tuning of the cascade on its own gains r(x_r) - r(x_cond). */
enum { DMC_PAIRS_LATENT = 0, DMC_PAIRS_INPAINT = 1, DMC_PAIRS_INDEPENDENT = 2, DMC_PAIRS_OWN = 3 };

typedef struct dmc_cascade_options {
    uint32_t struct_size;
    int32_t updates;        /* default 600                                                                 */
    int32_t conditions;     /* conditions from which pairs are made; default 512                           */
    int32_t pool;           /* re-noised continuations per sample; default 8                               */
    double fork_min, fork_max; /* pairs = latent: the level shared, drawn for every batch, as share of T; default 0.3, 0.7 */
    double gain;            /* pairs with a reward gain below gain * std(reward) are dropped; default 0.1  */
    double adherence;       /* weight of |eps_cascade - eps_foundation|^2; default 0.01                    */
    int32_t pairs;          /* DMC_PAIRS_*; default latent                                                 */
    int32_t refresh;        /* updates between new pairs; 0 = the first are kept, not for pairs = own; default 0 */
} dmc_cascade_options;

typedef struct dmc_sequence_options {
    uint32_t struct_size;
    int32_t passes;         /* P, 1..10; default 2                                                         */
    int32_t cascade;        /* 1: train the cascade at the end; default 0                                  */
    int32_t reserved0;
    const char *order;      /* comma-separated stages; default "rl,dpo,sft". "auto": that in the first pass, from the second on
                               each time the stage that gained most per second when it ran last            */
} dmc_sequence_options;

/* One line of a running alignment. */
typedef struct dmc_align_progress {
    uint32_t struct_size;
    int32_t update, updates;   /* within the stage                                    */
    int32_t pass;              /* of a sequence, from 1                               */
    const char *stage;         /* "rl", "dpo", "sft", "cascade"                       */
    double score;              /* last evaluation                                     */
    double best;               /* best evaluation so far                              */
    double loss, kl, reward;   /* of the last update; NaN where the method has none   */
    double seconds;
    double grad_norm;          /* of the last update, before clipping                 */
    double loss_z;             /* its loss from the median of the 50 before, in median absolute deviations; NaN early on */
    double norm_ratio;         /* grad_norm over the median of the 50 before; NaN early on */
    double lr_scale;           /* 1, halved by every collapse of the stage            */
    /* Of the last evaluation, on 64 samples under held-out conditions; NaN of a cascade, and where nobody can tell: */
    double kl_foundation;      /* nats per dimension of the whole chain               */
    double unlikely;           /* share below the foundation's 10 % quantile of likelihood of data */
    double spread;             /* standard deviation of candidates over the foundation's */
    double entropy;            /* of candidates, by nearest neighbours, in nats up to a constant */
    double coherency;          /* mean of the callback's                              */
    double disagreement;       /* |Q1 - Q2| over that on data; with a critic          */
} dmc_align_progress;

enum { DMC_ALIGN_DONE = 1, DMC_ALIGN_CONVERGED = 2, DMC_ALIGN_COLLAPSED = 3 };

/* What a call achieved. */
typedef struct dmc_align_report {
    uint32_t struct_size;
    int32_t updates;           /* done                                                */
    int32_t rollbacks;         /* collapses caught                                    */
    int32_t accepted;          /* 1: kept; 0: not better, the earlier weights restored */
    double before, after;      /* evaluation score                                    */
    double before_se, after_se;
    double kl;                 /* per dimension, to the foundation, at the end        */
    double seconds;
    int32_t warnings;          /* evaluations after which the constraint was tightened, without a collapse */
    int32_t end;               /* DMC_ALIGN_*: why the last stage ended; 0 = it was stopped */
    double unlikely, spread, entropy, coherency, disagreement; /* as in dmc_align_progress, of what was kept */
} dmc_align_report;

/* Rewards of n samples z (n,horizon,cols) in dataset units under conditions obs (n,n_obs*obs_dim; planners: the first
 * state (n,obs_dim)). Write r (n) and, if grad is not NULL, d r / d z (n,horizon,cols). Nonzero = failure. */
typedef int32_t (*dmc_reward_fn)(void *user, size_t n, const float *z, const float *obs, float *r, float *grad);

/* Score of a model (higher is better) as mean and standard error over a fixed bank of episodes, e.g. by dmc_evaluate.
 * `m` is only valid during the call. Nonzero = failure. */
typedef int32_t (*dmc_score_fn)(void *user, const dmc_model *m, double *mean, double *se);

/* Preference pairs: for n conditions obs (n,n_obs*obs_dim; planners: the first state (n,obs_dim)) of the dataset, which may be
 * overwritten by others, write samples win and lose (n,horizon,cols), the better and the worse, all in dataset units. The first
 * state of a planner's samples is taken from obs. Nonzero = failure. */
typedef int32_t (*dmc_pairs_fn)(void *user, size_t n, float *obs, float *win, float *lose);

/* Scores of a model in n episodes (higher is better), the same ones in every call, in the same order: score (n). Two models are
 * then compared episode by episode, which is much surer than by their means. Nonzero = failure. */
typedef int32_t (*dmc_scores_fn)(void *user, const dmc_model *m, int32_t n, double *score);

/* Return nonzero to stop; the call then returns DMC_STOPPED with the best weights so far. */
typedef int32_t (*dmc_progress_fn)(void *user, const dmc_align_progress *p);

/* Defaults. size = sizeof *o. */
DMC_API dmc_status dmc_align_options_init(dmc_align_options *o, size_t size);
DMC_API dmc_status dmc_rl_options_init(dmc_rl_options *o, size_t size);
DMC_API dmc_status dmc_dpo_options_init(dmc_dpo_options *o, size_t size);
DMC_API dmc_status dmc_sft_options_init(dmc_sft_options *o, size_t size);
DMC_API dmc_status dmc_cascade_options_init(dmc_cascade_options *o, size_t size);
DMC_API dmc_status dmc_sequence_options_init(dmc_sequence_options *o, size_t size);

/* critic may be NULL if a reward callback is set before the first alignment call. */
DMC_API DMC_NODISCARD dmc_status dmc_aligner_create(dmc_context *ctx, const dmc_model *m, const dmc_dataset *d,
                                                    const dmc_critic *critic, const dmc_align_options *o,
                                                    dmc_aligner **out);
DMC_API void dmc_aligner_destroy(dmc_aligner *a);

/* has_gradient: fn fills grad (needed by QV-PG). NULL fn: back to the critic. */
DMC_API dmc_status dmc_aligner_set_reward(dmc_aligner *a, dmc_reward_fn fn, void *user, int32_t has_gradient);
/* NULL fn: the reward of samples on a fixed bank of conditions. */
DMC_API dmc_status dmc_aligner_set_score(dmc_aligner *a, dmc_score_fn fn, void *user);
/* Coherency of samples: r (n) of fn is taken, grad is always NULL; every evaluation reports its mean. NULL fn: none. */
DMC_API dmc_status dmc_aligner_set_coherency(dmc_aligner *a, dmc_reward_fn fn, void *user);
/* In place of dmc_aligner_set_score; n = episodes, at least 2. NULL fn: as if there were none. */
DMC_API dmc_status dmc_aligner_set_scores(dmc_aligner *a, dmc_scores_fn fn, void *user, int32_t n);
DMC_API dmc_status dmc_aligner_set_progress(dmc_aligner *a, dmc_progress_fn fn, void *user);

/* From now on every evaluation, every decision and why is appended to this file, a JSON object per line (docs/formats.md). NULL: no
 * more. A line that cannot be written ends the method. */
DMC_API dmc_status dmc_aligner_set_ledger(dmc_aligner *a, const char *path);

/* The methods; options NULL = defaults, report may be NULL (else set report->struct_size). Each starts from the
 * aligner's present adapter. Errors: DMC_ERANGE / DMC_EINVAL (options), DMC_ESTATE (no reward), DMC_ENUMERIC,
 * DMC_EDIVERGED (nothing but collapses: the starting weights are restored), DMC_ECALLBACK. */
DMC_API DMC_NODISCARD dmc_status dmc_align_rl(dmc_aligner *a, const dmc_rl_options *o, dmc_align_report *report);
DMC_API DMC_NODISCARD dmc_status dmc_align_dpo(dmc_aligner *a, const dmc_dpo_options *o, dmc_align_report *report);
DMC_API DMC_NODISCARD dmc_status dmc_align_sft(dmc_aligner *a, const dmc_sft_options *o, dmc_align_report *report);
DMC_API DMC_NODISCARD dmc_status dmc_align_cascade(dmc_aligner *a, const dmc_cascade_options *o,
                                                   dmc_align_report *report);
DMC_API DMC_NODISCARD dmc_status dmc_align_sequence(dmc_aligner *a, const dmc_sequence_options *o,
                                                    const dmc_rl_options *rl, const dmc_dpo_options *dpo,
                                                    const dmc_sft_options *sft, const dmc_cascade_options *cascade,
                                                    dmc_align_report *report);

/* Forget the adapter: back to the foundation. */
DMC_API dmc_status dmc_aligner_reset(dmc_aligner *a);
/* A new model with the adapter merged, and the cascade if one was trained. Ownership: caller destroys. */
DMC_API DMC_NODISCARD dmc_status dmc_aligner_publish(const dmc_aligner *a, dmc_model **out);
/* The adapter alone (LoRA factors, cascade weights), for the same foundation. */
DMC_API DMC_NODISCARD dmc_status dmc_aligner_save(const dmc_aligner *a, const char *path);
DMC_API DMC_NODISCARD dmc_status dmc_aligner_load(dmc_aligner *a, const char *path);

/* Another critic, which the score is of from now on: one that has not seen the episodes of the critic that trains
 * (dmc_critic_options.split), so that its errors are not rewarded. A score callback goes before it; NULL: the score is of the
 * reward. Whether a cascade's sample is taken is decided by the reward, as a sampler decides. judge must outlive the aligner.
 * Errors: DMC_ESHAPE (it is for other widths). */
DMC_API dmc_status dmc_aligner_set_judge(dmc_aligner *a, const dmc_critic *judge);

/* Whose pairs dmc_align_dpo with pairs = callback learns from, asked at every refresh; NULL: nobody's. The stage is scored, as
 * ever, by the reward or the score. */
DMC_API dmc_status dmc_aligner_set_pairs(dmc_aligner *a, dmc_pairs_fn fn, void *user);

/* All that a run needs to go on: adapter, optimiser, draws, best weights and scores, position in stage, pass and ledger. To be
 * called from a progress callback, after a call that returned DMC_STOPPED, or between two calls. */
DMC_API DMC_NODISCARD dmc_status dmc_aligner_checkpoint(dmc_aligner *a, const char *path);
/* Into an aligner made with the same arguments and callbacks. If a method was running, the next call must be of the same method
 * with the same options; it goes on where the checkpoint was taken, to the same weights, bit for bit, as if it had not been
 * interrupted. A method that keeps no record of what it holds in the middle of a stage is taken up at the start of that stage,
 * which comes to the same weights; a cascade too, and one that was there before it is then not part of the checkpoint. */
DMC_API DMC_NODISCARD dmc_status dmc_aligner_resume(dmc_aligner *a, const char *path);

#ifdef __cplusplus
}
#endif
#endif
