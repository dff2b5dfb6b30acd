/* fuzz_tensor_file.c — any bytes as a model file: read or refused, and never read with a wrong
 * digest. */
#include "fuzz_loop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../lib/io/tensor_file.h"
#include "../../lib/io/tensor_format.h"

const long fuzz_inputs = 25000;

const char *const fuzz_words[] = {"{",
                                  "}",
                                  "[",
                                  "]",
                                  ",",
                                  ":",
                                  "\"",
                                  "\\",
                                  "\\u0000",
                                  "\"__metadata__\":{",
                                  "\"dmc.xxh3\":\"",
                                  "\"dtype\":",
                                  "\"F32\"",
                                  "\"F64\"",
                                  "\"F16\"",
                                  "\"BF16\"",
                                  "\"I64\"",
                                  "\"U8\"",
                                  "\"shape\":[",
                                  "\"data_offsets\":[",
                                  "-1",
                                  "0",
                                  "4294967296",
                                  "9223372036854775807",
                                  "18446744073709551616",
                                  "1e3",
                                  "[[[[[[[[",
                                  "null",
                                  NULL};

/* A file of ours */
static size_t sealed_seed(uint8_t *out, size_t room)
{
    const float v[6] = {1, 2, 3, 4, 5, 6};
    const double d[2] = {0.5, -0.25};
    const int32_t shape[] = {2, 3}, two[] = {2};
    char path[64];
    dmc__tensor_writer *w = NULL;
    strcpy(path, "/tmp/dmc_fuzz_XXXXXX");
    const int fd = mkstemp(path);
    if (fd < 0 || dmc__tensor_writer_create(&dmc__default_allocator, &w) < 0 ||
        dmc__tensor_writer_meta(w, "contract", "{}") < 0 ||
        dmc__tensor_writer_f32(w, "net.weight", 2, shape, v) < 0 ||
        dmc__tensor_writer_f64(w, "m", 1, two, d) < 0 || dmc__tensor_writer_save(w, path) < 0)
        fuzz_broken("a seed can be written");
    dmc__tensor_writer_destroy(w);
    close(fd);
    FILE *f = fopen(path, "rb"); /* the rename has replaced the file behind fd */
    const size_t n = f ? fread(out, 1, room, f) : 0;
    if (f) fclose(f);
    remove(path);
    return n;
}

static const char plain[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                            "\"b\":{\"dtype\":\"F16\",\"shape\":[4],\"data_offsets\":[16,24]},"
                            "\"c\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[24,32]},"
                            "\"d\":{\"dtype\":\"U8\",\"shape\":[0,3],\"data_offsets\":[32,32]},"
                            "\"__metadata__\":{\"k\":\"v\"}}";

size_t fuzz_seed(int index, uint8_t *out, size_t room)
{
    const uint64_t length = sizeof plain - 1;
    if (index == 0) return sealed_seed(out, room);
    if (index > 1) return 0;
    memcpy(out, &length, 8);
    memcpy(out + 8, plain, length);
    memset(out + 8 + length, 1, 32);
    return 8 + length + 32;
}

/* Give a damaged file a digest that fits, so that what lies behind the check is reached too. */
static void reseal(uint8_t *data, size_t size)
{
    uint64_t length;
    XXH3_state_t state;
    char digest[DMC__TENSOR_DIGEST + 1];
    if (size < 8) return;
    memcpy(&length, data, 8);
    char *header = (char *)data + 8;
    if (length > size - 8 || !dmc__digest_present(header, (size_t)length)) return;
    dmc__digest_start(&state, header, (size_t)length);
    XXH3_128bits_update(&state, header + length, size - 8 - (size_t)length);
    dmc__digest_finish(&state, digest);
    memcpy(header + DMC__TENSOR_DIGEST_AT, digest, DMC__TENSOR_DIGEST);
}

static void read_all(const dmc__tensor_file *f)
{
    for (int32_t i = 0; i < dmc__tensor_file_count(f); i++) {
        int32_t rank, shape[8];
        const size_t n = dmc__tensor_file_elems(f, i);
        double *v = malloc((n + 1) * sizeof *v);
        if (!v) fuzz_broken("a tensor is no larger than its file");
        dmc__tensor_file_shape(f, i, &rank, shape);
        if (dmc__tensor_file_read64(f, i, v, n) < 0) fuzz_broken("an opened tensor can be read");
        for (size_t k = 0; k < n; k++)
            if (!isfinite(v[k])) fuzz_broken("values are finite");
        if (dmc__tensor_file_find(f, dmc__tensor_file_name(f, i)) != i)
            fuzz_broken("names are unique");
        free(v);
    }
}

static bool open_one(const uint8_t *data, size_t size, int digest)
{
    dmc__tensor_file *f = NULL;
    const dmc_status status =
        dmc__tensor_file_open(&dmc__default_allocator, fuzz_file(data, size), digest, &f);
    if ((status == DMC_OK) != (f != NULL)) fuzz_broken("*out is NULL on failure");
    if (f) read_all(f);
    dmc__tensor_file_close(f);
    return status == DMC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bool accepted = open_one(data, size, 1);
    if (open_one(data, size, 0)) accepted = true;
    uint8_t *copy = malloc(size + 1);
    if (!copy) return 0;
    memcpy(copy, data, size);
    reseal(copy, size);
    if (open_one(copy, size, 1)) accepted = true;
    free(copy);
    fuzz_accepted += accepted;
    return 0;
}
