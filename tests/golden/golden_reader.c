/* golden_reader.c — see golden_reader.h. */
#include "golden_reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lib/io/tensor_file.h"

enum { MOST_TENSORS = 512 };

struct golden {
    dmc__tensor_file *file;
    double *read[MOST_TENSORS]; /* by tensor number, NULL until asked for */
};

const char *golden_folder = "tests/golden/data";

/* ---- files ------------------------------------------------------------------------------------------ */

golden *golden_open(const char *name)
{
    char path[512];
    golden *g = calloc(1, sizeof *g);
    ck_assert_ptr_nonnull(g);
    snprintf(path, sizeof path, "%s/%s.safetensors", golden_folder, name);
    golden_ok(dmc__tensor_file_open(&dmc__default_allocator, path, 0, &g->file));
    ck_assert_int_le(dmc__tensor_file_count(g->file), MOST_TENSORS);
    return g;
}

void golden_close(golden *g)
{
    for (int i = 0; i < MOST_TENSORS; i++) free(g->read[i]);
    dmc__tensor_file_close(g->file);
    free(g);
}

int golden_has(golden *g, const char *name)
{
    return dmc__tensor_file_find(g->file, name) >= 0;
}

const double *golden_read(golden *g, const char *name, size_t *n)
{
    const int32_t i = dmc__tensor_file_find(g->file, name);
    ck_assert_msg(i >= 0, "no tensor %s", name);
    const size_t size = dmc__tensor_file_elems(g->file, i);
    if (!g->read[i]) {
        g->read[i] = malloc((size + 1) * sizeof *g->read[i]);
        ck_assert_ptr_nonnull(g->read[i]);
        golden_ok(dmc__tensor_file_read64(g->file, i, g->read[i], size));
    }
    if (n) *n = size;
    return g->read[i];
}

double golden_value(golden *g, const char *name)
{
    size_t n;
    const double *v = golden_read(g, name, &n);
    ck_assert_msg(n == 1, "%s has %zu values", name, n);
    return v[0];
}

/* ---- devices ---------------------------------------------------------------------------------------- */

static const char *plugin_folder(void)
{
    return getenv("DMC_TEST_PLUGIN_FOLDER");
}

int golden_devices(void)
{
    return plugin_folder() ? 1 : 3;
}

golden_device golden_device_open(int i)
{
    static const struct kind {
        const char *name;
        double forward, backward, update;
    } host[] = {{"ref64", 1e-9, 1e-9, 1e-9}, {"ref", 1e-5, 1e-4, 1e-5}, {"cpu", 1e-5, 1e-4, 1e-5}},
      cuda = {"cuda", 1e-5, 1e-4, 1e-5};
    const struct kind *const at = plugin_folder() ? &cuda : &host[i];
    golden_device d = {.forward = at->forward, .backward = at->backward, .update = at->update};
    const dmc__device_setup setup = {.name = at->name, .plugin_folder = plugin_folder()};
    golden_ok(dmc__device_open_as(&dmc__default_allocator, &setup, NULL, &d.device));
    return d;
}

void golden_device_close(golden_device *d)
{
    dmc__device_close(d->device);
}

static float *take_floats(size_t n)
{
    float *p = malloc((n + 1) * sizeof *p);
    ck_assert_ptr_nonnull(p);
    return p;
}

void golden_load(golden *g, const char *name, const golden_device *d, void *to, size_t n)
{
    size_t size;
    const double *v = golden_read(g, name, &size);
    ck_assert_msg(size == n, "%s has %zu values, %zu wanted", name, size, n);
    golden_store(d, to, v, n);
}

void *golden_upload(golden *g, const char *name, const golden_device *d)
{
    size_t n;
    void *p;
    golden_read(g, name, &n);
    golden_ok(dmc__dev_alloc(d->device, n, &p));
    golden_load(g, name, d, p, n);
    return p;
}

/* ref64: doubles in host memory, which copy_in and copy_out would round to float. */
static int is_wide(const golden_device *d)
{
    return d->device->backend->elem == sizeof(double);
}

void golden_fetch(const golden_device *d, const void *from, double *to, size_t n)
{
    if (is_wide(d)) {
        memcpy(to, from, n * sizeof *to);
        return;
    }
    float *f = take_floats(n);
    golden_ok(dmc__dev_out(d->device, f, from, n));
    for (size_t i = 0; i < n; i++) to[i] = (double)f[i];
    free(f);
}

void golden_store(const golden_device *d, void *to, const double *from, size_t n)
{
    if (is_wide(d)) {
        memcpy(to, from, n * sizeof *from);
        return;
    }
    float *f = take_floats(n);
    for (size_t i = 0; i < n; i++) f[i] = (float)from[i];
    golden_ok(dmc__dev_in(d->device, to, f, n));
    free(f);
}

/* ---- comparing -------------------------------------------------------------------------------------- */

static double largest(const double *v, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(v[i]));
    return most;
}

static void compare_to(golden *g, const char *name, size_t at, const double *got, size_t n, double tolerance, double scale)
{
    size_t size;
    const double *want = golden_read(g, name, &size);
    ck_assert_msg(at + n <= size, "%s has %zu values, %zu..%zu wanted", name, size, at, at + n);
    for (size_t i = 0; i < n; i++) /* written so that a NaN fails */
        ck_assert_msg(fabs(got[i] - want[at + i]) <= tolerance * scale,
                      "%s[%zu] = %.12g, PyTorch %.12g: %.1e of the largest entry, must be at most %.0e", name, at + i,
                      got[i], want[at + i], fabs(got[i] - want[at + i]) / scale, tolerance);
}

void golden_compare_part(golden *g, const char *name, size_t at, const double *got, size_t n, double tolerance)
{
    size_t size;
    const double *want = golden_read(g, name, &size);
    compare_to(g, name, at, got, n, tolerance, largest(want + at, at + n <= size ? n : 0));
}

void golden_compare(golden *g, const char *name, const double *got, size_t n, double tolerance)
{
    size_t size;
    golden_read(g, name, &size);
    ck_assert_msg(n == size, "%s: %zu values, PyTorch has %zu", name, n, size);
    golden_compare_part(g, name, 0, got, n, tolerance);
}

void golden_compare_device(golden *g, const char *name, const golden_device *d, const void *got, double tolerance)
{
    size_t n;
    golden_read(g, name, &n);
    double *host = calloc(n, sizeof *host);
    ck_assert_ptr_nonnull(host);
    golden_fetch(d, got, host, n);
    golden_compare(g, name, host, n, tolerance);
    free(host);
}

/* ---- parameters ------------------------------------------------------------------------------------- */

void golden_load_params(golden *g, const char *prefix, const dmc__graph *graph, const golden_device *d, void *block)
{
    char name[256];
    for (dmc__parid i = 0; i < dmc__graph_param_count(graph); i++) {
        const dmc__param_spec *spec = dmc__graph_param(graph, i);
        snprintf(name, sizeof name, "%s%s", prefix, spec->name);
        size_t n;
        const double *v = golden_read(g, name, &n);
        float *f = take_floats(n);
        for (size_t j = 0; j < n; j++) f[j] = (float)v[j];
        golden_ok(dmc__params_set(graph, d->device, block, i, f, n));
        free(f);
    }
}

static double largest_of_all(golden *g, const char *prefix, const dmc__graph *graph)
{
    char name[256];
    double most = 0;
    for (dmc__parid i = 0; i < dmc__graph_param_count(graph); i++) {
        size_t n;
        snprintf(name, sizeof name, "%s%s", prefix, dmc__graph_param(graph, i)->name);
        const double *v = golden_read(g, name, &n);
        most = fmax(most, largest(v, n));
    }
    return most;
}

/* A tensor of zeros, which PyTorch gives with its rounding errors (a shift in front of a softmax), has no scale of its own:
 * it is measured by that of all tensors. */
void golden_compare_params(golden *g, const char *prefix, const dmc__graph *graph, const golden_device *d,
                           const void *block, double tolerance)
{
    char name[256];
    const double all = largest_of_all(g, prefix, graph);
    for (dmc__parid i = 0; i < dmc__graph_param_count(graph); i++) {
        const dmc__param_spec *spec = dmc__graph_param(graph, i);
        double *stored = calloc(2 * spec->size, sizeof *stored), *torch = stored + spec->size;
        ck_assert_ptr_nonnull(stored);
        golden_fetch(d, dmc__dev_at(d->device, block, spec->offset), stored, spec->size);
        for (size_t j = 0; j < spec->size; j++) torch[j] = stored[dmc__params_stored_index(spec, j)];
        snprintf(name, sizeof name, "%s%s", prefix, spec->name);
        size_t n;
        const double *want = golden_read(g, name, &n), own = largest(want, n);
        ck_assert_msg(n == spec->size, "%s: %zu values, PyTorch has %zu", name, spec->size, n);
        compare_to(g, name, 0, torch, n, tolerance, own < 1e-14 * all ? all : own);
        free(stored);
    }
}
