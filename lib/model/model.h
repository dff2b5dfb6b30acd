/* model.h (internal) — the inside of a dmc_model: network + weights + process + normaliser + contract.
 *
 * Read-only once made (but for set_tensor), so samplers and trainers of any thread may share it.
 */
#ifndef DMC_MODEL_ROOM_H
#define DMC_MODEL_ROOM_H

#include "../backend/context.h"
#include "../data/view.h"
#include "../diffusion/process.h"
#include "../io/json_text.h"
#include "../nn/net.h"

enum { DMC__ROLE_POLICY = 0, DMC__ROLE_PLANNER = 1, DMC__ROLE_VALUE = 2, DMC__ROLE_INVERSE = 3 };

/* Known entries of a noised sample: as they are (Diffuser), or noised like the rest (RePaint). */
enum { DMC__INPAINT_CLEAN = 0, DMC__INPAINT_NOISED = 1 };

/* What defines a model beside its weights; filled from dmc_model_options and the data, or from a file. */
typedef struct dmc__model_spec {
    int32_t role;               /* DMC__ROLE_* */
    int32_t n_obs;
    double control_hz;
    double discount;            /* of the return: role value, and planners with returns */
    double memory;              /* decay of the recurrent state in the condition; 0 = none */
    int32_t states_only;        /* planner, value: rows are states, without actions */
    int32_t returns;            /* planner: 1 = the condition is the return (value, 1), or (0, 0) for none */
    double return_min, return_max; /* of the data, which value is 0 and 1 of; 0 and 0 without */
    int32_t inpaint;            /* DMC__INPAINT_* */
    double cond_dropout;        /* share of training samples whose condition is left out (zeros) */
    dmc__process_config process;
    dmc__net_config net;        /* horizon, cols and cond included */
} dmc__model_spec;

struct dmc_model {
    dmc__context_ref ref;
    dmc__model_spec spec;
    dmc__normaliser obs, act;   /* act.lo/hi are the action limits */
    dmc__process process;
    dmc__net *net;
    void *weights;              /* device block */
    dmc__net *cascade;          /* NULL, or the network grown by x_cond */
    void *cascade_weights;
};
typedef struct dmc_model dmc__model;

/* Set what follows from the role and the data's widths: columns of z, condition, outputs. DMC_EINVAL where the network or the
 * horizon does not suit the role. */
dmc_status dmc__model_spec_fit(dmc__model_spec *s, int32_t obs_dim, int32_t act_dim);
/* DMC_EINVAL or DMC_ESHAPE unless `inverse` gives the actions of m's plans: it must be there for a planner of states only, and for
 * no other; of role inverse, with m's data widths and normalisation. */
dmc_status dmc__model_inverse_fits(const dmc__model *m, const dmc__model *inverse, const char *who);
/* DMC_EINVAL unless samples can be drawn from the model: `who` needs a policy or a planner. */
dmc_status dmc__model_draws(const dmc__model *m, const char *who);

/* Takes copies of the normalisers; weights initialised from seed. */
dmc_status dmc__model_create(const dmc__context_ref *share, dmc__context *ctx, const dmc__model_spec *spec,
                             const dmc__normaliser *obs, const dmc__normaliser *act, uint64_t seed, dmc__model **out);
/* The same with all weights zero, to be filled by the caller. */
dmc_status dmc__model_shell(const dmc__context_ref *share, dmc__context *ctx, const dmc__model_spec *spec,
                            const dmc__normaliser *obs, const dmc__normaliser *act, dmc__model **out);
void dmc__model_destroy(dmc__model *m);
size_t dmc__model_bytes(const dmc__model *m);
/* Same contract, these device weights (copied, and nothing may still be writing them); cascade may be NULL (with its weights). The
 * copy is done when this returns, so that any queue may read it. */
dmc_status dmc__model_derive(const dmc__model *m, const void *weights, const dmc__net *cascade, const void *cascade_weights,
                             dmc__model **out);
/* View of this model on a dataset (NULL: none). */
dmc__view dmc__model_view(const dmc__model *m, const dmc__trajectories *data);
/* DMC_ESHAPE naming both widths if data do not fit the model. */
dmc_status dmc__model_fits(const dmc__model *m, const dmc__trajectories *data, const char *who);

/* The contract as JSON text; free with dmc__str_free. */
dmc_status dmc__model_contract(const dmc__model *m, const dmc__allocator *a, char **text);
dmc_status dmc__model_save(const dmc__model *m, const char *path);
dmc_status dmc__model_load(dmc__context *ctx, const char *path, dmc__model **out);

/* Normalisers and whole numbers <-> JSON, shared with the critic's file. */
dmc_status dmc__contract_get_int(const dmc__json *j, const char *key, int32_t min, int32_t max, int32_t *out);
dmc_status dmc__contract_put_normaliser(dmc__json *j, const char *key, const dmc__normaliser *n);
dmc_status dmc__contract_get_normaliser(const dmc__json *j, const char *key, const dmc__allocator *a, int32_t width,
                                        dmc__normaliser *out);

#endif
