/* tensor_writer.c — collecting tensors and writing the model file. */
#include <jansson.h>
#include <string.h>

#include "../base/checked.h"
#include "atomic_file.h"
#include "tensor_file.h"
#include "tensor_format.h"

typedef struct item {
    char *name;
    int32_t dtype, rank, shape[DMC__TENSOR_RANK_MAX];
    size_t bytes;
    unsigned char *data;
} item;

struct dmc__tensor_writer {
    const dmc__allocator *alloc;
    json_t *meta; /* text by key */
    item *items;
    size_t count, capacity;
};

dmc_status dmc__tensor_writer_create(const dmc__allocator *a, dmc__tensor_writer **out)
{
    DMC_TRY(DMC_NEW(a, 1, out));
    (*out)->alloc = a;
    (*out)->meta = json_object();
    if ((*out)->meta) return DMC_OK;
    dmc__tensor_writer_destroy(*out);
    *out = NULL;
    return dmc__fail(DMC_ENOMEM, "out of memory: metadata");
}

void dmc__tensor_writer_destroy(dmc__tensor_writer *w)
{
    if (!w) return;
    for (size_t i = 0; i < w->count; i++) {
        dmc__str_free(w->alloc, w->items[i].name);
        DMC_FREE(w->alloc, w->items[i].data, w->items[i].bytes);
    }
    DMC_FREE(w->alloc, w->items, w->capacity);
    json_decref(w->meta);
    DMC_FREE(w->alloc, w, 1);
}

dmc_status dmc__tensor_writer_meta(dmc__tensor_writer *w, const char *key, const char *value)
{
    if (strcmp(key, DMC__TENSOR_DIGEST_KEY) == 0 || json_object_get(w->meta, key))
        return dmc__fail(DMC_EINVAL, "metadata \"%.64s\" is there already", key);
    json_t *text = json_string(value);
    if (text && json_object_set_new(w->meta, key, text) == 0) return DMC_OK;
    return dmc__fail(DMC_EINVAL, "metadata \"%.64s\": key and value must be UTF-8 text", key);
}

static dmc_status check_name(const dmc__tensor_writer *w, const char *name)
{
    const size_t length = strnlen(name, DMC__TENSOR_NAME_MAX + 1);
    if (length < 1 || length > DMC__TENSOR_NAME_MAX)
        return dmc__fail(DMC_EINVAL, "tensor name \"%.64s\" must have 1..%d bytes", name,
                         DMC__TENSOR_NAME_MAX);
    if (strcmp(name, DMC__TENSOR_META) == 0)
        return dmc__fail(DMC_EINVAL, "tensor name \"%s\" is reserved", name);
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->items[i].name, name) == 0)
            return dmc__fail(DMC_EINVAL, "tensor \"%s\" is there already", name);
    return DMC_OK;
}

/* Number of elements; what the reader would refuse is refused here. */
static dmc_status count_elements(const char *name, int32_t rank, const int32_t *shape, size_t *n)
{
    *n = 1;
    if (rank < 0 || rank > DMC__TENSOR_RANK_MAX)
        return dmc__fail(DMC_EINVAL, "tensor \"%s\": rank = %d, must be 0..%d", name, rank,
                         DMC__TENSOR_RANK_MAX);
    for (int32_t i = 0; i < rank; i++) {
        if (shape[i] < 0)
            return dmc__fail(DMC_EINVAL, "tensor \"%s\": size %d = %d, must be at least 0", name, i,
                             shape[i]);
        if (!dmc__mul_ok(*n, (size_t)shape[i], n))
            return dmc__fail(DMC_EOVERFLOW, "tensor \"%s\" is too large", name);
    }
    return DMC_OK;
}

static dmc_status make_room(dmc__tensor_writer *w)
{
    if (w->count < w->capacity) return DMC_OK;
    const size_t wider = w->capacity ? 2 * w->capacity : 16;
    item *items;
    DMC_TRY(DMC_NEW(w->alloc, wider, &items));
    if (w->count > 0) memcpy(items, w->items, w->count * sizeof *items);
    DMC_FREE(w->alloc, w->items, w->capacity);
    w->items = items;
    w->capacity = wider;
    return DMC_OK;
}

/* Copies of the name and the data, which have been checked. */
static dmc_status fill_item(const dmc__allocator *a, item *t, const char *name, const void *data)
{
    DMC_TRY(dmc__str_dup(a, name, &t->name));
    const dmc_status status = DMC_NEW(a, t->bytes, &t->data);
    if (status < 0) {
        dmc__str_free(a, t->name);
        return status;
    }
    if (t->bytes > 0) memcpy(t->data, data, t->bytes);
    return DMC_OK;
}

static dmc_status add(dmc__tensor_writer *w, const char *name, int32_t dtype, int32_t rank,
                      const int32_t *shape, const void *data)
{
    size_t n;
    item t = {.dtype = dtype, .rank = rank};
    DMC_TRY(check_name(w, name));
    DMC_TRY(count_elements(name, rank, shape, &n));
    if (!dmc__mul_ok(n, dmc__dtype_size(dtype), &t.bytes))
        return dmc__fail(DMC_EOVERFLOW, "tensor \"%s\" is too large", name);
    const size_t bad = dmc__dtype_nonfinite(dtype, data, n);
    if (bad < n)
        return dmc__fail(DMC_ENUMERIC, "tensor \"%s\": element %zu is not finite", name, bad);
    if (rank > 0) memcpy(t.shape, shape, (size_t)rank * sizeof *shape);
    DMC_TRY(make_room(w));
    DMC_TRY(fill_item(w->alloc, &t, name, data));
    w->items[w->count++] = t;
    return DMC_OK;
}

dmc_status dmc__tensor_writer_f32(dmc__tensor_writer *w, const char *name, int32_t rank,
                                  const int32_t *shape, const float *data)
{
    return add(w, name, DMC__DTYPE_F32, rank, shape, data);
}

dmc_status dmc__tensor_writer_f64(dmc__tensor_writer *w, const char *name, int32_t rank,
                                  const int32_t *shape, const double *data)
{
    return add(w, name, DMC__DTYPE_F64, rank, shape, data);
}

/* {"dtype":"F32","shape":[3,4],"data_offsets":[0,48]}; NULL without memory */
static json_t *describe_item(const item *t, size_t begin)
{
    const json_int_t first = (json_int_t)begin, last = first + (json_int_t)t->bytes;
    json_t *shape = json_array();
    for (int32_t i = 0; shape && i < t->rank; i++)
        if (json_array_append_new(shape, json_integer(t->shape[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:[I,I]}", "dtype", dmc__dtype_name(t->dtype), "shape", shape,
                     "data_offsets", first, last);
}

/* __metadata__ with the digest's place first, then the tensors in order; NULL without memory or
 * where a name is not UTF-8 */
static json_t *describe_all(const dmc__tensor_writer *w)
{
    static const char blank[] = "00000000000000000000000000000000";
    json_t *root = json_object();
    json_t *meta = json_pack("{s:s}", DMC__TENSOR_DIGEST_KEY, blank);
    int failed = !root || json_object_update(meta, w->meta) != 0 ||
                 json_object_set(root, DMC__TENSOR_META, meta) != 0;
    size_t begin = 0;
    for (size_t i = 0; !failed && i < w->count; i++) {
        failed =
            json_object_set_new(root, w->items[i].name, describe_item(&w->items[i], begin)) != 0;
        begin += w->items[i].bytes;
    }
    json_decref(meta);
    if (!failed) return root;
    json_decref(root);
    return NULL;
}

/* The header as text, padded with spaces so that the tensors begin at a multiple of 64 bytes. */
typedef struct header {
    char *text;
    size_t size;
} header;

static dmc_status print_header(const dmc__tensor_writer *w, header *h)
{
    json_t *root = describe_all(w);
    const size_t n = root ? json_dumpb(root, NULL, 0, JSON_COMPACT) : 0;
    dmc_status status = DMC_OK;
    h->size = dmc__align64(DMC__TENSOR_LENGTH + n) - DMC__TENSOR_LENGTH;
    if (n == 0)
        status = dmc__fail(DMC_EINVAL, "a tensor's name is not UTF-8 text, or memory is out");
    else if (h->size > DMC__TENSOR_HEADER_MAX)
        status = dmc__fail(DMC_EOVERFLOW, "names and metadata need %zu bytes, must be at most %d",
                           h->size, DMC__TENSOR_HEADER_MAX);
    else
        status = DMC_NEW(w->alloc, h->size, &h->text);
    if (h->text) {
        memset(h->text, ' ', h->size);
        json_dumpb(root, h->text, n, JSON_COMPACT);
    }
    json_decref(root);
    return status;
}

/* Write the digest into its place in the header. */
static void seal_header(const dmc__tensor_writer *w, header *h)
{
    XXH3_state_t state;
    char digest[DMC__TENSOR_DIGEST + 1];
    dmc__digest_start(&state, h->text, h->size);
    for (size_t i = 0; i < w->count; i++)
        XXH3_128bits_update(&state, w->items[i].data, w->items[i].bytes);
    dmc__digest_finish(&state, digest);
    memcpy(h->text + DMC__TENSOR_DIGEST_AT, digest, DMC__TENSOR_DIGEST);
}

static dmc_status write_file(const dmc__tensor_writer *w, const header *h,
                             const dmc__atomic_file *f)
{
    const uint64_t length = h->size;
    DMC_TRY(dmc__atomic_write(f, &length, sizeof length));
    DMC_TRY(dmc__atomic_write(f, h->text, h->size));
    for (size_t i = 0; i < w->count; i++)
        DMC_TRY(dmc__atomic_write(f, w->items[i].data, w->items[i].bytes));
    return DMC_OK;
}

dmc_status dmc__tensor_writer_save(dmc__tensor_writer *w, const char *path)
{
    header h = {0};
    dmc__atomic_file file;
    DMC_TRY(print_header(w, &h));
    seal_header(w, &h);
    dmc_status status = dmc__atomic_begin(w->alloc, path, &file);
    if (status == DMC_OK) status = dmc__atomic_finish(&file, write_file(w, &h, &file));
    DMC_FREE(w->alloc, h.text, h.size);
    return status;
}
