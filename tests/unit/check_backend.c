#include "../../lib/backend/backend.h"
#include "failing_alloc.h"

#include <check.h>
#include <stdint.h>
#include <string.h>

static const char *const names[] = {"cpu", "ref", "ref64"};

static dmc__device *open_device(const char *name, dmc__pool *pool)
{
    dmc__device *d;
    ck_assert_int_eq(dmc__device_open(&dmc__default_allocator, name, pool, &d), DMC_OK);
    return d;
}

START_TEST(op_names)
{
    ck_assert_str_eq(dmc__op_name(DMC_OP_LINEAR), "linear");
    ck_assert_str_eq(dmc__op_name(DMC_OP_LORA), "lora");
    ck_assert_ptr_null(dmc__op_name(-1));
    ck_assert_ptr_null(dmc__op_name(DMC_OP_COUNT));
}
END_TEST

static void assert_refused(const char *name, dmc_status status, const char *sentence)
{
    dmc__device *d = (dmc__device *)&d;
    ck_assert_int_eq(dmc__device_open(&dmc__default_allocator, name, NULL, &d), status);
    ck_assert_ptr_null(d);
    ck_assert_str_eq(dmc_last_error(), sentence);
}

START_TEST(names_and_indices)
{
    assert_refused("gpu", DMC_EKEY, "device = \"gpu\" is not known; known are cpu, ref, ref64, cuda");
    assert_refused("", DMC_EKEY, "device = \"\" is not known; known are cpu, ref, ref64, cuda");
    assert_refused("cp", DMC_EKEY, "device = \"cp\" is not known; known are cpu, ref, ref64, cuda");
    assert_refused("cpu:", DMC_EKEY, "device = \"cpu:\": after ':' stands a number 0..1023");
    assert_refused("cpu:0x", DMC_EKEY, "device = \"cpu:0x\": after ':' stands a number 0..1023");
    assert_refused("cpu:-1", DMC_EKEY, "device = \"cpu:-1\": after ':' stands a number 0..1023");
    assert_refused("cpu:1", DMC_EDEVICE, "device index = 1, a processor has only 0");
    const struct {
        const char *name, *backend;
    } known[] = {{NULL, "cpu"}, {"cpu", "cpu"}, {"cpu:0", "cpu"}, {"ref", "ref"}, {"ref64", "ref64"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        dmc__device *d = open_device(known[i].name, NULL);
        ck_assert_str_eq(d->backend->name, known[i].backend);
        ck_assert_ptr_nonnull(d->isa);
        ck_assert(d->par.run == NULL);
        dmc__device_close(d);
    }
    dmc__device_close(NULL);
}
END_TEST

START_TEST(memory_moves_numbers)
{
    dmc__device *d = open_device(names[_i], NULL);
    const float in[5] = {1.5f, -2, 3.25e-30f, 4, 5};
    float out[5] = {0};
    void *p, *none = d;
    ck_assert_uint_eq(d->backend->elem, strcmp(names[_i], "ref64") ? sizeof(float) : sizeof(double));
    ck_assert_int_eq(dmc__dev_alloc(d, 12, &p), DMC_OK);
    ck_assert_uint_eq((uintptr_t)p % 64, 0);
    ck_assert_int_eq(dmc__dev_out(d, out, p, 5), DMC_OK);
    for (int i = 0; i < 5; i++) ck_assert(out[i] == 0.0f);

    ck_assert_int_eq(dmc__dev_in(d, p, in, 5), DMC_OK);
    ck_assert_int_eq(dmc__dev_copy(d, dmc__dev_at(d, p, 7), p, 5), DMC_OK);
    ck_assert_int_eq(dmc__dev_out(d, out, dmc__dev_at(d, p, 7), 5), DMC_OK);
    ck_assert_mem_eq(out, in, sizeof in);
    dmc__dev_free(d, p, 12);

    ck_assert_int_eq(dmc__dev_alloc(d, 0, &none), DMC_OK);
    ck_assert_ptr_null(none);
    dmc__dev_free(d, NULL, 8);
    none = d;
    ck_assert_int_eq(dmc__dev_alloc(d, SIZE_MAX / 2, &none), DMC_EOVERFLOW);
    ck_assert_ptr_null(none);
    dmc__device_close(d);
}
END_TEST

START_TEST(ref64_computes_in_double)
{
    dmc__device *d = open_device("ref64", NULL);
    void *p;
    ck_assert_int_eq(dmc__dev_alloc(d, 2, &p), DMC_OK);
    dmc_kargs k = {.out = p, .dim = {2}, .attr = {0.1}};
    ck_assert_int_eq(dmc__dev_run(d, DMC_OP_FILL, &k), DMC_OK);
    ck_assert(*(double *)dmc__dev_at(d, p, 1) == 0.1); /* a float would not hold it */
    dmc__dev_free(d, p, 2);
    dmc__device_close(d);
}
END_TEST

static const dmc_parallel *seen;

static int32_t look_at_par(const dmc_kargs *k)
{
    seen = k->par_for;
    return 0;
}

START_TEST(kernels_get_the_pool)
{
    dmc__pool *pool;
    dmc_kargs k = {0};
    ck_assert_int_eq(dmc__pool_create(&dmc__default_allocator, 2, NULL, NULL, &pool), DMC_OK);
    dmc__device *d = open_device("ref", pool);
    d->kernels.op[DMC_OP_ADD] = (dmc_op_impl){look_at_par, look_at_par, NULL};
    ck_assert_int_eq(dmc__dev_run(d, DMC_OP_ADD, &k), DMC_OK);
    ck_assert_ptr_eq(seen, &d->par);
    ck_assert_int_eq(seen->threads, 2);
    seen = NULL;
    ck_assert_int_eq(dmc__dev_run_bwd(d, DMC_OP_ADD, &k), DMC_OK);
    ck_assert_ptr_eq(seen, &d->par);
    dmc__device_close(d);
    dmc__pool_destroy(pool);

    d = open_device("ref", NULL);
    d->kernels.op[DMC_OP_ADD].fwd = look_at_par;
    ck_assert_int_eq(dmc__dev_run(d, DMC_OP_ADD, &k), DMC_OK);
    ck_assert_ptr_null(seen);
    dmc__device_close(d);
}
END_TEST

static int32_t fail_numeric(const dmc_kargs *k)
{
    (void)k;
    return DMC_ENUMERIC;
}

START_TEST(what_is_not_there_is_refused)
{
    dmc__device *d = open_device("ref", NULL);
    dmc_kargs k = {0};
    dmc_op_need need = {1, 2, 3};
    const enum dmc_op past = DMC_OP_COUNT;
    ck_assert_int_eq(dmc__dev_run(d, past, &k), DMC_EDEVICE);
    ck_assert_int_eq(dmc__dev_run_bwd(d, past, &k), DMC_EDEVICE);
    ck_assert_int_eq(dmc__dev_prepare(d, past, &k, &need), DMC_EDEVICE);
    ck_assert_int_eq(dmc__dev_run(d, (enum dmc_op)-1, &k), DMC_EDEVICE);
    ck_assert_int_eq(dmc__dev_run_bwd(d, DMC_OP_FILL, &k), DMC_EDEVICE); /* has none by ops.def */
    ck_assert_str_eq(dmc_last_error(), "backend ref: fill has no backward kernel");
    d->kernels.op[DMC_OP_FILL].fwd = NULL;
    ck_assert_int_eq(dmc__dev_run(d, DMC_OP_FILL, &k), DMC_EDEVICE);
    ck_assert_str_eq(dmc_last_error(), "backend ref: fill has no forward kernel");
    d->kernels.op[DMC_OP_FILL].fwd = fail_numeric;
    ck_assert_int_eq(dmc__dev_run(d, DMC_OP_FILL, &k), DMC_ENUMERIC);
    ck_assert_str_eq(dmc_last_error(), "backend ref: fill forward failed");
    dmc__device_close(d);
}
END_TEST

START_TEST(gaps_in_a_table_are_named)
{
    dmc_kernel_table t, broken;
    dmc__kernels_ref_f32(&t);
    ck_assert_int_eq(dmc__backend_check("ref", &t), DMC_OK);
    broken = t;
    broken.op[DMC_OP_LORA].fwd = NULL;
    ck_assert_int_eq(dmc__backend_check("x", &broken), DMC_EDEVICE);
    ck_assert_str_eq(dmc_last_error(), "backend x has no kernel for lora");
    broken = t;
    broken.op[DMC_OP_MISH].bwd = NULL;
    ck_assert_int_eq(dmc__backend_check("x", &broken), DMC_EDEVICE);
    ck_assert_str_eq(dmc_last_error(), "backend x: the backward kernel of mish is missing");
    broken = t;
    broken.op[DMC_OP_FILL].bwd = look_at_par;
    ck_assert_int_eq(dmc__backend_check("x", &broken), DMC_EDEVICE);
    ck_assert_str_eq(dmc_last_error(), "backend x: the backward kernel of fill is not in ops.def");
}
END_TEST

static int32_t ask_for_scratch(dmc_kargs *k, dmc_op_need *need)
{
    need->scratch_fwd = (size_t)k->dim[0] * 4;
    return k->dim[0] > 10 ? DMC_EDEVICE : 0;
}

START_TEST(prepare_reports_memory)
{
    dmc__device *d = open_device("ref", NULL);
    dmc_kargs k = {.dim = {3}};
    dmc_op_need need = {1, 2, 3};
    d->kernels.op[DMC_OP_ADD].prepare = NULL;
    ck_assert_int_eq(dmc__dev_prepare(d, DMC_OP_ADD, &k, &need), DMC_OK);
    ck_assert_uint_eq(need.save + need.scratch_fwd + need.scratch_bwd, 0);
    d->kernels.op[DMC_OP_ADD].prepare = ask_for_scratch;
    ck_assert_int_eq(dmc__dev_prepare(d, DMC_OP_ADD, &k, &need), DMC_OK);
    ck_assert_uint_eq(need.scratch_fwd, 12);
    k.dim[0] = 11;
    ck_assert_int_eq(dmc__dev_prepare(d, DMC_OP_ADD, &k, &need), DMC_EDEVICE);
    ck_assert_str_eq(dmc_last_error(), "backend ref: add could not be prepared");
    dmc__device_close(d);
}
END_TEST

START_TEST(memory_may_run_out)
{
    for (int64_t n = 1;; n++) {
        failing_alloc f = {.fail_at = n};
        const dmc__allocator a = failing_allocator(&f);
        dmc__device *d = (dmc__device *)&f;
        const dmc_status s = dmc__device_open(&a, names[_i], NULL, &d);
        if (s == DMC_OK) {
            void *p = &f;
            f.fail_at = f.calls + 1;
            ck_assert_int_eq(dmc__dev_alloc(d, 10, &p), DMC_ENOMEM);
            ck_assert_ptr_null(p);
            dmc__device_close(d);
            ck_assert_int_eq(f.live, 0);
            ck_assert_int_gt(n, 1);
            break;
        }
        ck_assert_int_eq(s, DMC_ENOMEM);
        ck_assert_ptr_null(d);
        ck_assert_int_eq(f.live, 0);
    }
}
END_TEST

Suite *dmc_suite_backend(void);
Suite *dmc_suite_backend(void)
{
    Suite *s = suite_create("backend");
    TCase *t = tcase_create("backend");
    tcase_add_test(t, op_names);
    tcase_add_test(t, names_and_indices);
    tcase_add_loop_test(t, memory_moves_numbers, 0, 3);
    tcase_add_test(t, ref64_computes_in_double);
    tcase_add_test(t, kernels_get_the_pool);
    tcase_add_test(t, what_is_not_there_is_refused);
    tcase_add_test(t, gaps_in_a_table_are_named);
    tcase_add_test(t, prepare_reports_memory);
    tcase_add_loop_test(t, memory_may_run_out, 0, 3);
    suite_add_tcase(s, t);
    return s;
}
