// A node that lives across the fuzzer's inputs, driven by the fuzzer's own thread so that runs repeat.
#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/worker_pool.h"
#include "daedalus/codec/decoder.h"
#include "daedalus/device/device.h"
#include "daedalus/ioctl/node.h"

namespace daedalus::fuzz {

/// Two nodes, one with the fake codec and one with FFmpeg's, on one loop and one worker. The fuzzer's thread is the loop thread
/// while it is in run(), turn() or settle().
class Stage {
public:
    enum class Codecs : size_t { Fake, Ffmpeg };

    Stage();
    ~Stage();
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    [[nodiscard]] EventLoop& loop() { return loop_; }
    [[nodiscard]] ioctl::Node& node(Codecs codecs) { return sides_[static_cast<size_t>(codecs)]->node; }

    /// Runs `task`, and what is due, on the loop.
    void run(const std::function<void()>& task);
    /// Lets the loop do what is due, `times` times.
    void turn(unsigned times = 1);
    /// Lets the worker do `steps` steps of each session that has work, and the loop what comes of them.
    void settle(unsigned steps);
    /// Turns the loop until `condition` holds; false if it does not for long. The kernel may tell of a socket's end a while
    /// after it.
    [[nodiscard]] bool await(const std::function<bool()>& condition);
    /// Waits until no session and no retired strand is left: a finding if that never happens.
    void awaitEnd();
    /// A finding if more descriptors are open than after the first call. Call it when all that an input made is gone.
    void checkFds();

private:
    struct Side {
        Side(EventLoop& loop, WorkerPool& pool, std::unique_ptr<codec::Factory> made, device::DeviceOptions options);
        std::unique_ptr<codec::Factory> codecs;
        device::Device device;
        ioctl::Node node;
    };

    void barrier();
    [[nodiscard]] bool ended();

    EventLoop loop_;
    WorkerPool pool_;
    std::array<std::unique_ptr<Side>, 2> sides_;
    std::mutex mutex_;
    std::condition_variable reached_;
    bool passed_ = false;
    size_t fds_ = 0;
    Strand barrier_;
};

/// Sends the log into the void, with its lines still being made if `debug`.
void silenceLog(bool debug);

}  // namespace daedalus::fuzz
