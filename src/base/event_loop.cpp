#include "daedalus/base/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <deque>
#include <new>
#include <thread>
#include <utility>

#include "daedalus/base/log.h"
#include "daedalus/base/thread_annotations.h"
#include "daedalus/base/unique_fd.h"

namespace daedalus {

namespace {

int toUv(uint32_t events) {
    int mask = 0;
    if (events & EventLoop::Readable) mask |= UV_READABLE;
    if (events & EventLoop::Writable) mask |= UV_WRITABLE;
    if (events & EventLoop::HangUp) mask |= UV_DISCONNECT;
    if (events & EventLoop::Priority) mask |= UV_PRIORITIZED;
    return mask;
}

uint32_t fromUv(int mask) {
    uint32_t events = 0;
    if (mask & UV_READABLE) events |= EventLoop::Readable;
    if (mask & UV_WRITABLE) events |= EventLoop::Writable;
    if (mask & UV_DISCONNECT) events |= EventLoop::HangUp;
    if (mask & UV_PRIORITIZED) events |= EventLoop::Priority;
    return events;
}

/// Whatever finds no memory ends itself, not the loop.
template <class Work>
void fenced(const Work& work) {
    try {
        work();
    } catch (const std::bad_alloc&) {
        log::warn("event loop: out of memory, an event was not handled; close sessions or give this process more");
    }
}

/// Tasks for a loop, and whether who brings one has to wake it.
class Inbox {
public:
    /// True if the loop is to be woken. Any thread.
    [[nodiscard]] bool push(std::function<void()> task) {
        MutexLock lock(mutex_);
        tasks_.push_back(std::move(task));
        return asleep_.exchange(false, std::memory_order_relaxed);
    }
    /// Nobody needs to wake the loop: it looks here before it waits again. Loop thread.
    void loopIsAwake() { asleep_.store(false, std::memory_order_relaxed); }
    /// The loop is about to wait; false if it has to come back at once. Loop thread.
    [[nodiscard]] bool loopMayWait() {
        MutexLock lock(mutex_);
        if (!tasks_.empty()) return false;
        asleep_.store(true, std::memory_order_relaxed);
        return true;
    }
    /// Runs the tasks that are there, not those that these bring. Returns whether there were any. Loop thread.
    bool run() {
        std::deque<std::function<void()>> batch = takeAll();
        const bool any = !batch.empty();
        while (!batch.empty()) {
            const std::function<void()> task = std::move(batch.front());
            batch.pop_front();
            fenced(task);
        }
        return any;
    }

private:
    std::deque<std::function<void()>> takeAll() {
        MutexLock lock(mutex_);
        return std::exchange(tasks_, {});
    }

    Mutex mutex_;
    std::deque<std::function<void()>> tasks_ DAEDALUS_GUARDED_BY(mutex_);
    /// The loop waits, or is about to, and nobody has woken it yet. Becomes true under the mutex only, where no task is left:
    /// so whoever reads false brings the task before the loop looks again.
    std::atomic<bool> asleep_ = true;
};

/// The handle and the callback of one registration. Outlives the registration until libuv has closed the handle, because
/// libuv touches the handle until then, and because a callback may drop its own registration. Loop thread.
struct Watch {
    union {
        uv_handle_t any;
        uv_poll_t poll;
        uv_timer_t timer;
        uv_signal_t signal;
    } handle{};
    std::function<void(uint32_t)> callback;
    uint32_t events = 0;
    bool dropped = false;
    unsigned depth = 0;

    /// Calls the callback; if it dropped its own registration, what it captured goes once it has returned.
    void call(uint32_t happened) {
        static_cast<Inbox*>(handle.any.loop->data)->loopIsAwake();
        ++depth;
        fenced([&] { callback(happened); });
        --depth;
        if (dropped && depth == 0) callback = nullptr;
    }

    /// Gives the watch to libuv, which frees it when the handle is closed.
    static void drop(std::unique_ptr<Watch> watch) {
        Watch* const self = watch.release();
        self->dropped = true;
        uv_close(&self->handle.any,
                 [](uv_handle_t* handle) { const std::unique_ptr<Watch> last(static_cast<Watch*>(handle->data)); });
        // What the callback captured goes now, so that its end does not depend on the loop being run again.
        if (self->depth == 0) std::exchange(self->callback, nullptr);
    }

    [[nodiscard]] int start(uint32_t wanted) {
        events = wanted;
        if (wanted == 0) return uv_poll_stop(&handle.poll);
        return uv_poll_start(&handle.poll, toUv(wanted), onPoll);
    }

    static void onPoll(uv_poll_t* handle, int status, int mask) {
        auto* const self = static_cast<Watch*>(handle->data);
        uint32_t happened = fromUv(mask);
        if (status < 0) {
            // EPOLLERR: libuv stops the handle and says no more. The owner learns the errno from its next read or write;
            // the watch goes on, as epoll's would.
            happened = self->events;
            std::ignore = self->start(self->events);
        }
        self->call(happened);
    }
};

}  // namespace

struct EventLoop::Registration::State {
    explicit State(std::unique_ptr<Watch> owned) : watch(std::move(owned)) {}
    ~State() { Watch::drop(std::move(watch)); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;

    std::unique_ptr<Watch> watch;
};

EventLoop::Registration::Registration() = default;
EventLoop::Registration::Registration(std::unique_ptr<State> state) : state_(std::move(state)) {}
EventLoop::Registration::Registration(Registration&&) noexcept = default;
EventLoop::Registration& EventLoop::Registration::operator=(Registration&& other) noexcept {
    // The old state goes after the new one is in place: its callback's captures may look at this object.
    const std::unique_ptr<State> old = std::exchange(state_, std::move(other.state_));
    return *this;
}
EventLoop::Registration::~Registration() = default;

void EventLoop::Registration::setEvents(uint32_t events) {
    if (!state_ || state_->watch->handle.any.type != UV_POLL || state_->watch->events == events) return;
    if (const int error = state_->watch->start(events); error < 0) {
        log::error("event loop: cannot change the events of a watched fd: {}; was it closed while watched?",
                   uv_strerror(error));
    }
}

struct EventLoop::Impl {
    uv_loop_t loop{};  ///< its data is the inbox
    // Not a uv_async_t: the loop spins in it for as long as the thread that woke it has not come back from its write(), and
    // where all cores decode, that thread is the one that the loop has just taken the core from.
    UniqueFd wakeUpFd;
    uv_poll_t wakeUp{};
    uv_prepare_t beforeWait{};
    uv_idle_t noWait{};  ///< active while tasks are left: the turn then only looks at what is ready
    std::atomic<std::thread::id> loopThread;
    std::atomic<bool> stopRequested = false;
    std::atomic<uint64_t> wakeUps = 0;
    Inbox inbox;

    [[nodiscard]] int start();
    void close();
    /// Ends the loop's wait. Any thread, and safe in a signal handler.
    void wake() const { std::ignore = ::eventfd_write(wakeUpFd.get(), 1); }
    void finishTurn();
};

int EventLoop::Impl::start() {
    if (const int error = uv_loop_init(&loop); error < 0) return error;
    loop.data = &inbox;
    wakeUpFd = UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!wakeUpFd) return -errno;
    if (const int error = uv_poll_init(&loop, &wakeUp, wakeUpFd.get()); error < 0) return error;
    wakeUp.data = this;
    beforeWait.data = this;
    uv_idle_init(&loop, &noWait);
    uv_prepare_init(&loop, &beforeWait);
    uv_prepare_start(&beforeWait, [](uv_prepare_t* handle) { static_cast<Impl*>(handle->data)->finishTurn(); });
    return uv_poll_start(&wakeUp, UV_READABLE, [](uv_poll_t* handle, int, int) {
        auto* const impl = static_cast<Impl*>(handle->data);
        impl->inbox.loopIsAwake();
        eventfd_t count = 0;
        std::ignore = ::eventfd_read(impl->wakeUpFd.get(), &count);
    });
}

/// When all that was ready has been served: so what that has posted costs no wake-up.
void EventLoop::Impl::finishTurn() {
    inbox.loopIsAwake();
    // What tasks post runs as well, but not for ever: I/O is never starved.
    constexpr int kMostRounds = 3;
    for (int round = 0; round < kMostRounds && inbox.run(); ++round) {
    }
    if (stopRequested) uv_stop(&loop);
    if (inbox.loopMayWait())
        uv_idle_stop(&noWait);
    else
        uv_idle_start(&noWait, [](uv_idle_t*) {});
}

void EventLoop::Impl::close() {
    for (auto* handle : {reinterpret_cast<uv_handle_t*>(&wakeUp), reinterpret_cast<uv_handle_t*>(&beforeWait),
                         reinterpret_cast<uv_handle_t*>(&noWait)})
        uv_close(handle, nullptr);
    // Unreferenced handles do not keep uv_run(): a registration that outlives its loop must not make this a hang.
    uv_walk(
        &loop, [](uv_handle_t* handle, void*) { uv_unref(handle); }, nullptr);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop) != 0) {
        log::critical("event loop: destroyed while a registration is alive");
        std::abort();
    }
}

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {
    if (const int error = impl_->start(); error < 0) {
        // Without a loop there is no program, and a constructor has no Result.
        log::critical("event loop: cannot start: {}; raise the limit of open files (ulimit -n)", uv_strerror(error));
        std::abort();
    }
}

EventLoop::~EventLoop() {
    // The tasks left over are run as loop tasks: for their sake this thread counts as the loop thread.
    impl_->loopThread = std::this_thread::get_id();
    while (impl_->inbox.run()) {
    }
    impl_->close();
}

void EventLoop::run() {
    impl_->loopThread = std::this_thread::get_id();
    while (!impl_->stopRequested.exchange(false)) uv_run(&impl_->loop, UV_RUN_DEFAULT);
    impl_->loopThread = std::thread::id();
}

void EventLoop::stop() {
    impl_->stopRequested = true;
    impl_->wake();
}

void EventLoop::post(std::function<void()> task) {
    if (!impl_->inbox.push(std::move(task))) return;
    ++impl_->wakeUps;
    impl_->wake();
}

uint64_t EventLoop::wakeUps() const { return impl_->wakeUps; }

bool EventLoop::isLoopThread() const { return impl_->loopThread.load() == std::this_thread::get_id(); }

Result<EventLoop::Registration> EventLoop::watch(int fd, uint32_t events, std::function<void(uint32_t)> callback) {
    auto watch = std::make_unique<Watch>();
    watch->callback = std::move(callback);
    if (const int error = uv_poll_init(&impl_->loop, &watch->handle.poll, fd); error < 0) return fail(-error);
    watch->handle.any.data = watch.get();
    Watch* const started = watch.get();
    Registration registration(std::make_unique<Registration::State>(std::move(watch)));
    if (const int error = started->start(events); error < 0) return fail(-error);
    return registration;
}

EventLoop::Registration EventLoop::timer(std::chrono::milliseconds delay, std::chrono::milliseconds period,
                                         std::function<void()> callback) {
    auto watch = std::make_unique<Watch>();
    watch->callback = [inner = std::move(callback)](uint32_t) { inner(); };
    uv_timer_init(&impl_->loop, &watch->handle.timer);
    watch->handle.any.data = watch.get();
    uv_update_time(&impl_->loop);  // libuv counts from the start of its turn, which may be long ago
    const auto count = [](std::chrono::milliseconds time) { return static_cast<uint64_t>(std::max<int64_t>(time.count(), 0)); };
    uv_timer_start(
        &watch->handle.timer, [](uv_timer_t* handle) { static_cast<Watch*>(handle->data)->call(0); }, count(delay),
        count(period));
    return Registration(std::make_unique<Registration::State>(std::move(watch)));
}

Result<EventLoop::Registration> EventLoop::signal(int signo, std::function<void()> callback) {
    auto watch = std::make_unique<Watch>();
    watch->callback = [inner = std::move(callback)](uint32_t) { inner(); };
    if (const int error = uv_signal_init(&impl_->loop, &watch->handle.signal); error < 0) return fail(-error);
    watch->handle.any.data = watch.get();
    uv_signal_t* const handle = &watch->handle.signal;
    Registration registration(std::make_unique<Registration::State>(std::move(watch)));
    const auto onSignal = [](uv_signal_t* arrived, int) { static_cast<Watch*>(arrived->data)->call(0); };
    if (const int error = uv_signal_start(handle, onSignal, signo); error < 0) return fail(-error);
    return registration;
}

}  // namespace daedalus
