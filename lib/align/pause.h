/* pause.h — all that a stopped run needs to go on as if it had not been stopped: taken by the driver in the middle of a stage,
 * given back to it by the next method. */
#ifndef DMC_ALIGN_PAUSE_H
#define DMC_ALIGN_PAUSE_H

#include "align.h"
#include "watch.h"

typedef struct dmc__pause {
    char method[16];             /* the stage that was running; "" = none was */
    int32_t pass, place, turn, updates;
    int32_t update;              /* updates begun; 0 = the stage is begun anew */
    uint64_t entry, draws;       /* draws when the method was entered, and at the stop */
    int64_t step;                /* of the optimiser */
    double seconds, lr_scale;
    double loss, kl, reward, norm, score; /* of the note */
    double metric[DMC__METRICS], best_metric[DMC__METRICS];
    dmc__watch watch;
    dmc__align_result result, total; /* of the stage; of the sequence before it */
    dmc__scores best_scores;
    size_t n_start, n, n_state;  /* of the adapter; of what learns and of the method's own, 0 where the stage is begun anew */
    float *start;                /* (n_start) the adapter the method began with */
    float *now, *best, *moments; /* (n) (n) (2n) */
    double *state;               /* (n_state) */
} dmc__pause;

void dmc__pause_free(const dmc__allocator *a, dmc__pause *p);
/* The numbers of a pause and of its aligner (draws, scores, rows), two words of 32 bits each as doubles; free with
 * DMC_FREE(alloc, *word, *n). The blocks of weights and the method's own state are not among them. */
dmc_status dmc__pause_write(const dmc__align *a, const dmc__pause *p, double **word, size_t *n);
/* Back. On failure the aligner is as it was. */
dmc_status dmc__pause_read(dmc__align *a, dmc__pause *p, const double *word, size_t n);

#endif
