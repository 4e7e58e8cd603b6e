#include "daedalus/m2m/stateless.h"

#include <algorithm>
#include <utility>

#include "daedalus/base/log.h"
#include "daedalus/queue/mem_offsets.h"

namespace daedalus::m2m {
namespace {

constexpr uint32_t kOutputOffsetBase = queue::kFirstMemOffset;
constexpr uint32_t kCaptureOffsetBase = queue::kFirstMemOffset + (1U << 30);

}  // namespace

StatelessContext::StatelessContext(Resources resources, std::string session, Listener& listener)
    : resources_(std::move(resources)),
      session_(std::move(session)),
      listener_(listener),
      output_(resources_.loop, *this, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, kOutputOffsetBase, resources_.memory,
              queue::Requests::Required),
      capture_(resources_.loop, *this, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE, kCaptureOffsetBase, resources_.memory) {}

StatelessContext::~StatelessContext() {
    if (strand_) PictureStrand::retire(std::move(strand_));
    // What is queued will not be decoded; who polls such a request learns of it.
    if (job_) job_->request->complete(job_->held);
    for (const auto& [index, request] : std::exchange(queued_, {})) request->complete(request->values());
    for (const auto& [key, weak] : touched_)
        if (const auto request = weak.lock()) request->leave(*this);
}

void StatelessContext::remember(const std::shared_ptr<media::Request>& request) {
    constexpr size_t kMany = 256;
    if (touched_.size() > kMany) std::erase_if(touched_, [](const auto& entry) { return entry.second.expired(); });
    touched_[request.get()] = request;
}

Result<queue::BufferInfo> StatelessContext::bind(const std::shared_ptr<media::Request>& request, int32_t fd,
                                                 const queue::BufferRequest& buffer, memory::ClientMemory* client) {
    if (request->state() != media::RequestState::Idle) return fail(EBUSY);
    auto bound = output_.bind(buffer, fd, client);
    if (!bound) return bound;
    remember(request);
    request->addBuffer(*this, buffer.index);
    return bound;
}

Result<> StatelessContext::setValues(const std::shared_ptr<media::Request>& request, const v4l2::ControlValues& values) {
    if (auto ok = checkValues(values); !ok) return ok;
    if (auto ok = request->setValues(*this, values); !ok) return ok;
    remember(request);
    return {};
}

Result<> StatelessContext::check(const media::Request& request) const {
    if (!request.values().has(codec::mandatoryControl(outputFormat_.coded->codec))) return fail(ENOENT);
    return {};
}

void StatelessContext::submit(std::shared_ptr<media::Request> request, uint32_t index) {
    queued_[index] = std::move(request);
    output_.enqueueBound(index);
}

queue::PlaneSizes StatelessContext::planeSizes(const queue::Queue& queue) const {
    if (queue.isOutput()) return {.count = 1, .bytes = {outputFormat_.sizeImage}};
    return {.count = captureFormat_.layout.memoryPlanes, .bytes = captureFormat_.layout.sizeImage};
}

void StatelessContext::schedule() {
    while (!job_ && output_.isStreaming() && capture_.isStreaming()) {
        const auto unit = output_.next();
        if (!unit || !takeDestination(*unit)) return;
        start();
    }
}

bool StatelessContext::takeDestination(const queue::BufferInfo& unit) {
    const uint64_t timestamp = toNs(unit.metadata.timestamp);
    if (destination_ && destination_->timestamp != timestamp) returnDestination();
    if (destination_) return true;
    auto buffer = capture_.take();
    if (!buffer) return false;
    queue::Outcome outcome;
    outcome.metadata = unit.metadata;
    outcome.metadata.flags &= V4L2_BUF_FLAG_TSTAMP_SRC_MASK;
    outcome.field = unit.field;
    for (uint32_t i = 0; i < captureFormat_.layout.memoryPlanes; ++i) outcome.bytesUsed[i] = captureFormat_.layout.sizeImage[i];
    references_.set(buffer->index(), timestamp, ++lastPicture_);
    destination_.emplace(Destination{*std::move(buffer), timestamp, lastPicture_, outcome});
    return true;
}

void StatelessContext::start() {
    auto input = *output_.take();
    const auto found = queued_.find(input.index());
    auto request = std::move(found->second);
    queued_.erase(found);
    const bool holds = (input.metadata().flags & V4L2_BUF_FLAG_M2M_HOLD_CAPTURE_BUF) != 0;
    values_.overlay(request->values());

    const auto codec = outputFormat_.coded->codec;
    UnitJob unit;
    unit.input = input.planes().front();
    unit.output.assign(destination_->buffer.planes().begin(), destination_->buffer.planes().end());
    unit.raw = captureFormat_.raw;
    unit.layout = captureFormat_.layout;
    unit.controls = values_;
    for (const uint64_t timestamp : codec::referencesOf(codec, values_)) unit.references.push_back(references_.find(timestamp));
    unit.picture = destination_->picture;
    job_.emplace(Job{std::move(input), std::move(request), values_, holds});
    if (!strand_)
        strand_ =
            std::make_unique<PictureStrand>(resources_, codec, session_, [this](const auto& damage) { unitDone(damage); });
    const auto limit = resources_.limits.decodeTime;
    const auto period = std::max(limit / 4, std::chrono::milliseconds(10));
    if (limit > limit.zero() && !watch_) watch_ = resources_.loop.timer(period, period, [this] { watchDecoder(); });
    strand_->decode(std::move(unit));
    listener_.streamDescribed();
}

void StatelessContext::unitDone(const std::string& damage) {
    if (!damage.empty()) {
        const bool wanted = values_.get<int32_t>(V4L2_CID_DAEDALUS_CLIENT_CHECK) != 0;
        const auto line =
            fmt::format("{}: the unit of timestamp {} ns is damaged: {}", session_, destination_->timestamp, damage);
        wanted ? log::warn("{}", line) : log::debug("{}", line);
        destination_->outcome.error = true;
        references_.markDamaged(destination_->buffer.index());
    }
    auto job = std::move(*job_);
    job_.reset();
    if (!capture_.isStreaming()) {
        dropDestination();
    } else if (!job.holds) {
        returnDestination();
    }
    // In this order, and in one step: who sees that the request is complete gets both buffers at once.
    job.input.done({});
    job.request->complete(job.held);
    schedule();
}

void StatelessContext::returnDestination() {
    auto destination = std::move(*destination_);
    destination_.reset();
    destination.buffer.done(destination.outcome);
}

void StatelessContext::dropDestination() {
    if (!destination_) return;
    auto destination = std::move(*destination_);
    destination_.reset();
    destination.buffer.giveBack();
    references_.clear();
    if (strand_) strand_->forget();
}

void StatelessContext::flush() {
    if (output_.dropLastHold()) return;
    if (job_) {
        job_->holds = false;
    } else if (destination_) {
        returnDestination();
    }
}

void StatelessContext::stopStreaming(queue::Queue& queue) {
    if (queue.isOutput()) return;
    references_.clear();
    if (strand_) strand_->forget();
    // With a worker in it, it goes when that is done.
    if (!job_) dropDestination();
}

void StatelessContext::bufferCancelled(queue::Queue& queue, uint32_t index) {
    if (!queue.isOutput()) return;
    if (const auto found = queued_.find(index); found != queued_.end()) {
        const auto request = std::move(found->second);
        queued_.erase(found);
        return request->complete(request->values());
    }
    for (const auto& [key, weak] : touched_)
        if (const auto request = weak.lock()) request->bufferLeft(*this, index);
}

void StatelessContext::bufferFreed(queue::Queue& queue, uint32_t index) {
    if (!queue.isOutput()) references_.clear(index);
}

void StatelessContext::watchDecoder() {
    if (!job_ || !strand_->giveUpIfStuck()) return;
    log::warn(
        "{}: the decoder has been busy with one unit for more than {} ms and is given up; the picture is damaged, and the "
        "next ones miss their references; raise --frame-time if the stream is right",
        session_, resources_.limits.decodeTime.count());
    PictureStrand::retire(std::move(strand_));
    references_.clear();
    unitDone("the decoder took too long");
}

const char* StatelessContext::stateName() const { return job_ ? "decoding" : destination_ ? "holding" : "idle"; }

}  // namespace daedalus::m2m
