/* cli_signal.c — Ctrl-C and SIGTERM as a wish to stop soon. The library never touches signals; a
 * program may. */
#include <signal.h>

#include "cli.h"

static volatile sig_atomic_t seen;

static void note_signal(int number)
{
    seen = number;
}

void cli_signal_watch(void)
{
    /* Reset once used, so that the second Ctrl-C kills a program that does not come to its end. */
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int cli_signal_seen(void)
{
    return (int)seen;
}
