/* net.c — from a config to a network: bounds are checked here, each network's own file appends the ops. */
#include "net.h"

#include "layers.h"

/* One number of the config and what it may be. */
typedef struct bound {
    const char *name;
    int32_t value, min, max;
} bound;

static dmc_status check_bounds(const char *network, const bound *b, int32_t n)
{
    for (int32_t i = 0; i < n; i++)
        if (b[i].value < b[i].min || b[i].value > b[i].max)
            return dmc__fail(DMC_ERANGE, "%s: %s = %d, must be %d..%d", network, b[i].name, b[i].value, b[i].min,
                             b[i].max);
    return DMC_OK;
}

/* What every network has. The maxima keep every product of two sizes far below 2^31. */
static dmc_status check_common(const char *network, const dmc__net_config *c)
{
    const bound b[] = {
        {"horizon", c->horizon, 1, 1024},
        {"columns of z", c->cols, 1, 8192},
        {"extra", c->extra, 0, 8192},
        {"width of the condition", c->cond, 0, 1 << 20},
        {"hidden", c->hidden, 1, 16384},
        {"emb_dim", c->emb_dim, 2, 4096},
    };
    DMC_TRY(check_bounds(network, b, sizeof b / sizeof *b));
    if (c->emb_dim % 2)
        return dmc__fail(DMC_ERANGE, "%s: emb_dim = %d, must be even", network, c->emb_dim);
    return DMC_OK;
}

static dmc_status check_idql_mlp(const dmc__net_config *c)
{
    const bound b[] = {{"blocks", c->blocks, 0, 256}};
    DMC_TRY(check_common("idql_mlp", c));
    return check_bounds("idql_mlp", b, 1);
}

/* Channels of every level, and the norm must be able to cut them into equal groups. */
static dmc_status check_widths(const dmc__net_config *c)
{
    enum { WIDEST = 16384 };
    int32_t width = c->hidden;
    for (int32_t l = 0; l < c->levels; l++) {
        const int32_t m = c->mult[l];
        if (m < 1 || m > WIDEST / width)
            return dmc__fail(DMC_ERANGE,
                             "unet1d_janner: mult of level %d = %d, must be 1..%d (%d channels at most)", l, m,
                             WIDEST / width, WIDEST);
        width *= m;
        const int32_t groups = dmc__layers_groups(width);
        if (width % groups)
            return dmc__fail(DMC_ERANGE,
                             "unet1d_janner: hidden = %d gives level %d %d channels, must be a multiple of its %d groups",
                             c->hidden, l, width, groups);
    }
    return DMC_OK;
}

static dmc_status check_unet1d_janner(const dmc__net_config *c)
{
    const bound b[] = {{"kernel", c->kernel, 1, 31}, {"levels", c->levels, 1, DMC__MAX_LEVELS}};
    DMC_TRY(check_common("unet1d_janner", c));
    DMC_TRY(check_bounds("unet1d_janner", b, 2));
    if (c->kernel % 2 == 0)
        return dmc__fail(DMC_ERANGE, "unet1d_janner: kernel = %d, must be odd", c->kernel);
    const int32_t factor = 1 << (c->levels - 1);
    if (c->horizon % factor)
        return dmc__fail(DMC_ERANGE, "unet1d_janner: horizon = %d, must be divisible by 2^(levels-1) = %d", c->horizon,
                         factor);
    if (c->mult[0] != 1)
        return dmc__fail(DMC_ERANGE, "unet1d_janner: mult of level 0 = %d, must be 1 (hidden is that level's width)",
                         c->mult[0]);
    return check_widths(c);
}

/* The networks there are: number = place in the list. */
static const struct network {
    dmc_status (*check)(const dmc__net_config *c);
    void (*build)(dmc__net *n);
} networks[] = {
    [DMC__NET_IDQL_MLP] = {check_idql_mlp, dmc__idql_mlp_build},
    [DMC__NET_UNET1D_JANNER] = {check_unet1d_janner, dmc__unet1d_janner_build},
};
enum { NETWORKS = sizeof networks / sizeof *networks };

static dmc_status build(dmc__net *n)
{
    const dmc__net_config *c = &n->config;
    DMC_TRY(dmc__graph_create(n->alloc, &n->graph));
    n->z = dmc__graph_input(n->graph, "z", c->horizon, c->cols);
    n->t = dmc__graph_input(n->graph, "t", 1, 1);
    n->cond = c->cond > 0 ? dmc__graph_input(n->graph, "cond", 1, c->cond) : -1;
    n->extra = c->extra > 0 ? dmc__graph_input(n->graph, "extra", c->horizon, c->extra) : -1;
    networks[c->kind].build(n);
    dmc__graph_output(n->graph, n->out);
    return dmc__graph_status(n->graph);
}

dmc_status dmc__net_create(const dmc__allocator *a, const dmc__net_config *c, dmc__net **out)
{
    *out = NULL;
    if (c->kind < 0 || c->kind >= NETWORKS)
        return dmc__fail(DMC_ERANGE, "dmc__net_create: network = %d, must be 0..%d", c->kind, NETWORKS - 1);
    DMC_TRY(networks[c->kind].check(c));
    dmc__net *n = NULL;
    DMC_TRY(DMC_NEW(a, 1, &n));
    n->alloc = a;
    n->config = *c;
    const dmc_status status = build(n);
    if (status < 0) {
        dmc__net_destroy(n);
        return status;
    }
    *out = n;
    return DMC_OK;
}

void dmc__net_destroy(dmc__net *n)
{
    if (!n) return;
    dmc__graph_destroy(n->graph);
    DMC_FREE(n->alloc, n, 1);
}

size_t dmc__net_bytes(const dmc__net *n)
{
    return n ? sizeof *n + dmc__graph_bytes(n->graph) : 0;
}
