// The last step of a frame's way: into its CAPTURE buffer and out, on another thread than the next unit's decoding.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "daedalus/base/mailbox.h"
#include "daedalus/m2m/decode_strand.h"

namespace daedalus::m2m {

/// A CAPTURE buffer on its way out, and all that goes with it.
struct Handout {
    queue::ActiveBuffer buffer;
    queue::Outcome outcome;
    std::shared_ptr<const codec::Frame> frame{};  ///< null: the buffer stays empty
    const v4l2::RawFormat* raw = nullptr;
    v4l2::FrameLayout layout{};
    std::chrono::nanoseconds decodeTime{0};
    std::function<void()> before{};              ///< what the loop has to hear right before
    std::optional<queue::ActiveBuffer> input{};  ///< the OUTPUT buffer that goes back together with it
    std::function<void(LastBuffer)> last{};      ///< who gets the buffer, where it ends a drain
};

/// Hands buffers out in the order in which they were given to it. What is worth it is converted on a thread of the pool that
/// has nothing else to do; without one, all happens inside of hand(), as long as nothing is on its way.
class Converter {
public:
    Converter(const Resources& resources, v4l2::Codec codec, std::string session);

    /// Whom to wake where hasRoom() becomes true again. Before the first hand().
    void setDecoder(const Strand::Waker& decoder) { decoder_ = decoder; }
    /// Called when the memory of a CAPTURE buffer is found to be gone, on the thread that finds it. Before the first hand().
    void onMemoryGone(std::function<void()> call) { memoryGone_ = std::move(call); }
    /// False while as much is on its way as should be. Worker.
    [[nodiscard]] bool hasRoom() const { return onTheirWay_ < kMost; }
    /// Worker.
    void hand(Handout handout);
    /// Calls when all that was given till now is out. The call may end this object. Worker.
    void after(std::function<void()> call);

private:
    /// One that is converted, and one for when it is done.
    static constexpr size_t kMost = 2;
    using Job = std::variant<Handout, std::function<void()>>;

    [[nodiscard]] Strand::Step step();
    [[nodiscard]] bool isWorthAnotherThread(const Handout& handout) const;
    void put(Job job);
    void run(Handout handout);
    void convert(Handout& handout);
    [[nodiscard]] Result<> write(Handout& handout);
    void logFrame(const Handout& handout, std::chrono::nanoseconds convertTime);

    const v4l2::Codec codec_;
    const std::string session_;
    const Clock& clock_;
    WorkerPool& pool_;
    const size_t worthBytes_;
    std::optional<Strand::Waker> decoder_;
    std::function<void()> memoryGone_;
    std::vector<std::byte> scratch_;
    Mailbox<Job> jobs_;
    std::atomic<size_t> onTheirWay_ = 0;
    Strand strand_;  ///< last: its step uses everything above
};

}  // namespace daedalus::m2m
