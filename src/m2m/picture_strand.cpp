#include "daedalus/m2m/picture_strand.h"

#include <algorithm>
#include <new>
#include <utility>
#include <variant>

#include "call_watch.h"
#include "daedalus/base/log.h"
#include "daedalus/base/mailbox.h"

namespace daedalus::m2m {
namespace {

struct Forget {};
struct Close {};
using Message = std::variant<UnitJob, Forget, Close>;

/// A plane's payload: where it lies if that is in this process, else a copy.
Result<std::span<const std::byte>> payloadOf(const queue::ActivePlane& plane, std::vector<std::byte>& scratch) {
    const size_t used = std::min(plane.bytesUsed, plane.length);
    const size_t start = std::min<size_t>(plane.dataOffset, used);
    if (const auto mapped = plane.memory->bytes(); !mapped.empty()) return mapped.subspan(start, used - start);
    scratch.resize(used - start);
    if (auto ok = plane.memory->read(start, scratch); !ok) return fail(ok.error());
    return std::span<const std::byte>(scratch);
}

Result<> write(const codec::DecodedPicture& picture, const UnitJob& job) {
    codec::CaptureTarget target{job.raw, job.layout, {}};
    std::array<std::vector<std::byte>, 3> scratch;
    for (uint32_t i = 0; i < job.layout.memoryPlanes; ++i) {
        const size_t size = job.layout.sizeImage[i];
        if (i >= job.output.size() || job.output[i].length < size) return fail(EINVAL);
        const auto mapped = job.output[i].memory->bytes();
        if (mapped.empty()) scratch[i].resize(size);
        target.planes[i] = mapped.empty() ? std::span(scratch[i]) : mapped.first(size);
    }
    if (auto ok = picture.copyTo(target); !ok) return ok;
    for (uint32_t i = 0; i < job.layout.memoryPlanes; ++i)
        if (!scratch[i].empty())
            if (auto ok = job.output[i].memory->write(0, scratch[i]); !ok) return ok;
    return {};
}

}  // namespace

struct PictureStrand::Impl {
    Impl(Resources from, v4l2::Codec which, const std::string& name, Done call, const SessionStrand* self)
        : resources(std::move(from)),
          session(name),
          codec(which),
          options(resources.decoderOptions()),
          done(std::make_shared<Done>(std::move(call))),
          watch(resources.clock),
          strand(resources.pool, [this, self] { return step(self); }) {}

    void send(Message message) {
        mailbox.push(std::move(message));
        strand.wake();
    }

    // What follows is the worker's.

    Strand::Step step(const SessionStrand* self) {
        auto message = mailbox.pop();
        if (!message) return Strand::Step::Idle;
        if (auto* const job = std::get_if<UnitJob>(&*message)) {
            auto damage = watch.run([&] { return decode(*job); });
            if (!watch.givenUp())
                resources.loop.post([call = done, text = std::move(damage)] {
                    if (*call) (*call)(text);
                });
        } else if (std::holds_alternative<Forget>(*message)) {
            if (decoder) decoder->forget();
        } else {
            decoder.reset();
            resources.loop.post([graveyard = resources.graveyard, self] {
                if (const auto alive = graveyard.lock()) alive->erase(self);
            });
        }
        return Strand::Step::More;
    }

    std::string decode(const UnitJob& job) {
        try {
            if (!decoder) {
                auto opened = resources.codecs.openUnits(codec, options);
                if (!opened) return "the decoder cannot be opened";
                decoder = *std::move(opened);
            }
            const auto bytes = payloadOf(job.input, scratch);
            if (!bytes) return "its bytes cannot be read";
            const auto decoded = decoder->decode({*bytes, job.controls, job.references, job.picture});
            if (!decoded) return "out of memory; raise --session-memory";
            if (watch.givenUp() || !decoded->picture) return decoded->damage;
            const auto written = write(*decoded->picture, job);
            return written ? decoded->damage : "the picture does not fit the CAPTURE buffer";
        } catch (const std::bad_alloc&) {
            return "out of memory";
        }
    }

    const Resources resources;
    const std::string session;
    const v4l2::Codec codec;
    const codec::DecoderOptions options;
    const std::shared_ptr<Done> done;  ///< emptied on the loop thread
    Mailbox<Message> mailbox;
    CallWatch watch;
    std::unique_ptr<codec::PictureDecoder> decoder;
    std::vector<std::byte> scratch;
    Strand strand;  ///< last: its step uses everything above
};

PictureStrand::PictureStrand(Resources resources, v4l2::Codec codec, const std::string& session, Done done)
    : impl_(std::make_unique<Impl>(std::move(resources), codec, session, std::move(done), this)) {}

PictureStrand::~PictureStrand() = default;

bool PictureStrand::end(std::chrono::milliseconds patience) {
    if (impl_->strand.endWithin(patience) || !impl_->watch.abandon()) return true;
    log::warn("{}: its decoder is in a call of libavcodec that does not end, and is left to itself", impl_->session);
    return false;
}

void PictureStrand::decode(UnitJob job) { impl_->send(std::move(job)); }
void PictureStrand::forget() { impl_->send(Forget{}); }

bool PictureStrand::giveUpIfStuck() {
    if (!impl_->watch.giveUpAfter(impl_->resources.limits.decodeTime)) return false;
    impl_->strand.replaceWorker();
    return true;
}

void PictureStrand::retire(std::unique_ptr<PictureStrand> strand) {
    Impl& impl = *strand->impl_;
    *impl.done = nullptr;
    if (const auto graveyard = impl.resources.graveyard.lock()) {
        const PictureStrand* key = strand.get();
        graveyard->emplace(key, std::move(strand));
        impl.send(Close{});
    }
}

}  // namespace daedalus::m2m
