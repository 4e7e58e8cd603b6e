#include "daedalus/base/worker_pool.h"

#include <pthread.h>

#include <csignal>
#include <cstdlib>
#include <deque>
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
    bool replaced = false;  ///< another thread took the runner's place
};

struct WorkerPool::Impl {
    Mutex mutex;
    Condition runnable;      // a strand entered the rotation, or stopping
    Condition stepFinished;  // a strand left Running for Gone
    std::deque<std::shared_ptr<Strand::State>> rotation DAEDALUS_GUARDED_BY(mutex);
    bool stopping DAEDALUS_GUARDED_BY(mutex) = false;
    size_t waiting DAEDALUS_GUARDED_BY(mutex) = 0;                        // threads without a strand
    size_t replaced DAEDALUS_GUARDED_BY(mutex) = 0;                       // threads whose steps others wait out
    std::vector<std::thread> further DAEDALUS_GUARDED_BY(mutex);          // those that took a place
    std::vector<std::thread::id> superfluous DAEDALUS_GUARDED_BY(mutex);  // of them, or of the first, that have ended
    std::vector<std::thread> threads;                                     // the first ones: the WorkerPool's own
    unsigned byHand = 0;  // if not 0: there are no threads, and so many are claimed

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
            begin(*strand);
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
        begin(*strand);
        return strand;
    }

    static void begin(Strand::State& strand) {
        strand.state = StrandState::Running;
        strand.runner = std::this_thread::get_id();
    }

    /// Takes a strand back after its step; one with more work goes behind all that wait. False: this thread was replaced.
    bool finish(const std::shared_ptr<Strand::State>& strand, Strand::Step step) {
        MutexLock lock(mutex);
        strand->runner = {};
        const bool stays = !std::exchange(strand->replaced, false);
        if (!stays) {
            --replaced;
            superfluous.push_back(std::this_thread::get_id());
        }
        if (strand->state == StrandState::Gone) {
            stepFinished.notify_all();
        } else if (step == Strand::Step::More || strand->state == StrandState::Rewoken) {
            strand->state = StrandState::Runnable;
            rotation.push_back(strand);
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
        if (strand.runner == std::thread::id() || strand.replaced || replaced >= threads.size() || stopping) return;
        joinSuperfluous();
        try {
            further.emplace_back([this] { serve(); });
        } catch (const std::system_error& error) {
            log::warn("worker pool: no thread in the place of a stuck one: {}; raise the limit of processes (ulimit -u)",
                      error.what());
            return;
        }
        strand.replaced = true;
        ++replaced;
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
        for (unsigned i = 0; i < wanted; ++i) impl_->threads.emplace_back([impl = impl_.get()] { impl->serve(); });
    } catch (const std::system_error& error) {
        log::error("worker pool: {} of {} threads: {}; raise the limit of processes (ulimit -u) or use fewer --threads",
                   impl_->threads.size(), wanted, error.what());
        // Without a single thread nothing would ever be decoded, and a constructor has no Result.
        if (impl_->threads.empty()) std::abort();
    }
}

WorkerPool::WorkerPool(ByHand byHand) : impl_(std::make_shared<Impl>()) { impl_->byHand = byHand.threads; }

WorkerPool::~WorkerPool() {
    {
        MutexLock lock(impl_->mutex);
        impl_->stopping = true;
    }
    impl_->runnable.notify_all();
    for (std::thread& thread : impl_->threads) thread.join();
    std::vector<std::thread> further;
    {
        MutexLock lock(impl_->mutex);
        further = std::move(impl_->further);
    }
    for (std::thread& thread : further) thread.join();
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

Strand::Waker::Waker(std::shared_ptr<State> state, std::shared_ptr<WorkerPool::Impl> pool)
    : state_(std::move(state)), pool_(std::move(pool)) {}

void Strand::Waker::wake() const {
    {
        MutexLock lock(pool_->mutex);
        if (state_->state == StrandState::Running) state_->state = StrandState::Rewoken;
        if (state_->state != StrandState::Idle) return;
        state_->state = StrandState::Runnable;
        pool_->rotation.push_back(state_);
    }
    pool_->runnable.notify_one();
}

void Strand::replaceWorker() { pool_->replace(*state_); }

}  // namespace daedalus
