/* emu_fiber.cpp — the threads of a block: fibers that run one at a time, each until it waits for others.
 *
 * A fiber that waits for its warp or its block is set aside. A warp of which all threads wait for it goes on; when no warp can
 * run, the block does. If not all of its threads wait for it, some thread missed a barrier that others wait at: the program stops.
 */
#include "emu_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef __x86_64__
#include <ucontext.h>
#endif

enum emu_state { READY, AT_WARP, AT_BLOCK, DONE };
enum { STACK_BYTES = 256 * 1024, NAN_BYTE = 0xff, GUARD_BYTE = 0xa5 };

#ifdef __x86_64__
typedef void *emu_context; /* its stack pointer */
#else
typedef ucontext_t emu_context;
#endif

struct emu_fiber {
    emu_context context;
    char *stack;
    dim3 index;
    emu_state state;
    unsigned lane, warp, exchanges;
};

dim3 emu_thread_index, emu_block_index, emu_block_size, emu_grid_size;
alignas(128) unsigned char emu_shared[EMU_MOST_SHARED + EMU_GUARD];

static emu_fiber fibers[EMU_MOST_THREADS], *running;
static emu_context scheduler;
static unsigned threads;
static const emu_job *work;
/* What lanes give in a shuffle; two, because the first to leave one may begin the next. */
static uint64_t given[2][EMU_MOST_THREADS / EMU_WARP][EMU_WARP];

void emu_stop(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("tests/emu: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    va_end(arguments);
    abort();
}

/* ---- changing stacks ------------------------------------------------------------------------------------------------ */

static void fiber_main();

#ifdef __x86_64__
/* Saves what a function must keep, and the stack pointer to *from; goes on where `to` was saved. */
extern "C" void emu_change_stack(void **from, void *to) __attribute__((visibility("hidden")));
__asm__(".text\n.globl emu_change_stack\n.hidden emu_change_stack\nemu_change_stack:\n"
        "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");

static void change(emu_context *from, emu_context *to)
{
    emu_change_stack(from, *to);
}

/* A stack as if fiber_main had been about to begin: a return address of nobody, fiber_main, six registers. */
static void make_context(emu_fiber *f)
{
    void **top = reinterpret_cast<void **>(f->stack + STACK_BYTES - 64);
    *--top = nullptr;
    *--top = reinterpret_cast<void *>(fiber_main);
    for (int i = 0; i < 6; i++) *--top = nullptr;
    f->context = top;
}
#else
static void change(emu_context *from, emu_context *to)
{
    swapcontext(from, to);
}

static void make_context(emu_fiber *f)
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack;
    f->context.uc_stack.ss_size = STACK_BYTES;
    f->context.uc_link = nullptr;
    makecontext(&f->context, fiber_main, 0);
}
#endif

static void wait_in(emu_state state)
{
    running->state = state;
    change(&running->context, &scheduler);
}

static void fiber_main()
{
    (*work)();
    wait_in(DONE);
    abort();
}

/* ---- what kernels call ---------------------------------------------------------------------------------------------- */

void emu_barrier()
{
    wait_in(AT_BLOCK);
}

void emu_warp_barrier()
{
    wait_in(AT_WARP);
}

unsigned emu_lane()
{
    return running->lane;
}

uint64_t emu_exchange(uint64_t mine, unsigned source)
{
    uint64_t *const slots = given[running->exchanges++ % 2][running->warp];
    slots[running->lane] = mine;
    wait_in(AT_WARP);
    return slots[source];
}

/* ---- a block -------------------------------------------------------------------------------------------------------- */

static void begin_fiber(unsigned i, dim3 block)
{
    emu_fiber *const f = &fibers[i];
    if (!f->stack) {
        void *const p = mmap(nullptr, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) emu_stop("no memory for the stack of a thread");
        f->stack = static_cast<char *>(p);
    }
    f->index = dim3(i % block.x, i / block.x % block.y, i / block.x / block.y);
    f->state = READY;
    f->lane = i % EMU_WARP;
    f->warp = i / EMU_WARP;
    f->exchanges = 0;
    make_context(f);
}

static bool backward()
{
    static const char *const order = getenv("DMC_EMU_ORDER");
    return order && strcmp(order, "backward") == 0;
}

static void run_ready(unsigned first)
{
    for (unsigned i = 0; i < EMU_WARP; i++) {
        running = &fibers[first + (backward() ? EMU_WARP - 1 - i : i)];
        if (running->state != READY) continue;
        emu_thread_index = running->index;
        change(&scheduler, &running->context);
    }
}

static unsigned count(unsigned first, unsigned n, emu_state state)
{
    unsigned found = 0;
    for (unsigned i = first; i < first + n; i++) found += fibers[i].state == state;
    return found;
}

/* Whether n threads all wait in `state`; if so they go on. */
static bool let_go(unsigned first, unsigned n, emu_state state)
{
    if (count(first, n, state) != n) return false;
    for (unsigned i = first; i < first + n; i++) fibers[i].state = READY;
    return true;
}

/* A warp runs on until it waits for its block, so that warps are as far from each other as barriers allow: one that is missing
 * before memory is used again shows as well. */
static void run_warps()
{
    for (unsigned w = 0; w < threads; w += EMU_WARP) {
        const unsigned first = backward() ? threads - EMU_WARP - w : w;
        do run_ready(first);
        while (let_go(first, EMU_WARP, AT_WARP));
    }
}

static void let_block_go()
{
    if (!let_go(0, threads, AT_BLOCK))
        emu_stop("block %u,%u,%u of %u threads is stuck: %u wait for their block, %u for their warp, %u have returned",
                 emu_block_index.x, emu_block_index.y, emu_block_index.z, threads, count(0, threads, AT_BLOCK),
                 count(0, threads, AT_WARP), count(0, threads, DONE));
}

static void check_guard(size_t shared)
{
    for (size_t i = shared; i < shared + EMU_GUARD; i++)
        if (emu_shared[i] != GUARD_BYTE) emu_stop("a kernel wrote past its %zu bytes of dynamic shared memory", shared);
}

static void run_block(dim3 block, size_t shared)
{
    memset(emu_shared, NAN_BYTE, shared);
    memset(emu_shared + shared, GUARD_BYTE, EMU_GUARD);
    for (unsigned i = 0; i < threads; i++) begin_fiber(i, block);
    for (run_warps(); count(0, threads, DONE) < threads; run_warps()) let_block_go();
    check_guard(shared);
}

void emu_run_grid(dim3 grid, dim3 block, size_t shared, const emu_job &call)
{
    threads = block.x * block.y * block.z;
    emu_block_size = block;
    emu_grid_size = grid;
    work = &call;
    for (emu_block_index.z = 0; emu_block_index.z < grid.z; emu_block_index.z++)
        for (emu_block_index.y = 0; emu_block_index.y < grid.y; emu_block_index.y++)
            for (emu_block_index.x = 0; emu_block_index.x < grid.x; emu_block_index.x++) run_block(block, shared);
}
