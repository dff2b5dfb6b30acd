/* fuzz_loop.c — runs a target on mutations of its seeds.
 *
 *     fuzz_yaml                  the standard run
 *     fuzz_yaml 100000           more inputs
 *     fuzz_yaml some/file        one input: a crash written by an earlier run
 */
#include "fuzz_loop.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_SEEDS = 16, ROOM = 1 << 16 };

static uint64_t state = 0x9e3779b97f4a7c15u;
static uint8_t seeds[MOST_SEEDS][ROOM];
static size_t seed_size[MOST_SEEDS];
static int n_seeds;
static uint8_t input[ROOM];
static size_t input_size;

/* splitmix64 */
static uint64_t draw(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t below(size_t n)
{
    return n ? (size_t)(draw() % n) : 0;
}

/* Put n bytes in at `at`, as far as there is room. */
static void insert(size_t at, const void *bytes, size_t n)
{
    if (n > ROOM - input_size) return;
    memmove(input + at + n, input + at, input_size - at);
    memcpy(input + at, bytes, n);
    input_size += n;
}

static void overwrite(size_t at, const void *bytes, size_t n)
{
    if (at + n <= input_size) memcpy(input + at, bytes, n);
}

static void erase(size_t at, size_t n)
{
    if (n > input_size - at) n = input_size - at;
    memmove(input + at, input + at + n, input_size - at - n);
    input_size -= n;
}

static void put_number(size_t at)
{
    static const uint64_t telling[] = {0,
                                       1,
                                       0x7f,
                                       0x80,
                                       0xff,
                                       0x7fff,
                                       0x8000,
                                       0xffff,
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       0x100000000,
                                       0x7fffffffffffffff,
                                       0x8000000000000000,
                                       UINT64_MAX};
    const uint64_t v = telling[below(sizeof telling / sizeof *telling)];
    overwrite(at, &v, (size_t)1 << below(4));
}

static void put_word(size_t at)
{
    size_t n = 0;
    while (fuzz_words[n]) n++;
    const char *word = fuzz_words[below(n)];
    if (n == 0) return;
    if (draw() & 1)
        insert(at, word, strlen(word));
    else
        overwrite(at, word, strlen(word));
}

/* A piece of another seed */
static void borrow(size_t at)
{
    const int other = (int)below((size_t)n_seeds);
    const size_t from = below(seed_size[other]), n = below(seed_size[other] - from) % 64;
    if (draw() & 1)
        insert(at, seeds[other] + from, n);
    else
        overwrite(at, seeds[other] + from, n);
}

static void mutate(void)
{
    const size_t at = below(input_size + 1);
    const uint8_t byte = (uint8_t)draw();
    switch (below(8)) {
    case 0:
        if (at < input_size) input[at] ^= (uint8_t)(1u << below(8));
        break;
    case 1: overwrite(at, &byte, 1); break;
    case 2: insert(at, &byte, 1); break;
    case 3: erase(at, 1 + below(16)); break;
    case 4: put_number(at); break;
    case 5: put_word(at); break;
    case 6: borrow(at); break;
    default:
        if (below(8) == 0) input_size = at;
        break;
    }
}

static void make_input(void)
{
    const int s = (int)below((size_t)n_seeds);
    input_size = seed_size[s];
    memcpy(input, seeds[s], input_size);
    for (size_t n = 1 + below(6); n > 0; n--) mutate();
}

/* A sanitizer is about to end the program: keep the input that did it. */
static void keep_input(void)
{
    const int fd = open("fuzz-crash", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0 && write(fd, input, input_size) == (ssize_t)input_size)
        fprintf(stderr, "the input is in fuzz-crash (%zu bytes)\n", input_size);
}

extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return 2;
    input_size = fread(input, 1, sizeof input, f);
    fclose(f);
    LLVMFuzzerTestOneInput(input, input_size);
    return 0;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    const long given = argc > 1 ? strtol(argv[1], &end, 10) : fuzz_inputs;
    if (end && *end) return run_file(argv[1]);
    while (n_seeds < MOST_SEEDS &&
           (seed_size[n_seeds] = fuzz_seed(n_seeds, seeds[n_seeds], ROOM)) > 0)
        n_seeds++;
    if (n_seeds == 0) return 2;
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(keep_input);
    for (int i = 0; i < n_seeds; i++) {
        LLVMFuzzerTestOneInput(seeds[i], seed_size[i]);
        if (fuzz_accepted != i + 1) fuzz_broken("seeds are accepted");
    }
    for (long i = 0; i < given; i++) {
        make_input();
        LLVMFuzzerTestOneInput(input, input_size);
    }
    printf("%ld inputs from %d seeds, %ld accepted\n", given, n_seeds, fuzz_accepted - n_seeds);
    return 0;
}
