/* net_horizon.c — a network with the same weights at another horizon, where no weight belongs to a row. */
#include <string.h>

#include "net.h"

static int32_t same_place(const dmc__param_spec *a, const dmc__param_spec *b)
{
    return b && strcmp(a->name, b->name) == 0 && a->rank == b->rank && a->offset == b->offset &&
           memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) == 0;
}

static dmc_status check_same_weights(const dmc__net *like, const dmc__net *n)
{
    for (dmc__parid i = 0; i < dmc__graph_param_count(like->graph); i++) {
        const dmc__param_spec *p = dmc__graph_param(like->graph, i);
        if (!same_place(p, dmc__graph_param(n->graph, i)))
            return dmc__fail(DMC_EINVAL, "%s: horizon = %d, must be the model's %d: \"%s\" has weights of its own for every row",
                             dmc__net_name(n->config.kind), n->config.horizon, like->config.horizon, p->name);
    }
    return DMC_OK;
}

dmc_status dmc__net_stretch(const dmc__allocator *a, const dmc__net *like, int32_t horizon, dmc__net **out)
{
    dmc__net_config c = like->config;
    c.horizon = horizon;
    DMC_TRY(dmc__net_create(a, &c, out));
    const dmc_status status = check_same_weights(like, *out);
    if (status < 0) {
        dmc__net_destroy(*out);
        *out = NULL;
    }
    return status;
}
