/* api_context.c — dmc_context and shared odds and ends of the public layer. */
#include <string.h>

#include "handles.h"

dmc_status dmc_context_create(const dmc_context_options *o, dmc_context **out)
{
    dmc_context_options c;
    DMC_NEED("dmc_context_create", out);
    *out = NULL;
    DMC_TRY(dmc__field_take(DMC_OPTIONS_CONTEXT, o, &c));
    if (!c.alloc != !c.free)
        return dmc__fail(DMC_EINVAL, "dmc_context_create: alloc and free must be given together; %s is NULL",
                         c.alloc ? "free" : "alloc");
    const dmc__allocator own = {c.alloc, c.free, c.alloc_user};
    const dmc__log log = {c.log, c.log_user, c.log_level};
    const dmc__context_config config = {
        .alloc = c.alloc ? &own : &dmc__default_allocator, .log = &log, .threads = c.threads, .host = c.parallel_for,
        .host_user = c.parallel_user,
        .device = {.name = c.device, .plugin_folder = c.plugin_folder, .matrix = c.matrix, .stream = c.cuda_stream}};
    return dmc__context_open(&config, out);
}

void dmc_context_destroy(dmc_context *ctx)
{
    dmc__context_close(ctx);
}

const char *dmc_context_device(const dmc_context *ctx)
{
    return ctx ? ctx->name : "";
}

dmc_status dmc__text_out(const char *function, const char *text, char *buf, size_t size, size_t *need)
{
    const size_t n = strlen(text) + 1;
    if (need) *need = n;
    if (!buf) return need ? DMC_OK : dmc__fail(DMC_EINVAL, "%s: buf and need are both NULL", function);
    if (size < n) return dmc__fail(DMC_ESHAPE, "%s: size = %zu, the text needs %zu", function, size, n);
    memcpy(buf, text, n);
    return DMC_OK;
}
