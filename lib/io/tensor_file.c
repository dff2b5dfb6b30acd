/* tensor_file.c — reading the model file, which may come from a stranger. */
#include "tensor_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../base/checked.h"
#include "file_open.h"
#include "json_load.h"
#include "tensor_format.h"

typedef struct entry {
    const char *name; /* in the header's JSON */
    int32_t dtype, rank, shape[DMC__TENSOR_RANK_MAX];
    size_t elems;
    const unsigned char *data;
} entry;

struct dmc__tensor_file {
    const dmc__allocator *alloc;
    char *path;
    unsigned char *map; /* the whole file */
    size_t size;
    const char *header;
    size_t header_size;
    json_t *root;
    entry *entries;
    size_t count;
};

static dmc_status map_file(dmc__tensor_file *f)
{
    int fd;
    DMC_TRY(dmc__file_open(f->path, &fd, &f->size));
    dmc_status status = DMC_OK;
    if (f->size < DMC__TENSOR_LENGTH) {
        status = dmc__fail(DMC_EFORMAT, "%s: is %zu bytes, too short for a model file", f->path,
                           f->size);
    } else {
        void *p = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            status = dmc__file_fail(f->path, "mapped");
        else
            f->map = p;
    }
    close(fd);
    return status;
}

static dmc_status find_header(dmc__tensor_file *f)
{
    uint64_t length;
    memcpy(&length, f->map, sizeof length);
    if (length < 2 || length > DMC__TENSOR_HEADER_MAX)
        return dmc__fail(DMC_EFORMAT, "%s: header of %llu bytes, must be 2..%d: not a model file",
                         f->path, (unsigned long long)length, DMC__TENSOR_HEADER_MAX);
    if (length > f->size - DMC__TENSOR_LENGTH)
        return dmc__fail(DMC_ECORRUPT, "%s: header of %llu bytes, but the file ends after %zu",
                         f->path, (unsigned long long)length, f->size - DMC__TENSOR_LENGTH);
    f->header = (const char *)f->map + DMC__TENSOR_LENGTH;
    f->header_size = (size_t)length;
    return DMC_OK;
}

static size_t data_size(const dmc__tensor_file *f)
{
    return f->size - DMC__TENSOR_LENGTH - f->header_size;
}

static const unsigned char *data_of(const dmc__tensor_file *f)
{
    return f->map + DMC__TENSOR_LENGTH + f->header_size;
}

/* Before anything else is believed. */
static dmc_status verify_digest(const dmc__tensor_file *f, int32_t required)
{
    if (!dmc__digest_present(f->header, f->header_size)) {
        if (!required) return DMC_OK;
        return dmc__fail(DMC_EFORMAT, "%s: does not begin with the digest of a libdmc model file",
                         f->path);
    }
    XXH3_state_t state;
    char digest[DMC__TENSOR_DIGEST + 1];
    const char *stored = f->header + DMC__TENSOR_DIGEST_AT;
    dmc__digest_start(&state, f->header, f->header_size);
    XXH3_128bits_update(&state, data_of(f), data_size(f));
    dmc__digest_finish(&state, digest);
    if (memcmp(digest, stored, DMC__TENSOR_DIGEST) == 0) return DMC_OK;
    return dmc__fail(DMC_ECORRUPT, "%s: digest is %s, but the header says %.32s: file is damaged",
                     f->path, digest, stored);
}

/* A digest that is not in its place cannot be verified: another program rewrote the file. */
static dmc_status check_metadata(const dmc__tensor_file *f)
{
    const char *key;
    json_t *value;
    json_t *meta = json_object_get(f->root, DMC__TENSOR_META);
    if (!meta) return DMC_OK;
    if (!json_is_object(meta))
        return dmc__fail(DMC_EFORMAT, "%s: " DMC__TENSOR_META " must be an object", f->path);
    json_object_foreach (meta, key, value) {
        if (!json_is_string(value))
            return dmc__fail(DMC_EFORMAT, "%s: metadata \"%.64s\" must be text", f->path, key);
    }
    if (json_object_get(meta, DMC__TENSOR_DIGEST_KEY) &&
        !dmc__digest_present(f->header, f->header_size))
        return dmc__fail(DMC_ECORRUPT,
                         "%s: digest is not in its place: rewritten by another program", f->path);
    return DMC_OK;
}

static dmc_status read_shape(const dmc__tensor_file *f, const json_t *shape, entry *e)
{
    const size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank > DMC__TENSOR_RANK_MAX)
        return dmc__fail(DMC_EFORMAT, "%s: tensor \"%.64s\": shape must be a list of 0..%d sizes",
                         f->path, e->name, DMC__TENSOR_RANK_MAX);
    e->rank = (int32_t)rank;
    e->elems = 1;
    for (size_t i = 0; i < rank; i++) {
        const json_t *size = json_array_get(shape, i);
        const json_int_t v = json_integer_value(size);
        if (!json_is_integer(size) || v < 0 || v > INT32_MAX)
            return dmc__fail(DMC_EFORMAT, "%s: tensor \"%.64s\": size %zu must be 0..%d", f->path,
                             e->name, i, INT32_MAX);
        if (!dmc__mul_ok(e->elems, (size_t)v, &e->elems))
            return dmc__fail(DMC_EOVERFLOW, "%s: tensor \"%.64s\" is too large", f->path, e->name);
        e->shape[i] = (int32_t)v;
    }
    return DMC_OK;
}

/* Ranges must follow each other from 0 without hole or overlap; *at is where this one has to begin.
 */
static dmc_status read_range(const dmc__tensor_file *f, const json_t *range, entry *e, size_t *at)
{
    const json_t *first = json_array_get(range, 0), *last = json_array_get(range, 1);
    if (json_array_size(range) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return dmc__fail(DMC_EFORMAT, "%s: tensor \"%.64s\": data_offsets must be two integers",
                         f->path, e->name);
    const json_int_t begin = json_integer_value(first), end = json_integer_value(last);
    if (begin < 0 || (size_t)begin != *at)
        return dmc__fail(DMC_EFORMAT,
                         "%s: tensor \"%.64s\" begins at %lld, must begin at %zu, where the one "
                         "before it ends",
                         f->path, e->name, (long long)begin, *at);
    if (end < begin || (size_t)end > data_size(f))
        return dmc__fail(DMC_EFORMAT, "%s: tensor \"%.64s\" ends at %lld, must be %lld..%zu",
                         f->path, e->name, (long long)end, (long long)begin, data_size(f));
    size_t bytes;
    if (!dmc__mul_ok(e->elems, dmc__dtype_size(e->dtype), &bytes) ||
        bytes != (size_t)(end - begin)) {
        char shape[DMC__SHAPE_TEXT];
        return dmc__fail(DMC_EFORMAT, "%s: tensor \"%.64s\" %s of %s does not fill its %lld bytes",
                         f->path, e->name, dmc__shape_text(e->rank, e->shape, shape),
                         dmc__dtype_name(e->dtype), (long long)(end - begin));
    }
    e->data = data_of(f) + begin;
    *at = (size_t)end;
    return DMC_OK;
}

static dmc_status read_entry(const dmc__tensor_file *f, const char *name, const json_t *info,
                             entry *e, size_t *at)
{
    e->name = name;
    const size_t length = strlen(name);
    if (length < 1 || length > DMC__TENSOR_NAME_MAX)
        return dmc__fail(DMC_EFORMAT, "%s: tensor name \"%.64s\" has %zu bytes, must have 1..%d",
                         f->path, name, length, DMC__TENSOR_NAME_MAX);
    const char *dtype = json_string_value(json_object_get(info, "dtype"));
    if (json_object_size(info) != 3 || !dtype)
        return dmc__fail(DMC_EFORMAT,
                         "%s: tensor \"%.64s\" must have dtype, shape and data_offsets", f->path,
                         name);
    e->dtype = dmc__dtype_find(dtype);
    if (e->dtype < 0)
        return dmc__fail(DMC_EFORMAT,
                         "%s: tensor \"%.64s\": dtype %.16s, must be F32, F64, F16, BF16, "
                         "I64 or U8",
                         f->path, name, dtype);
    DMC_TRY(read_shape(f, json_object_get(info, "shape"), e));
    DMC_TRY(read_range(f, json_object_get(info, "data_offsets"), e, at));
    const size_t bad = dmc__dtype_nonfinite(e->dtype, e->data, e->elems);
    if (bad == e->elems) return DMC_OK;
    return dmc__fail(DMC_ENUMERIC, "%s: tensor \"%.64s\": element %zu is not finite", f->path, name,
                     bad);
}

static dmc_status read_entries(dmc__tensor_file *f)
{
    const char *name;
    json_t *info;
    size_t at = 0;
    DMC_TRY(DMC_NEW(f->alloc, json_object_size(f->root), &f->entries));
    json_object_foreach (f->root, name, info) {
        if (strcmp(name, DMC__TENSOR_META) == 0) continue;
        DMC_TRY(read_entry(f, name, info, &f->entries[f->count], &at));
        f->count++;
    }
    if (at == data_size(f)) return DMC_OK;
    return dmc__fail(DMC_EFORMAT, "%s: tensors end at byte %zu, but there are %zu", f->path, at,
                     data_size(f));
}

static dmc_status open_checked(dmc__tensor_file *f, const char *path, int32_t require_digest)
{
    DMC_TRY(dmc__str_dup(f->alloc, path, &f->path));
    DMC_TRY(map_file(f));
    DMC_TRY(find_header(f));
    DMC_TRY(verify_digest(f, require_digest));
    const dmc_status status = dmc__json_load(f->header, f->header_size, &f->root);
    if (status < 0) return dmc__fail_in(status, "%s: header", path);
    DMC_TRY(check_metadata(f));
    return read_entries(f);
}

dmc_status dmc__tensor_file_open(const dmc__allocator *a, const char *path, int32_t require_digest,
                                 dmc__tensor_file **out)
{
    DMC_TRY(DMC_NEW(a, 1, out));
    (*out)->alloc = a;
    const dmc_status status = open_checked(*out, path, require_digest);
    if (status < 0) {
        dmc__tensor_file_close(*out);
        *out = NULL;
    }
    return status;
}

void dmc__tensor_file_close(dmc__tensor_file *f)
{
    if (!f) return;
    DMC_FREE(f->alloc, f->entries, json_object_size(f->root));
    json_decref(f->root);
    if (f->map) munmap(f->map, f->size);
    dmc__str_free(f->alloc, f->path);
    DMC_FREE(f->alloc, f, 1);
}

int32_t dmc__tensor_file_count(const dmc__tensor_file *f)
{
    return (int32_t)f->count;
}

const char *dmc__tensor_file_name(const dmc__tensor_file *f, int32_t i)
{
    return f->entries[i].name;
}

const char *dmc__tensor_file_meta(const dmc__tensor_file *f, const char *key)
{
    return json_string_value(json_object_get(json_object_get(f->root, DMC__TENSOR_META), key));
}

int32_t dmc__tensor_file_find(const dmc__tensor_file *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->entries[i].name, name) == 0) return (int32_t)i;
    return -1;
}

void dmc__tensor_file_shape(const dmc__tensor_file *f, int32_t i, int32_t *rank, int32_t shape[8])
{
    *rank = f->entries[i].rank;
    memcpy(shape, f->entries[i].shape, sizeof f->entries[i].shape);
}

size_t dmc__tensor_file_elems(const dmc__tensor_file *f, int32_t i)
{
    return f->entries[i].elems;
}

static dmc_status check_count(const dmc__tensor_file *f, const entry *e, size_t n)
{
    if (n == e->elems) return DMC_OK;
    return dmc__fail(DMC_ESHAPE, "%s: tensor \"%.64s\" has %zu elements, n = %zu", f->path, e->name,
                     e->elems, n);
}

dmc_status dmc__tensor_file_read(const dmc__tensor_file *f, int32_t i, float *out, size_t n)
{
    const entry *e = &f->entries[i];
    const size_t size = dmc__dtype_size(e->dtype);
    DMC_TRY(check_count(f, e, n));
    for (size_t k = 0; k < n; k++) {
        out[k] = (float)dmc__dtype_load(e->dtype, e->data + k * size);
        if (!isfinite(out[k]))
            return dmc__fail(DMC_ENUMERIC,
                             "%s: tensor \"%.64s\": element %zu is too large for a float", f->path,
                             e->name, k);
    }
    return DMC_OK;
}

dmc_status dmc__tensor_file_read64(const dmc__tensor_file *f, int32_t i, double *out, size_t n)
{
    const entry *e = &f->entries[i];
    const size_t size = dmc__dtype_size(e->dtype);
    DMC_TRY(check_count(f, e, n));
    for (size_t k = 0; k < n; k++) out[k] = dmc__dtype_load(e->dtype, e->data + k * size);
    return DMC_OK;
}

static bool same_shape(const entry *e, int32_t rank, const int32_t *shape)
{
    if (e->rank != rank) return false;
    for (int32_t i = 0; i < rank; i++)
        if (e->shape[i] != shape[i]) return false;
    return true;
}

dmc_status dmc__tensor_file_take(const dmc__tensor_file *f, const char *name, int32_t rank,
                                 const int32_t *shape, float *out)
{
    char have[DMC__SHAPE_TEXT], want[DMC__SHAPE_TEXT];
    const int32_t i = dmc__tensor_file_find(f, name);
    if (i < 0)
        return dmc__fail(DMC_EFORMAT, "%s: has no tensor \"%s\", which must be %s", f->path, name,
                         dmc__shape_text(rank, shape, want));
    const entry *e = &f->entries[i];
    if (!same_shape(e, rank, shape))
        return dmc__fail(DMC_ESHAPE, "%s: tensor \"%s\" is %s, must be %s", f->path, name,
                         dmc__shape_text(e->rank, e->shape, have),
                         dmc__shape_text(rank, shape, want));
    return dmc__tensor_file_read(f, i, out, e->elems);
}
