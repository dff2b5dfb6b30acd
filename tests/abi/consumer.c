/* consumer.c — a stranger's program: sees the installed headers and pkg-config, nothing of this tree. */
#include <libdmc/libdmc.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    char headers[32];
    snprintf(headers, sizeof headers, "%d.%d.%d", DMC_VERSION_MAJOR, DMC_VERSION_MINOR, DMC_VERSION_PATCH);
    if (strcmp(headers, dmc_version()) != 0) {
        fprintf(stderr, "headers are of %s, the library is %s\n", headers, dmc_version());
        return 1;
    }
    dmc_context *context;
    if (dmc_context_create(NULL, &context) < 0) {
        fprintf(stderr, "%s\n", dmc_last_error());
        return 1;
    }
    printf("libdmc %s on %s\n", dmc_version(), dmc_context_device(context));
    dmc_context_destroy(context);
    return 0;
}
