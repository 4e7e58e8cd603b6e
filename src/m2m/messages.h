// What the loop says to a strand's worker, and the way back.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <variant>

#include "daedalus/m2m/decode_strand.h"

namespace daedalus::m2m {

/// How much the loop has overtaken, by number. What a worker finds is dated by what it has heard of.
struct Moment {
    uint64_t flushes = 0;
    uint64_t stops = 0;   ///< of either queue
    uint64_t setUps = 0;  ///< of CAPTURE
};

namespace message {

struct Input {
    queue::ActiveBuffer buffer;
};
struct Output {
    queue::ActiveBuffer buffer;
};
struct SetUp {
    CaptureSetup setup;
    Moment moment;
};
struct MarkLast {
    uint32_t field;
};
struct Settle {};
struct Drain {};
struct Resume {};
struct Flush {
    Moment moment;
};
struct Accept {};
struct ReturnOutputs {
    CaptureStop stop;
    Moment moment;
};
struct Close {};

}  // namespace message

using Message =
    std::variant<message::Input, message::Output, message::SetUp, message::MarkLast, message::Settle, message::Drain,
                 message::Resume, message::Flush, message::Accept, message::ReturnOutputs, message::Close>;

/// The worker's way to the listener, which may end first. Copies share one end.
class Reports {
public:
    using Call = std::function<void(DecodeStrand::Listener&)>;

    Reports(EventLoop& loop, DecodeStrand::Listener& listener)
        : loop_(&loop), end_(std::make_shared<End>(End{&listener, {}})) {}

    /// Loop thread: nothing is heard any more.
    void close() { end_->listener = nullptr; }
    /// Loop thread: OUTPUT stops.
    Moment flushed() {
        ++end_->now.flushes;
        return stopped();
    }
    /// Loop thread: CAPTURE stops.
    Moment stopped() {
        ++end_->now.stops;
        return end_->now;
    }
    /// Loop thread: CAPTURE is set up.
    Moment setUp() {
        ++end_->now.setUps;
        return end_->now;
    }

    /// Any thread: heard in any case.
    void post(Call call) const {
        loop_->post([end = end_, call = std::move(call)] {
            if (end->listener) call(*end->listener);
        });
    }
    /// Any thread: heard unless OUTPUT has been stopped since `when`.
    void postOfStream(Moment when, Call call) const {
        loop_->post([end = end_, when, call = std::move(call)] {
            if (end->listener && end->now.flushes == when.flushes) call(*end->listener);
        });
    }
    /// Any thread: the same, and not heard either if CAPTURE has been set up since: the worker goes on then, and finds again
    /// what that setup is not for.
    void postOfFormat(Moment when, Call call) const {
        loop_->post([end = end_, when, call = std::move(call)] {
            const bool isOvertaken = end->now.flushes != when.flushes || end->now.setUps != when.setUps;
            if (end->listener && !isOvertaken) call(*end->listener);
        });
    }
    /// Any thread: heard unless a queue has been stopped since `when`.
    void postOfDrain(Moment when, Call call) const {
        loop_->post([end = end_, when, call = std::move(call)] {
            if (end->listener && end->now.stops == when.stops) call(*end->listener);
        });
    }

private:
    struct End {  ///< loop thread
        DecodeStrand::Listener* listener;
        Moment now;
    };
    EventLoop* loop_;
    std::shared_ptr<End> end_;
};

}  // namespace daedalus::m2m
