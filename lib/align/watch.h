/* watch.h — is this update's loss or gradient out of the ordinary? Medians of the 50 updates before it (methods.md 6: m5, m6). */
#ifndef DMC_ALIGN_WATCH_H
#define DMC_ALIGN_WATCH_H

#include <stdint.h>

enum { DMC__WATCH_UPDATES = 50 };

typedef struct dmc__watch {
    double loss[DMC__WATCH_UPDATES], norm[DMC__WATCH_UPDATES]; /* rings */
    double seen;               /* updates since the beginning or a roll-back */
} dmc__watch;

/* (loss - median) / (1.4826 median |x - median|) and norm / median; NaN before 20 updates were seen or where a number is not
 * finite. Both are then among those seen. */
void dmc__watch_update(dmc__watch *w, double loss, double norm, double *loss_z, double *norm_ratio);

#endif
