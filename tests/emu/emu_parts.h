/* emu_parts.h — what the files of the emulator know of each other. */
#ifndef DMC_TESTS_EMU_PARTS_H
#define DMC_TESTS_EMU_PARTS_H

#include "cuda_runtime.h"

typedef std::function<void()> emu_job;

/* Remembers an error for cudaGetLastError, and hands it on. */
cudaError_t emu_error(cudaError_t error);

/* Does the job at once, with device memory open to it, or writes it down where the stream is captured. */
cudaError_t emu_submit(cudaStream_t stream, emu_job job);
bool emu_captures(cudaStream_t stream);
/* A capture that this thread began is under way: allocating and waiting would spoil it. */
bool emu_thread_captures();

/* Runs every thread of every block. The caller has checked the sizes. */
void emu_run_grid(dim3 grid, dim3 block, size_t shared, const emu_job &call);

/* Device memory may be touched between these two. */
void emu_memory_open();
void emu_memory_close();
bool emu_is_device(const void *p, size_t bytes);
bool emu_is_pinned(const void *p, size_t bytes);

/* Print the sentence, end the program. */
[[noreturn]] void emu_stop(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum {
    EMU_WARP = 32,
    EMU_MOST_THREADS = 1024,
    EMU_SHARED = 48 * 1024,       /* dynamic shared memory without asking */
    EMU_MOST_SHARED = 227 * 1024, /* after asking                         */
    EMU_GUARD = 64                /* bytes behind it                      */
};

#endif
