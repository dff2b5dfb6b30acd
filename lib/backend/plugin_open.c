/* plugin_open.c — opening a backend that is a library of its own: libdmc-<name>.so.
 *
 * Searched is the folder the caller names, and no other; without one, the folder libdmc.so itself is in (of a static library: the
 * program), then wherever the system looks for libraries. The first that opens must be of this build.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "backend.h"

enum { PATH_SIZE = 1024, TRIED_SIZE = 360 };

/* The folder this code was loaded from, with its slash; "" if it is not known. */
static void own_folder(char folder[PATH_SIZE])
{
    static const char here = 0;
    Dl_info info;
    folder[0] = '\0';
    if (!dladdr(&here, &info) || !info.dli_fname) return;
    const char *slash = strrchr(info.dli_fname, '/');
    if (slash) snprintf(folder, PATH_SIZE, "%.*s", (int)(slash + 1 - info.dli_fname), info.dli_fname);
}

/* Open the library at `path`, or add the path and the reason to the sentence. dlerror begins with the path if it is a path. */
static void *try_path(const char *path, char tried[TRIED_SIZE])
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const size_t used = strlen(tried);
    const char *why = library ? NULL : dlerror();
    if (library) return library;
    if (why && strncmp(why, path, strlen(path)) == 0) why += strlen(path) + (why[strlen(path)] == ':');
    snprintf(tried + used, TRIED_SIZE - used, "; %.160s:%.80s", path, why ? why : " unknown");
    return NULL;
}

static void *search(const char *file, const char *folder, char tried[TRIED_SIZE])
{
    char path[PATH_SIZE], own[PATH_SIZE];
    tried[0] = '\0';
    if (folder && folder[0]) {
        snprintf(path, sizeof path, "%.900s/%s", folder, file);
        return try_path(path, tried);
    }
    own_folder(own);
    snprintf(path, sizeof path, "%.900s%s", own, file);
    void *library = own[0] ? try_path(path, tried) : NULL;
    return library ? library : try_path(file, tried);
}

static dmc_status take_entry(void *library, const char *file, const dmc__backend **out)
{
    dmc_plugin_entry entry;
    void *symbol = dlsym(library, DMC_PLUGIN_ENTRY);
    if (!symbol) return dmc__fail(DMC_EDEVICE, "%s is not a plugin of libdmc: it has no %s", file, DMC_PLUGIN_ENTRY);
    memcpy(&entry, &symbol, sizeof entry); /* C has no cast from data to functions */
    const dmc__backend *b = entry();
    if (b->abi != DMC__BACKEND_ABI || strcmp(b->build, DMC_BUILD_ID) != 0)
        return dmc__fail(DMC_EDEVICE, "%s is of build %s (interface %u), libdmc of build %s (interface %d): build them together",
                         file, b->abi == DMC__BACKEND_ABI ? b->build : "unknown", b->abi, DMC_BUILD_ID, (int)DMC__BACKEND_ABI);
    *out = b;
    return DMC_OK;
}

/* A library that opened once is never closed: its device may outlive every object, and closing it gains nothing. */
dmc_status dmc__plugin_open(const char *name, const char *folder, const dmc__backend **out)
{
    char file[64], tried[TRIED_SIZE];
    *out = NULL;
    snprintf(file, sizeof file, "libdmc-%.32s.so", name);
    void *library = search(file, folder, tried);
    if (!library) return dmc__fail(DMC_EDEVICE, "device = \"%s\" needs %s, which could not be opened%s", name, file, tried);
    const dmc_status status = take_entry(library, file, out);
    if (status < 0) dlclose(library);
    return status;
}
