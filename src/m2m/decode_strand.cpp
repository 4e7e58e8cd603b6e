#include "daedalus/m2m/decode_strand.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "call_watch.h"
#include "daedalus/base/log.h"
#include "daedalus/base/mailbox.h"
#include "messages.h"
#include "worker.h"

namespace daedalus::m2m {

struct DecodeStrand::Impl {
    Impl(Resources from, v4l2::Codec codec, const std::string& name, Listener& listener, const DecodeStrand* self)
        : resources(std::move(from)),
          session(name),
          watch(resources.clock),
          reports(resources.loop, listener),
          worker(resources, codec, session, watch, reports),
          strand(resources.pool, [this, self] { return step(self); }) {
        worker.setStrand(strand.waker());
    }

    void send(Message message) {
        mailbox.push(std::move(message));
        strand.wake();
    }

    Strand::Step step(const DecodeStrand* self) {
        const bool wasClosed = worker.isClosed();
        const auto next = worker.step(mailbox.takeAll());
        if (worker.isClosed() && !wasClosed)
            worker.afterDelivery([&loop = resources.loop, graveyard = resources.graveyard, self] {
                loop.post([graveyard, self] {
                    if (const auto alive = graveyard.lock()) alive->erase(self);
                });
            });
        return next;
    }

    const Resources resources;
    const std::string session;
    Mailbox<Message> mailbox;
    CallWatch watch;
    Reports reports;
    Worker worker;
    Strand strand;  ///< last: its step uses everything above
};

DecodeStrand::DecodeStrand(Resources resources, v4l2::Codec codec, const std::string& session, Listener& listener)
    : impl_(std::make_unique<Impl>(std::move(resources), codec, session, listener, this)) {}

DecodeStrand::~DecodeStrand() = default;

void DecodeStrand::retire(std::unique_ptr<DecodeStrand> strand) {
    Impl& impl = *strand->impl_;
    impl.reports.close();
    if (const auto graveyard = impl.resources.graveyard.lock()) {
        const DecodeStrand* key = strand.get();
        graveyard->emplace(key, std::move(strand));
        impl.send(message::Close{});
    }
}

void DecodeStrand::endAll(Graveyard& graveyard, std::chrono::milliseconds patience) {
    const auto until = std::chrono::steady_clock::now() + patience;
    for (auto& [key, strand] : std::exchange(graveyard, {})) {
        const auto left = std::max(until - std::chrono::steady_clock::now(), std::chrono::steady_clock::duration::zero());
        if (strand->end(std::chrono::duration_cast<std::chrono::milliseconds>(left))) continue;
        // All that the call may still use stays.
        std::ignore = strand.release();
    }
}

bool DecodeStrand::end(std::chrono::milliseconds patience) {
    if (impl_->strand.endWithin(patience) || !impl_->watch.abandon()) return true;
    log::warn("{}: its decoder is in a call of libavcodec that does not end, and is left to itself", impl_->session);
    return false;
}

void DecodeStrand::input(queue::ActiveBuffer buffer) { impl_->send(message::Input{std::move(buffer)}); }
void DecodeStrand::output(queue::ActiveBuffer buffer) { impl_->send(message::Output{std::move(buffer)}); }
void DecodeStrand::setUp(const CaptureSetup& setup) { impl_->send(message::SetUp{setup, impl_->reports.setUp()}); }
void DecodeStrand::markLast(uint32_t field) { impl_->send(message::MarkLast{field}); }
void DecodeStrand::settle() { impl_->send(message::Settle{}); }
void DecodeStrand::drain() { impl_->send(message::Drain{}); }
void DecodeStrand::resume() { impl_->send(message::Resume{}); }
void DecodeStrand::flush() { impl_->send(message::Flush{impl_->reports.flushed()}); }
void DecodeStrand::accept() { impl_->send(message::Accept{}); }
void DecodeStrand::returnOutputs(CaptureStop stop) { impl_->send(message::ReturnOutputs{stop, impl_->reports.stopped()}); }

bool DecodeStrand::writeOffIfStuck() {
    if (!impl_->watch.giveUpAfter(impl_->resources.limits.decodeTime)) return false;
    impl_->strand.replaceWorker();
    return true;
}

}  // namespace daedalus::m2m
