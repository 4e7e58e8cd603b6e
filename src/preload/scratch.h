// Memory for one call. Threads may have the smallest stack that there can be (PTHREAD_STACK_MIN, 16 KiB, with their local
// storage): no function of this library takes more than 4 KiB of it, and no call of the program more than 10 KiB in all.
#pragma once

#include <sys/mman.h>

#include <cstddef>

#include "src/preload/real.h"

namespace daedalus::preload {

/// Memory on the stack if it is small, else mapped. Lives as long as this object.
class Scratch {
public:
    Scratch() = default;
    ~Scratch() {
        if (mapped_ != nullptr) ::munmap(mapped_, size_);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    /// `size` bytes, or nullptr. Once.
    void* get(size_t size) {
        if (size <= sizeof small_) return small_;
        void* const memory = realMmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) return nullptr;
        mapped_ = memory;
        size_ = size;
        return memory;
    }
    /// `count` objects of type T, not constructed.
    template <class T>
    T* get(size_t count) {
        return static_cast<T*>(get(count * sizeof(T)));
    }

private:
    alignas(16) unsigned char small_[512];
    void* mapped_ = nullptr;
    size_t size_ = 0;
};

}  // namespace daedalus::preload
