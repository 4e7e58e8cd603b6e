#include "daedalus/base/worker_pool.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "daedalus/base/log.h"
#include "daedalus/base/thread_annotations.h"

namespace daedalus {

namespace {

/// Where a strand stands; changed under the pool's lock only.
enum class StrandState {
    Idle,      ///< nothing to do
    Runnable,  ///< in the rotation
    Running,   ///< its step is on a thread
    Rewoken,   ///< its step is on a thread and there was a wake() since it began
    Gone,      ///< its Strand is destroyed
};

std::atomic<bool> abandonedAny = false;

/// Signals are for the loop thread; those that a fault in this thread raises must stay deliverable.
void blockSignals() {
    sigset_t signals;
    sigfillset(&signals);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGPROF}) sigdelset(&signals, fault);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

}  // namespace

/// What the pool keeps of a strand; outlives it while it is still in the rotation. Guarded by the pool's lock, except that
/// the thread that made it Running may call `step`.
struct Strand::State {
    std::function<Step()> step;
    StrandState state = StrandState::Idle;
    std::thread::id runner;
    pid_t runnerTid = 0;                ///< the same, as the kernel numbers it
    Clock::Time began;                  ///< its step
    std::chrono::nanoseconds spent{0};  ///< in steps, or what it counts as by having waited for nothing
    bool abandoned = false;             ///< nobody waits for its step any more
    bool replaced = false;              ///< another thread took the runner's place
};

struct WorkerPool::Impl : std::enable_shared_from_this<WorkerPool::Impl> {
    /// Steps are long from here on: while all threads are in such, others take their places.
    static constexpr std::chrono::milliseconds kLongStep{500};
    /// What was idle comes before those that have had so much more time, and no more: else it could save up for hours.
    static constexpr std::chrono::milliseconds kCredit{20};

    Mutex mutex;
    Condition runnable;      // a strand entered the rotation, or stopping
    Condition stepFinished;  // a strand left Running for Gone
    Condition active;        // there is something to watch, or stopping
    bool watcherRests DAEDALUS_GUARDED_BY(mutex) = false;
    std::thread watcher;
    std::deque<std::shared_ptr<Strand::State>> rotation DAEDALUS_GUARDED_BY(mutex);  // by `spent`, then as they came
    std::vector<std::shared_ptr<Strand::State>> running DAEDALUS_GUARDED_BY(mutex);
    std::chrono::nanoseconds served DAEDALUS_GUARDED_BY(mutex){0};  // the most that one had spent which was served
    bool stopping DAEDALUS_GUARDED_BY(mutex) = false;
    size_t waiting DAEDALUS_GUARDED_BY(mutex) = 0;                        // threads without a strand
    size_t replaced DAEDALUS_GUARDED_BY(mutex) = 0;                       // threads whose steps others wait out
    std::vector<std::thread> further DAEDALUS_GUARDED_BY(mutex);          // those that took a place
    std::vector<std::thread::id> superfluous DAEDALUS_GUARDED_BY(mutex);  // of them, or of the first, that have ended
    std::vector<std::thread> threads;                                     // the first ones: the WorkerPool's own
    unsigned byHand = 0;                    // if not 0: there are no threads, and so many are claimed
    const Clock* clock = &Clock::steady();  // null: time stands

    [[nodiscard]] Clock::Time now() const { return clock ? clock->now() : Clock::Time(); }

    /// Puts a strand behind all that have had no more time.
    void enter(const std::shared_ptr<Strand::State>& strand) DAEDALUS_REQUIRES(mutex) {
        strand->state = StrandState::Runnable;
        const auto later = [](std::chrono::nanoseconds spent, const auto& other) { return spent < other->spent; };
        if (watcherRests) active.notify_one();
        rotation.insert(std::upper_bound(rotation.begin(), rotation.end(), strand->spent, later), strand);
    }

    /// The next strand in turn, marked Running; nothing when the pool ends.
    std::shared_ptr<Strand::State> take() {
        MutexLock lock(mutex);
        while (true) {
            ++waiting;
            while (!stopping && rotation.empty()) runnable.wait(mutex);
            --waiting;
            if (stopping) return nullptr;
            std::shared_ptr<Strand::State> strand = std::move(rotation.front());
            rotation.pop_front();
            if (strand->state == StrandState::Gone) continue;
            begin(strand);
            return strand;
        }
    }

    /// The strand behind `before` others, marked Running; nothing if there are not so many.
    std::shared_ptr<Strand::State> takeByHand(size_t before) {
        MutexLock lock(mutex);
        std::erase_if(rotation, [](const auto& strand) { return strand->state == StrandState::Gone; });
        if (before >= rotation.size()) return nullptr;
        const auto place = rotation.begin() + static_cast<std::ptrdiff_t>(before);
        std::shared_ptr<Strand::State> strand = std::move(*place);
        rotation.erase(place);
        begin(strand);
        return strand;
    }

    void begin(const std::shared_ptr<Strand::State>& strand) DAEDALUS_REQUIRES(mutex) {
        static thread_local const pid_t tid = ::gettid();
        running.push_back(strand);
        strand->state = StrandState::Running;
        strand->runner = std::this_thread::get_id();
        strand->runnerTid = tid;
        strand->began = now();
        served = std::max(served, strand->spent);
    }

    /// Takes a strand back after its step; one with more work goes behind all that wait. False: this thread was replaced.
    bool finish(const std::shared_ptr<Strand::State>& strand, Strand::Step step) {
        MutexLock lock(mutex);
        std::erase(running, strand);
        strand->spent += now() - strand->began;
        strand->runner = {};
        const bool stays = !std::exchange(strand->replaced, false);
        if (!stays) {
            --replaced;
            superfluous.push_back(std::this_thread::get_id());
        }
        if (strand->state == StrandState::Gone) {
            stepFinished.notify_all();
        } else if (step == Strand::Step::More || strand->state == StrandState::Rewoken) {
            enter(strand);
            // This thread looks at the rotation next, if it stays.
            if (!stays) runnable.notify_one();
        } else {
            strand->state = StrandState::Idle;
        }
        return stays;
    }

    /// A thread more, in the place of the one that runs `strand`.
    void replace(Strand::State& strand) {
        MutexLock lock(mutex);
        replaceLocked(strand);
    }

    void replaceLocked(Strand::State& strand) DAEDALUS_REQUIRES(mutex) {
        if (strand.runner == std::thread::id() || strand.replaced || replaced >= Strand::kMostReplaced || stopping ||
            byHand > 0)
            return;
        joinSuperfluous();
        try {
            further.emplace_back([self = shared_from_this()] { self->serve(); });
        } catch (const std::system_error& error) {
            log::warn("worker pool: no thread in the place of a stuck one: {}; raise the limit of processes (ulimit -u)",
                      error.what());
            return;
        }
        strand.replaced = true;
        ++replaced;
        const sched_param none{};
        ::sched_setscheduler(strand.runnerTid, SCHED_IDLE, &none);
    }

    /// Looks every now and then for as long as there is anything to look at.
    void watch() {
        blockSignals();
        pthread_setname_np(pthread_self(), "daedalus-watch");
        MutexLock lock(mutex);
        while (!stopping) {
            watcherRests = running.empty() && rotation.empty();
            if (watcherRests) {
                active.wait(mutex);
            } else {
                active.wait_for(mutex, kLongStep / 2);
                relieve();
            }
        }
    }

    /// Strands that wait do not wait for steps that last long, if all threads are in such.
    void relieve() DAEDALUS_REQUIRES(mutex) {
        if (rotation.empty() || waiting > 0) return;
        const auto longAgo = now() - kLongStep;
        const auto holdsUp = [&](const auto& strand) { return !strand->replaced && strand->began > longAgo; };
        if (std::ranges::any_of(running, holdsUp)) return;
        for (const auto& strand : running) replaceLocked(*strand);
    }

    void joinSuperfluous() DAEDALUS_REQUIRES(mutex) {
        std::erase_if(further, [this](std::thread& thread) DAEDALUS_REQUIRES(mutex) {
            if (std::erase(superfluous, thread.get_id()) == 0) return false;
            thread.join();
            return true;
        });
    }

    void serve() {
        blockSignals();
        pthread_setname_np(pthread_self(), "daedalus-worker");
        while (const std::shared_ptr<Strand::State> strand = take())
            if (!finish(strand, strand->step())) return;
    }
};

WorkerPool::WorkerPool(unsigned threads) : impl_(std::make_shared<Impl>()) {
    const unsigned wanted = threads == 0 ? 1 : threads;
    impl_->threads.reserve(wanted);
    try {
        for (unsigned i = 0; i < wanted; ++i) impl_->threads.emplace_back([impl = impl_] { impl->serve(); });
    } catch (const std::system_error& error) {
        log::error("worker pool: {} of {} threads: {}; raise the limit of processes (ulimit -u) or use fewer --threads",
                   impl_->threads.size(), wanted, error.what());
        // Without a single thread nothing would ever be decoded, and a constructor has no Result.
        if (impl_->threads.empty()) std::abort();
        return;
    }
    try {
        impl_->watcher = std::thread([impl = impl_.get()] { impl->watch(); });
    } catch (const std::system_error& error) {
        log::warn("worker pool: nobody looks for steps that last long: {}; raise the limit of processes (ulimit -u)",
                  error.what());
    }
}

WorkerPool::WorkerPool(ByHand byHand) : impl_(std::make_shared<Impl>()) {
    impl_->byHand = byHand.threads;
    impl_->clock = byHand.clock;
}

WorkerPool::~WorkerPool() {
    {
        MutexLock lock(impl_->mutex);
        impl_->stopping = true;
    }
    impl_->runnable.notify_all();
    impl_->active.notify_all();
    if (impl_->watcher.joinable()) impl_->watcher.join();
    std::vector<std::thread> all;
    std::vector<std::thread::id> abandoned;
    {
        MutexLock lock(impl_->mutex);
        all = std::move(impl_->further);
        for (const auto& strand : impl_->running)
            if (strand->abandoned) abandoned.push_back(strand->runner);
    }
    std::ranges::move(impl_->threads, std::back_inserter(all));
    for (std::thread& thread : all) {
        const bool stays = std::ranges::find(abandoned, thread.get_id()) != abandoned.end();
        stays ? thread.detach() : thread.join();
    }
}

unsigned WorkerPool::threads() const {
    return impl_->byHand > 0 ? impl_->byHand : static_cast<unsigned>(impl_->threads.size());
}

bool WorkerPool::hasFreeThread() const {
    if (impl_->byHand > 0) return impl_->byHand > 1;
    MutexLock lock(impl_->mutex);
    return impl_->waiting > impl_->rotation.size();
}

bool WorkerPool::step(size_t before) {
    const std::shared_ptr<Strand::State> strand = impl_->takeByHand(before);
    if (!strand) return false;
    impl_->finish(strand, strand->step());
    return true;
}

Strand::Strand(WorkerPool& pool, std::function<Step()> step) : state_(std::make_shared<State>()), pool_(pool.impl_) {
    state_->step = std::move(step);
}

Strand::~Strand() {
    std::function<Step()> last;
    {
        MutexLock lock(pool_->mutex);
        if (state_->runner == std::this_thread::get_id()) {
            log::critical("worker pool: a strand was destroyed by its own step, which would wait for itself");
            std::abort();
        }
        state_->state = StrandState::Gone;
        while (state_->runner != std::thread::id()) pool_->stepFinished.wait(pool_->mutex);
        last = std::exchange(state_->step, nullptr);
    }
    // What the step captured is destroyed here, outside the lock: it may be a codec with threads to join.
}

bool Strand::anyAbandoned() { return abandonedAny; }

bool Strand::endWithin(std::chrono::milliseconds patience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    MutexLock lock(pool_->mutex);
    state_->state = StrandState::Gone;
    while (state_->runner != std::thread::id()) {
        if (pool_->stepFinished.wait_until(pool_->mutex, until) != std::cv_status::timeout) continue;
        state_->abandoned = state_->runner != std::thread::id();
        if (state_->abandoned) abandonedAny = true;
        return !state_->abandoned;
    }
    return true;
}

Strand::Waker::Waker(std::shared_ptr<State> state, std::shared_ptr<WorkerPool::Impl> pool)
    : state_(std::move(state)), pool_(std::move(pool)) {}

void Strand::Waker::wake() const {
    {
        MutexLock lock(pool_->mutex);
        if (state_->state == StrandState::Running) state_->state = StrandState::Rewoken;
        if (state_->state != StrandState::Idle) return;
        state_->spent = std::max<std::chrono::nanoseconds>(state_->spent, pool_->served - WorkerPool::Impl::kCredit);
        pool_->enter(state_);
    }
    pool_->runnable.notify_one();
}

void Strand::replaceWorker() { pool_->replace(*state_); }

}  // namespace daedalus
