// The threads that decode: a fixed pool that serves many strands in turn, one step at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>

#include "daedalus/base/clock.h"

namespace daedalus {

class Strand;

/// A number of threads that serve the runnable strands, whoever has had the least time first, so that no session starves
/// another. Where all of them are in steps that last long while others wait, further ones take their places.
class WorkerPool {
public:
    /// `threads` >= 1.
    explicit WorkerPool(unsigned threads);
    /// For tests: a pool without threads that says that it has `threads`; steps run inside step() only.
    struct ByHand {
        unsigned threads = 1;
        /// Tells how long steps take; null: no time at all, so that strands take turns.
        const Clock* clock = nullptr;
    };
    explicit WorkerPool(ByHand byHand);
    /// Ends the threads after their current steps, but for those of steps that were abandoned: such threads stay for as long as
    /// the process. All other strands must be gone.
    ~WorkerPool();
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;
    [[nodiscard]] unsigned threads() const;
    /// Whether a thread has nothing to do, and no strand waits for one; it may be otherwise at once. A pool by hand of more
    /// than one always has such a thread. Any thread.
    [[nodiscard]] bool hasFreeThread() const;
    /// Of a pool by hand: runs one step, on the calling thread, of the strand that has `before` runnable ones before it in the
    /// rotation. False if there is none.
    bool step(size_t before = 0);

private:
    friend class Strand;
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

/// Serial work of one session on the pool: its step never runs on two threads at once.
class Strand {
public:
    /// What a step says of the work that is left.
    enum class Step { Idle, More };

    /// `step` does one piece of work (about one frame) on a pool thread and says whether there is more. It must not throw.
    Strand(WorkerPool& pool, std::function<Step()> step);
    /// Waits for a step that is under way; the step is not called again.
    ~Strand();
    Strand(const Strand&) = delete;
    Strand& operator=(const Strand&) = delete;

    /// There is work: the step will be called at least once after this. Any thread.
    void wake() { waker().wake(); }
    /// A step that is under way is not expected to end soon: a further thread takes its thread's place in the pool, and that
    /// one gets only the time that nobody else wants, and ends with the step. No more than kMostReplaced at a time. Any thread
    /// but the one of that step.
    void replaceWorker();
    static constexpr size_t kMostReplaced = 64;
    /// As the destructor, but waits no longer than that. False: the step that is under way is abandoned. The pool does not wait
    /// for it either; this object, and all that the step uses, must stay for as long as the process.
    [[nodiscard]] bool endWithin(std::chrono::milliseconds patience);
    /// Whether any step of this process was abandoned: it must end by _exit(), since what it uses must not be destroyed.
    [[nodiscard]] static bool anyAbandoned();

    struct State;
    /// Wakes a strand for as long as there is one. Any thread.
    class Waker {
    public:
        void wake() const;

    private:
        friend class Strand;
        Waker(std::shared_ptr<State> state, std::shared_ptr<WorkerPool::Impl> pool);
        std::shared_ptr<State> state_;
        std::shared_ptr<WorkerPool::Impl> pool_;
    };
    [[nodiscard]] Waker waker() const { return {state_, pool_}; }

private:
    std::shared_ptr<State> state_;
    std::shared_ptr<WorkerPool::Impl> pool_;
};

}  // namespace daedalus
