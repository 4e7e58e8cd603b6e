#include "momentary_stop.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <csignal>

namespace daedalus::transport::notify {

#ifdef __x86_64__
namespace {

/// What the kernel answers a call with that it is to start again; never seen by programs.
constexpr int kStartAgain = 513;
/// The same, if no signal without SA_RESTART is there.
constexpr int kSignalled = 512;
/// The instruction that calls the kernel: syscall, and int 0x80.
constexpr unsigned kCallLength = 2;
constexpr unsigned kClose32 = 6;

/// A traced thread. Let go by the destructor.
class Traced {
public:
    Traced(pid_t tid, const std::function<void(pid_t, int)>& ended) : tid_(tid), ended_(ended) {}
    ~Traced() {
        if (!gone_) ::ptrace(PTRACE_DETACH, tid_, nullptr, nullptr);
    }
    Traced(const Traced&) = delete;
    Traced& operator=(const Traced&) = delete;

    /// Waits for its next stop. False if it died instead.
    bool stopped() {
        int status = 0;
        pid_t got = 0;
        do {
            got = ::waitpid(tid_, &status, __WALL);
        } while (got < 0 && errno == EINTR);
        if (got == tid_ && WIFSTOPPED(status)) return true;
        gone_ = true;
        if (got == tid_) ended_(tid_, status);
        return false;
    }
    /// Goes on to the next entry into a system call, or the return from it.
    bool next() { return ::ptrace(PTRACE_SYSCALL, tid_, nullptr, nullptr) == 0 && stopped(); }
    bool get(user_regs_struct& registers) const { return ::ptrace(PTRACE_GETREGS, tid_, nullptr, &registers) == 0; }
    bool set(const user_regs_struct& registers) const { return ::ptrace(PTRACE_SETREGS, tid_, nullptr, &registers) == 0; }
    uint64_t setSignalMask(uint64_t mask) const {
        uint64_t before = 0;
        ::ptrace(PTRACE_GETSIGMASK, tid_, sizeof before, &before);
        ::ptrace(PTRACE_SETSIGMASK, tid_, sizeof mask, &mask);
        return before;
    }

private:
    const pid_t tid_;
    const std::function<void(pid_t, int)>& ended_;
    bool gone_ = false;
};

/// From its stop before the call is started again, through the call, to the return from closing `fd`.
void runCall(Traced& traced, const Trapped& call, int fd) {
    user_regs_struct asked{};
    if (!traced.get(asked)) return;
    user_regs_struct registers = asked;
    (call.is32Bit ? registers.rdi : registers.r8) = static_cast<unsigned>(fd);
    (call.is32Bit ? registers.rbp : registers.r9) = 0;
    if (!traced.set(registers) || !traced.next() || !traced.next() || !traced.get(registers)) return;
    const uint64_t mapped = registers.rax;

    registers.rax = call.is32Bit ? kClose32 : static_cast<unsigned>(SYS_close);
    registers.orig_rax = static_cast<unsigned long long>(-1);
    (call.is32Bit ? registers.rbx : registers.rdi) = static_cast<unsigned>(fd);
    registers.rip -= kCallLength;
    if (!traced.set(registers) || !traced.next() || !traced.next() || !traced.get(registers)) return;

    asked.rip = registers.rip;
    asked.rax = mapped;
    asked.orig_rax = static_cast<unsigned long long>(-1);
    traced.set(asked);
}

}  // namespace

Result<> mapInstead(pid_t tid, const Trapped& call, const std::function<Result<int>()>& install,
                    const std::function<bool(int error)>& answer, const std::function<void(pid_t pid, int status)>& ended) {
    if (::ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) != 0) return fail(errno);
    Traced traced(tid, ended);
    // It stops on its way out of the kernel, before it looks at any signal. Until then it does not run; if the answer is
    // another than ours it must stop all the same, or it could not be let go.
    if (::ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) != 0) return fail(errno);
    const auto fd = install();
    if (!answer(fd ? kStartAgain : fd.error().value)) {
        traced.stopped();
        return {};
    }
    if (!traced.stopped() || !fd) return {};
    // Between here and the end no handler may run: it would see another's registers.
    const uint64_t mask = traced.setSignalMask(~uint64_t{0});
    runCall(traced, call, *fd);
    traced.setSignalMask(mask);
    return {};
}

// Without a signal the kernel would let that answer through to the program; a stop makes it look.
Result<> endBySignal(pid_t tid, const std::function<bool(int error)>& answer,
                     const std::function<void(pid_t pid, int status)>& ended) {
    if (::ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) != 0) return fail(errno);
    Traced traced(tid, ended);
    if (::ptrace(PTRACE_INTERRUPT, tid, nullptr, nullptr) != 0) return fail(errno);
    answer(kSignalled);
    traced.stopped();
    return {};
}
#else
Result<> endBySignal(pid_t /*tid*/, const std::function<bool(int error)>& /*answer*/,
                     const std::function<void(pid_t pid, int status)>& /*ended*/) {
    return fail(ENOSYS);
}

Result<> mapInstead(pid_t /*tid*/, const Trapped& /*call*/, const std::function<Result<int>()>& /*install*/,
                    const std::function<bool(int error)>& /*answer*/,
                    const std::function<void(pid_t pid, int status)>& /*ended*/) {
    return fail(ENOSYS);
}
#endif

}  // namespace daedalus::transport::notify
