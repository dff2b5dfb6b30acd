/* bench_peer.h — the same work in PyTorch, timed by a process that waits while we are timed, so that both see the same
 * machine. */
#ifndef DMC_BENCH_PEER_H
#define DMC_BENCH_PEER_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

typedef struct dmc_bench_peer {
    pid_t pid;
    FILE *ask, *answer;
    char name[64]; /* "torch 1.13.1, openblas"; "" = none: every call below does nothing */
} dmc_bench_peer;

/* Runs $PYTHON (/usr/bin/python3) on the script; without torch there is no peer. */
void dmc_bench_peer_open(dmc_bench_peer *p, const char *script);
void dmc_bench_peer_close(dmc_bench_peer *p);

typedef struct dmc_bench_question {
    const char *name;  /* "janner/forward/16"                         */
    const char *style; /* "eager", "script": bench_nets.py says which */
    int threads;
    double seconds;    /* of repeating it                             */
} dmc_bench_question;

/* Times of one case, in ms: at most `most`. Returns how many, 0 if the peer does not have the case. *parameters: of its
 * network, 0 if it has none. */
int dmc_bench_peer_time(dmc_bench_peer *p, const dmc_bench_question *q, double *ms, int most, uint64_t *parameters);

#endif
