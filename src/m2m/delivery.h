// CAPTURE's side of a worker: items in display order, the buffers for them, and the epoch that may be delivered.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "call_watch.h"
#include "daedalus/m2m/decode_strand.h"
#include "intake.h"
#include "messages.h"

namespace daedalus::m2m {

/// Worker.
class Delivery {
public:
    Delivery(const Resources& resources, v4l2::Codec codec, std::string session, CallWatch& watch, Reports reports);

    /// What may be delivered, if anything.
    [[nodiscard]] const std::optional<CaptureSetup>& setup() const { return setup_; }
    [[nodiscard]] bool isSetUp() const { return setup_.has_value(); }
    void setUp(const CaptureSetup& setup) { setup_ = setup; }
    /// The frames that the setup keeps will not be asked back.
    void accept();
    /// They are asked back: they come before all others again, and there is no setup any more.
    void takeBack();

    void output(queue::ActiveBuffer buffer) { outputs_.push_back(std::move(buffer)); }
    [[nodiscard]] bool hasOutput() const { return !outputs_.empty(); }
    void returnOutputs();

    void put(Item item) { ready_.push_back(std::move(item)); }
    [[nodiscard]] size_t ready() const { return ready_.size(); }
    /// The format of the next item's picture where the setup is not for it; else nullptr.
    [[nodiscard]] const codec::StreamFormat* nextIsOfAnother() const;
    /// Forgets all items.
    void flush();
    /// Drops all, and returns the outputs.
    void close();

    // Only while hasOutput(); the first two while ready() > 0 and the setup is for it.
    void deliver();
    /// The next item, in the buffer that ends a drain.
    [[nodiscard]] LastBuffer deliverLast();
    /// An empty buffer that ends a drain.
    [[nodiscard]] LastBuffer emptyLast();
    /// An empty buffer with LAST, because of a change of format.
    void endEpoch(uint32_t field);

private:
    struct Filled {
        queue::ActiveBuffer buffer;
        queue::Outcome outcome;
        std::optional<queue::ActiveBuffer> input;
    };
    [[nodiscard]] queue::ActiveBuffer takeOutput();
    [[nodiscard]] Filled fillNext();
    void describe(const codec::StreamFormat& format);
    void fill(const Item& item, const codec::Frame& frame, queue::ActiveBuffer& buffer, queue::Outcome& outcome);
    [[nodiscard]] Result<> convert(const codec::Frame& frame, queue::ActiveBuffer& buffer, queue::Outcome& outcome);
    void logFrame(const codec::Frame& frame, std::chrono::nanoseconds decodeTime, std::chrono::nanoseconds convertTime);

    const v4l2::Codec codec_;
    const std::string session_;
    const Clock& clock_;
    CallWatch& watch_;
    const Reports reports_;

    std::optional<CaptureSetup> setup_;
    std::deque<queue::ActiveBuffer> outputs_;
    std::deque<Item> ready_;
    std::deque<Item> given_;  ///< delivered, and kept by the setup
    std::vector<std::byte> scratch_;
};

}  // namespace daedalus::m2m
