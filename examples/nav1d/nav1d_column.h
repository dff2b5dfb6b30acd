/* nav1d_column.h — one column of the paper's Nav1D table on one data set from one seed: train, align, measure; kept in a folder. */
#ifndef NAV1D_COLUMN_H
#define NAV1D_COLUMN_H

#include "nav1d_bench.h"
#include "nav1d_recipe.h"

enum { NAV1D_KINDS = 3, NAV1D_COLUMNS = 5, NAV1D_MOST_SETTINGS = 24 };
extern const char *const nav1d_kind_name[NAV1D_KINDS]; /* "full", ... by NAV1D_FULL, ... */

/* Which model, how it is drawn from, and which rules choose among its samples. */
typedef struct nav1d_column {
    const char *name;              /* "ddpm" */
    const char *foundation;        /* columns that share one have it under one name */
    const char *model, *align;     /* YAML files of its training, of its alignment */
    const char *sampler;
    const char *setting[3];
    int32_t planner, candidates;
    int32_t rules, rule[2];        /* NAV1D_GREEDY, ... */
    struct { double before, after; } paper[NAV1D_KINDS][2]; /* by kind and rule */
} nav1d_column;

extern const nav1d_column nav1d_columns[NAV1D_COLUMNS];

/* What all jobs share. Data sets by kind; immutable. */
typedef struct nav1d_stage {
    const char *out, *configs;
    char **setting;                /* of the command line, over all files */
    size_t settings;
    const nav1d_expert *expert;
    dmc_dataset *data[NAV1D_KINDS];
} nav1d_stage;

typedef struct nav1d_job {
    const nav1d_column *column;
    int32_t kind, seed;
} nav1d_job;

/* Returns of NAV1D_TRIALS episodes under one rule. */
enum { NAV1D_TRIALS = 2 * NAV1D_SEEDS };
typedef struct nav1d_outcome {
    double mean, se, spread; /* spread: standard deviation over the mean */
} nav1d_outcome;

typedef struct nav1d_result {
    nav1d_outcome before[2], after[2]; /* by rule */
    double coherency_before, coherency_after, kl, seconds;
} nav1d_result;

/* Where they are not in the folder yet: the critic of a kind and seed; the foundation; the result. DMC_OK or the failure. */
dmc_status nav1d_make_critic(const nav1d_stage *s, const nav1d_job *j);
dmc_status nav1d_make_foundation(const nav1d_stage *s, const nav1d_job *j);
dmc_status nav1d_make_result(const nav1d_stage *s, const nav1d_job *j);
/* The result from the folder. 0, or -1 if it is not there. */
int32_t nav1d_read_result(const nav1d_stage *s, const nav1d_job *j, nav1d_result *r);

#endif
