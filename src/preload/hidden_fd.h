// A descriptor of the library's own in the program's table. Programs close what they do not know, and reuse the numbers, so
// each is asked for before it is used or closed.
#pragma once

#include <cstdint>

namespace daedalus::preload {

/// Valid when zeroed but for `number_`, as thread-local and mapped memory need it; closes nothing by itself. Not locked.
class HiddenFd {
public:
    /// What `number` is now.
    static HiddenFd of(int number);
    /// Takes `fd` over, and moves it out of the way of programs that count on low numbers.
    void adopt(int fd);
    /// What `number` is if its inode is this; it stays where it is.
    void expect(int number, uint64_t inode) {
        number_ = number;
        inode_ = inode;
    }
    /// Its number if it is still what was adopted, else -1; asks the kernel.
    [[nodiscard]] int get() const;
    /// The number that it had last, or -1. For what is only to be compared.
    [[nodiscard]] int lastNumber() const { return number_; }
    /// Another descriptor of the same file: at the number `at` if that is free, else at any.
    [[nodiscard]] HiddenFd duplicate(int at) const;
    /// Closes it if it is still ours.
    void close();
    /// Leaves it open, and knows it no more.
    void forget() { number_ = -1; }

private:
    int number_ = -1;
    uint64_t inode_ = 0;
};

}  // namespace daedalus::preload
