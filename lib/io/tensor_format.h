/* tensor_format.h — what reader and writer of the model file agree on.
 *
 * A file with our digest begins, after its 8-byte length, with exactly
 *     {"__metadata__":{"dmc.xxh3":"<32 hex digits>"
 * so the digest can be checked before any JSON is parsed. It is the XXH3-128 of the whole file with
 * those 32 digits replaced by '0'.
 */
#ifndef DMC_IO_TENSOR_FORMAT_H
#define DMC_IO_TENSOR_FORMAT_H

#define XXH_STATIC_LINKING_ONLY /* the state on the stack instead of malloc */
#include <stdbool.h>
#include <xxhash.h>

#include "../base/status.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the file's numbers are read as they are");

#define DMC__TENSOR_META "__metadata__"
#define DMC__TENSOR_DIGEST_KEY "dmc.xxh3"
#define DMC__TENSOR_PREFIX "{\"" DMC__TENSOR_META "\":{\"" DMC__TENSOR_DIGEST_KEY "\":\""

enum {
    DMC__TENSOR_LENGTH = 8, /* bytes of the header's length, a uint64 */
    DMC__TENSOR_HEADER_MAX = 16 << 20,
    DMC__TENSOR_NAME_MAX = 256,
    DMC__TENSOR_RANK_MAX = 8,
    DMC__TENSOR_DIGEST_AT = sizeof DMC__TENSOR_PREFIX - 1, /* in the header */
    DMC__TENSOR_DIGEST = 32                                /* hex digits    */
};

enum {
    DMC__DTYPE_F32,
    DMC__DTYPE_F64,
    DMC__DTYPE_F16,
    DMC__DTYPE_BF16,
    DMC__DTYPE_I64,
    DMC__DTYPE_U8,
    DMC__DTYPE_COUNT
};

/* "F32"; its size in bytes. */
const char *dmc__dtype_name(int32_t dtype);
size_t dmc__dtype_size(int32_t dtype);
/* -1 if not one of the above. */
int32_t dmc__dtype_find(const char *name);
/* The element at p, which need not be aligned. */
double dmc__dtype_load(int32_t dtype, const unsigned char *p);
/* Index of the first element that is infinite or NaN, n if there is none. */
size_t dmc__dtype_nonfinite(int32_t dtype, const unsigned char *p, size_t n);

/* Start a digest with the length and the header (n bytes, its digest digits ignored); add tensor
 * bytes with XXH3_128bits_update; finish as text. */
void dmc__digest_start(XXH3_state_t *s, const char *header, size_t n);
void dmc__digest_finish(const XXH3_state_t *s, char out[DMC__TENSOR_DIGEST + 1]);
/* Does the header begin as above, with room for the digest? */
bool dmc__digest_present(const char *header, size_t n);

/* "(3,4)" for messages. Returns buf. */
enum { DMC__SHAPE_TEXT = 112 };
const char *dmc__shape_text(int32_t rank, const int32_t *shape, char buf[DMC__SHAPE_TEXT]);

#endif
