/* run_unit.c — one program for all unit tests. make writes suites.def: a line SUITE(name) for each check_<name>.c. */
#include <check.h>
#include <stdlib.h>

#define SUITE(name) Suite *dmc_suite_##name(void);
#include "suites.def"
#undef SUITE

/* CK_RUN_SUITE=<name> and CK_RUN_CASE=<name> select; CK_FORK=no keeps one process for a debugger. */
int main(void)
{
    SRunner *runner = srunner_create(NULL);
#define SUITE(name) srunner_add_suite(runner, dmc_suite_##name());
#include "suites.def"
#undef SUITE
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
