/* controller.h — what an alignment does next, as a pure function of what was measured (methods.md 6).
 *
 * A run writes a row for every evaluation, for every update out of the ordinary, for every stage's start and end. Asked with the
 * rows so far, the controller answers what the last of them leads to. It keeps nothing, so a run read back from its ledger can be
 * judged again, and a resumed one goes on as it would have.
 */
#ifndef DMC_ALIGN_CONTROLLER_H
#define DMC_ALIGN_CONTROLLER_H

#include <stddef.h>
#include <stdint.h>

enum {
    DMC__EVENT_START = 0,      /* a stage begins: score of the weights it begins with                    */
    DMC__EVENT_UPDATE = 1,     /* an update that is not finite, or far from those before                 */
    DMC__EVENT_EVALUATION = 2, /* score of the present weights                                           */
    DMC__EVENT_END = 3,        /* a stage is over: score of the weights it leaves                        */
    DMC__EVENTS = 4
};

/* Measurements m1..m8 of methods.md 6; NaN where unknown. */
enum {
    DMC__METRIC_KL = 0,        /* m1: nats per dimension of the whole chain, to the foundation           */
    DMC__METRIC_UNLIKELY,      /* m2: share of samples below the 10 % quantile of likelihood of data     */
    DMC__METRIC_SPREAD,        /* m3: standard deviation of candidates over the foundation's             */
    DMC__METRIC_COHERENCY,     /* m4: by the owner's callback                                            */
    DMC__METRIC_LOSS,          /* m5: (loss - median) / MAD of the 50 updates before                     */
    DMC__METRIC_NORM,          /* m6: gradient's norm over the median of the 50 updates before           */
    DMC__METRIC_DISAGREEMENT,  /* m8: |Q1 - Q2| on samples over that on data                             */
    DMC__METRIC_ENTROPY,       /* of candidates, by nearest neighbours; nats up to a constant            */
    DMC__METRICS
};

typedef struct dmc__ledger_row {
    int32_t event;             /* DMC__EVENT_*                                                           */
    int32_t stage;             /* place in the order of a sequence; 0 of a method alone                  */
    int32_t pass;              /* from 1; 0 of a method alone                                            */
    int32_t update, updates;   /* done, at most                                                          */
    int32_t finite;            /* 0: the update or the score was not                                     */
    int32_t turn;              /* number of the stage in its sequence, however often it was run in parts */
    double score, se;          /* J; NaN of an update                                                    */
    double foundation;         /* J of the foundation                                                    */
    double diff, diff_se;      /* EVALUATION: J - J of the best, paired. END: J - J at the start of the pass */
    double metric[DMC__METRICS];
    double seconds;            /* of the stage so far                                                    */
    uint64_t seed, draws, weights; /* draws so far; hash of what learns. Not read by the controller      */
} dmc__ledger_row;

/* What a run was asked for. */
typedef struct dmc__control {
    int32_t converge;          /* 1: a stage ends when its score no longer rises                         */
    int32_t accept;            /* 1: a stage leaves its last weights if they are within 1 SE of the best */
    int32_t stages, passes;    /* of a sequence; 1, 1 of a method alone                                  */
    int32_t automatic;         /* 1: from the second pass on, the stage that gained most per second      */
    int32_t guard;             /* 1: beyond scores, loss, norm and samples are judged, too               */
    double kl_limit;           /* delta of m1; 0 = none                                                  */
    double unlikely_warn, unlikely_limit; /* of m2; what chance alone gives is below the former          */
} dmc__control;

enum { DMC__END_NOT = 0, DMC__END_BUDGET = 1, DMC__END_CONVERGED = 2, DMC__END_STRIKES = 3, DMC__ENDS = 4 };

enum {
    DMC__WHY_NOTHING = 0,
    DMC__WHY_NOT_FINITE,       /* collapse... */
    DMC__WHY_LOSS,
    DMC__WHY_NORM,
    DMC__WHY_SCORE,
    DMC__WHY_KL,
    DMC__WHY_UNLIKELY,
    DMC__WHY_SPREAD,
    DMC__WHY_DISAGREEMENT,
    DMC__WHY_KL_HIGH,          /* ... and warnings */
    DMC__WHY_UNLIKELY_HIGH,
    DMC__WHYS
};

typedef struct dmc__decision {
    int32_t best;              /* keep these weights as the best                                         */
    int32_t warn;              /* constraint x 1.5                                                       */
    int32_t roll_back;         /* best weights, moments 0, lr / 2, constraint x 2: a strike              */
    int32_t why;               /* DMC__WHY_* of that                                                     */
    int32_t strikes;           /* of this stage so far                                                   */
    int32_t end;               /* DMC__END_* of the stage                                                */
    int32_t accept;            /* with end: the present weights stay; else the best ones come back       */
    int32_t plateau;           /* two evaluations in a row had no new best: let more of the model learn  */
    int32_t next;              /* after END: the stage to run; -1 = stop                                 */
    int32_t pass;              /* of that                                                                */
    double lr_scale;           /* from now on                                                            */
} dmc__decision;

/* What row[n-1] leads to, n >= 1; row[0] is a START. */
dmc__decision dmc__control_decide(const dmc__control *c, const dmc__ledger_row *row, size_t n);

/* 1 if an update of such a row must be told: it is not finite, or its loss or norm passes a limit. */
int32_t dmc__control_tells(const dmc__ledger_row *r);

/* Names in files and messages; NULL outside the range. */
const char *dmc__event_name(int32_t event);
const char *dmc__metric_name(int32_t metric);
const char *dmc__end_name(int32_t end);
const char *dmc__why_name(int32_t why);

#endif
