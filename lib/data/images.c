/* images.c — cameras of a dataset. */
#include "images.h"

#include <stdio.h>
#include <string.h>

#include "../base/checked.h"

/* Names become part of the names of tensors, where a point separates. */
static dmc_status check_name(const char *who, const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const size_t n = strlen(name);
    if (n >= 1 && n < DMC__IMAGES_NAME && strspn(name, allowed) == n) return DMC_OK;
    return dmc__fail(DMC_EINVAL, "%s: camera \"%.40s\", its name must be 1..%d letters, digits, _ or -", who, name,
                     DMC__IMAGES_NAME - 1);
}

static dmc_status check_size(const dmc__images *m, const char *who, const char *name, size_t rows, const int32_t s[3])
{
    if (s[0] < 1 || s[1] < 1 || s[2] < 1 || s[0] > DMC__IMAGES_SIDE || s[1] > DMC__IMAGES_SIDE || s[2] > DMC__IMAGES_CHANNELS)
        return dmc__fail(DMC_ESHAPE, "%s: camera \"%s\" has frames (%d,%d,%d), must be 1..%d by 1..%d pixels of 1..%d channels",
                         who, name, s[0], s[1], s[2], DMC__IMAGES_SIDE, DMC__IMAGES_SIDE, DMC__IMAGES_CHANNELS);
    if (m->cameras > 0 && (rows != m->rows || s[0] != m->h || s[1] != m->w || s[2] != m->c))
        return dmc__fail(DMC_ESHAPE, "%s: camera \"%s\" has %zu frames (%d,%d,%d), the first camera %zu of (%d,%d,%d)", who, name,
                         rows, s[0], s[1], s[2], m->rows, m->h, m->w, m->c);
    if (m->cameras == DMC__IMAGES_MOST)
        return dmc__fail(DMC_ERANGE, "%s: camera \"%s\" is one too many, at most %d", who, name, DMC__IMAGES_MOST);
    return DMC_OK;
}

/* Make room at the place the name belongs to. */
static void insert(dmc__images *m, const char *name, uint8_t *pixels)
{
    int32_t i = m->cameras++;
    for (; i > 0 && strcmp(m->name[i - 1], name) > 0; i--) {
        memcpy(m->name[i], m->name[i - 1], DMC__IMAGES_NAME);
        m->pixels[i] = m->pixels[i - 1];
    }
    memset(m->name[i], 0, DMC__IMAGES_NAME); /* compared as bytes */
    snprintf(m->name[i], DMC__IMAGES_NAME, "%s", name);
    m->pixels[i] = pixels;
}

dmc_status dmc__images_add(dmc__images *m, const dmc__allocator *a, const char *who, const char *name, size_t rows,
                           const int32_t size[3], uint8_t **pixels)
{
    size_t bytes;
    *pixels = NULL;
    DMC_TRY(check_name(who, name));
    if (dmc__images_find(m, name) >= 0) return dmc__fail(DMC_EINVAL, "%s: there is already a camera \"%s\"", who, name);
    DMC_TRY(check_size(m, who, name, rows, size));
    if (!dmc__mul_ok(rows, (size_t)size[0] * (size_t)size[1] * (size_t)size[2], &bytes))
        return dmc__fail(DMC_EOVERFLOW, "%s: camera \"%s\" has too many pixels", who, name);
    DMC_TRY(DMC_NEW(a, bytes, pixels));
    m->rows = rows;
    m->h = size[0];
    m->w = size[1];
    m->c = size[2];
    insert(m, name, *pixels);
    return DMC_OK;
}

void dmc__images_free(dmc__images *m, const dmc__allocator *a)
{
    for (int32_t i = 0; i < m->cameras; i++) DMC_FREE(a, m->pixels[i], m->rows * dmc__images_frame(m));
    *m = (dmc__images){0};
}

int32_t dmc__images_find(const dmc__images *m, const char *name)
{
    for (int32_t i = 0; i < m->cameras; i++)
        if (strcmp(m->name[i], name) == 0) return i;
    return -1;
}

size_t dmc__images_frame(const dmc__images *m)
{
    return (size_t)m->h * (size_t)m->w * (size_t)m->c;
}

void dmc__images_convert(const uint8_t *pixels, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++) out[i] = (float)pixels[i] / 255 * 2 - 1;
}
