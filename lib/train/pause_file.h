/* pause_file.h — an aligner in the middle of its work: adapter, optimiser, draws, best weights, scores, rows and position. */
#ifndef DMC_TRAIN_PAUSE_FILE_H
#define DMC_TRAIN_PAUSE_FILE_H

#include "../align/align.h"

/* Of the running stage (from a progress callback), of the last stop, or of an aligner at rest. */
dmc_status dmc__pause_save(dmc__align *a, const char *path);
/* The next method goes on from there. On failure the adapter may be the file's, the rest is as it was. */
dmc_status dmc__pause_load(dmc__align *a, const char *path);

#endif
