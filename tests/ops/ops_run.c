/* ops_run.c — memory for a case on one table, and calling the kernels.
 *
 * Every block begins on a 64-byte border like the library's, ends with a guard, and starts as NaN:
 * a kernel that leaves an element out, reads what it should write, or runs past an end is found. A block of a device has a copy
 * on the host, which the test fills and reads: send and fetch move all of it, guard included.
 */
#include "ops_case.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#ifdef __SANITIZE_ADDRESS__
static const size_t guard = 0; /* the sanitizer sees reads past the end, too */
#else
static const size_t guard = 64;
#endif
enum { GUARD_BYTE = 0xa5, NAN_BYTE = 0xff };

typedef struct block {
    unsigned char *p;    /* what kernels get; NULL: the operand is absent */
    unsigned char *host; /* where the test writes and reads: p, or its copy */
    size_t bytes, elem;
} block;

struct op_run {
    const op_case *c;
    const op_target *target;
    const dmc_op_impl *op;
    dmc_kargs k;
    bool in_place, poked, recorded;
    uint32_t unsent; /* operands of which the host's copy was changed */
    block operand[SLOTS], gradient[GRADS], dout, save, scratch_fwd, scratch_bwd, key_base, live;
};

/* With its guard, and for a device whole floats. */
static size_t block_size(const op_run *r, const block *b)
{
    const size_t size = b->bytes + guard, whole = sizeof(float);
    return r->target->device ? (size + whole - 1) / whole * whole : size;
}

static void expect_ok(const op_run *r, int32_t status, const char *what)
{
    const op_device *const d = r->target->device;
    if (status != 0) op_fail(r->c, "%s %s returned %d%s%s", r->target->name, what, status, d ? ": " : "", d ? d->error : "");
}

static void send(const op_run *r, const block *b)
{
    const op_device *const d = r->target->device;
    if (d && b->p) expect_ok(r, d->backend->copy_in_bytes(d->state, b->p, b->host, block_size(r, b)), "copying in");
}

static void fetch(const op_run *r, const block *b)
{
    const op_device *const d = r->target->device;
    if (!d || !b->p) return;
    expect_ok(r, d->backend->copy_out(d->state, (float *)(void *)b->host, b->p, block_size(r, b) / sizeof(float)), "copying out");
}

static void fill_nan(const op_run *r, const block *b)
{
    if (b->p) memset(b->host, NAN_BYTE, b->bytes);
    send(r, b);
}

static block new_block(const op_run *r, size_t count, size_t elem)
{
    const op_device *const d = r->target->device;
    block b = {.bytes = count * elem, .elem = elem};
    void *p = NULL;
    if (b.bytes == 0) return b;
    ck_assert_msg(posix_memalign(&p, 64, block_size(r, &b)) == 0, "the test is out of memory");
    b.p = b.host = p;
    memset(b.host + b.bytes, GUARD_BYTE, block_size(r, &b) - b.bytes);
    if (d) expect_ok(r, d->backend->alloc(d->state, NULL, block_size(r, &b), &p), "allocating");
    b.p = p;
    fill_nan(r, &b);
    return b;
}

static void free_block(const op_run *r, const block *b)
{
    const op_device *const d = r->target->device;
    if (d && b->p) d->backend->free(d->state, NULL, b->p, block_size(r, b));
    free(b->host);
}

static void put(const block *b, size_t i, double value)
{
    if (b->elem == sizeof(float)) ((float *)(void *)b->host)[i] = (float)value;
    else ((double *)(void *)b->host)[i] = value;
}

static double get(const op_run *r, const block *b, size_t i)
{
    if (b->elem == sizeof(uint16_t)) return op_widen(((const uint16_t *)(void *)b->host)[i], r->k.dim[1]);
    if (b->elem == sizeof(float)) return (double)((const float *)(void *)b->host)[i];
    return ((const double *)(void *)b->host)[i];
}

static void load(const op_run *r, const block *b, const double *from, size_t n)
{
    for (size_t i = 0; i < n; i++) put(b, i, from[i]);
    send(r, b);
}

static void store(const op_run *r, const block *b, double *to, size_t n)
{
    fetch(r, b);
    for (size_t i = 0; i < n; i++) to[i] = get(r, b, i);
}

static void check_guard(const op_run *r, const block *b, const char *what, int index)
{
    fetch(r, b);
    for (size_t i = 0; b->p && i < guard; i++)
        if (b->host[b->bytes + i] != GUARD_BYTE)
            op_fail(r->c, "%s wrote past the end of %s %d", r->target->name, what, index);
}

static void check_memory(const op_run *r)
{
    for (int i = 0; i < SLOTS; i++) check_guard(r, &r->operand[i], "operand", i);
    for (int i = 0; i < GRADS; i++) check_guard(r, &r->gradient[i], "gradient", i);
    check_guard(r, &r->dout, "dout", 0);
    check_guard(r, &r->save, "save", 0);
    check_guard(r, &r->scratch_fwd, "scratch", 0);
    check_guard(r, &r->scratch_bwd, "scratch", 1);
    for (int s = r->in_place ? IN1 : IN0; s < GRADS; s++)
        for (size_t i = 0; !r->poked && i < r->c->count[s]; i++)
            if (get(r, &r->operand[s], i) != r->c->value[s][i])
                op_fail(r->c, "%s changed operand %d, which is only read", r->target->name, s);
}

static void point_at_operands(op_run *r)
{
    dmc_kargs *const k = &r->k;
    for (int i = 0; i < DMC_KIN; i++) k->in[i] = r->operand[IN0 + i].p;
    for (int i = 0; i < DMC_KPAR; i++) k->par[i] = r->operand[PAR0 + i].p;
    k->out = r->operand[OUT].p;
    k->out2 = r->operand[OUT2].p;
    k->dout = r->dout.p;
    k->par_for = r->target->par_for;
    k->queue = r->target->device ? r->target->device->state : NULL;
}

/* A gradient that is not wanted is a NULL pointer. */
static void point_at_gradients(op_run *r, uint32_t wanted, uint32_t acc)
{
    void *slot[GRADS];
    for (int s = 0; s < GRADS; s++) slot[s] = wanted >> s & 1 ? r->gradient[s].p : NULL;
    memcpy(r->k.din, slot + IN0, sizeof r->k.din);
    memcpy(r->k.dpar, slot + PAR0, sizeof r->k.dpar);
    r->k.acc = acc;
}

static void prepare(op_run *r)
{
    dmc_op_need need = {0, 0, 0};
    point_at_operands(r);
    point_at_gradients(r, op_case_slots(r->c, 'd'), 0);
    if (r->op->prepare) expect_ok(r, r->op->prepare(&r->k, &need), "prepare");
    r->save = new_block(r, need.save, 1);
    r->scratch_fwd = new_block(r, need.scratch_fwd, 1);
    r->scratch_bwd = new_block(r, need.scratch_bwd, 1);
    r->k.save = r->operand[STATE].p ? r->operand[STATE].p : r->save.p;
}

op_run *op_run_create(const op_case *c, const op_target *target)
{
    op_run *const r = calloc(1, sizeof *r);
    ck_assert_msg(r != NULL, "the test is out of memory");
    r->c = c;
    r->target = target;
    r->op = &target->table->op[c->row->op];
    memcpy(r->k.dim, c->shape.dim, sizeof r->k.dim);
    memcpy(r->k.attr, c->shape.attr, sizeof r->k.attr);
    /* every part of the counter beyond 32 bits is in use */
    const uint64_t key[4] = {0x123456789abcdef0, DMC_STREAM_LATENT, 0x0300000005, 0x0700000011};
    memcpy(r->k.key, key, sizeof key);
    for (int i = 0; i < SLOTS; i++)
        r->operand[i] = new_block(r, c->count[i], op_slot_is(c->row, i, 'h') ? sizeof(uint16_t) : target->elem);
    for (int i = 0; i < GRADS; i++) r->gradient[i] = new_block(r, c->count[i], target->elem);
    r->dout = new_block(r, c->count[OUT], target->elem);
    prepare(r);
    return r;
}

void op_run_destroy(op_run *r)
{
    for (int i = 0; i < SLOTS; i++) free_block(r, &r->operand[i]);
    for (int i = 0; i < GRADS; i++) free_block(r, &r->gradient[i]);
    free_block(r, &r->dout);
    free_block(r, &r->save);
    free_block(r, &r->scratch_fwd);
    free_block(r, &r->scratch_bwd);
    free_block(r, &r->key_base);
    free_block(r, &r->live);
    free(r);
}

const op_case *op_run_case(const op_run *r)
{
    return r->c;
}

const char *op_run_name(const op_run *r)
{
    return r->target->name;
}

void op_run_load(op_run *r)
{
    for (int s = 0; s < SLOTS; s++) {
        if ((s == OUT || s == OUT2) && !op_slot_is(r->c->row, s, 'k'))
            fill_nan(r, &r->operand[s]);
        else
            load(r, &r->operand[s], r->c->value[s], r->c->count[s]);
    }
    load(r, &r->dout, r->c->dout, r->c->count[OUT]);
    fill_nan(r, &r->save);
    r->poked = false;
}

void op_run_poke(op_run *r, int slot, size_t i, double value)
{
    put(&r->operand[slot], i, value);
    r->poked = true;
    r->unsent |= 1U << slot;
}

void op_run_in_place(op_run *r)
{
    r->in_place = true;
    r->k.out = r->operand[IN0].p;
}

static const void *to_device(const op_run *r, block *b, const void *from, size_t bytes)
{
    *b = new_block(r, bytes, 1);
    memcpy(b->host, from, bytes);
    send(r, b);
    return b->p;
}

/* The sums go round at 64 bits. attr is NaN then. */
void op_run_record(op_run *r)
{
    static const uint64_t base[4] = {0xfedcba9876543210, 3, 0x0200000004, 0xfffffffff0000003};
    r->recorded = true;
    r->k.key_base = to_device(r, &r->key_base, base, sizeof base);
    for (int i = 0; i < 4; i++) r->k.key[i] -= base[i];
    if (r->c->row->op != DMC_OP_ADAMW) return;
    r->k.live = to_device(r, &r->live, r->k.attr, sizeof r->k.attr);
    memset(r->k.attr, NAN_BYTE, sizeof r->k.attr);
}

/* Do the call, or record it: then the tape does it. */
static void *call(const op_run *r, dmc_kernel kernel, const char *what)
{
    const op_device *const d = r->target->device;
    void *tape = NULL;
    if (r->recorded) expect_ok(r, d->backend->recorder->begin(d->state), "begin of a recording");
    expect_ok(r, kernel(&r->k), what);
    if (r->recorded) expect_ok(r, d->backend->recorder->end(d->state, &tape), "end of a recording");
    return tape;
}

static void play(const op_run *r, void *tape)
{
    const op_device *const d = r->target->device;
    expect_ok(r, d->backend->recorder->play(d->state, tape), "playing");
    expect_ok(r, d->backend->sync(d->state), "waiting");
    d->backend->recorder->free(d->state, tape);
}

void op_run_forward(op_run *r)
{
    for (int s = 0; s < SLOTS; s++)
        if (r->unsent >> s & 1) send(r, &r->operand[s]);
    r->unsent = 0;
    fill_nan(r, &r->scratch_fwd);
    r->k.scratch = r->scratch_fwd.p;
    void *const tape = call(r, r->op->fwd, "forward");
    if (!tape) return;
    op_run_load(r); /* whatever was done while recording is gone */
    play(r, tape);
}

static void load_gradients(const op_run *r, const op_values *before)
{
    for (int s = 0; s < GRADS; s++) load(r, &r->gradient[s], before->v[s], r->c->count[s]);
}

void op_run_backward(op_run *r, uint32_t wanted, uint32_t acc, const op_values *before)
{
    load_gradients(r, before);
    fill_nan(r, &r->scratch_bwd);
    r->k.scratch = r->scratch_bwd.p;
    point_at_gradients(r, wanted, acc);
    void *const tape = call(r, r->op->bwd, "backward");
    if (tape) load_gradients(r, before), play(r, tape);
    check_memory(r);
}

void op_run_results(const op_run *r, op_values *out)
{
    check_memory(r);
    for (int s = OUT; s < SLOTS; s++) {
        const block *const b = s == OUT && r->in_place ? &r->operand[IN0] : &r->operand[s];
        store(r, b, out->v[s], r->c->count[s]);
    }
}

void op_run_gradients(const op_run *r, uint32_t wanted, op_values *out)
{
    for (int s = 0; s < GRADS; s++)
        if (wanted >> s & 1) store(r, &r->gradient[s], out->v[s], r->c->count[s]);
}
