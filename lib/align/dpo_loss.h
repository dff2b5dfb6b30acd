/* dpo_loss.h — the preference loss of a batch of pairs and its gradient (paper eqs. 10-12; methods.md 3).
 *
 * Winner and loser are noised to the same level with the same noise. With F = err_theta - err_ref (err: mean squared error over
 * unknown entries in epsilon, in velocity for v and x0 networks) and D unknown entries
 *     L = mean of softplus(gamma D omega (F_w - F_l)) + anchor err_theta,w ,
 * omega a function of the level's signal-to-noise ratio.
 */
#ifndef DMC_ALIGN_DPO_LOSS_H
#define DMC_ALIGN_DPO_LOSS_H

#include "align.h"

enum { DMC__WEIGHTING_CONST = 0, DMC__WEIGHTING_SNR = 1, DMC__WEIGHTING_SIGMOID = 2 };

typedef struct dmc__dpo_terms {
    double gamma, anchor;
    int32_t weighting;           /* DMC__WEIGHTING_* */
} dmc__dpo_terms;

/* A batch of `pairs`, all winners, then all losers. Host arrays; the caller fills the first four. */
typedef struct dmc__dpo_loss {
    const dmc__align *a;
    int32_t pairs;
    size_t elems, cond;
    float *x0, *side;            /* (2 pairs, elems) (2 pairs, cond) normalised; side: NULL where there is no condition */
    float *mask, *weight;        /* (2 pairs, elems) 1 = known, in-painted (NULL unless planner); loss weights */
    float *err, *err_ref, *derr; /* (2 pairs) of the present weights, of the reference; dL/derr */
    float *factor;               /* (pairs) from the network's squared error to the one preferences are measured in */
    float *omega;                /* (pairs) */
    float *told;                 /* (pairs, 2): loss; 1 if the winner is preferred */
    double *time;
    uint64_t *sample;
    dmc__chain *now, *ref;
    dmc__denoise *noise_now, *noise_ref;
    void *memory;                /* (6 pairs): err_w err_l ref out told */
} dmc__dpo_loss;

/* Of one batch, before its update. */
typedef struct dmc__dpo_told {
    double loss;                 /* without the anchor */
    double accuracy;             /* share of pairs with F_w < F_l */
} dmc__dpo_told;

/* Between the learner's weights and these, which must stay. *out is zeroed first; close it after a failure too. */
dmc_status dmc__dpo_loss_open(const dmc__align *a, int32_t pairs, const void *reference, dmc__dpo_loss *out);
void dmc__dpo_loss_close(dmc__dpo_loss *s);
/* omega at this level. */
double dmc__dpo_weight(int32_t weighting, const dmc__level *l);
/* Errors of the staged pairs at levels and noise number `draw`; nothing is learnt yet. */
dmc_status dmc__dpo_loss_measure(dmc__dpo_loss *s, uint64_t draw);
/* What they say, and the gradient, added to the learner's. */
dmc_status dmc__dpo_loss_learn(dmc__dpo_loss *s, const dmc__dpo_terms *t, dmc__dpo_told *told);

#endif
