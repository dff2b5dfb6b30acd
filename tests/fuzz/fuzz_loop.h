/* fuzz_loop.h — what a fuzz target gives to the loop.
 *
 * A target is one file with LLVMFuzzerTestOneInput, so that libFuzzer can drive it where it is installed (link with
 * -fsanitize=fuzzer instead of fuzz_loop.c). fuzz_loop.c drives it everywhere else: seeds, mutated by a generator with a
 * fixed seed, so that every run does the same. */
#ifndef DMC_TESTS_FUZZ_LOOP_H
#define DMC_TESTS_FUZZ_LOOP_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Inputs to start from: write number `index` (from 0) and return its size; 0 when there are no more. */
size_t fuzz_seed(int index, uint8_t *out, size_t room);
/* Words worth inserting, NULL at the end. */
extern const char *const fuzz_words[];
/* Inputs of a run of about two seconds under AddressSanitizer. */
extern const long fuzz_inputs;

/* Inputs that were not refused, counted by the target. All seeds have to be, or nothing behind them is tested. */
extern long fuzz_accepted;

/* Path of a file that holds these bytes until the next call. */
const char *fuzz_file(const uint8_t *data, size_t size);
/* Stop with a sentence: a promise was broken. */
_Noreturn void fuzz_broken(const char *promise);

#endif
