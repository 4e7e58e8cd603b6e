// Waits in which files of ours take part: the kernel shows their IN and OUT by itself, not PRI, and ERR as IN and OUT.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "../gather.h"
#include "calls.h"

namespace daedalus::transport::notify {
namespace {

using Clock = std::chrono::steady_clock;

constexpr short kIn = POLLIN | POLLRDNORM;
constexpr short kOut = POLLOUT | POLLWRNORM;
constexpr size_t kMostFiles = 4096;
/// How late a signal may end a wait.
constexpr auto kLook = std::chrono::milliseconds(20);
constexpr int64_t kSecondNs = 1'000'000'000;

/// IN and OUT at once can mean an error; so can IN alone, if the daemon has just begun to show one.
bool mayBeError(int fd) {
    pollfd both{fd, POLLIN | POLLOUT, 0};
    if (::poll(&both, 1, 0) < 1 || (both.revents & POLLIN) == 0) return false;
    if ((both.revents & POLLOUT) != 0) return true;
    std::array<char, 16> bytes{};
    const ssize_t count = ::recv(fd, bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
    return count > 0 && std::find(bytes.begin(), bytes.begin() + count, proto::kErrorByte) != bytes.begin() + count;
}

/// A timespec or timeval of the program, in one of three layouts.
struct TimeSpan {
    uint64_t address = 0;
    bool narrow = false;  ///< two 32-bit words
    int64_t unitNs = 1;   ///< of the second word

    [[nodiscard]] std::optional<int64_t> read(pid_t tid) const {
        std::array<int64_t, 2> wide{};
        if (narrow) {
            std::array<int32_t, 2> words{};
            if (!readProcess(tid, address, std::as_writable_bytes(std::span(words)))) return std::nullopt;
            wide = {words[0], words[1]};
        } else if (!readProcess(tid, address, std::as_writable_bytes(std::span(wide)))) {
            return std::nullopt;
        }
        // Centuries are as good as endless, and what is no time is for the kernel to refuse.
        if (wide[0] < 0 || wide[1] < 0 || wide[0] > 3'000'000'000 || wide[1] >= kSecondNs / unitNs) return std::nullopt;
        return wide[0] * kSecondNs + wide[1] * unitNs;
    }
    void write(pid_t tid, int64_t ns) const {
        const std::array<int64_t, 2> wide{ns / kSecondNs, ns % kSecondNs / unitNs};
        const std::array<int32_t, 2> words{static_cast<int32_t>(wide[0]), static_cast<int32_t>(wide[1])};
        std::ignore = narrow ? writeProcess(tid, address, std::as_bytes(std::span(words)))
                             : writeProcess(tid, address, std::as_bytes(std::span(wide)));
    }
};

uint64_t readPointer(pid_t tid, uint64_t address, bool narrow) {
    uint64_t value = 0;
    const auto bytes = std::as_writable_bytes(std::span(&value, 1));
    return readProcess(tid, address, narrow ? bytes.first(4) : bytes) ? value : 0;
}

/// A set of select(): bits in the order of a little-endian machine, whatever the width of its words.
struct FdSet {
    uint64_t address = 0;
    std::vector<uint8_t> bits;

    bool read(pid_t tid, size_t count) {
        // The kernel reads whole longs; their bytes must be there, what is in them beyond the count does not matter.
        bits.resize((count + 7) / 8);
        return address == 0 || readProcess(tid, address, std::as_writable_bytes(std::span(bits))).has_value();
    }
    [[nodiscard]] bool has(size_t fd) const { return address != 0 && (bits[fd / 8] >> fd % 8 & 1) != 0; }
    void clear() { std::ranges::fill(bits, uint8_t{0}); }
    void add(size_t fd) { bits[fd / 8] = static_cast<uint8_t>(bits[fd / 8] | 1U << fd % 8); }
    [[nodiscard]] bool write(pid_t tid) const {
        return address == 0 || writeProcess(tid, address, std::as_bytes(std::span(bits))).has_value();
    }
};

}  // namespace

/// One descriptor that is waited for.
struct Calls::Waited {
    int fd = -1;
    short events = 0;
    short revents = 0;
    std::shared_ptr<Session> session;  ///< null: it is none of ours
    UniqueFd file;                     ///< a copy in this process
};

int Calls::priorityFd(ThreadView& thread, int fd, const std::shared_ptr<Session>& session) {
    {
        const std::scoped_lock locked(session->mutex);
        if (session->priority) return session->priority.get();
    }
    proto::Request request{};
    request.kind = proto::Kind::Priority;
    auto answered = ask(thread, fd, session, request);
    if (!answered || answered->head.error != 0 || answered->fds.size() != 1) return -1;
    const std::scoped_lock locked(session->mutex);
    if (!session->priority) session->priority = std::move(answered->fds.front());
    return session->priority.get();
}

std::optional<int> Calls::wait(Notification& call, ThreadView& thread, std::vector<Waited>& files,
                               std::optional<int64_t> timeoutNs, std::optional<uint64_t> blocked, bool label) {
    const auto end = Clock::now() + std::chrono::nanoseconds(timeoutNs.value_or(0));
    std::vector<pollfd> entries;
    std::vector<size_t> priorities;
    for (auto& file : files) {
        if (file.fd >= 0) {
            auto copy = thread.take(file.fd);
            if (!copy && copy.error().value != EBADF) return std::nullopt;
            if (copy) file.file = std::move(*copy);
        }
        // A number that is not open is shown as such; a negative one is not looked at.
        const int unknown = file.fd < 0 ? -1 : INT32_MAX;
        const auto wanted = static_cast<short>(file.session ? file.events & ~POLLPRI : file.events);
        entries.push_back({file.file ? file.file.get() : unknown, wanted, 0});
    }
    for (size_t i = 0; i < files.size(); ++i) {
        if (!files[i].session || (files[i].events & POLLPRI) == 0) continue;
        entries.push_back({priorityFd(thread, files[i].fd, files[i].session), POLLPRI, 0});
        priorities.push_back(i);
    }
    while (true) {
        const auto left = std::max(std::chrono::nanoseconds(0), std::chrono::nanoseconds(end - Clock::now()));
        const auto slice = timeoutNs ? std::min<std::chrono::nanoseconds>(left, kLook) : std::chrono::nanoseconds(kLook);
        const timespec pause{.tv_sec = 0, .tv_nsec = static_cast<long>(slice.count())};
        if (::ppoll(entries.data(), entries.size(), &pause, nullptr) < 0 && errno != EINTR) return std::nullopt;
        int ready = 0;
        for (size_t i = 0; i < files.size(); ++i) files[i].revents = entries[i].revents;
        for (size_t i = 0; i < priorities.size(); ++i)
            if ((entries[files.size() + i].revents & POLLPRI) != 0)
                files[priorities[i]].revents = static_cast<short>(files[priorities[i]].revents | POLLPRI);
        for (auto& file : files) {
            // An event's buffer comes with it.
            const bool early = (file.revents & POLLPRI) != 0 && (file.events & kIn) != 0 && (file.revents & kIn) == 0;
            const bool shown = (file.revents & (kIn | kOut)) != 0;
            // A device that is gone, as the kernel shows it.
            const bool gone = file.session && (file.revents & POLLHUP) != 0;
            if (gone) file.revents = static_cast<short>(file.revents | POLLERR);
            if (file.session && label && !gone && (early || (shown && mayBeError(file.file.get())))) {
                proto::Request request{};
                request.kind = proto::Kind::Readiness;
                const auto answered = ask(thread, file.fd, file.session, request);
                const auto mask = answered ? static_cast<int>(answered->head.value) : 0;
                if (answered && answered->head.error == 0)
                    file.revents =
                        static_cast<short>((mask & (file.events | POLLERR | POLLHUP) & ~POLLPRI) | (file.revents & POLLPRI));
            }
            if (file.revents != 0) ++ready;
        }
        if (ready > 0) return ready;
        if (timeoutNs && left.count() == 0) return 0;
        if (!call.isWaiting()) return 0;
        // The kernel's own wait ends by that signal at once, as it should.
        if (thread.hasSignal(blocked)) return std::nullopt;
    }
}

void Calls::poll(Notification& call, ThreadView& thread) {
    const size_t count = static_cast<uint32_t>(call.argument(1));
    if (!shared_.sessions.any() || count > kMostFiles) return;
    std::vector<pollfd> asked(count);
    if (!readProcess(call.tid(), call.argument(0), std::as_writable_bytes(std::span(asked)))) return;
    std::vector<Waited> files(count);
    bool any = false;
    for (size_t i = 0; i < count; ++i) {
        files[i].fd = asked[i].fd;
        files[i].events = asked[i].events;
        if (asked[i].fd >= 0) files[i].session = shared_.sessions.known(thread, asked[i].fd);
        any = any || files[i].session;
    }
    if (!any) return;

    std::optional<int64_t> timeoutNs;
    std::optional<uint64_t> blocked;
    TimeSpan time{};
    if (call.call().trap == Trap::Poll) {
        const auto timeoutMs = static_cast<int32_t>(call.argument(2));
        if (timeoutMs >= 0) timeoutNs = int64_t{timeoutMs} * 1'000'000;
    } else {
        time = {.address = call.argument(2), .narrow = call.call().is32Bit && !call.call().hasTime64};
        if (time.address != 0 && !(timeoutNs = time.read(call.tid()))) return;
        uint64_t mask = 0;
        if (call.argument(3) != 0) {
            if (!readProcess(call.tid(), call.argument(3), std::as_writable_bytes(std::span(&mask, 1)))) return;
            blocked = mask;
        }
    }
    const auto started = Clock::now();
    const auto ready = wait(call, thread, files, timeoutNs, blocked, true);
    if (!ready) return;
    for (size_t i = 0; i < count; ++i) asked[i].revents = files[i].revents;
    if (!writeProcess(call.tid(), call.argument(0), std::as_bytes(std::span(asked)))) {
        call.answerError(EFAULT);
        return;
    }
    if (time.address != 0)
        time.write(call.tid(), std::max<int64_t>(0, *timeoutNs - std::chrono::nanoseconds(Clock::now() - started).count()));
    call.answer(*ready);
}

void Calls::select(Notification& call, ThreadView& thread) {
    const auto count = static_cast<size_t>(static_cast<uint32_t>(call.argument(0)));
    if (!shared_.sessions.any() || count > kMostFiles) return;
    std::array<FdSet, 3> sets;
    for (unsigned i = 0; i < sets.size(); ++i) {
        sets[i].address = call.argument(i + 1);
        if (!sets[i].read(call.tid(), count)) return;
    }
    auto& [reads, writes, exceptions] = sets;
    std::vector<Waited> files;
    bool any = false;
    for (size_t fd = 0; fd < count; ++fd) {
        const int events = (reads.has(fd) ? kIn | POLLRDBAND : 0) | (writes.has(fd) ? kOut | POLLWRBAND : 0) |
                           (exceptions.has(fd) ? POLLPRI : 0);
        if (events == 0) continue;
        Waited& file = files.emplace_back();
        file.fd = static_cast<int>(fd);
        file.events = static_cast<short>(events);
        if (exceptions.has(fd)) file.session = shared_.sessions.known(thread, file.fd);
        any = any || file.session;
    }
    if (!any) return;

    const bool isSelect = call.call().trap == Trap::Select;
    const TimeSpan time{
        .address = call.argument(4), .narrow = call.call().is32Bit && !call.call().hasTime64, .unitNs = isSelect ? 1000 : 1};
    std::optional<int64_t> timeoutNs;
    if (time.address != 0 && !(timeoutNs = time.read(call.tid()))) return;
    std::optional<uint64_t> blocked;
    if (const uint64_t packed = isSelect ? 0 : call.argument(5); packed != 0) {
        // A pointer to the mask and its size.
        const uint64_t mask = readPointer(call.tid(), packed, call.call().is32Bit);
        uint64_t bits = 0;
        if (mask != 0 && readProcess(call.tid(), mask, std::as_writable_bytes(std::span(&bits, 1)))) blocked = bits;
    }
    const auto started = Clock::now();
    const auto ready = wait(call, thread, files, timeoutNs, blocked, false);
    if (!ready) return;
    int bits = 0;
    for (auto& set : sets) set.clear();
    for (const auto& file : files) {
        if ((file.revents & POLLNVAL) != 0) {
            call.answerError(EBADF);
            return;
        }
        const auto show = [&](FdSet& set, short wanted, int shown) {
            if ((file.events & wanted) == 0 || (file.revents & shown) == 0) return;
            set.add(static_cast<size_t>(file.fd));
            ++bits;
        };
        show(reads, POLLIN, kIn | POLLRDBAND | POLLHUP | POLLERR);
        show(writes, POLLOUT, kOut | POLLWRBAND | POLLERR);
        show(exceptions, POLLPRI, POLLPRI);
    }
    for (const auto& set : sets) {
        if (!set.write(call.tid())) {
            call.answerError(EFAULT);
            return;
        }
    }
    // Linux tells how much of the time was left.
    if (time.address != 0)
        time.write(call.tid(), std::max<int64_t>(0, *timeoutNs - std::chrono::nanoseconds(Clock::now() - started).count()));
    call.answer(bits);
}

void Calls::controlEpoll(Notification& call, ThreadView& thread) {
    const int operation = static_cast<int>(call.argument(1));
    const auto session = shared_.sessions.any() ? shared_.sessions.known(thread, call.fd(2)) : nullptr;
    if (!session) return;
    // The file itself is the kernel's to add or remove. What shows POLLPRI goes along, with the same user data.
    epoll_event event{};
    if (operation != EPOLL_CTL_DEL && !readProcess(call.tid(), call.argument(3), std::as_writable_bytes(std::span(&event, 1))))
        return;
    const bool wanted = operation != EPOLL_CTL_DEL && (event.events & EPOLLPRI) != 0;
    if (!wanted && operation == EPOLL_CTL_ADD) return;
    const auto set = thread.take(call.fd(0));
    const int priority = set ? priorityFd(thread, call.fd(2), session) : -1;
    if (priority < 0) return;
    if (!wanted) {
        ::epoll_ctl(set->get(), EPOLL_CTL_DEL, priority, nullptr);
        return;
    }
    event.events &= EPOLLPRI | EPOLLET | EPOLLONESHOT;
    if (::epoll_ctl(set->get(), EPOLL_CTL_MOD, priority, &event) != 0 && errno == ENOENT)
        ::epoll_ctl(set->get(), EPOLL_CTL_ADD, priority, &event);
}

}  // namespace daedalus::transport::notify
