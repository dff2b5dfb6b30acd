/* ops_agree.c — a table against the reference: float against double, and the kernels of this CPU
 * against float; with threads, in place, and with NaN. */
#include "ops_check.h"

#include <math.h>
#include <pthread.h>

#define FORWARD_TOLERANCE 1e-5
#define BACKWARD_TOLERANCE 1e-4

enum { RESULTS = 1U << OUT | 1U << OUT2 | 1U << STATE };

/* The pair that is compared: set by the test before it walks through the cases. */
static op_target under_test, reference;

/* ---- two threads that share the even and the odd tasks, last task first ---------------------- */

typedef struct half {
    dmc_task fn;
    void *arg;
    size_t n, first;
} half;

static void *run_half(void *user)
{
    const half *const h = user;
    for (size_t i = h->n; i-- > 0;)
        if (i % 2 == h->first) h->fn(h->arg, i);
    return NULL;
}

static void run_on_two(void *pool, dmc_task fn, void *arg, size_t n)
{
    (void)pool;
    half odd = {fn, arg, n, 1}, even = {fn, arg, n, 0};
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, run_half, &odd), 0);
    run_half(&even);
    pthread_join(thread, NULL);
}

static const dmc_parallel two_threads = {run_on_two, NULL, 2};

/* ---- the comparisons ------------------------------------------------------------------------- */

static void run_forward(op_run *r, op_values *results)
{
    op_run_load(r);
    op_run_forward(r);
    op_run_results(r, results);
}

static void run_backward(op_run *r, op_values *gradients)
{
    const op_case *const c = op_run_case(r);
    op_values zero = op_values_create(c);
    op_run_backward(r, op_case_slots(c, 'd'), 0, &zero);
    op_run_gradients(r, op_case_slots(c, 'd'), gradients);
    op_values_destroy(&zero);
}

/* Threads may not change one bit. */
static void check_threads(const op_case *c, const op_values *forward, const op_values *backward)
{
    op_target parallel = under_test;
    parallel.par_for = &two_threads;
    op_values got = op_values_create(c);
    op_run *const r = op_run_create(c, &parallel);
    run_forward(r, &got);
    op_expect(r, "forward on two threads", &got, forward, RESULTS, 0);
    if (op_case_slots(c, 'd')) {
        run_backward(r, &got);
        op_expect(r, "backward on two threads", &got, backward, op_case_slots(c, 'd'), 0);
    }
    op_run_destroy(r);
    op_values_destroy(&got);
}

static void check_in_place(op_run *r, const op_values *want)
{
    const op_case *const c = op_run_case(r);
    op_values got = op_values_create(c);
    op_run_in_place(r);
    run_forward(r, &got);
    op_expect(r, "forward in place", &got, want, RESULTS, FORWARD_TOLERANCE);
    op_values_destroy(&got);
}

static void check_case(const op_case *c)
{
    op_values want = op_values_create(c), got = op_values_create(c), first = op_values_create(c);
    op_run *const ref = op_run_create(c, &reference), *const r = op_run_create(c, &under_test);
    run_forward(ref, &want);
    run_forward(r, &got);
    op_expect(r, "forward", &got, &want, RESULTS, FORWARD_TOLERANCE);
    if (op_case_slots(c, 'd')) {
        run_backward(r, &first);
        run_backward(ref, &want);
        op_check_backward(r, &want, BACKWARD_TOLERANCE);
    }
    check_threads(c, &got, &first);
    if (op_slot_is(c->row, OUT, 'i')) check_in_place(r, &got);
    op_run_destroy(ref);
    op_run_destroy(r);
    op_values_destroy(&want);
    op_values_destroy(&got);
    op_values_destroy(&first);
}

/* A result became NaN, or nothing changed, because these attributes leave the input unused. */
static bool shows(const op_case *c, const op_values *now, const op_values *before)
{
    bool changed = false;
    for (int s = OUT; s <= OUT2; s++)
        for (size_t i = 0; i < c->count[s]; i++) {
            if (isnan(now->v[s][i])) return true;
            changed |= now->v[s][i] != before->v[s][i];
        }
    return !changed;
}

/* A network that went wrong must not look healthy: NaN in an input reaches the result, unless it
 * is masked. */
static void check_nan(const op_case *c)
{
    if (op_case_slots(c, 'm') || op_case_slots(c, 'w')) return;
    op_values before = op_values_create(c), now = op_values_create(c);
    op_run *const r = op_run_create(c, &under_test);
    run_forward(r, &before);
    for (int s = IN0; s <= IN2; s++) {
        op_run_load(r);
        for (size_t i = 0; i < c->count[s]; i++) op_run_poke(r, s, i, NAN);
        op_run_forward(r);
        op_run_results(r, &now);
        if (!shows(c, &now, &before)) op_fail(c, "%s swallows NaN of in%d", under_test.name, s);
    }
    op_run_destroy(r);
    op_values_destroy(&before);
    op_values_destroy(&now);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void compare_odd(const op_row *row)
{
    for (const op_shape *s = row->odd; s->dim[0]; s++) {
        op_each_subset(row, s, check_case);
        op_each_subset(row, s, check_nan);
    }
}

START_TEST(float_agrees_with_double)
{
    under_test = (op_target){"ref", &op_table.f32, sizeof(float), NULL};
    reference = (op_target){"ref64", &op_table.f64, sizeof(double), NULL};
    compare_odd(&op_rows[_i]);
}
END_TEST

/* Loop tests of the CPU count through all rows, table after table. NULL: no kernel of its own. */
static const op_row *choose_cpu(int i)
{
    const op_row *const row = &op_rows[i % op_row_count];
    const dmc_kernel_table *const table = &op_table.cpu[i / op_row_count];
    const dmc_op_impl *const own = &table->op[row->op], *const base = &op_table.f32.op[row->op];
    under_test = (op_target){op_table.isa[i / op_row_count], table, sizeof(float), NULL};
    reference = (op_target){"ref", &op_table.f32, sizeof(float), NULL};
    return own->fwd != base->fwd || own->bwd != base->bwd ? row : NULL;
}

START_TEST(cpu_agrees_at_odd_shapes)
{
    const op_row *const row = choose_cpu(_i);
    if (row) compare_odd(row);
}
END_TEST

START_TEST(cpu_agrees_at_network_shapes)
{
    static const int32_t batches[] = {1, 2, 3, 16, 64};
    const op_row *const row = choose_cpu(_i);
    if (!row || !row->unet) return;
    for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++)
        for (const op_shape *s = row->unet; s->dim[0]; s++) {
            op_case *const c = op_case_create(row, s, batches[b], 0);
            check_case(c);
            op_case_destroy(c);
        }
}
END_TEST

Suite *dmc_suite_ops_agree(void)
{
    Suite *s = suite_create("ops_agree");
    TCase *t = tcase_create("ops_agree");
    tcase_add_loop_test(t, float_agrees_with_double, 0, op_row_count);
    tcase_add_loop_test(t, cpu_agrees_at_odd_shapes, 0, op_row_count * op_table.cpu_count);
    tcase_add_loop_test(t, cpu_agrees_at_network_shapes, 0, op_row_count * op_table.cpu_count);
    suite_add_tcase(s, t);
    return s;
}
