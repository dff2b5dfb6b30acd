#include "failing_alloc.h"
#include "net_fixture.h"

#include "../../lib/graph/graph_steps.h"

#include <string.h>

enum { BATCH = 3, OF_T = 1, OF_COND = 2, OF_Z = 4 };

/* A graph with a node of every class, an input read in three of them, a value that is read where it is made and outside,
 * an output that is read on, an unused input. */
typedef struct mixed {
    dmc__graph *g;
    dmc__val z, t, cond, unused;
    dmc__val embed, map, both, joined, first, out;
} mixed;

static mixed build_mixed(const dmc__allocator *a)
{
    mixed m;
    if (dmc__graph_create(a, &m.g) < 0) return (mixed){0};
    dmc__graph *g = m.g;
    m.z = dmc__graph_input(g, "z", 2, 4);
    m.t = dmc__graph_input(g, "t", 1, 1);
    m.cond = dmc__graph_input(g, "cond", 1, 4);
    m.unused = dmc__graph_input(g, "unused", 2, 2);
    m.embed = dmc__g_linear(g, "embed", dmc__g_timestep(g, m.t, 6, 0, 0), 4, 1);
    m.map = dmc__g_linear(g, "map", m.cond, 4, 1);
    m.both = dmc__g_act(g, DMC_OP_MISH, dmc__g_add(g, m.embed, m.map));
    m.first = dmc__g_add_time(g, m.z, m.both);
    dmc__graph_output(g, m.first);
    dmc__val x = dmc__g_add_time(g, m.first, dmc__g_act(g, DMC_OP_SILU, m.embed));
    x = dmc__g_add_time(g, x, m.map);
    m.joined = dmc__g_concat(g, dmc__g_reshape(g, x, 1, 8), m.cond, m.t);
    m.out = dmc__g_linear(g, "last", m.joined, 5, 1);
    dmc__graph_output(g, m.out);
    return m;
}

/* Bits of every value. */
static uint8_t *spread(const mixed *m)
{
    uint8_t *bits = calloc((size_t)m->g->values, 1);
    bits[m->z] = OF_Z;
    bits[m->t] = OF_T;
    bits[m->cond] = OF_COND;
    dmc__graph_spread(m->g, bits);
    return bits;
}

START_TEST(values_have_the_bits_of_all_inputs)
{
    const mixed m = build_mixed(&dmc__default_allocator);
    uint8_t *bits = spread(&m);
    const struct { dmc__val v; int bits; } want[] = {
        {m.z, OF_Z}, {m.t, OF_T}, {m.cond, OF_COND}, {m.unused, 0}, {m.embed, OF_T}, {m.map, OF_COND},
        {m.both, OF_T | OF_COND}, {m.first, OF_T | OF_COND | OF_Z}, {m.joined, OF_T | OF_COND | OF_Z}};
    fixture_ok(dmc__graph_status(m.g));
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) ck_assert_int_eq(bits[want[i].v], want[i].bits);
    const dmc__val flat = dmc__g_reshape(m.g, m.both, 4, 1); /* a reshaping has its base's */
    uint8_t again[64] = {[0] = 0};
    again[m.t] = OF_T;
    dmc__graph_spread(m.g, again);
    ck_assert_int_eq(again[flat], OF_T);
    ck_assert_int_eq(dmc__graph_base(m.g, flat), m.both);
    ck_assert_int_eq(dmc__graph_value_count(m.g), flat + 1);
    ck_assert_int_eq(dmc__graph_made_by(m.g, dmc__graph_node_count(m.g) - 1), m.out);
    free(bits);
    dmc__graph_destroy(m.g);
}
END_TEST

/* ---- plans of parts ------------------------------------------------------------------------------------- */

typedef struct rig {
    mixed m;
    dmc__device *d;
    uint8_t *bits;
    void *weights;
} rig;

static rig open_rig(void)
{
    rig r = {.m = build_mixed(&dmc__default_allocator), .d = fixture_device("cpu")};
    r.bits = spread(&r.m);
    r.weights = fixture_weights(r.d, r.m.g, 3);
    return r;
}

static void close_rig(rig *r)
{
    dmc__dev_free(r->d, r->weights, dmc__graph_param_elems(r->m.g));
    free(r->bits);
    dmc__graph_destroy(r->m.g);
    dmc__device_close(r->d);
}

/* The nodes whose value has exactly these bits; lent may be NULL. */
static dmc__plan *part_plan(const rig *r, int bits, const uint8_t *lent)
{
    uint8_t node[64];
    const dmc__plan_part part = {node, lent};
    dmc__plan *p;
    for (int32_t i = 0; i < r->m.g->nodes; i++) node[i] = r->bits[dmc__graph_made_by(r->m.g, i)] == bits;
    fixture_ok(dmc__plan_create_part(r->m.g, r->d, BATCH, &part, &p));
    dmc__plan_bind(p, r->weights, NULL);
    return p;
}

static void fill(const rig *r, dmc__plan *p, dmc__val v)
{
    fixture_fill(r->d, dmc__plan_value(p, v), fixture_val_size(r->m.g, v, BATCH), 10 + (uint64_t)v, 1);
}

static void copy_value(const rig *r, dmc__plan *to, const dmc__plan *from, dmc__val v)
{
    fixture_ok(dmc__dev_copy(r->d, dmc__plan_value(to, v), dmc__plan_value(from, v), fixture_val_size(r->m.g, v, BATCH)));
}

static void assert_same(const rig *r, const dmc__plan *a, const dmc__plan *b, dmc__val v)
{
    ck_assert_mem_eq(dmc__plan_value(a, v), dmc__plan_value(b, v), fixture_val_size(r->m.g, v, BATCH) * sizeof(float));
}

static dmc__plan *whole_plan(const rig *r)
{
    dmc__plan *p;
    fixture_ok(dmc__plan_create(r->m.g, r->d, BATCH, DMC__PLAN_INFER, NULL, &p));
    dmc__plan_bind(p, r->weights, NULL);
    fill(r, p, r->m.z);
    fill(r, p, r->m.t);
    fill(r, p, r->m.cond);
    fixture_ok(dmc__plan_forward(p));
    return p;
}

/* The four parts one after the other, values carried across, make what the whole makes. */
START_TEST(parts_add_up_to_the_whole)
{
    rig r = open_rig();
    const mixed *m = &r.m;
    dmc__plan *whole = whole_plan(&r), *time = part_plan(&r, OF_T, NULL), *cond = part_plan(&r, OF_COND, NULL);
    dmc__plan *both = part_plan(&r, OF_T | OF_COND, NULL), *rest = part_plan(&r, OF_T | OF_COND | OF_Z, NULL);
    fill(&r, time, m->t);
    fill(&r, cond, m->cond);
    fixture_ok(dmc__plan_forward(time));
    fixture_ok(dmc__plan_forward(cond));
    copy_value(&r, both, time, m->embed);
    copy_value(&r, both, cond, m->map);
    fixture_ok(dmc__plan_forward(both));
    fill(&r, rest, m->z);
    fill(&r, rest, m->t);
    fill(&r, rest, m->cond);
    copy_value(&r, rest, cond, m->map);
    copy_value(&r, rest, both, m->both);
    copy_value(&r, rest, time, m->embed + 5); /* silu(embed): silu follows add, mish, first */
    fixture_ok(dmc__plan_forward(rest));
    assert_same(&r, rest, whole, m->first);
    assert_same(&r, rest, whole, m->out);
    ck_assert_int_eq(time->nodes + cond->nodes + both->nodes + rest->nodes, m->g->nodes);
    dmc__plan *const all[] = {whole, time, cond, both, rest};
    for (int i = 0; i < 5; i++) dmc__plan_destroy(all[i]);
    close_rig(&r);
}
END_TEST

START_TEST(a_part_has_what_it_touches)
{
    rig r = open_rig();
    const mixed *m = &r.m;
    dmc__plan *both = part_plan(&r, OF_T | OF_COND, NULL), *rest = part_plan(&r, OF_T | OF_COND | OF_Z, NULL);
    ck_assert(dmc__plan_reads(both, m->embed) && dmc__plan_reads(both, m->map));
    ck_assert(!dmc__plan_reads(both, m->both) && !dmc__plan_reads(both, m->t) && !dmc__plan_reads(both, m->unused));
    ck_assert(dmc__plan_reads(rest, m->t) && dmc__plan_reads(rest, m->both) && !dmc__plan_reads(rest, m->first));
    ck_assert_int_eq(dmc__plan_reads(rest, -1), 0);
    ck_assert_ptr_nonnull(dmc__plan_value(both, m->both));
    ck_assert_ptr_null(dmc__plan_value(both, m->both - 1)); /* the sum before Mish is nobody's business */
    ck_assert_ptr_null(dmc__plan_value(both, m->z));
    ck_assert_ptr_null(dmc__plan_value(rest, m->joined));
    ck_assert_uint_eq(both->bytes, (size_t)4 * 64); /* embed, map, the sum, its Mish: 3 x 4 floats are 64 bytes each */
    dmc__plan_destroy(both);
    dmc__plan_destroy(rest);
    close_rig(&r);
}
END_TEST

/* Lent inputs are read where they are, wherever that is now, and take no memory. */
START_TEST(lent_inputs_are_read_in_place)
{
    rig r = open_rig();
    const mixed *m = &r.m;
    uint8_t lent[64] = {[0] = 0};
    lent[m->z] = lent[m->cond] = lent[m->unused] = 1;
    uint8_t node[64];
    memset(node, 1, sizeof node);
    const dmc__plan_part part = {node, lent};
    dmc__plan *whole = whole_plan(&r), *p;
    fixture_ok(dmc__plan_create_part(m->g, r.d, BATCH, &part, &p));
    dmc__plan_bind(p, r.weights, NULL);
    ck_assert_ptr_null(dmc__plan_value(p, m->z));
    ck_assert_uint_lt(dmc__plan_bytes(p), dmc__plan_bytes(whole));
    fill(&r, p, m->t);
    for (int turn = 0; turn < 2; turn++) {
        float *z = fixture_read(r.d, dmc__plan_value(whole, m->z), fixture_val_size(m->g, m->z, BATCH));
        float *cond = fixture_read(r.d, dmc__plan_value(whole, m->cond), fixture_val_size(m->g, m->cond, BATCH));
        dmc__plan_lend(p, m->z, z);
        dmc__plan_lend(p, m->cond, cond);
        fixture_ok(dmc__plan_forward(p));
        free(z);
        free(cond);
        assert_same(&r, p, whole, m->first);
        assert_same(&r, p, whole, m->out);
        fixture_fill(r.d, dmc__plan_value(whole, m->z), fixture_val_size(m->g, m->z, BATCH), 77, 1);
        fixture_ok(dmc__plan_forward(whole));
    }
    dmc__plan_destroy(p);
    dmc__plan_destroy(whole);
    close_rig(&r);
}
END_TEST

/* Of a chain with a dropout of the input, two in a row, and one at the end, inference keeps the last alone: an output must
 * have memory of its own. */
START_TEST(dropout_costs_inference_nothing)
{
    dmc__graph *g, *without;
    dmc__device *d = fixture_device("cpu");
    dmc__plan *p, *bare, *train;
    fixture_ok(dmc__graph_create(&dmc__default_allocator, &g));
    fixture_ok(dmc__graph_create(&dmc__default_allocator, &without));
    const dmc__val in = dmc__graph_input(g, "x", 2, 4), bare_in = dmc__graph_input(without, "x", 2, 4);
    dmc__val x = dmc__g_dropout(g, dmc__g_act(g, DMC_OP_MISH, dmc__g_dropout(g, in, 0.5)), 0.5), y = dmc__g_dropout(g, x, 0.5);
    x = dmc__g_dropout(g, dmc__g_add(g, dmc__g_act(g, DMC_OP_SILU, dmc__g_reshape(g, y, 4, 2)), dmc__g_reshape(g, x, 4, 2)), 0.5);
    y = dmc__g_act(without, DMC_OP_MISH, bare_in);
    y = dmc__g_add(without, dmc__g_act(without, DMC_OP_SILU, y), y);
    dmc__graph_output(g, x);
    dmc__graph_output(without, y);
    uint8_t node[8], lent[16] = {[0] = 0};
    memset(node, 1, sizeof node);
    lent[in] = 1;
    const dmc__plan_part part = {node, lent};
    fixture_ok(dmc__plan_create_part(g, d, BATCH, &part, &p));
    fixture_ok(dmc__plan_create(without, d, BATCH, DMC__PLAN_INFER, NULL, &bare));
    fixture_ok(dmc__plan_create(g, d, BATCH, DMC__PLAN_TRAIN, NULL, &train));
    ck_assert_int_eq(p->nodes, 4);
    ck_assert_int_eq(train->nodes, 7);
    ck_assert_uint_eq(p->bytes, bare->bytes); /* the lent input pays for the copy at the end */
    fixture_fill(d, dmc__plan_value(bare, bare_in), BATCH * 8, 4, 1);
    dmc__plan_lend(p, in, dmc__plan_value(bare, bare_in));
    dmc__plan_set_dropout(p, 1, 7, 3);
    fixture_ok(dmc__plan_forward(p));
    fixture_ok(dmc__plan_forward(bare));
    ck_assert_mem_eq(dmc__plan_value(p, x), dmc__plan_value(bare, y), BATCH * 8 * sizeof(float));
    dmc__plan_destroy(p);
    dmc__plan_destroy(bare);
    dmc__plan_destroy(train);
    dmc__graph_destroy(g);
    dmc__graph_destroy(without);
    dmc__device_close(d);
}
END_TEST

START_TEST(every_allocation_of_a_part_may_fail)
{
    failing_alloc f = {0};
    const dmc__allocator a = failing_allocator(&f);
    dmc__device *d;
    fixture_ok(dmc__device_open(&a, "cpu", NULL, &d));
    const mixed m = build_mixed(&dmc__default_allocator);
    const int64_t live = f.live;
    uint8_t node[64] = {1, 1};
    const dmc__plan_part part = {node, NULL};
    for (int64_t n = 1;; n++) {
        dmc__plan *p = (dmc__plan *)&p;
        f.fail_at = f.calls + n;
        const dmc_status status = dmc__plan_create_part(m.g, d, BATCH, &part, &p);
        dmc__plan_destroy(p);
        ck_assert_int_eq(f.live, live);
        if (status == DMC_OK) {
            ck_assert_int_ge(n, 5);
            break;
        }
        ck_assert_int_eq(status, DMC_ENOMEM);
        ck_assert_ptr_null(p);
    }
    dmc__device_close(d);
    dmc__graph_destroy(m.g);
}
END_TEST

Suite *dmc_suite_graph_parts(void);

Suite *dmc_suite_graph_parts(void)
{
    Suite *const s = suite_create("graph_parts");
    TCase *const t = tcase_create("graph_parts");
    tcase_add_test(t, values_have_the_bits_of_all_inputs);
    tcase_add_test(t, parts_add_up_to_the_whole);
    tcase_add_test(t, a_part_has_what_it_touches);
    tcase_add_test(t, lent_inputs_are_read_in_place);
    tcase_add_test(t, dropout_costs_inference_nothing);
    tcase_add_test(t, every_allocation_of_a_part_may_fail);
    suite_add_tcase(s, t);
    return s;
}
