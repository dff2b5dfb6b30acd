/* fuzz_yaml.c — any bytes as a YAML file: read or refused, never more. */
#include "fuzz_loop.h"

#include <libdmc/options.h>

#include <stdlib.h>
#include <string.h>

#include "../../lib/io/yaml_file.h"

const long fuzz_inputs = 60000;

const char *const fuzz_words[] = {
    "model",    "horizon",      ": ",         "{",   "}",     "[",       "]",  "\n",
    "\n  ",     "- ",           "? ",         "&a ", "*a",    "!!str ",  "<<", "---\n",
    "...\n",    "%YAML 1.1\n",  "%TAG ! x\n", "\"",  "'",     "|",       ">",  "#",
    "\t",       "\xef\xbb\xbf", "\xff",       "\\0", "\\x00", "\\uD800", "~",  ",",
    "{{{{{{{{", "1e999",        "-1",         NULL};

static const char *const seeds[] = {
    "model: {horizon: 4, network: unet1d_janner, mult: \"1,4\"}\ntrain:\n  steps: 500\n  lr: 1e-3 "
    "# x\n",
    "a:\nb: {}\nc:\n  text: 'it''s'\n  more: \"\\u00e9\\n\"\n  block: |\n    two\n    lines\n",
    "---\nsampler: {sampler: ddim,\n  steps: 10}\n...\n",
};

size_t fuzz_seed(int index, uint8_t *out, size_t room)
{
    if ((size_t)index >= sizeof seeds / sizeof *seeds || strlen(seeds[index]) > room) return 0;
    memcpy(out, seeds[index], strlen(seeds[index]));
    return strlen(seeds[index]);
}

/* Values go on into options structs. */
static void set_options(const dmc__yaml *y)
{
    for (int32_t kind = DMC_OPTIONS_CONTEXT; kind <= DMC_OPTIONS_SYNTH; kind++) {
        double options[64];
        if (dmc_options_size(kind) > sizeof options) fuzz_broken("options fit");
        dmc_options_init(kind, options);
        for (int32_t i = 0; i < y->count; i++)
            if (y->entry[i].key &&
                dmc_options_set(kind, options, y->entry[i].key, y->entry[i].value) < 0 &&
                *dmc_last_error() == '\0')
                fuzz_broken("a refusal has a sentence");
        if (dmc_options_check(kind, options) < 0) fuzz_broken("what was set is in range");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    dmc__yaml y;
    const dmc_status status =
        dmc__yaml_parse(&dmc__default_allocator, "x", (const char *)data, size, &y);
    if (status == DMC_OK)
        set_options(&y);
    else if (status != DMC_EPARSE)
        fuzz_broken("what is not YAML is a parse error");
    else if (y.count || y.entry)
        fuzz_broken("nothing is left of a refused file");
    for (int32_t i = 0; i < y.count; i++)
        if (!y.entry[i].section || !y.entry[i].key != !y.entry[i].value || y.entry[i].line < 1)
            fuzz_broken("entries are complete");
    dmc__yaml_free(&y);
    fuzz_accepted += status == DMC_OK;
    return 0;
}
