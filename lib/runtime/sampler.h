/* sampler.h (internal) — the real-time side: observations in, actions out, nothing allocated in between. */
#ifndef DMC_RUNTIME_SAMPLER_H
#define DMC_RUNTIME_SAMPLER_H

#include "../critic/reward.h"
#include "../diffusion/rollout.h"
#include "../model/model.h"

enum { DMC__SELECT_FIRST = 0, DMC__SELECT_EXPECTATION = 1, DMC__SELECT_GREEDY = 2, DMC__SELECT_SOFTMAX = 3 };
enum { DMC__GUIDE_NONE = 0, DMC__GUIDE_CRITIC = 1, DMC__GUIDE_VALUE = 2 };

/* Numbers of columns, the first of those that belong together. */
typedef struct dmc__columns {
    const double *first; /* (n) */
    int32_t n;
} dmc__columns;

typedef struct dmc__sampler_config {
    dmc__table_config table; /* steps 0 = T */
    int32_t batch, candidates, select, cascade_passes, horizon /* 0 = the model's */;
    double temperature, beta;
    double warm_start; /* share of the way to noise; 0 = from noise */
    int32_t exec;      /* rows executed between answers, for it */
    uint64_t seed;
    int32_t weights; /* DMC_WEIGHT_*: what matrix weights are read as */
    int32_t guide;   /* DMC__GUIDE_* */
    double guide_scale, guidance /* 1: the condition alone */, target_return;
    dmc__columns rotations, majorities; /* of an action; read at creation only */
} dmc__sampler_config;

typedef struct dmc__sampler_facts {
    int32_t steps, planned, chosen, clamped, held, partial;
    double q;
    int64_t nanoseconds;
    uint64_t call, seed;
    int64_t calls, partials, holds, clampings; /* since the reset, as is: */
    int64_t longest_step;
} dmc__sampler_facts;

typedef struct dmc__sampler dmc__sampler;

/* Beside the model; NULL what there is not. */
typedef struct dmc__sampler_parts {
    const dmc__iql *q;            /* needed by some ways to select and to guide                                  */
    const dmc__critic_map *q_map; /* from the model's columns to the critic's; its horizon is the sampler's      */
    const dmc__model *value;      /* role value                                                                  */
    const dmc__model *inverse;    /* role inverse: of planners of states only                                    */
} dmc__sampler_parts;

/* Takes the hold on the context over, even when it fails. In the caller's floating-point mode (base/fp_mode.h), as the calls
 * that answer are not. */
dmc_status dmc__sampler_create(const dmc__context_ref *ref, const dmc__model *m, const dmc__sampler_parts *parts,
                               const dmc__sampler_config *c, dmc__sampler **out);
void dmc__sampler_destroy(dmc__sampler *s);
/* obs (batch,S) raw -> actions (batch,horizon,A) raw. See the public functions of these names. */
dmc_status dmc__sampler_sample(dmc__sampler *s, const float *obs, float *actions);
dmc_status dmc__sampler_sample_until(dmc__sampler *s, const float *obs, int64_t deadline_ns, float *actions);
dmc_status dmc__sampler_begin(dmc__sampler *s, const float *obs);
dmc_status dmc__sampler_step(dmc__sampler *s, int32_t *left);
dmc_status dmc__sampler_finish(dmc__sampler *s, float *actions);
/* An answer is begun and not finished. */
int32_t dmc__sampler_is_open(const dmc__sampler *s);
dmc_status dmc__sampler_prefault(dmc__sampler *s);
/* Frames (batch,h,w,c) of camera i for the next sample. */
void dmc__sampler_set_image(dmc__sampler *s, int32_t camera, const uint8_t *pixels);
/* What is known (batch,elems), raw, from the next answer on; mask NULL: nothing. DMC_ENUMERIC: nothing changes. */
dmc_status dmc__sampler_set_known(dmc__sampler *s, const uint8_t *mask, const float *values);
void dmc__sampler_reset(dmc__sampler *s, uint64_t seed);
dmc_status dmc__sampler_rebind(dmc__sampler *s, const dmc__model *m);
const dmc__sampler_facts *dmc__sampler_get_facts(const dmc__sampler *s);
/* Chosen z of condition b, raw (elems). */
const float *dmc__sampler_chosen(const dmc__sampler *s, int32_t b);
/* All candidates raw (batch*candidates, elems) into out. */
void dmc__sampler_candidates(const dmc__sampler *s, float *out);
const dmc__sampler_config *dmc__sampler_get_config(const dmc__sampler *s);
const dmc__model *dmc__sampler_model(const dmc__sampler *s);
int32_t dmc__sampler_horizon(const dmc__sampler *s); /* rows of a sample */
const dmc__allocator *dmc__sampler_allocator(const dmc__sampler *s);
size_t dmc__sampler_bytes(const dmc__sampler *s);

#endif
