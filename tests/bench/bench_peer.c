/* bench_peer.c — two pipes and a line protocol: we write "case style threads seconds", the peer answers "parameters n ms ms
 * ...". */
#include "bench_peer.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void run_script(const char *script, const int to[2], const int from[2])
{
    const char *python = getenv("PYTHON");
    dup2(to[0], STDIN_FILENO);
    dup2(from[1], STDOUT_FILENO);
    close(to[1]);
    close(from[0]);
    unsetenv("LD_PRELOAD"); /* what counts our calls (tests/preload) is not for others */
    execlp(python ? python : "/usr/bin/python3", "python3", script, (char *)NULL);
    _exit(127);
}

/* The first line is the peer's name, or nothing. */
static void greet(dmc_bench_peer *p)
{
    if (!p->ask || !p->answer || !fgets(p->name, sizeof p->name, p->answer)) {
        dmc_bench_peer_close(p);
        return;
    }
    p->name[strcspn(p->name, "\n")] = '\0';
}

void dmc_bench_peer_open(dmc_bench_peer *p, const char *script)
{
    int to[2], from[2];
    *p = (dmc_bench_peer){0};
    signal(SIGPIPE, SIG_IGN); /* a peer that dies is a peer that does not answer */
    if (pipe(to) != 0) return;
    if (pipe(from) != 0) {
        close(to[0]);
        close(to[1]);
        return;
    }
    p->pid = fork();
    if (p->pid == 0) run_script(script, to, from);
    close(to[0]);
    close(from[1]);
    p->ask = fdopen(to[1], "w");
    p->answer = fdopen(from[0], "r");
    greet(p);
}

void dmc_bench_peer_close(dmc_bench_peer *p)
{
    if (p->ask) fclose(p->ask);
    if (p->answer) fclose(p->answer);
    if (p->pid > 0) waitpid(p->pid, NULL, 0);
    *p = (dmc_bench_peer){0};
}

int dmc_bench_peer_time(dmc_bench_peer *p, const dmc_bench_question *q, double *ms, int most, uint64_t *parameters)
{
    unsigned long long count;
    double unwanted;
    int n;
    *parameters = 0;
    if (!*p->name) return 0;
    fprintf(p->ask, "%s %s %d %g\n", q->name, q->style, q->threads, q->seconds);
    if (fflush(p->ask) != 0 || fscanf(p->answer, "%llu %d", &count, &n) != 2) {
        dmc_bench_peer_close(p);
        return 0;
    }
    *parameters = count;
    for (int i = 0; i < n; i++)
        if (fscanf(p->answer, "%lf", i < most ? &ms[i] : &unwanted) != 1) return 0;
    return n < most ? n : most;
}
