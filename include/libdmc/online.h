/* online.h — alignment that goes on while acting: collect, let the critic learn, align, again.
 *
 * A round: (1) episodes of a simulator with the present model, of `candidates` samples the best by the critic, into a replay;
 * (2) utd updates of the critic per step that was taken, on batches of which `share` is from the replay; (3) one alignment call of
 * a few updates, whose conditions come from the replay by the same share, on the critic as it is now. A method takes its reference,
 * its reward scale and its thresholds anew in every call, so in every round.
 *
 * What the critic praises may be worse: with `restore`, two rounds in a row whose mean return is below the best round's by more
 * than two standard errors, and by more than a tenth of what was gained since the first, end that: the weights that acted in the
 * best round are restored and the learning rate is halved for the rest of the call.
 */
#ifndef LIBDMC_ONLINE_H
#define LIBDMC_ONLINE_H

#include "aligner.h"
#include "env.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { DMC_ONLINE_RL = 0, DMC_ONLINE_DPO = 1, DMC_ONLINE_SFT = 2 };

typedef struct dmc_online_options {
    uint32_t struct_size;
    int32_t rounds;         /* default 10                                                                  */
    int32_t episodes;       /* collected per round; default 8                                              */
    int32_t method;         /* DMC_ONLINE_*; default rl                                                    */
    int32_t updates;        /* of the method per round, in place of its own option; 0: the critic alone learns; default 20 */
    int32_t candidates;     /* samples per decision; default 8                                             */
    int32_t select;         /* DMC_SELECT_*: which of them is done; default greedy                         */
    int32_t exec;           /* rows of an answer that are executed, at most the horizon; default 1         */
    int32_t eval_episodes;  /* episodes before the first and after the last round, the same; 0 = none; default 32 */
    int32_t restore;        /* 1: a collapse of the returns takes the best round's weights back (below); default 1 */
    double utd;             /* critic updates per collected step, 0..1000; default 1                       */
    double share;           /* of critic batches and conditions from the replay, 0..1; default 0.5         */
    double beta;            /* select softmax: inverse temperature; default 1                              */
    uint64_t first_seed;    /* evaluation takes the episodes from here on, collection those behind; default 0 */
    uint64_t seed;          /* of the samplers' noise; default 0                                           */
} dmc_online_options;

typedef struct dmc_online_report {
    uint32_t struct_size;
    int32_t rounds;              /* done                                                                   */
    double *returns;             /* IN: room for options.rounds * options.episodes numbers, or NULL. The undiscounted return of
                                    every collected episode is written there, a row per round              */
    int64_t steps;               /* taken while collecting                                                 */
    int64_t critic_updates;
    int32_t updates, rollbacks;  /* of the method                                                          */
    int32_t restored;            /* how often the best round's weights were taken back                     */
    int32_t reserved0;
    double before, before_se;    /* mean return of the evaluation episodes and its standard error; NaN without them */
    double after, after_se;
    double q_loss, v_loss;       /* of the last round                                                      */
    double kl;                   /* dmc_align_report.kl of the last round                                  */
    double seconds;
} dmc_online_report;

/* Defaults. size = sizeof *o. */
DMC_API dmc_status dmc_online_options_init(dmc_online_options *o, size_t size);

/* Fine-tune the aligner's model and the critic in env. The critic is the one the aligner was created with (its reward), or any if
 * the aligner has a reward callback. What is collected is added to what the replay holds; it may be filled before, and used again.
 * Samplers have env->count conditions and the aligner's settings (sampler, steps). rl, dpo, sft: options of the methods, NULL for
 * defaults; only those of the chosen method are read. Everything else of an alignment call holds: progress is reported (`pass` is
 * the round) and may stop it, collapses are rolled back, a round keeps the best weights by the aligner's score. Equal seeds,
 * models, critics and replays give equal bits. Set report->struct_size (NULL: no report). Not for models that see. Returns DMC_OK,
 * DMC_STOPPED, or an error: those of dmc_collect, dmc_critic_step_on and of the method; DMC_EINVAL (another critic). The work of
 * rounds that were finished stays. */
DMC_API DMC_NODISCARD dmc_status dmc_align_online(dmc_aligner *a, dmc_critic *critic, const dmc_env *env, dmc_replay *replay,
                                                  const dmc_online_options *o, const dmc_rl_options *rl, const dmc_dpo_options *dpo,
                                                  const dmc_sft_options *sft, dmc_online_report *report);

#ifdef __cplusplus
}
#endif
#endif
