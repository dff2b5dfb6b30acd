/* ops_case.h — one operation at one shape, with data, that can be run on any kernel table.
 *
 * A row of ops_rows.c says how many elements every operand has and how it may be used; a case is a
 * row at one shape, with some of its optional operands left out; a run is a case on one table, with
 * its own memory. Where something is wrong, the running Check test ends with a sentence that names
 * the case.
 */
#ifndef DMC_TESTS_OPS_CASE_H
#define DMC_TESTS_OPS_CASE_H

#include "../../kernels/plugin.h"

#include <stdbool.h>

/* Operands of an op. The first GRADS of them may have a gradient. STATE is dmc_kargs.save where it
 * is an operand. */
enum op_slot { IN0, IN1, IN2, PAR0, PAR1, OUT, OUT2, STATE, SLOTS, GRADS = OUT };
extern const char *const op_slot_name[SLOTS];

typedef struct op_shape {
    int32_t dim[DMC_KDIM];
    double attr[DMC_KATTR];
} op_shape;

/* slot[]: how many elements, as a sum of products of dims ("01" is dim0 dim1, "0+0" twice dim0, ""
 * one), then letters. NULL: the op has no such operand.
 *   d  has a gradient                            ?  may be NULL
 *   c  its gradient is written in part           k  is read as well as written
 *   i  (of OUT) may be the memory of IN0         l  values eight times as large
 *   m  values 0 or 1                             w  values 0, or positive and below 1
 *   p  values positive and below 1               t  values are integers 0..999
 *   h  elements have 16 bits, of type dim1       g  where it is not finite, nothing is written */
typedef struct op_row {
    enum dmc_op op;
    const char *name;
    const char *slot[SLOTS];
    const op_shape *odd;  /* small and awkward; ends with dim[0] = 0 */
    const op_shape *unet; /* for one sample; dim[0] is multiplied by the batch. NULL: none */
} op_row;

extern const op_row op_rows[];
extern const int op_row_count;

bool op_slot_is(const op_row *row, int slot, char letter);
/* Set of slots (bit i: slot i) that carry the letter. */
uint32_t op_slots(const op_row *row, char letter);

typedef struct op_case {
    const op_row *row;
    op_shape shape;
    size_t count[SLOTS]; /* elements; 0: the operand is NULL */
    /* What operands hold before the call, and the gradient of OUT. All are floats, so that every
     * table gets the same numbers. */
    double *value[SLOTS], *dout;
} op_case;

/* dim[0] of the shape is multiplied by batch; `absent` is a set of slots to leave out. */
op_case *op_case_create(const op_row *row, const op_shape *shape, int32_t batch, uint32_t absent);
void op_case_destroy(op_case *c);
/* Slots that are there in this case and carry the letter. */
uint32_t op_case_slots(const op_case *c, char letter);
/* End the test: "conv1d dim 2 7 13 ... without par1: " and the message. */
/* The value of a 16-bit number of this type (DMC_WEIGHT_*). */
double op_widen(uint16_t h, int32_t type);
_Noreturn void op_fail(const op_case *c, const char *format, ...);

/* One array per slot: results of a forward (OUT, OUT2, STATE) or gradients (IN0..PAR1). */
typedef struct op_values {
    double *v[SLOTS];
} op_values;

op_values op_values_create(const op_case *c);
void op_values_destroy(op_values *v);
typedef struct op_run op_run;

/* Where memory is that is not the host's. */
typedef struct op_device {
    const dmc__backend *backend;
    void *state;
    const char *error; /* the last sentence of the backend */
} op_device;

/* Element type of a table, how it runs loops, and its device (NULL: the processor). */
typedef struct op_target {
    const char *name;
    const dmc_kernel_table *table;
    size_t elem; /* sizeof(float) or sizeof(double) */
    const dmc_parallel *par_for;
    const op_device *device;
} op_target;

op_run *op_run_create(const op_case *c, const op_target *target);
void op_run_destroy(op_run *r);
const op_case *op_run_case(const op_run *r);
const char *op_run_name(const op_run *r); /* of its target */
/* Operands hold the case's values, whatever is only written holds NaN. */
void op_run_load(op_run *r);
/* Change one element of an operand. */
void op_run_poke(op_run *r, int slot, size_t i, double value);
/* Let OUT be the memory of IN0, for the rest of the run's life. */
void op_run_in_place(op_run *r);
/* Let a device record every call and then play it, for the rest of the run's life; what kernels may read from its memory in place
 * of arguments, they do: part of the key, the numbers of ADAMW. */
void op_run_record(op_run *r);
void op_run_forward(op_run *r);
/* After forward. `wanted`, `acc`: sets of slots; the gradients of others are NULL. `before` is what
 * gradients hold. */
void op_run_backward(op_run *r, uint32_t wanted, uint32_t acc, const op_values *before);
void op_run_results(const op_run *r, op_values *out);
void op_run_gradients(const op_run *r, uint32_t wanted, op_values *out);

#endif
