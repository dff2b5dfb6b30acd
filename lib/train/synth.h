/* synth.h (internal) — a diffusion model of transitions, x = [s | a | r | s' | terminal] of 2S+A+2 columns. */
#ifndef DMC_TRAIN_SYNTH_ROOM_H
#define DMC_TRAIN_SYNTH_ROOM_H

#include "../backend/context.h"
#include "../data/experience.h"
#include "../data/trajectories.h"
#include "pretrain.h"

typedef struct dmc__synth_config {
    int32_t hidden, blocks, emb_dim, batch, steps, sample_steps;
    double lr, ema, churn, churn_noise;
    uint64_t seed;
} dmc__synth_config;

typedef struct dmc_synth dmc__synth;

dmc_status dmc__synth_create(dmc__context *ctx, const dmc__trajectories *data, const dmc__synth_config *c, dmc__synth **out);
void dmc__synth_destroy(dmc__synth *s);
dmc_status dmc__synth_step(dmc__synth *s, int32_t n, dmc__pretrain_metrics *m);
size_t dmc__synth_rows(const dmc__synth *s); /* transitions it learns from */
/* n transitions into x, by the averaged weights; sample i of (seed, i). */
dmc_status dmc__synth_sample(dmc__synth *s, size_t n, uint64_t seed, dmc__experience *x);

#endif
