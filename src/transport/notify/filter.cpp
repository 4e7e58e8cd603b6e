#include "filter.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/dma-buf.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>

#include "daedalus/queue/mem_offsets.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

namespace daedalus::transport::notify {
namespace {

struct Row {
    uint32_t architecture;
    int number;
    Trapped trapped;
};

#ifdef __x86_64__
constexpr auto kRows = std::to_array<Row>({
    {AUDIT_ARCH_X86_64, SYS_ioctl, {Trap::Ioctl}},
    {AUDIT_ARCH_X86_64, SYS_mmap, {Trap::Mmap}},
    {AUDIT_ARCH_X86_64, SYS_open, {Trap::Open}},
    {AUDIT_ARCH_X86_64, SYS_openat, {Trap::OpenAt}},
    {AUDIT_ARCH_X86_64, SYS_openat2, {Trap::OpenAt2}},
    {AUDIT_ARCH_X86_64, SYS_poll, {Trap::Poll}},
    {AUDIT_ARCH_X86_64, SYS_ppoll, {Trap::Ppoll}},
    {AUDIT_ARCH_X86_64, SYS_select, {Trap::Select}},
    {AUDIT_ARCH_X86_64, SYS_pselect6, {Trap::Pselect}},
    {AUDIT_ARCH_X86_64, SYS_epoll_ctl, {Trap::EpollCtl}},
    // i386, whose numbers no header of this architecture has.
    {AUDIT_ARCH_I386, 54, {.trap = Trap::Ioctl, .is32Bit = true}},
    {AUDIT_ARCH_I386, 192, {.trap = Trap::Mmap, .is32Bit = true, .offsetShift = 12}},
    {AUDIT_ARCH_I386, 5, {.trap = Trap::Open, .is32Bit = true}},
    {AUDIT_ARCH_I386, 295, {.trap = Trap::OpenAt, .is32Bit = true}},
    {AUDIT_ARCH_I386, 437, {.trap = Trap::OpenAt2, .is32Bit = true}},
    {AUDIT_ARCH_I386, 168, {.trap = Trap::Poll, .is32Bit = true}},
    {AUDIT_ARCH_I386, 309, {.trap = Trap::Ppoll, .is32Bit = true}},
    {AUDIT_ARCH_I386, 414, {.trap = Trap::Ppoll, .is32Bit = true, .hasTime64 = true}},
    {AUDIT_ARCH_I386, 142, {.trap = Trap::Select, .is32Bit = true}},
    {AUDIT_ARCH_I386, 308, {.trap = Trap::Pselect, .is32Bit = true}},
    {AUDIT_ARCH_I386, 413, {.trap = Trap::Pselect, .is32Bit = true, .hasTime64 = true}},
    {AUDIT_ARCH_I386, 255, {.trap = Trap::EpollCtl, .is32Bit = true}},
});
#else
// The momentary stop for mmap is written in registers of x86-64 only.
constexpr std::array<Row, 0> kRows{};
#endif

constexpr uint32_t lowWord(unsigned argument) { return static_cast<uint32_t>(offsetof(seccomp_data, args) + 8 * argument); }
constexpr uint32_t highWord(unsigned argument) { return lowWord(argument) + 4; }

sock_filter load(uint32_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset); }
sock_filter mask(uint32_t bits) { return BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits); }
/// Goes over `skip` instructions unless the accumulator is `value`.
sock_filter unlessEqual(uint32_t value, uint8_t skip) { return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip); }
sock_filter ifEqual(uint32_t value, uint8_t skip) { return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, skip, 0); }
sock_filter unlessAtLeast(uint32_t value, uint8_t skip) { return BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, value, 0, skip); }
sock_filter ifAbove(uint32_t value, uint8_t skip) { return BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, value, skip, 0); }
sock_filter unlessAnyBit(uint32_t bits, uint8_t skip) { return BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, skip); }
const sock_filter kNotify = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
const sock_filter kAllow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

std::vector<sock_filter> opened(unsigned flags) {
    // What opens a decoder to use it. Everything else that programs open all the time is not looked at.
    return {load(lowWord(flags)), mask(O_ACCMODE | O_CREAT | O_DIRECTORY | O_PATH), unlessEqual(O_RDWR, 1), kNotify, kAllow};
}

/// Decides on one call: ends with an action on every way.
std::vector<sock_filter> decision(const Trapped& call) {
    const auto type = [](char letter) { return static_cast<uint32_t>(letter) << _IOC_TYPESHIFT; };
    switch (call.trap) {
        case Trap::Ioctl:
            return {load(lowWord(1)),
                    ifEqual(DMA_BUF_IOCTL_SYNC, 3),
                    mask(_IOC_TYPEMASK << _IOC_TYPESHIFT),
                    ifEqual(type('V'), 1),
                    unlessEqual(type('|'), 1),
                    kNotify,
                    kAllow};
        case Trap::Mmap: {
            const uint32_t first = queue::kFirstMemOffset >> call.offsetShift;
            const uint32_t last = UINT32_MAX >> call.offsetShift;
            return {load(lowWord(3)),
                    unlessAnyBit(1 /* MAP_SHARED */, 6),
                    load(highWord(5)),
                    unlessEqual(0, 4),
                    load(lowWord(5)),
                    unlessAtLeast(first, 2),
                    ifAbove(last, 1),
                    kNotify,
                    kAllow};
        }
        case Trap::Open:
            return opened(1);
        case Trap::OpenAt:
            return opened(2);
        case Trap::OpenAt2:
        case Trap::EpollCtl:
        case Trap::None:
            break;
        case Trap::Poll:
        case Trap::Ppoll:
            // Without descriptors it is a pause.
            return {load(lowWord(1)), ifEqual(0, 1), kNotify, kAllow};
        case Trap::Select:
        case Trap::Pselect:
            // Without exceptions the kernel's own answer is right.
            return {load(lowWord(3)), unlessEqual(0, 2), load(highWord(3)), ifEqual(0, 1), kNotify, kAllow};
    }
    return {kNotify};
}

void append(std::vector<sock_filter>& program, const std::vector<sock_filter>& part) {
    program.insert(program.end(), part.begin(), part.end());
}

}  // namespace

Trapped trapped(uint32_t architecture, int number) {
    const auto row = std::ranges::find_if(
        kRows, [&](const Row& candidate) { return candidate.architecture == architecture && candidate.number == number; });
    return row == kRows.end() ? Trapped{} : row->trapped;
}

std::vector<sock_filter> filterProgram() {
    std::vector<sock_filter> program;
    for (auto row = kRows.begin(); row != kRows.end();) {
        const uint32_t architecture = row->architecture;
        std::vector<sock_filter> block = {load(offsetof(seccomp_data, nr))};
        for (; row != kRows.end() && row->architecture == architecture; ++row) {
            const auto part = decision(row->trapped);
            block.push_back(unlessEqual(static_cast<uint32_t>(row->number), static_cast<uint8_t>(part.size())));
            append(block, part);
        }
        block.push_back(kAllow);
        program.push_back(load(offsetof(seccomp_data, arch)));
        program.push_back(unlessEqual(architecture, static_cast<uint8_t>(block.size())));
        append(program, block);
    }
    program.push_back(kAllow);
    return program;
}

Result<UniqueFd> installFilter() {
    if (kRows.empty()) return fail(ENOSYS);
    auto program = filterProgram();
    const sock_fprog description{.len = static_cast<unsigned short>(program.size()), .filter = program.data()};
    // A signal before the answer must not repeat a call: only one that kills may end the wait.
    constexpr unsigned long kFlags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    const auto install = [&] {
        return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags, &description));
    };
    int listener = install();
    if (listener < 0 && errno == EACCES) {
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail(errno);
        listener = install();
    }
    if (listener < 0) return fail(errno);
    return UniqueFd(listener);
}

}  // namespace daedalus::transport::notify
