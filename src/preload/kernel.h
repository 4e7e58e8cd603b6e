// System calls of the library's own. They go straight to the kernel: what stands in front of the C library (a sandbox's, an
// allocator's or another preloaded library's wrapper) is for the program's calls, and may come back to us.
#pragma once

#include <cerrno>
#include <type_traits>

#include "src/preload/next.h"

namespace daedalus::preload {

/// The result as the kernel gives it: -errno on failure. errno stays as it is. No cancellation point.
inline long kernelCall(long number, long a, long b, long c, long d, long e, long f) {
#if defined(__x86_64__)
    long result = number;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "+a"(result) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
#else
#error "Say here how this architecture calls its kernel."
#endif
}

namespace detail {
template <class T>
long toLong(T value) {
    if constexpr (std::is_pointer_v<T>) {
        return reinterpret_cast<long>(value);
    } else {
        return static_cast<long>(value);
    }
}
inline long toLong(decltype(nullptr)) { return 0; }
}  // namespace detail

/// As kernelCall(), with arguments of any type.
template <class... Arguments>
long kernel(long number, Arguments... arguments) {
    static_assert(sizeof...(arguments) <= 6);
    long all[6] = {detail::toLong(arguments)...};
    return kernelCall(number, all[0], all[1], all[2], all[3], all[4], all[5]);
}

/// A kernel's result as the C library's functions give it.
inline long withErrno(long result) {
    if (result >= 0 || result < -4095) return result;
    errno = static_cast<int>(-result);
    return -1;
}

}  // namespace daedalus::preload
