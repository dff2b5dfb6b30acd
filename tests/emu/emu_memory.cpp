/* emu_memory.cpp — device memory and pinned memory, and who may touch them.
 *
 * Both are the host's. What cudaMalloc gives is not zero but NaN. With DMC_EMU_STRICT=1 every piece of device memory has
 * pages of its own, which nobody may read or write but kernels and copies: host code that follows a device pointer dies.
 */
#include "emu_parts.h"

#include <stdlib.h>
#include <sys/mman.h>

#include <map>
#include <mutex>

enum { ALIGNMENT = 256, PAGE = 4096, NAN_BYTE = 0xff };

typedef std::map<const char *, size_t> pieces;

static std::mutex lock;
static pieces device, pinned;
static uint64_t allocations;
static bool is_open;

extern "C" __attribute__((visibility("default"))) uint64_t emu_allocations(void)
{
    const std::lock_guard<std::mutex> hold(lock);
    return allocations;
}

static bool strict()
{
    static const char *const wish = getenv("DMC_EMU_STRICT");
    return wish && wish[0] == '1';
}

static size_t whole_pages(size_t bytes)
{
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

static void *get_device(size_t bytes)
{
    void *p = nullptr;
    if (!strict()) return posix_memalign(&p, ALIGNMENT, bytes) == 0 ? p : nullptr;
    p = mmap(nullptr, whole_pages(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? nullptr : p;
}

static void protect(int how)
{
    for (const auto &piece : device) mprotect(const_cast<char *>(piece.first), whole_pages(piece.second), how);
}

void emu_memory_open()
{
    const std::lock_guard<std::mutex> hold(lock);
    if (strict()) protect(PROT_READ | PROT_WRITE);
    is_open = true;
}

void emu_memory_close()
{
    const std::lock_guard<std::mutex> hold(lock);
    if (strict()) protect(PROT_NONE);
    is_open = false;
}

static bool within(const pieces &all, const void *p, size_t bytes)
{
    const std::lock_guard<std::mutex> hold(lock);
    const char *const at = static_cast<const char *>(p);
    auto piece = all.upper_bound(at);
    if (piece == all.begin()) return false;
    --piece;
    const size_t offset = static_cast<size_t>(at - piece->first);
    return offset <= piece->second && bytes <= piece->second - offset;
}

bool emu_is_device(const void *p, size_t bytes)
{
    return within(device, p, bytes);
}

bool emu_is_pinned(const void *p, size_t bytes)
{
    return within(pinned, p, bytes);
}

cudaError_t cudaMalloc(void **p, size_t bytes)
{
    *p = nullptr;
    if (emu_thread_captures()) return emu_error(cudaErrorStreamCaptureUnsupported);
    if (bytes == 0) return cudaSuccess;
    const std::lock_guard<std::mutex> hold(lock);
    *p = get_device(bytes);
    if (!*p) return emu_error(cudaErrorMemoryAllocation);
    memset(*p, NAN_BYTE, bytes);
    if (strict() && !is_open) mprotect(*p, whole_pages(bytes), PROT_NONE);
    device[static_cast<char *>(*p)] = bytes;
    allocations++;
    return cudaSuccess;
}

cudaError_t cudaFree(void *p)
{
    if (!p) return cudaSuccess;
    if (emu_thread_captures()) return emu_error(cudaErrorStreamCaptureUnsupported);
    const std::lock_guard<std::mutex> hold(lock);
    const auto piece = device.find(static_cast<char *>(p));
    if (piece == device.end()) return emu_error(cudaErrorInvalidValue);
    if (strict()) munmap(p, whole_pages(piece->second));
    else free(p);
    device.erase(piece);
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **p, size_t bytes)
{
    *p = nullptr;
    if (emu_thread_captures()) return emu_error(cudaErrorStreamCaptureUnsupported);
    const std::lock_guard<std::mutex> hold(lock);
    if (posix_memalign(p, ALIGNMENT, bytes) != 0) return emu_error(cudaErrorMemoryAllocation);
    memset(*p, NAN_BYTE, bytes);
    pinned[static_cast<char *>(*p)] = bytes;
    allocations++;
    return cudaSuccess;
}

cudaError_t cudaFreeHost(void *p)
{
    if (!p) return cudaSuccess;
    const std::lock_guard<std::mutex> hold(lock);
    if (pinned.erase(static_cast<char *>(p)) == 0) return emu_error(cudaErrorInvalidValue);
    free(p);
    return cudaSuccess;
}
