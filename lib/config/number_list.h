/* number_list.h — "0.9, 0.5, 0.1" to numbers. */
#ifndef DMC_CONFIG_NUMBER_LIST_H
#define DMC_CONFIG_NUMBER_LIST_H

#include "number_text.h"

/* Numbers of a text, separated by commas, blanks around them allowed; an empty text and NULL have none. DMC_ERANGE: more than
 * `most`; DMC_EPARSE: one that is not a finite number, named by its position. `what` begins the sentence. */
dmc_status dmc__number_list(const char *text, const char *what, int32_t most, double *out, int32_t *count);

#endif
