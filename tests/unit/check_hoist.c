#include "failing_alloc.h"
#include "net_fixture.h"

#include "../../lib/diffusion/hoist.h"

#include <string.h>

enum { ROWS = 7, MOST_ROWS = 300 };

/* ---- networks -------------------------------------------------------------------------------------------- */

/* Values of every class read in every class they may be read in, t and the condition read by the rest directly. */
static dmc__net *mixed_net(void)
{
    dmc__net *n = calloc(1, sizeof *n);
    ck_assert_ptr_nonnull(n);
    n->alloc = &dmc__default_allocator;
    fixture_ok(dmc__graph_create(n->alloc, &n->graph));
    dmc__graph *g = n->graph;
    n->z = dmc__graph_input(g, "z", 2, 3);
    n->t = dmc__graph_input(g, "t", 1, 1);
    n->cond = dmc__graph_input(g, "cond", 1, 5);
    n->extra = dmc__graph_input(g, "extra", 2, 2);
    const dmc__val e = dmc__g_linear(g, "e", dmc__g_timestep(g, n->t, 6, 0, 0), 4, 1), c = dmc__g_linear(g, "c", n->cond, 4, 1);
    const dmc__val tc = dmc__g_linear(g, "tc", dmc__g_concat(g, dmc__g_add(g, e, c), n->t, n->cond), 4, 1);
    dmc__val x = dmc__g_linear(g, "in", dmc__g_concat(g, n->z, n->extra, -1), 4, 1);
    x = dmc__g_add_time(g, dmc__g_add_time(g, dmc__g_add_time(g, x, e), c), dmc__g_act(g, DMC_OP_MISH, tc));
    x = dmc__g_concat(g, dmc__g_reshape(g, x, 1, 8), n->t, n->cond);
    n->out = dmc__g_reshape(g, dmc__g_linear(g, "out", x, 6, 1), 2, 3);
    dmc__graph_output(g, n->out);
    fixture_ok(dmc__graph_status(g));
    return n;
}

/* 0: of every class; then every network without and with a condition, without and with a side input, with the embeddings
 * of the time in turn, a dropout in some, an encoder in some. */
static const int32_t kinds[] = {DMC__NET_IDQL_MLP, DMC__NET_UNET1D_JANNER, DMC__NET_DQL_MLP, DMC__NET_TRANSFORMER_CHI,
                                DMC__NET_DIT1D, DMC__NET_UNET1D_CHI};
enum { VARIANTS = 4, NETS = 1 + VARIANTS * sizeof kinds / sizeof *kinds };
static dmc__net *some_net(int32_t i)
{
    if (i == 0) return mixed_net();
    const int32_t kind = kinds[(i - 1) / VARIANTS], variant = (i - 1) % VARIANTS;
    dmc__net_config c = kind == DMC__NET_UNET1D_JANNER || kind == DMC__NET_UNET1D_CHI ? fixture_unet() : fixture_mlp();
    c.kind = kind;
    c.emb_dim = 8;
    c.heads = 2;
    if (kind == DMC__NET_TRANSFORMER_CHI || kind == DMC__NET_DIT1D) c.hidden = 8;
    c.time_embed = (kind + variant) % 4;
    c.cond = variant / 2 ? 5 : 0;
    c.extra = variant % 2 ? 2 : 0;
    c.dropout = variant == 1 ? 0.3f : 0;
    if (variant == 3) {
        c.encoder = DMC__ENCODER_MLP;
        c.enc_hidden = 7;
        c.enc_dim = 6;
    }
    return fixture_net(c);
}

/* Handmade networks come from calloc. */
static void free_net(dmc__net *n, int32_t i)
{
    if (i > 0) {
        dmc__net_destroy(n);
        return;
    }
    dmc__graph_destroy(n->graph);
    free(n);
}

/* ---- the same forward with one plan --------------------------------------------------------------------- */

typedef struct rig {
    dmc__device *d;
    dmc__net *net;
    dmc__row row[MOST_ROWS];
    dmc__table table;
    int32_t batch, group;
    dmc__hoist *h;
    dmc__plan *plan;
    void *weights[2];
    float *z, *cond, *extra; /* (batch, ...), conditions of a group equal */
} rig;

static size_t elems(const rig *r, dmc__val v)
{
    return v < 0 ? 0 : fixture_val_size(r->net->graph, v, 1);
}

/* New numbers for all inputs. */
static void set_inputs(rig *r, uint64_t seed)
{
    const size_t b = (size_t)r->batch, c = elems(r, r->net->cond);
    free(r->z);
    free(r->cond);
    free(r->extra);
    r->z = fixture_normals(b * elems(r, r->net->z), seed, 1);
    r->cond = fixture_normals(b * c, seed + 1, 1);
    r->extra = fixture_normals(b * elems(r, r->net->extra), seed + 2, 1);
    float *distinct = fixture_floats(b * c);
    for (size_t i = 0; i < b; i++) {
        const size_t first = i / (size_t)r->group * (size_t)r->group;
        memmove(r->cond + i * c, r->cond + first * c, c * sizeof(float));
        if (i == first) memcpy(distinct + i / (size_t)r->group * c, r->cond + i * c, c * sizeof(float));
    }
    if (c) fixture_ok(dmc__hoist_set_cond(r->h, distinct, r->batch / r->group));
    free(distinct);
}

static void open_rig(rig *r, const char *device, int32_t net, int32_t rows, int32_t batch, int32_t group)
{
    *r = (rig){.d = fixture_device(device), .net = some_net(net), .batch = batch, .group = group};
    for (int32_t k = 0; k < rows; k++) r->row[k].at.seen = 3 * (rows - 1 - k) + 1;
    r->table = (dmc__table){.k = rows, .row = r->row};
    for (uint64_t i = 0; i < 2; i++) r->weights[i] = fixture_weights(r->d, r->net->graph, 20 + i);
    fixture_ok(dmc__hoist_create(r->net, r->d, &r->table, batch, group, &r->h));
    fixture_ok(dmc__plan_create(r->net->graph, r->d, batch, DMC__PLAN_INFER, NULL, &r->plan));
    set_inputs(r, 5);
}

static void close_rig(rig *r, int32_t net)
{
    for (int i = 0; i < 2; i++) dmc__dev_free(r->d, r->weights[i], dmc__graph_param_elems(r->net->graph));
    dmc__plan_destroy(r->plan);
    dmc__hoist_destroy(r->h);
    free_net(r->net, net);
    dmc__device_close(r->d);
    free(r->z);
    free(r->cond);
    free(r->extra);
}

static void put(const rig *r, dmc__val v, const float *x)
{
    if (v >= 0) fixture_ok(dmc__dev_in(r->d, dmc__plan_value(r->plan, v), x, (size_t)r->batch * elems(r, v)));
}

/* The same floats on the device; free with drop. */
static void *lift(const rig *r, dmc__val v, const float *x)
{
    const size_t n = (size_t)r->batch * elems(r, v);
    void *p = NULL;
    if (v < 0) return NULL;
    p = fixture_block(r->d, n);
    fixture_ok(dmc__dev_in(r->d, p, x, n));
    return p;
}

static void drop(const rig *r, dmc__val v, void *p)
{
    dmc__dev_free(r->d, p, (size_t)r->batch * elems(r, v));
}

static void run_plan(const rig *r, int32_t k, int32_t weights)
{
    float *t = fixture_floats((size_t)r->batch);
    for (int32_t b = 0; b < r->batch; b++) t[b] = (float)r->row[k].at.seen;
    dmc__plan_bind(r->plan, r->weights[weights], NULL);
    put(r, r->net->z, r->z);
    put(r, r->net->t, t);
    put(r, r->net->cond, r->cond);
    put(r, r->net->extra, r->extra);
    fixture_ok(dmc__plan_forward(r->plan));
    free(t);
}

/* z and the side input are lent from a place that is gone afterwards. */
static void run_hoist(const rig *r, int32_t k)
{
    void *z = lift(r, r->net->z, r->z), *extra = lift(r, r->net->extra, r->extra);
    fixture_ok(dmc__hoist_forward(r->h, k, z, extra));
    drop(r, r->net->z, z);
    drop(r, r->net->extra, extra);
}

static int same_output(const rig *r)
{
    const size_t n = (size_t)r->batch * elems(r, r->net->out) * r->d->backend->elem;
    return memcmp(dmc__hoist_output(r->h), dmc__plan_value(r->plan, r->net->out), n) == 0;
}

static void assert_row(const rig *r, int32_t k, int32_t weights)
{
    run_hoist(r, k);
    run_plan(r, k, weights);
    ck_assert_msg(same_output(r), "row %d of %d, batch %d in groups of %d, weights %d: output differs from one plan's", k,
                  r->table.k, r->batch, r->group, weights);
}

/* ---- tests ----------------------------------------------------------------------------------------------- */

static const struct { int32_t rows, batch, group; } shapes[] = {
    {1, 1, 1}, {ROWS, 1, 1}, {ROWS, 5, 1}, {ROWS, 6, 6}, {ROWS, 6, 3}, {ROWS, 6, 2},
    {ROWS, 40, 1}, /* 40 conditions: BOTH holds 3 rows, the last stretch overlaps */
    {ROWS, 80, 2}, {3, 260, 2}, /* 130 conditions: a row at a time */
    {MOST_ROWS, 2, 1}, /* 300 rows: five stretches of 60 */
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

START_TEST(output_is_one_plans_to_the_bit)
{
    const int32_t net = _i % NETS, shape = _i / NETS;
    rig r;
    open_rig(&r, "cpu", net, shapes[shape].rows, shapes[shape].batch, shapes[shape].group);
    dmc__hoist_bind(r.h, r.weights[0]);
    for (int32_t k = 0; k < r.table.k; k++) assert_row(&r, k, 0);
    set_inputs(&r, 6);
    for (int32_t k = 0; k < r.table.k; k += 1 + r.table.k / 5) assert_row(&r, k, 0);
    close_rig(&r, net);
}
END_TEST

/* Rows in any order, weights that change in the middle of the table and come back, on doubles too. */
START_TEST(rows_and_weights_in_any_order)
{
    static const struct { int32_t k, weights; } calls[] = {{3, 0}, {1, 0}, {1, 1}, {6, 1}, {0, 0}, {6, 0}, {2, 1}};
    for (int32_t net = 0; net < NETS; net++)
        for (int device = 0; device < 2; device++) {
            rig r;
            open_rig(&r, device ? "ref64" : "cpu", net, ROWS, 12, 3);
            for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
                dmc__hoist_bind(r.h, r.weights[calls[i].weights]);
                assert_row(&r, calls[i].k, calls[i].weights);
                set_inputs(&r, 30 + i);
                assert_row(&r, calls[i].k, calls[i].weights);
            }
            close_rig(&r, net);
        }
}
END_TEST

static void change_weight(const rig *r, const char *name)
{
    const dmc__graph *g = r->net->graph;
    const dmc__parid p = dmc__graph_find_param(g, name);
    ck_assert_msg(p >= 0, "%s: no such parameter", name);
    const size_t n = dmc__graph_param(g, p)->size;
    float *v = fixture_normals(n, 99, 1);
    fixture_ok(dmc__params_set(g, r->d, r->weights[0], p, v, n));
    free(v);
}

/* What is out of the loop shows by what a weight changed behind the back of bind does: nothing, until that is said. */
START_TEST(work_is_done_once)
{
    enum { UNET_WITH_CONDITION = 7, UNET_ALONE = 5 };
    rig r;
    open_rig(&r, "cpu", UNET_ALONE, ROWS, 2, 1);
    dmc__hoist_bind(r.h, r.weights[0]);
    assert_row(&r, 2, 0);
    change_weight(&r, "downs.1.0.emb_mlp.1.weight"); /* TIME */
    run_hoist(&r, 2);
    ck_assert(same_output(&r));
    dmc__hoist_bind(r.h, r.weights[0]);
    assert_row(&r, 2, 0);
    change_weight(&r, "downs.1.0.conv1.0.weight"); /* REST: read in every row */
    assert_row(&r, 2, 0);
    close_rig(&r, UNET_ALONE);
    open_rig(&r, "cpu", UNET_WITH_CONDITION, ROWS, 2, 1);
    dmc__hoist_bind(r.h, r.weights[0]);
    assert_row(&r, 2, 0);
    for (int i = 0; i < 2; i++) {
        change_weight(&r, i ? "map_cond.weight" : "downs.1.0.emb_mlp.1.weight"); /* COND, BOTH */
        run_hoist(&r, 2);
        ck_assert(same_output(&r));
        set_inputs(&r, 8);
        assert_row(&r, 2, 0);
    }
    close_rig(&r, UNET_WITH_CONDITION);
}
END_TEST

START_TEST(conditions_are_spread)
{
    rig r;
    open_rig(&r, "cpu", 0, ROWS, 6, 3);
    ck_assert_mem_eq(dmc__hoist_cond(r.h), r.cond, 6 * elems(&r, r.net->cond) * sizeof(float));
    close_rig(&r, 0);
    open_rig(&r, "cpu", 1, ROWS, 6, 3);
    ck_assert_ptr_null(dmc__hoist_cond(r.h));
    close_rig(&r, 1);
}
END_TEST

START_TEST(group_must_divide_batch)
{
    rig r;
    dmc__hoist *h = (dmc__hoist *)&r;
    open_rig(&r, "cpu", 0, ROWS, 6, 3);
    ck_assert_int_eq(dmc__hoist_create(r.net, r.d, &r.table, 6, 4, &h), DMC_EINVAL);
    ck_assert_ptr_null(h);
    ck_assert_str_eq(dmc_last_error(), "rollout: group = 4, must divide batch = 6");
    ck_assert_int_eq(dmc__hoist_create(r.net, r.d, &r.table, 6, 0, &h), DMC_EINVAL);
    close_rig(&r, 0);
    dmc__hoist_destroy(NULL);
}
END_TEST

START_TEST(every_allocation_may_fail)
{
    failing_alloc f = {0};
    const dmc__allocator a = failing_allocator(&f);
    dmc__device *d;
    rig r;
    open_rig(&r, "cpu", 0, ROWS, 6, 3);
    fixture_ok(dmc__device_open(&a, "cpu", NULL, &d));
    const int64_t live = f.live;
    for (int64_t n = 1;; n++) {
        dmc__hoist *h = (dmc__hoist *)&r;
        f.fail_at = f.calls + n;
        const dmc_status status = dmc__hoist_create(r.net, d, &r.table, 6, 3, &h);
        dmc__hoist_destroy(h);
        ck_assert_int_eq(f.live, live);
        if (status == DMC_OK) {
            ck_assert_int_ge(n, 20);
            break;
        }
        ck_assert_int_eq(status, DMC_ENOMEM);
        ck_assert_ptr_null(h);
    }
    dmc__device_close(d);
    close_rig(&r, 0);
}
END_TEST

Suite *dmc_suite_hoist(void);

Suite *dmc_suite_hoist(void)
{
    Suite *s = suite_create("hoist");
    TCase *t = tcase_create("hoist");
    tcase_add_loop_test(t, output_is_one_plans_to_the_bit, 0, NETS *SHAPES);
    tcase_add_test(t, rows_and_weights_in_any_order);
    tcase_add_test(t, work_is_done_once);
    tcase_add_test(t, conditions_are_spread);
    tcase_add_test(t, group_must_divide_batch);
    tcase_add_test(t, every_allocation_may_fail);
    suite_add_tcase(s, t);
    return s;
}
