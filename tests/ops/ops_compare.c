/* ops_compare.c — a case on two tables: forward, backward, with threads or recorded, in place, and with NaN. */
#include "ops_check.h"

#include <math.h>
#include <pthread.h>

enum { RESULTS = 1U << OUT | 1U << OUT2 | 1U << STATE };

op_pair op_compared;

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

/* Threads may not change one bit; nor may a device when it plays a recording of the call. */
static void check_again(const op_case *c, const op_values *forward, const op_values *backward)
{
    op_target parallel = op_compared.tested;
    parallel.par_for = &two_threads;
    op_values got = op_values_create(c);
    op_run *const r = op_run_create(c, &parallel);
    if (parallel.device) op_run_record(r);
    run_forward(r, &got);
    op_expect(r, "forward again, on two threads or recorded", &got, forward, RESULTS, 0);
    if (op_case_slots(c, 'd')) {
        run_backward(r, &got);
        op_expect(r, "backward again, on two threads or recorded", &got, backward, op_case_slots(c, 'd'), 0);
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
    op_expect(r, "forward in place", &got, want, RESULTS, op_compared.forward);
    op_values_destroy(&got);
}

void op_compare(const op_case *c)
{
    op_values want = op_values_create(c), got = op_values_create(c), first = op_values_create(c);
    op_run *const ref = op_run_create(c, &op_compared.reference), *const r = op_run_create(c, &op_compared.tested);
    run_forward(ref, &want);
    run_forward(r, &got);
    op_expect(r, "forward", &got, &want, RESULTS, op_compared.forward);
    if (op_case_slots(c, 'd')) {
        run_backward(r, &first);
        run_backward(ref, &want);
        op_check_backward(r, &want, op_compared.backward);
    }
    check_again(c, &got, &first);
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

/* Everything is what it was before the call. */
static bool is_kept(const op_case *c, const op_values *now)
{
    for (int s = OUT; s <= STATE; s++)
        for (size_t i = 0; i < c->count[s]; i++)
            if (now->v[s][i] != c->value[s][i]) return false;
    return true;
}

static void check_nan(const op_case *c, int slot, const op_values *now, const op_values *before)
{
    const bool gate = op_slot_is(c->row, slot, 'g') && c->count[slot] > 0;
    if (gate && !is_kept(c, now)) op_fail(c, "%s writes though in%d is NaN", op_compared.tested.name, slot);
    if (!gate && !shows(c, now, before)) op_fail(c, "%s swallows NaN of in%d", op_compared.tested.name, slot);
}

void op_compare_nan(const op_case *c)
{
    if (op_case_slots(c, 'm') || op_case_slots(c, 'w')) return;
    op_values before = op_values_create(c), now = op_values_create(c);
    op_run *const r = op_run_create(c, &op_compared.tested);
    run_forward(r, &before);
    for (int s = IN0; s <= IN2; s++) {
        op_run_load(r);
        for (size_t i = 0; i < c->count[s]; i++) op_run_poke(r, s, i, NAN);
        op_run_forward(r);
        op_run_results(r, &now);
        check_nan(c, s, &now, &before);
    }
    op_run_destroy(r);
    op_values_destroy(&before);
    op_values_destroy(&now);
}

void op_compare_odd(const op_row *row)
{
    for (const op_shape *s = row->odd; s->dim[0]; s++) {
        op_each_subset(row, s, op_compare);
        op_each_subset(row, s, op_compare_nan);
    }
}
