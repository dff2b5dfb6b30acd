/* golden_reader.h — numbers computed by PyTorch in double precision, and comparing ours with them.
 *
 * A file is safetensors with F64 tensors (gen_golden.py writes them, README.md lists them). Everything here fails the
 * running Check test instead of returning an error.
 */
#ifndef DMC_TESTS_GOLDEN_READER_H
#define DMC_TESTS_GOLDEN_READER_H

#include <check.h>

#include "../../lib/nn/params.h"

typedef struct golden golden;

/* Where the files are; "tests/golden/data" unless the program was given another folder. */
extern const char *golden_folder;

#define golden_ok(expr)                                                                                     \
    do {                                                                                                    \
        const dmc_status golden_status_ = (expr);                                                           \
        ck_assert_msg(golden_status_ == DMC_OK, "%s: %d %s", #expr, (int)golden_status_, dmc_last_error()); \
    } while (0)

golden *golden_open(const char *name);
void golden_close(golden *g);
int golden_has(golden *g, const char *name);
/* The tensor's values, which live as long as g; *n (may be NULL) receives how many. */
const double *golden_read(golden *g, const char *name, size_t *n);
/* The only value of a tensor with one. */
double golden_value(golden *g, const char *name);

/* A backend and how near it must come, relative to the largest entry of each tensor. */
typedef struct golden_device {
    dmc__device *device;
    double forward, backward, update; /* update: weights after a step of an optimizer */
} golden_device;

/* ref64, ref and cpu; or cuda alone, where DMC_TEST_PLUGIN_FOLDER names the folder of its plugin. */
int golden_devices(void);
golden_device golden_device_open(int i);
void golden_device_close(golden_device *d);

/* Device memory <- a tensor (exact: the values are float32 numbers). n must be its size. */
void golden_load(golden *g, const char *name, const golden_device *d, void *to, size_t n);
/* A new device block with the tensor; free with dmc__dev_free. */
void *golden_upload(golden *g, const char *name, const golden_device *d);
/* Device memory <-> double; ref64's without rounding. */
void golden_fetch(const golden_device *d, const void *from, double *to, size_t n);
void golden_store(const golden_device *d, void *to, const double *from, size_t n);

/* got against the tensor of the file: |got - want| <= tolerance * max |want|. */
void golden_compare(golden *g, const char *name, const double *got, size_t n, double tolerance);
void golden_compare_device(golden *g, const char *name, const golden_device *d, const void *got, double tolerance);
/* The same against n values of a tensor beginning at `at`: stacks of steps. */
void golden_compare_part(golden *g, const char *name, size_t at, const double *got, size_t n, double tolerance);

/* All parameters of a graph: tensors prefix + name <-> a block in the graph's stored order. */
void golden_load_params(golden *g, const char *prefix, const dmc__graph *graph, const golden_device *d, void *block);
void golden_compare_params(golden *g, const char *prefix, const dmc__graph *graph, const golden_device *d,
                           const void *block, double tolerance);

#endif
