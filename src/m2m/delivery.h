// CAPTURE's side of a worker: items in display order, the buffers for them, and the epoch that may be delivered.
#pragma once

#include <deque>
#include <functional>
#include <optional>

#include "call_watch.h"
#include "converter.h"
#include "daedalus/m2m/decode_strand.h"
#include "intake.h"
#include "messages.h"

namespace daedalus::m2m {

/// Worker.
class Delivery {
public:
    /// What it delivers goes by the converter.
    Delivery(CallWatch& watch, Reports reports, Converter& converter)
        : watch_(watch), reports_(std::move(reports)), converter_(converter) {}

    /// What may be delivered, if anything.
    [[nodiscard]] const std::optional<CaptureSetup>& setup() const { return setup_; }
    [[nodiscard]] bool isSetUp() const { return setup_.has_value(); }
    void setUp(const CaptureSetup& setup) { setup_ = setup; }
    /// The frames that the setup keeps will not be asked back.
    void accept();
    /// They are asked back: they come before all others again, and there is no setup any more.
    void takeBack();

    void output(queue::ActiveBuffer buffer) { outputs_.push_back(std::move(buffer)); }
    /// There is a buffer, and room on its way.
    [[nodiscard]] bool hasOutput() const { return !outputs_.empty() && converter_.hasRoom(); }
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
    using Last = std::function<void(LastBuffer)>;
    void deliver() { converter_.hand(next()); }
    /// The next item, in the buffer that ends a drain.
    void deliverLast(Last last);
    /// An empty buffer that ends a drain.
    void emptyLast(Last last);
    /// An empty buffer with LAST, because of a change of format.
    void endEpoch(uint32_t field);

private:
    [[nodiscard]] queue::ActiveBuffer takeOutput();
    [[nodiscard]] Handout next();
    void picture(const codec::Frame& frame, Handout& handout);

    CallWatch& watch_;
    const Reports reports_;
    Converter& converter_;

    std::optional<CaptureSetup> setup_;
    std::deque<queue::ActiveBuffer> outputs_;
    std::deque<Item> ready_;
    std::deque<Item> given_;  ///< delivered, and kept by the setup
};

}  // namespace daedalus::m2m
