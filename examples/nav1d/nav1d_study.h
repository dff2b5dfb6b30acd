/* nav1d_study.h — one controller (policy or planner) from data through every alignment method, with figures before and after. */
#ifndef NAV1D_STUDY_H
#define NAV1D_STUDY_H

#include "nav1d_bench.h"

enum { NAV1D_RL, NAV1D_DPO, NAV1D_SFT, NAV1D_CASCADE, NAV1D_SEQUENCE, NAV1D_METHODS };
extern const char *const nav1d_method[NAV1D_METHODS];

typedef struct nav1d_study {
    /* in */
    const char *role;              /* "policy", "planner"                                 */
    const char *config;            /* YAML file                                           */
    const char *out;               /* folder results are written to                       */
    const dmc_dataset *data;
    const dmc_critic *critic;      /* wanted by nav1d_study_align                         */
    int32_t candidates;            /* per decision: 8 policy, 16 planner (methods.md 8)   */
    /* out */
    dmc_model *foundation, *aligned;   /* aligned: by the sequence                        */
    nav1d_figure before[NAV1D_SELECTIONS], after[NAV1D_METHODS][NAV1D_SELECTIONS];
    double seconds[NAV1D_METHODS], train_seconds;
} nav1d_study;

/* Lines of progress go to stderr. Each returns a dmc_status; dmc_last_error says why. */
dmc_status nav1d_study_train(nav1d_study *s);
dmc_status nav1d_study_align(nav1d_study *s);
void nav1d_study_free(nav1d_study *s);

#endif
