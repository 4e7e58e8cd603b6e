// What a strand does on the worker pool: hears the loop, decodes and delivers.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "call_watch.h"
#include "converter.h"
#include "daedalus/m2m/decode_strand.h"
#include "delivery.h"
#include "intake.h"
#include "messages.h"
#include "phase.h"

namespace daedalus::m2m {

/// Serial; any pool thread. What goes wrong becomes the phase Failed and a report.
class Worker {
public:
    Worker(const Resources& resources, v4l2::Codec codec, const std::string& session, CallWatch& watch, const Reports& reports);

    /// Hears the messages and does one piece of work. Idle: there is none before the next message.
    [[nodiscard]] Strand::Step step(std::deque<Message> messages);
    /// Whom to wake where a step left work that could not be done yet. Before the first step.
    void setStrand(const Strand::Waker& strand) { converter_.setDecoder(strand); }
    /// Calls when all that was delivered till now is out; the call may end this object.
    void afterDelivery(std::function<void()> call) { converter_.after(std::move(call)); }
    [[nodiscard]] bool isClosed() const { return std::holds_alternative<phase::Closed>(phase_); }

private:
    /// Where there is no memory for it, decoding fails.
    template <class Work>
    void guarded(const Work& work);
    void hear(Message& message);
    /// In a call of the codec that is over now.
    void noticeGivenUp();
    void handle(message::Input& input) { intake_.put(std::move(input.buffer)); }
    void handle(message::Output& output) { delivery_.output(std::move(output.buffer)); }
    void handle(message::SetUp& setUp);
    void handle(message::MarkLast& mark);
    void handle(message::Settle&) { intake_.starve(is<phase::Running>()); }
    void handle(message::Drain&) { intake_.putDrain(); }
    void handle(message::Resume&);
    void handle(message::Flush& flush);
    void handle(message::Accept&) { delivery_.accept(); }
    void handle(message::ReturnOutputs& stopped);
    void handle(message::Close&);

    template <class P>
    [[nodiscard]] bool is() const {
        return std::holds_alternative<P>(phase_);
    }
    /// Each does one thing, or returns false if there is none.
    [[nodiscard]] bool deliver();
    [[nodiscard]] bool decode();
    [[nodiscard]] bool receive();
    [[nodiscard]] bool beginDrain();
    /// In a drain one item more is fetched than delivered, to know which is the last.
    [[nodiscard]] bool looksAhead() const;
    void feed();
    /// The codec has given all frames of a drain, or of what stands before a mark.
    void codecEnded();
    void endDrain(phase::DrainBy by);
    /// The codec goes on behind a drain that it has ended.
    void goOn(phase::DrainBy by);
    void giveUpDrain();
    /// Frames are given again, and LAST behind them.
    void takeBack();
    /// Who hears of the LAST that is delivered now.
    [[nodiscard]] Delivery::Last finish();
    void found(const codec::StreamFormat& format);
    void fail(Errno error, const char* reason);

    const std::string session_;
    const std::shared_ptr<memory::Budget> memory_;
    CallWatch& watch_;
    const Reports reports_;
    Moment heard_;  ///< of the loop
    Intake intake_;
    Converter converter_;
    Delivery delivery_;
    Phase phase_ = phase::Running{};
};

}  // namespace daedalus::m2m
