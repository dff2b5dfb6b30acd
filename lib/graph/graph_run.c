/* graph_run.c — walking the list. Nothing is decided here. */
#include "graph_steps.h"

static dmc_status name_failure(const dmc__plan *p, const dmc__step *s, const char *direction, int32_t status)
{
    const dmc__graph_node *const n = &p->graph->node[s->node];
    if (dmc__device_explains(p->device)) return dmc__fail_in(status, "%s: %s %s", n->name, dmc__op_name((int32_t)n->op), direction);
    return dmc__fail(status, "%s: %s %s failed on %s", n->name, dmc__op_name((int32_t)n->op), direction,
                     p->device->backend->name);
}

dmc_status dmc__plan_forward(dmc__plan *p)
{
    const dmc__step *const s = p->forward;
    for (int32_t i = 0; i < p->nodes; i++) {
        const int32_t status = s[i].run(&s[i].args);
        if (status != 0) return name_failure(p, &s[i], "forward", status);
    }
    return DMC_OK;
}

dmc_status dmc__plan_backward(dmc__plan *p)
{
    if (p->flags == DMC__PLAN_INFER)
        return dmc__fail(DMC_ESTATE, "dmc__plan_backward: the plan was made for inference");
    const dmc__step *const s = p->backward;
    for (int32_t i = 0; i < p->backward_steps; i++) {
        const int32_t status = s[i].run(&s[i].args);
        if (status != 0) return name_failure(p, &s[i], "backward", status);
    }
    return DMC_OK;
}
