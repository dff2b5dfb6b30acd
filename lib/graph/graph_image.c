/* graph_image.c — layers over images. A frame is h w rows of pixels, channels last; several frames of a sample stand one
 * after the other, and every op counts them in dim[0].
 */
#include "graph_types.h"

static const dmc__gimage nothing = {-1, 0, 0};

static dmc__gimage refuse_image(dmc__graph *g, const char *name, const char *what, dmc__gimage x)
{
    dmc__graph_refuse(g, DMC_ESHAPE, "%s: %s of %d rows as frames of %d x %d pixels, must be whole frames of at least 1 pixel",
                      name, what, dmc__graph_rows(g, x.v), x.h, x.w);
    return nothing;
}

/* A node over the frames of x, with dim = {frames, h, w, c}. 0 after an error. */
static int32_t start(dmc__graph *g, enum dmc_op op, const char *name, dmc__gimage x, dmc__graph_node *n)
{
    if (!dmc__graph_start(g, op, name, 1, &x.v, n)) return 0;
    const int32_t t = g->value[x.v].t;
    if (x.h < 1 || x.w < 1 || (int64_t)x.h * x.w > t || t % (x.h * x.w)) {
        refuse_image(g, n->name, dmc__op_name((int32_t)op), x);
        return 0;
    }
    n->dim[0] = t / (x.h * x.w);
    n->dim[1] = x.h;
    n->dim[2] = x.w;
    n->dim[3] = g->value[x.v].c;
    return 1;
}

/* Append the node; its output is `frames` of h by w pixels with c channels. */
static dmc__gimage finish(dmc__graph *g, const dmc__graph_node *n, int32_t h, int32_t w, int32_t c)
{
    const int64_t t = (int64_t)n->dim[0] * h * w;
    if (t > INT32_MAX) {
        dmc__graph_refuse(g, DMC_ESHAPE, "%s: %s makes %lld pixels, at most %d", n->name, dmc__op_name((int32_t)n->op),
                          (long long)t, INT32_MAX);
        return nothing;
    }
    const dmc__gimage y = {dmc__graph_add_node(g, n, (int32_t)t, c), h, w};
    return y.v < 0 ? nothing : y;
}

dmc__gimage dmc__g_image(dmc__graph *g, dmc__val x, int32_t h, int32_t w, int32_t c)
{
    if (g->status < 0) return nothing;
    const int64_t size = (int64_t)dmc__graph_rows(g, x) * dmc__graph_cols(g, x);
    const int64_t frame = h < 1 || w < 1 || c < 1 || (int64_t)h * w > INT32_MAX / c ? 0 : (int64_t)h * w * c;
    if (frame == 0 || size == 0 || size % frame) {
        dmc__graph_refuse(g, DMC_ESHAPE, "%simage: (%d,%d) as frames of %d x %d pixels with %d channels, must be whole frames",
                          g->prefix, dmc__graph_rows(g, x), dmc__graph_cols(g, x), h, w, c);
        return nothing;
    }
    return (dmc__gimage){dmc__g_reshape(g, x, (int32_t)(size / c), c), h, w};
}

/* ---- windows ---------------------------------------------------------------------------------------- */

/* Places a window of k takes on n pixels; 0 where there is none. */
static int32_t count_places(int32_t n, int32_t k, int32_t stride, int32_t pad)
{
    const int64_t left = (int64_t)n + 2 * (int64_t)pad - k;
    return left < 0 ? 0 : (int32_t)(left / stride + 1);
}

/* Of all taps at all places, those that fall on the n pixels. */
static double count_taps(int32_t n, int32_t places, int32_t k, int32_t stride, int32_t pad)
{
    double taps = 0;
    for (int64_t p = 0; p < places; p++) {
        const int64_t first = p * stride - pad, last = first + k;
        taps += (double)((last < n ? last : n) - (first > 0 ? first : 0));
    }
    return taps;
}

/* Places of a window of k over frames of h by w; DMC_ESHAPE if it does not fit or `most` < pad. 0 after an error. */
static int32_t place_windows(dmc__graph *g, const dmc__graph_node *n, int32_t k, int32_t stride, int32_t pad, int32_t most,
                             int32_t *h, int32_t *w)
{
    enum { WIDEST = 1 << 15 };
    if (k < 1 || k > WIDEST || stride < 1 || pad < 0 || pad > most) {
        dmc__graph_refuse(g, DMC_ESHAPE, "%s: %s with k = %d, stride = %d, pad = %d, must be 1..%d, at least 1 and 0..%d",
                          n->name, dmc__op_name((int32_t)n->op), k, stride, pad, WIDEST, most > 0 ? most : 0);
        return 0;
    }
    *h = count_places(n->dim[1], k, stride, pad);
    *w = count_places(n->dim[2], k, stride, pad);
    if (*h > 0 && *w > 0) return 1;
    dmc__graph_refuse(g, DMC_ESHAPE, "%s: %s of %d x %d pixels, k = %d, stride = %d, pad = %d, leaves no pixel", n->name,
                      dmc__op_name((int32_t)n->op), n->dim[1], n->dim[2], k, stride, pad);
    return 0;
}

dmc__gimage dmc__g_conv2d(dmc__graph *g, const char *name, dmc__gimage x, int32_t co, int32_t k, int32_t stride, int32_t pad,
                          int32_t bias)
{
    dmc__graph_node n;
    int32_t h, w;
    if (!start(g, DMC_OP_CONV2D, name, x, &n) || !place_windows(g, &n, k, stride, pad, k - 1, &h, &w)) return nothing;
    if (co < 1) {
        dmc__graph_refuse(g, DMC_ESHAPE, "%s: conv2d to %d channels, must be at least 1", n.name, co);
        return nothing;
    }
    const int32_t ci = n.dim[3], dim[] = {n.dim[0], x.h, x.w, ci, h, w, co, k, stride, pad};
    for (int32_t i = 0; i < DMC_KDIM; i++) n.dim[i] = dim[i];
    const dmc__param_spec spec = {.rank = 4, .shape = {co, ci, k, k}, .layout = DMC__LAYOUT_CONV2D};
    dmc__graph_add_weights(g, &n, &spec, co, bias);
    g->flops += 2.0 * n.dim[0] * ci * co * count_taps(x.h, h, k, stride, pad) * count_taps(x.w, w, k, stride, pad);
    return finish(g, &n, h, w, co);
}

dmc__gimage dmc__g_maxpool2d(dmc__graph *g, dmc__gimage x, int32_t k, int32_t stride, int32_t pad)
{
    dmc__graph_node n;
    int32_t h, w;
    if (!start(g, DMC_OP_MAXPOOL2D, "maxpool2d", x, &n) || !place_windows(g, &n, k, stride, pad, k / 2, &h, &w)) return nothing;
    const int32_t dim[] = {n.dim[0], x.h, x.w, n.dim[3], h, w, k, stride, pad};
    for (size_t i = 0; i < sizeof dim / sizeof *dim; i++) n.dim[i] = dim[i];
    return finish(g, &n, h, w, dim[3]);
}

dmc__gimage dmc__g_crop2d(dmc__graph *g, dmc__gimage x, int32_t h, int32_t w, int32_t random)
{
    dmc__graph_node n;
    if (!start(g, DMC_OP_CROP2D, "crop2d", x, &n)) return nothing;
    if (h < 1 || w < 1 || h > x.h || w > x.w) {
        dmc__graph_refuse(g, DMC_ESHAPE, "%s: %d x %d pixels of %d x %d, must be at least 1 and no more than there are", n.name,
                          h, w, x.h, x.w);
        return nothing;
    }
    if (h == x.h && w == x.w) return x;
    n.dim[4] = h;
    n.dim[5] = w;
    n.attr[0] = random != 0;
    n.random = random ? 1 : 0;
    return finish(g, &n, h, w, n.dim[3]);
}

/* ---- pixel by pixel, channel by channel --------------------------------------------------------------- */

/* The norm of sequences, told where the frames are. */
dmc__gimage dmc__g_groupnorm2d(dmc__graph *g, const char *name, dmc__gimage x, int32_t groups, double eps, int32_t act)
{
    dmc__graph_node n;
    if (!start(g, DMC_OP_GROUPNORM, name, x, &n)) return nothing;
    const dmc__gimage y = {dmc__g_groupnorm(g, name, x.v, groups, eps, act), x.h, x.w};
    if (y.v < 0) return nothing;
    g->node[g->nodes - 1].dim[0] = n.dim[0];
    g->node[g->nodes - 1].dim[1] = x.h * x.w;
    return y;
}

dmc__gimage dmc__g_act2d(dmc__graph *g, enum dmc_op op, dmc__gimage x)
{
    return (dmc__gimage){dmc__g_act(g, op, x.v), x.h, x.w};
}

dmc__gimage dmc__g_add2d(dmc__graph *g, dmc__gimage x, dmc__gimage y)
{
    return (dmc__gimage){dmc__g_add(g, x.v, y.v), x.h, x.w};
}

dmc__val dmc__g_mean2d(dmc__graph *g, dmc__gimage x)
{
    dmc__graph_node n;
    if (!start(g, DMC_OP_MEAN_ROWS, "mean2d", x, &n)) return -1;
    const int32_t c = n.dim[3];
    n.dim[1] = x.h * x.w;
    n.dim[2] = c;
    n.dim[3] = 0;
    return dmc__graph_add_node(g, &n, n.dim[0], c);
}

dmc__val dmc__g_spatial_softmax(dmc__graph *g, const char *name, dmc__gimage x)
{
    static const dmc__param_spec one = {.rank = 1, .shape = {1}, .layout = DMC__LAYOUT_PLAIN, .init = DMC__INIT_ONE, .scale = 1};
    dmc__graph_node n;
    if (!start(g, DMC_OP_SPATIAL_SOFTMAX, name, x, &n)) return -1;
    n.par[0] = dmc__graph_add_to_node(g, &n, "temperature", &one);
    return dmc__graph_add_node(g, &n, n.dim[0], 2 * n.dim[3]);
}
