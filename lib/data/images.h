/* images.h — frames of the cameras of a dataset: one of each camera per row, bytes, all of one size. */
#ifndef DMC_DATA_IMAGES_H
#define DMC_DATA_IMAGES_H

#include "../base/alloc.h"

enum { DMC__IMAGES_MOST = 8, DMC__IMAGES_NAME = 32, DMC__IMAGES_SIDE = 2048, DMC__IMAGES_CHANNELS = 16 };

typedef struct dmc__images {
    int32_t cameras, h, w, c;
    size_t rows;
    char name[DMC__IMAGES_MOST][DMC__IMAGES_NAME]; /* in the order of their bytes            */
    uint8_t *pixels[DMC__IMAGES_MOST];             /* (rows,h,w,c)                           */
} dmc__images;

/* A camera more, with memory for its frames; *pixels is to be filled. Its name is of letters, digits, _ and -, and not
 * taken; sizes are those of the cameras there are. `who` names file or function. */
dmc_status dmc__images_add(dmc__images *m, const dmc__allocator *a, const char *who, const char *name, size_t rows,
                           const int32_t size[3], uint8_t **pixels);
void dmc__images_free(dmc__images *m, const dmc__allocator *a);
/* Number of the camera, -1 if there is none of this name. */
int32_t dmc__images_find(const dmc__images *m, const char *name);
/* Bytes of one frame. */
size_t dmc__images_frame(const dmc__images *m);
/* n bytes as numbers from -1 to 1. */
void dmc__images_convert(const uint8_t *pixels, size_t n, float *out);

#endif
