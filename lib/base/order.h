/* order.h — how qsort is to order numbers. */
#ifndef DMC_BASE_ORDER_H
#define DMC_BASE_ORDER_H

/* Doubles, the smallest first. */
static inline int dmc__order_double(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

#endif
