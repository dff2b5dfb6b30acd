/* view.h — dataset rows as a model sees them: normalised windows, conditions, in-painting masks, loss weights.
 *
 * Policy:  z (T,A) actions from the row on; cond (n_obs*S) the last n_obs observations, with cameras followed by the last
 *          n_obs frames of each, as numbers from -1 to 1; nothing is known.
 * Planner: z (T,S+A) rows [state | action], or (T,S) states only; no condition, or (return, 1) with the return from row 0 on,
 *          scaled to 0..1 over the data it was made for; the state of row 0 is known.
 */
#ifndef DMC_DATA_VIEW_H
#define DMC_DATA_VIEW_H

#include "normaliser.h"
#include "trajectories.h"

typedef struct dmc__view {
    const dmc__trajectories *data;     /* NULL: a model without its dataset (no windows can be cut) */
    const dmc__normaliser *obs, *act;  /* their widths are S and A                                  */
    int32_t planner, horizon, n_obs;
    int32_t states_only;               /* a planner without actions                         */
    double memory;                     /* decay of the running average that stands for the oldest observation; 0: none */
    int32_t returns;                   /* a planner whose condition is the return                   */
    double discount, return_min, return_max; /* of that, and what is 0 and 1                        */
    int32_t cameras, frame;            /* a policy that sees: how many, and numbers of a frame      */
    int32_t camera[DMC__IMAGES_MOST];  /* which of the data's they are                              */
} dmc__view;

int32_t dmc__view_cols(const dmc__view *v);      /* A, S+A or S           */
int32_t dmc__view_cond(const dmc__view *v);      /* n_obs*(S+cameras*frame); planners: 0, with returns 2 */
size_t dmc__view_elems(const dmc__view *v);      /* horizon*cols          */

/* One training sample at p. z (T,cols) normalised; cond (may be NULL for planners without returns); mask (T,cols) 1 = known; weight
 * (T,cols) 1 where the loss counts, 0 where known or past the episode's end. mask and weight may be NULL. */
void dmc__view_sample(const dmc__view *v, dmc__position p, float *z, float *cond, float *mask, float *weight);
/* A pair of states (2,S) and the action between them (A), all normalised, for inverse dynamics: rows p, p+1, or the last two of
 * an episode that ends at p. */
void dmc__view_transition(const dmc__view *v, dmc__position p, float *states, float *action);
/* Only what sampling needs: cond (policies) or mask and known (planners); with returns a planner's cond asks for the best,
 * (1, 1). */
void dmc__view_condition(const dmc__view *v, dmc__position p, float *cond, float *mask, float *known);
/* The condition of a planner or policy from the newest n_obs raw observations (n_obs*S; planners use the last row). */
void dmc__view_observe(const dmc__view *v, const float *raw, float *cond, float *mask, float *known);
/* One more observation (S) of a raw window (n_obs,S), oldest first: with a memory row 0 takes up what leaves. */
void dmc__view_push(const dmc__view *v, const float *obs, float *window);
/* The frames of a condition: (cameras,n_obs,h,w,c) bytes. */
void dmc__view_see(const dmc__view *v, const uint8_t *frames, float *cond);
/* Dataset units (T,cols) -> normalised z, which may be the same; and back. */
void dmc__view_normalise(const dmc__view *v, const float *raw, float *z);
void dmc__view_denormalise(const dmc__view *v, const float *z, float *out);
/* Random masks (methods.md 7), added to mask and weight of one sample. Causal: rows < h are known, of a planner with actions the
 * state of row h as well; h uniform in 1..most, at most T-1 (most 0: T-1); nothing where T = 1. Numbers 0 of the stream. */
void dmc__view_causal_mask(const dmc__view *v, int32_t most, const dmc__stream *s, float *mask, float *weight);
/* Window: rows a..b are unknown (but for what is known anyway), all others known; a and b are the smaller and the larger of two
 * rows drawn alike. Numbers 2 and 3. */
void dmc__view_window_mask(const dmc__view *v, const dmc__stream *s, float *mask, float *weight);

#endif
