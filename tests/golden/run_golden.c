/* run_golden.c — one program for all golden tests; an argument names another folder of data. */
#include <stdlib.h>

#include "golden_reader.h"

Suite *dmc_golden_nets(void);
Suite *dmc_golden_optim(void);
Suite *dmc_golden_losses(void);

int main(int argc, char **argv)
{
    if (argc > 1) golden_folder = argv[1];
    SRunner *runner = srunner_create(dmc_golden_nets());
    srunner_add_suite(runner, dmc_golden_optim());
    srunner_add_suite(runner, dmc_golden_losses());
    srunner_run_all(runner, CK_NORMAL);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
