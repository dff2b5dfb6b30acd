/* ops_device.c — the kernels of a plugin against the reference. DMC_TEST_PLUGIN_FOLDER names its folder; without it the suite is
 * empty.
 *
 * Every test opens the device for itself: what CUDA holds does not survive the fork before a test.
 */
#include "ops_check.h"

#include "../../lib/backend/backend.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static dmc_kernel_table table;
static op_device device;

static const dmc_host host = {dmc__fail};

static void open_device(void)
{
    const dmc_device_config config = {.index = 0, .matrix = DMC_MULTIPLY_FP32, .host = &host};
    const char *isa = NULL;
    device.error = dmc_last_error();
    ck_assert_msg(dmc__plugin_open("cuda", getenv("DMC_TEST_PLUGIN_FOLDER"), &device.backend) == DMC_OK, "%s", device.error);
    ck_assert_uint_eq(device.backend->elem, sizeof(float));
    ck_assert_msg(device.backend->open(&config, &device.state) == 0, "%s", device.error);
    memset(&table, 0, sizeof table);
    device.backend->fill_table(device.state, &table, &isa);
    ck_assert_ptr_nonnull(isa);
}

static void close_device(void)
{
    device.backend->close(device.state);
}

static op_target tested(void)
{
    return (op_target){device.backend->name, &table, sizeof(float), NULL, &device};
}

/* Products are sums of hundreds of terms, which a device adds in an order of its own. */
static bool is_product(enum dmc_op op)
{
    return op == DMC_OP_LINEAR || op == DMC_OP_CONV1D || op == DMC_OP_CONVT1D || op == DMC_OP_CONV2D || op == DMC_OP_LORA;
}

static void choose(const op_row *row)
{
    op_compared = (op_pair){tested(), {"ref", &op_table.f32, sizeof(float), NULL, NULL}, is_product(row->op) ? 3e-5 : 1e-5, 1e-4};
}

/* ---- all rows ------------------------------------------------------------------------------------------------------- */

START_TEST(device_agrees_at_odd_shapes)
{
    choose(&op_rows[_i]);
    op_compare_odd(&op_rows[_i]);
}
END_TEST

static void compare_network_shapes(const op_row *row, int32_t batch)
{
    for (const op_shape *s = row->unet; s->dim[0]; s++) {
        op_case *const c = op_case_create(row, s, batch, 0);
        op_compare(c);
        op_case_destroy(c);
    }
}

START_TEST(device_agrees_at_network_shapes)
{
    const op_row *const row = &op_rows[_i];
    if (!row->unet) return;
    choose(row);
    compare_network_shapes(row, 1);
    compare_network_shapes(row, 3);
    if (row->op == DMC_OP_LINEAR) compare_network_shapes(row, 128); /* where a library takes over */
}
END_TEST

START_TEST(device_has_every_kernel)
{
    for (int op = 0; op < DMC_OP_COUNT; op++) {
        const bool backward = op_table.f32.op[op].bwd != NULL;
        ck_assert_msg(table.op[op].fwd != NULL, "no forward of operation %d", op);
        ck_assert_msg((table.op[op].bwd != NULL) == backward, "backward of operation %d", op);
    }
}
END_TEST

/* ---- what only a device gets: numbers in its memory ----------------------------------------------------------------- */

static void *to_device(const void *from, size_t bytes)
{
    void *p = NULL;
    ck_assert_msg(device.backend->alloc(device.state, NULL, bytes, &p) == 0, "%s", device.error);
    ck_assert_msg(device.backend->copy_in_bytes(device.state, p, from, bytes) == 0, "%s", device.error);
    return p;
}

static void free_device(void *p, size_t bytes)
{
    device.backend->free(device.state, NULL, p, bytes);
}

static void from_device(float *to, const void *p, size_t n)
{
    ck_assert_msg(device.backend->copy_out(device.state, to, p, n) == 0, "%s", device.error);
}

static void call(dmc_kernel f, dmc_kargs *k)
{
    k->queue = device.state;
    ck_assert_msg(f(k) == 0, "%s", device.error);
}

/* ---- recordings ------------------------------------------------------------------------------------------------------ */

enum { PLAYED = 70 };

static void expect_all(const void *p, float want)
{
    float got[PLAYED];
    from_device(got, p, PLAYED);
    for (int i = 0; i < PLAYED; i++) ck_assert_float_eq(got[i], want);
}

/* Nothing is done while recording; each playing does it again, with the arguments of the recording and the memory of now. */
START_TEST(recording_is_done_when_played)
{
    const dmc_recorder *const recorder = device.backend->recorder;
    static const float zeros[PLAYED] = {0};
    void *tape = NULL;
    ck_assert_ptr_nonnull(recorder);
    void *const sum = to_device(zeros, sizeof zeros), *const step = to_device(zeros, sizeof zeros);
    dmc_kargs fill = {.out = step, .dim = {PLAYED}, .attr = {1.5}};
    dmc_kargs add = {.in = {sum, step}, .out = sum, .dim = {PLAYED}};
    ck_assert_msg(recorder->begin(device.state) == 0, "%s", device.error);
    call(table.op[DMC_OP_FILL].fwd, &fill);
    call(table.op[DMC_OP_ADD].fwd, &add);
    fill.attr[0] = -1, add.in[1] = NULL;
    ck_assert_msg(recorder->end(device.state, &tape) == 0, "%s", device.error);
    expect_all(step, 0);
    for (int i = 1; i <= 3; i++) {
        ck_assert_msg(recorder->play(device.state, tape) == 0, "%s", device.error);
        expect_all(sum, 1.5F * (float)i);
    }
    recorder->free(device.state, tape);
    free_device(sum, sizeof zeros), free_device(step, sizeof zeros);
}
END_TEST

/* ---- weights of 16 bits ---------------------------------------------------------------------------------------------- */

static float *to_floats(const op_case *c, int slot)
{
    float *const x = calloc(c->count[slot] + 1, sizeof *x);
    ck_assert_msg(x != NULL, "the test is out of memory");
    for (size_t i = 0; i < c->count[slot]; i++) x[i] = (float)c->value[slot][i];
    return x;
}

static uint16_t *to_halves(const op_case *c, int slot, int32_t type)
{
    float *const x = to_floats(c, slot);
    uint16_t *const h = calloc(c->count[slot] + 1, sizeof *h);
    const dmc_kargs k = {.in = {x}, .out = h, .dim = {(int32_t)c->count[slot], type}};
    ck_assert_msg(h != NULL, "the test is out of memory");
    ck_assert_int_eq(op_table.f32.op[DMC_OP_NARROW].fwd(&k), 0);
    free(x);
    return h;
}

static void forward_on_device(const op_case *c, dmc_kargs k, float *got)
{
    const size_t bytes[] = {c->count[IN0] * sizeof(float), c->count[PAR0] * sizeof(uint16_t), c->count[PAR1] * sizeof(float),
                            c->count[OUT] * sizeof(float)};
    void *const p[] = {to_device(k.in[0], bytes[0]), to_device(k.par[0], bytes[1]), to_device(k.par[1], bytes[2]),
                       to_device(got, bytes[3])};
    k.in[0] = p[0], k.par[0] = p[1], k.par[1] = p[2], k.out = p[3];
    call(table.op[c->row->op].fwd, &k);
    from_device(got, p[3], c->count[OUT]);
    for (int i = 0; i < 4; i++) free_device(p[i], bytes[i]);
}

static void compare_half(const op_case *c, int32_t type)
{
    float *const x = to_floats(c, IN0), *const b = to_floats(c, PAR1), *const want = to_floats(c, OUT);
    float *const got = to_floats(c, OUT);
    uint16_t *const w = to_halves(c, PAR0, type);
    double largest = 1e-30;
    dmc_kargs k = {.in = {x}, .par = {w, b}, .out = want, .weight_type = type};
    memcpy(k.dim, c->shape.dim, sizeof k.dim);
    ck_assert_int_eq(op_table.f32.op[c->row->op].fwd(&k), 0);
    forward_on_device(c, k, got);
    for (size_t i = 0; i < c->count[OUT]; i++) largest = fmax(largest, fabs((double)want[i]));
    for (size_t i = 0; i < c->count[OUT]; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= 3e-5 * largest))
            op_fail(c, "weights of type %d: [%zu] is %.9g, want %.9g", type, i, (double)got[i], (double)want[i]);
    free(x), free(b), free(want), free(got), free(w);
}

static void compare_halves(const op_row *row, const op_shape *shapes, int32_t batch)
{
    for (const op_shape *s = shapes; s->dim[0]; s++) {
        op_case *const c = op_case_create(row, s, batch, 0);
        compare_half(c, DMC_WEIGHT_BF16);
        compare_half(c, DMC_WEIGHT_FP16);
        op_case_destroy(c);
    }
}

START_TEST(device_reads_half_weights)
{
    const op_row *const row = &op_rows[_i];
    if (row->op != DMC_OP_LINEAR && row->op != DMC_OP_CONV1D && row->op != DMC_OP_CONVT1D) return;
    compare_halves(row, row->odd, 1);
    compare_halves(row, row->unet, 1);
    compare_halves(row, row->unet, 16);
}
END_TEST

enum { UPPER = 1 << 16 };

static void narrow_on_device(const uint32_t *x, int32_t type, uint16_t *got)
{
    const size_t bytes = UPPER * sizeof *got;
    void *const in = to_device(x, UPPER * sizeof *x), *const out = to_device(got, bytes);
    dmc_kargs k = {.in = {in}, .out = out, .dim = {UPPER, type}};
    call(table.op[DMC_OP_NARROW].fwd, &k);
    from_device((float *)(void *)got, out, bytes / sizeof(float));
    free_device(in, UPPER * sizeof *x), free_device(out, bytes);
}

/* Every upper half of a float, with lower ones on either side of where rounding turns: the same bits. */
START_TEST(narrow_rounds_like_the_reference)
{
    static const uint32_t lower[] = {0, 0x0fff, 0x1000, 0x1001, 0x3000, 0x7fff, 0x8000, 0x8001};
    static uint32_t x[UPPER];
    static uint16_t want[UPPER], got[UPPER];
    for (size_t l = 0; l < sizeof lower / sizeof *lower; l++)
        for (int32_t type = DMC_WEIGHT_BF16; type <= DMC_WEIGHT_FP16; type++) {
            for (uint32_t i = 0; i < UPPER; i++) x[i] = i << 16 | lower[l];
            const dmc_kargs k = {.in = {x}, .out = want, .dim = {UPPER, type}};
            ck_assert_int_eq(op_table.f32.op[DMC_OP_NARROW].fwd(&k), 0);
            narrow_on_device(x, type, got);
            for (uint32_t i = 0; i < UPPER; i++)
                ck_assert_msg(got[i] == want[i], "type %d: 0x%08x is 0x%04x, want 0x%04x", type, x[i], got[i], want[i]);
        }
}
END_TEST

/* ---- where a library has no way -------------------------------------------------------------------------------------- */

/* How often the library of tests/emu has looked for an algorithm; *known = false: this is another. */
static uint64_t searches(bool *known)
{
    uint64_t (*count)(void) = NULL;
    Dl_info plugin;
    ck_assert(dladdr(device.backend, &plugin) != 0);
    void *const symbol = dlsym(dlopen(plugin.dli_fname, RTLD_NOW | RTLD_NOLOAD), "emu_searches");
    memcpy(&count, &symbol, sizeof count);
    *known = count != NULL;
    return count ? count() : 0;
}

/* Weights whose rows do not begin on 16 bytes: tests/emu says in three ways that it has none for these. Not asked again. */
START_TEST(own_kernels_do_what_a_library_cannot)
{
    static const op_shape shapes[] = {{.dim = {128, 64, 64, 65}}, {.dim = {128, 64, 64, 66}}, {.dim = {128, 64, 64, 67}}};
    const op_row *const row = &op_rows[0];
    bool known;
    ck_assert_int_eq(row->op, DMC_OP_LINEAR);
    choose(row);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        op_case *const c = op_case_create(row, &shapes[s], 1, 0);
        const uint64_t before = searches(&known);
        op_compare(c);
        const uint64_t after = searches(&known);
        op_compare(c);
        ck_assert_msg(after > before || !known, "the library was not asked");
        ck_assert_uint_eq(searches(&known), after);
        op_case_destroy(c);
    }
}
END_TEST

/* Rows that overlap: tests/emu refuses them as wrong, and then nothing works any more. */
START_TEST(what_a_library_calls_wrong_is_an_error)
{
    bool known;
    dmc_kargs wrong = {.dim = {128, 64, 64, 60}, .queue = device.state}, right = {.dim = {1}, .queue = device.state};
    searches(&known);
    if (!known) return;
    ck_assert_int_eq(table.op[DMC_OP_LINEAR].fwd(&wrong), DMC_EDEVICE);
    ck_assert_msg(strstr(device.error, "CUBLAS_STATUS_INVALID_VALUE") != NULL, "%s", device.error);
    ck_assert_int_eq(table.op[DMC_OP_FILL].fwd(&right), DMC_EDEVICE);
}
END_TEST

/* CK_RUN_CASE=ops_device_alone runs these, in a second. */
static void add_small_tests(Suite *s)
{
    TCase *t = tcase_create("ops_device_alone");
    tcase_add_checked_fixture(t, open_device, close_device);
    tcase_add_test(t, recording_is_done_when_played);
    tcase_add_test(t, narrow_rounds_like_the_reference);
    tcase_add_test(t, own_kernels_do_what_a_library_cannot);
    tcase_add_test(t, what_a_library_calls_wrong_is_an_error);
    suite_add_tcase(s, t);
}

Suite *dmc_suite_ops_device(void)
{
    Suite *s = suite_create("ops_device");
    TCase *t = tcase_create("ops_device");
    suite_add_tcase(s, t);
    if (!getenv("DMC_TEST_PLUGIN_FOLDER")) return s;
    tcase_add_checked_fixture(t, open_device, close_device);
    tcase_add_loop_test(t, device_agrees_at_odd_shapes, 0, op_row_count);
    tcase_add_loop_test(t, device_agrees_at_network_shapes, 0, op_row_count);
    tcase_add_loop_test(t, device_reads_half_weights, 0, op_row_count);
    tcase_add_test(t, device_has_every_kernel);
    add_small_tests(s);
    return s;
}
