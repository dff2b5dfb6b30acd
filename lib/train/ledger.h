/* ledger.h — the rows of an alignment in a file, one JSON object per line, with what was decided (docs/formats.md). */
#ifndef DMC_TRAIN_LEDGER_H
#define DMC_TRAIN_LEDGER_H

#include "../align/align.h"

typedef struct dmc__ledger_line {
    size_t at;                 /* number of the row in its run: 0 begins one */
    dmc__control control;
    dmc__ledger_row row;
    dmc__decision decision;
    uint64_t after, best;
} dmc__ledger_line;

dmc_status dmc__ledger_append(const dmc__allocator *a, const char *path, const dmc__align_record *r);
/* Free with DMC_FREE(a, *out, *n). */
dmc_status dmc__ledger_read(const dmc__allocator *a, const char *path, dmc__ledger_line **out, size_t *n);

#endif
