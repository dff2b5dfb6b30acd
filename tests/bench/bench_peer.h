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
    char name[64]; /* "torch 1.13.1 eager"; "" = none: every call below does nothing */
} dmc_bench_peer;

/* Runs $PYTHON (/usr/bin/python3) on the script; without torch there is no peer. */
void dmc_bench_peer_open(dmc_bench_peer *p, const char *script);
void dmc_bench_peer_close(dmc_bench_peer *p);

/* Times of one case, in ms, repeated for about `seconds`: at most `most`. Returns how many, 0 if the peer does not have the
 * case. *parameters: of its network. */
int dmc_bench_peer_time(dmc_bench_peer *p, const char *name, double seconds, double *ms, int most, uint64_t *parameters);

#endif
