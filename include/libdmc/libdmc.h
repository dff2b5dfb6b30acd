/* libdmc.h — train, sample and reward-align diffusion models for control.
 *
 * A complete program (docs/ and examples/ have more):
 *
 *     #include <libdmc/libdmc.h>
 *
 *     int main(void)
 *     {
 *         dmc_model *model;
 *         dmc_sampler *sampler;
 *         float obs[4] = {0}, action[1];
 *         if (dmc_model_load(NULL, "policy.dmc", &model) < 0) return 1;
 *         if (dmc_sampler_create(NULL, model, NULL, NULL, &sampler) < 0) return 1;
 *         for (int t = 0; t < 1000; t++) {
 *             read_sensors(obs);
 *             if (dmc_sampler_sample(sampler, obs, 4, action, 1) < 0) break;
 *             send(action);
 *         }
 *         dmc_sampler_destroy(sampler);
 *         dmc_model_destroy(model);
 *     }
 *
 * Rules that hold everywhere: handles are opaque; every call returns a dmc_status; on failure *out is NULL and
 * dmc_last_error() says what to change; options structs are filled by their _options_init and may be NULL for
 * defaults; buffers stay the caller's; the library never prints, aborts, or touches signals, locale, environment or
 * scheduling. A dmc_model is read-only and shared, a dmc_sampler belongs to one thread at a time.
 */
#ifndef LIBDMC_H
#define LIBDMC_H

#include "aligner.h"
#include "context.h"
#include "critic.h"
#include "dataset.h"
#include "env.h"
#include "export.h"
#include "likelihood.h"
#include "model.h"
#include "online.h"
#include "options.h"
#include "replay.h"
#include "sampler.h"
#include "status.h"
#include "synth.h"
#include "trainer.h"
#include "version.h"

#endif
