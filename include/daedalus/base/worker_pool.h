// The threads that decode: a fixed pool that serves many strands in turn, one step at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace daedalus {

class Strand;

/// A fixed number of threads that take the runnable strands in rotation, so that no session starves another.
class WorkerPool {
public:
    /// `threads` >= 1.
    explicit WorkerPool(unsigned threads);
    /// For tests: a pool without threads that says that it has `threads`; steps run inside step() only.
    struct ByHand {
        unsigned threads = 1;
    };
    explicit WorkerPool(ByHand byHand);
    /// Ends the threads after their current steps. All strands must be gone.
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
    /// A step that is under way is not expected to end soon: until it does, a further thread takes its thread's place in the
    /// pool, unless as many as the pool has were replaced already. Any thread but the one of that step.
    void replaceWorker();

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
