// Runs the plain client from a library whose calls of libc no preloaded library sees.
// Usage: loads_client deepbind|namespace LIBRARY NODE IVF OUTPUT
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int main(int count, char** arguments) {
    if (count != 6) return 2;
    void* const library = strcmp(arguments[1], "deepbind") == 0 ? dlopen(arguments[2], RTLD_NOW | RTLD_DEEPBIND)
                                                                : dlmopen(LM_ID_NEWLM, arguments[2], RTLD_NOW);
    int (*client)(int, char**) = 0;
    if (library) *(void**)&client = dlsym(library, "plainClient");
    if (!client) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    return client(count - 2, arguments + 2);
}
