// Binds what glibc 2.34 moved from libdl and libpthread into libc to its older versions: the library is loaded into every
// program under `daedalus run`, also into those of containers with an older C library. To be included before its first use.
#pragma once

#include <dlfcn.h>
#include <pthread.h>

#if defined(__GLIBC__) && defined(__x86_64__)
#define DAEDALUS_OLD_SYMBOL(name) __asm__(".symver " #name "," #name "@GLIBC_2.2.5")
#elif defined(__GLIBC__) && defined(__aarch64__)
#define DAEDALUS_OLD_SYMBOL(name) __asm__(".symver " #name "," #name "@GLIBC_2.17")
#else
#define DAEDALUS_OLD_SYMBOL(name) static_assert(true)
#endif

// From libdl, which the library names as needed.
DAEDALUS_OLD_SYMBOL(dlsym);
DAEDALUS_OLD_SYMBOL(dlopen);

// From libpthread, which it does not: with an older C library a program without threads lacks these. They are null there, and
// no thread ends before the process.
#pragma weak pthread_key_create
#pragma weak pthread_setspecific
DAEDALUS_OLD_SYMBOL(pthread_key_create);
DAEDALUS_OLD_SYMBOL(pthread_setspecific);
