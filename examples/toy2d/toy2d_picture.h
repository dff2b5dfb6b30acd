/* toy2d_picture.h — the field of a reward with samples before and after, by gnuplot. */
#ifndef TOY2D_PICTURE_H
#define TOY2D_PICTURE_H

#include "toy2d_task.h"

enum { TOY2D_SHOWN = 32 };

/* Of one reward. */
typedef struct toy2d_panel {
    float before[2 * TOY2D_SHOWN], after[2 * TOY2D_SHOWN];
    double factor;
} toy2d_panel;

void toy2d_panel_before(toy2d_panel *p, const float *sample);
void toy2d_panel_after(toy2d_panel *p, const float *sample, double factor);
/* <folder>/toy2d.png. Returns 0, 1 without gnuplot, -1 on failure. */
int32_t toy2d_picture(const char *folder, const toy2d_panel panel[TOY2D_COLOURS]);

#endif
