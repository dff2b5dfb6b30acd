/* tensor_file.h — the model file: safetensors-compatible, contract and digest in __metadata__.
 *
 * 8-byte little-endian header length, JSON header, tensor bytes. Written to name.tmp.<thread> in the same folder, fsync,
 * rename, fsync of the folder. Read by mmap; every size is checked before use (header <= 16 MiB, depth <= 4, names
 * <= 256 bytes, no duplicate, rank <= 8, product(shape)*size == end-begin, sorted, no hole, no overlap, end == file
 * size), the XXH3-128 digest of the tensor bytes and of the metadata is verified before anything is handed out, and
 * non-finite F32 values are refused. */
#ifndef DMC_IO_TENSOR_FILE_H
#define DMC_IO_TENSOR_FILE_H

#include "../base/alloc.h"

typedef struct dmc__tensor_writer dmc__tensor_writer;
typedef struct dmc__tensor_file dmc__tensor_file;

dmc_status dmc__tensor_writer_create(const dmc__allocator *a, dmc__tensor_writer **out);
void dmc__tensor_writer_destroy(dmc__tensor_writer *w);
/* Metadata string (values are strings in safetensors). */
dmc_status dmc__tensor_writer_meta(dmc__tensor_writer *w, const char *key, const char *value);
/* Data are copied. dtype F32 or F64. */
dmc_status dmc__tensor_writer_f32(dmc__tensor_writer *w, const char *name, int32_t rank, const int32_t *shape,
                                  const float *data);
dmc_status dmc__tensor_writer_f64(dmc__tensor_writer *w, const char *name, int32_t rank, const int32_t *shape,
                                  const double *data);
/* Sorts nothing: tensors are stored in the order added. */
dmc_status dmc__tensor_writer_save(dmc__tensor_writer *w, const char *path);

/* `require_digest` = 0 also accepts plain safetensors files without our digest (goldens, foreign weights). */
dmc_status dmc__tensor_file_open(const dmc__allocator *a, const char *path, int32_t require_digest,
                                 dmc__tensor_file **out);
void dmc__tensor_file_close(dmc__tensor_file *f);
int32_t dmc__tensor_file_count(const dmc__tensor_file *f);
const char *dmc__tensor_file_name(const dmc__tensor_file *f, int32_t i);
/* NULL if absent. Ownership: the file's. */
const char *dmc__tensor_file_meta(const dmc__tensor_file *f, const char *key);
/* Index of a tensor, -1 if absent. */
int32_t dmc__tensor_file_find(const dmc__tensor_file *f, const char *name);
void dmc__tensor_file_shape(const dmc__tensor_file *f, int32_t i, int32_t *rank, int32_t shape[8]);
size_t dmc__tensor_file_elems(const dmc__tensor_file *f, int32_t i);
/* Convert to float / double (F32, F64, F16, BF16, I64 accepted). n must be the tensor's size, else DMC_ESHAPE. */
dmc_status dmc__tensor_file_read(const dmc__tensor_file *f, int32_t i, float *out, size_t n);
dmc_status dmc__tensor_file_read64(const dmc__tensor_file *f, int32_t i, double *out, size_t n);

/* Read exactly this tensor with exactly this shape, or a sentence naming both shapes. */
dmc_status dmc__tensor_file_take(const dmc__tensor_file *f, const char *name, int32_t rank, const int32_t *shape,
                                 float *out);

#endif
