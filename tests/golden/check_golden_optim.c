/* check_golden_optim.c — 20 updates of a learner against PyTorch: clipping by global norm, AdamW, EMA. */
#include <stdio.h>
#include <stdlib.h>

#include "golden_reader.h"
#include "../../lib/optim/learner.h"

enum { STEPS = 20 };

static dmc__graph *one_layer(void)
{
    dmc__graph *g;
    golden_ok(dmc__graph_create(&dmc__default_allocator, &g));
    const dmc__val x = dmc__graph_input(g, "x", 1, 7);
    dmc__graph_output(g, dmc__g_linear(g, "layer", x, 13, 1));
    golden_ok(dmc__graph_status(g));
    return g;
}

static dmc__adamw_config read_config(golden *g)
{
    const double *v = golden_read(g, "config", NULL);
    return (dmc__adamw_config){
        .lr = v[0],
        .beta1 = v[1],
        .beta2 = v[2],
        .eps = v[3],
        .weight_decay = v[4],
        .max_norm = v[5],
        .ema = v[6],
    };
}

/* Step `step` of the stack kind/name, of every parameter, into the block. */
static void load_step(golden *g, const dmc__graph *graph, const golden_device *d, int step, void *block)
{
    for (dmc__parid i = 0; i < dmc__graph_param_count(graph); i++) {
        const dmc__param_spec *spec = dmc__graph_param(graph, i);
        char name[128];
        float f[7 * 13];
        snprintf(name, sizeof name, "grad/%s", spec->name);
        const double *v = golden_read(g, name, NULL) + (size_t)step * spec->size;
        for (size_t j = 0; j < spec->size; j++) f[j] = (float)v[j];
        golden_ok(dmc__params_set(graph, d->device, block, i, f, spec->size));
    }
}

static void compare_step(golden *g, const char *kind, const dmc__graph *graph, const golden_device *d, int step,
                         const void *block, double tol)
{
    for (dmc__parid i = 0; i < dmc__graph_param_count(graph); i++) {
        const dmc__param_spec *spec = dmc__graph_param(graph, i);
        char name[128];
        double stored[7 * 13], torch[7 * 13];
        snprintf(name, sizeof name, "%s/%s", kind, spec->name);
        golden_fetch(d, dmc__dev_at(d->device, block, spec->offset), stored, spec->size);
        for (size_t j = 0; j < spec->size; j++) torch[j] = stored[dmc__params_stored_index(spec, j)];
        golden_compare_part(g, name, (size_t)step * spec->size, torch, spec->size, tol);
    }
}

START_TEST(adamw)
{
    golden *g = golden_open("adamw");
    golden_device d = golden_device_open(_i);
    dmc__graph *graph = one_layer();
    const dmc__adamw_config c = read_config(g);
    void *start;
    dmc__learner *l;
    golden_ok(dmc__dev_alloc(d.device, dmc__graph_param_elems(graph), &start));
    golden_load_params(g, "start/", graph, &d, start);
    golden_ok(dmc__learner_create(graph, d.device, start, NULL, 1, &l));
    for (int step = 0; step < STEPS; step++) {
        double norm;
        load_step(g, graph, &d, step, dmc__learner_grads(l));
        golden_ok(dmc__learner_update(l, &c, &norm));
        golden_compare_part(g, "norm", (size_t)step, &norm, 1, 1e-6); /* reported through a float */
        compare_step(g, "weight", graph, &d, step, dmc__learner_weights(l), d.update);
        compare_step(g, "ema", graph, &d, step, dmc__learner_ema(l), d.update);
    }
    dmc__learner_destroy(l);
    dmc__dev_free(d.device, start, dmc__graph_param_elems(graph));
    dmc__graph_destroy(graph);
    golden_device_close(&d);
    golden_close(g);
}
END_TEST

Suite *dmc_golden_optim(void);
Suite *dmc_golden_optim(void)
{
    Suite *s = suite_create("golden_optim");
    TCase *t = tcase_create("adamw");
    tcase_add_loop_test(t, adamw, 0, golden_devices());
    suite_add_tcase(s, t);
    return s;
}
