/* sequence.c — the methods in passes over one adapter (paper section 3.5; methods.md 6).
 *
 * Each stage starts from the best weights of the one before and can only keep or improve the score. What comes next is the
 * controller's decision.
 */
#include <string.h>

#include "sequence.h"
#include "pause.h"

enum { MAX_STAGES = 8 };

typedef dmc_status (*stage_fn)(dmc__align *a, const dmc__sequence_config *c, dmc__align_result *r);

static dmc_status run_rl(dmc__align *a, const dmc__sequence_config *c, dmc__align_result *r)
{
    return dmc__rl_run(a, &c->rl, r);
}

static dmc_status run_dpo(dmc__align *a, const dmc__sequence_config *c, dmc__align_result *r)
{
    return dmc__dpo_run(a, &c->dpo, r);
}

static dmc_status run_sft(dmc__align *a, const dmc__sequence_config *c, dmc__align_result *r)
{
    return dmc__sft_run(a, &c->sft, r);
}

static const struct { const char *name; stage_fn run; } stages[] = {{"rl", run_rl}, {"dpo", run_dpo}, {"sft", run_sft}};

/* The paper's order in the first pass, then what gained most per second. */
static int32_t is_automatic(const char *order)
{
    return strcmp(order, "auto") == 0;
}

/* "rl,dpo,sft" -> functions. */
static dmc_status parse_order(const char *order, stage_fn *list, int32_t *n)
{
    const char *p = is_automatic(order) ? "rl,dpo,sft" : order;
    *n = 0;
    while (*p) {
        const size_t length = strcspn(p, ",");
        size_t i = 0;
        while (i < 3 && (strlen(stages[i].name) != length || strncmp(stages[i].name, p, length) != 0)) i++;
        if (i == 3)
            return dmc__fail(DMC_EKEY, "dmc_align_sequence: order = \"%s\": \"%.*s\" is not one of rl, dpo, sft, nor auto", order,
                             (int)length, p);
        if (*n == MAX_STAGES)
            return dmc__fail(DMC_ERANGE, "dmc_align_sequence: order = \"%s\" has more than %d stages", order, MAX_STAGES);
        list[(*n)++] = stages[i].run;
        p += length + (p[length] == ',');
    }
    if (*n == 0) return dmc__fail(DMC_EINVAL, "dmc_align_sequence: order is empty, must name rl, dpo or sft");
    return DMC_OK;
}

static void add_stage(dmc__align_result *total, const dmc__align_result *stage, int32_t first)
{
    if (first) {
        total->before = stage->before;
        total->before_se = stage->before_se;
    }
    total->updates += stage->updates;
    total->rollbacks += stage->rollbacks;
    total->after = stage->after;
    total->after_se = stage->after_se;
    total->kl = stage->kl;
    total->seconds += stage->seconds;
    total->stopped |= stage->stopped;
    total->warnings += stage->warnings;
    total->end = stage->end;
    memcpy(total->metric, stage->metric, sizeof total->metric);
    total->accepted = total->after > total->before;
}

/* Stages as the controller calls them; one that diverged left its starting weights and does not end the sequence. */
static dmc_status run_stages(dmc__align *a, const dmc__sequence_config *c, const stage_fn *list, dmc__align_result *total)
{
    const dmc__pause *p = a->resuming ? a->pause : NULL;
    dmc__align_result r = {.next = p ? p->place : 0, .next_pass = p ? p->pass : 1};
    a->turn = p ? p->turn - 1 : 0;
    for (int32_t first = !p || p->total.seconds == 0; r.next >= 0 && !total->stopped; first = 0) {
        a->place = r.next;
        a->pass = r.next_pass;
        a->total = *total;
        a->turn++;
        const dmc_status status = list[a->place](a, c, &r);
        if (status < 0 && status != DMC_EDIVERGED) return status;
        add_stage(total, &r, first);
    }
    return DMC_OK;
}

/* It comes after all passes and belongs to none. */
static int32_t stopped_in_cascade(const dmc__align *a)
{
    return a->resuming && a->pause->pass == 0 && strcmp(a->pause->method, "cascade") == 0;
}

dmc_status dmc__sequence_run(dmc__align *a, const dmc__sequence_config *c, dmc__align_result *result)
{
    stage_fn list[MAX_STAGES];
    int32_t n;
    DMC_TRY(parse_order(c->order, list, &n));
    *result = a->resuming ? a->pause->total : (dmc__align_result){0};
    if (!a->resuming) a->n_rows = 0;
    a->control = (dmc__control){.stages = n, .passes = c->passes, .automatic = is_automatic(c->order)};
    dmc_status status = stopped_in_cascade(a) ? DMC_OK : run_stages(a, c, list, result);
    a->control = (dmc__control){.stages = 1, .passes = 1};
    a->place = a->turn = 0;
    a->total = *result;
    a->pass = 0;
    if (status >= 0 && c->cascade && !result->stopped) {
        dmc__align_result r;
        const double kl = result->kl;
        status = dmc__cascade_run(a, &c->cascade_config, &r);
        if (status >= 0) add_stage(result, &r, 0);
        result->kl = kl; /* the adapter's; the cascade has no reference chain */
    }
    if (status < 0) return status;
    return result->stopped ? DMC_STOPPED : DMC_OK;
}
