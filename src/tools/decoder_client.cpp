#include "decoder_client.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "daedalus/base/log.h"

namespace daedalus::tools {
namespace {

using namespace std::chrono_literals;

constexpr uint32_t kOutputBuffers = 6;

}  // namespace

DecoderClient::DecoderClient(Endpoint& endpoint, PacketSource& source, FrameSink& sink, const DmabufAllocator& dmabufs,
                             const ClientSettings& settings)
    : endpoint_(endpoint),
      source_(source),
      sink_(sink),
      settings_(settings),
      output_(endpoint, dmabufs, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, settings.memory),
      capture_(endpoint, dmabufs, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE, settings.memory) {
    if (settings.memory == V4L2_MEMORY_DMABUF) log::debug("buffers come from {}", dmabufs.kind());
}

Outcome<> DecoderClient::decode() {
    if (const auto done = setUpOutput(); !done) return done;
    progressed();
    while (!finished_) {
        if (const auto done = feed(); !done) return done;
        if (const auto done = waitForNode(); !done) return done;
    }
    if (summary_.frames == 0 && summary_.withheld > 0)
        return failure(
            "{} damaged frames before the first key frame were left out, and there are no others; "
            "--output-corrupt writes them",
            summary_.withheld);
    if (summary_.frames == 0)
        return failure("no picture could be decoded, {} were lost; check the file with ffprobe, and the node's log",
                       summary_.lost);
    return {};
}

Outcome<> DecoderClient::setUpOutput() {
    const StreamInfo& stream = source_.info();
    const v4l2::CodedFormat& coded = *v4l2::findCoded(stream.codec);
    std::string offered;
    if (!offers(endpoint_, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, coded.fourcc, &offered))
        return failure("{}: unsupported codec {}: the node decodes {}; choose another --device", endpoint_.name(), coded.name,
                       offered.empty() ? "nothing" : offered);

    // An access unit goes into one buffer, and cannot be longer than its file. Pages that are never written cost nothing.
    constexpr uint64_t kRoomForParameters = 4096;
    constexpr uint64_t kUnknownSize = 8U << 20;
    constexpr uint64_t kLargest = 64U << 20;
    const uint64_t longest = stream.fileSize > 0 ? std::min(stream.fileSize + kRoomForParameters, kLargest) : kUnknownSize;
    v4l2_format format{};
    format.type = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
    v4l2_pix_format_mplane& pix = format.fmt.pix_mp;
    pix.pixelformat = coded.fourcc;
    pix.width = stream.width;
    pix.height = stream.height;
    pix.num_planes = 1;
    pix.plane_fmt[0].sizeimage =
        static_cast<uint32_t>(std::max<uint64_t>(longest, v4l2::codedSizeImage(stream.width, stream.height)));
    if (endpoint_.ioctl(VIDIOC_S_FMT, &format) != 0) return callFailure(endpoint_, "VIDIOC_S_FMT(OUTPUT)", errno);
    if (pix.pixelformat != coded.fourcc)
        return failure("{}: unsupported codec {}; choose another --device", endpoint_.name(), coded.name);

    if (const auto done = subscribe(); !done) return done;
    if (const auto done = output_.allocate(kOutputBuffers, pix); !done) return done;
    return output_.streamOn();
}

Outcome<> DecoderClient::subscribe() {
    for (const uint32_t type : {V4L2_EVENT_SOURCE_CHANGE, V4L2_EVENT_EOS}) {
        v4l2_event_subscription subscription{};
        subscription.type = type;
        if (endpoint_.ioctl(VIDIOC_SUBSCRIBE_EVENT, &subscription) == 0) continue;
        if (errno == EINVAL)
            return failure("{}: not a stateful decoder (it has no events of one); choose another --device", endpoint_.name());
        return callFailure(endpoint_, "VIDIOC_SUBSCRIBE_EVENT", errno);
    }
    return {};
}

Outcome<> DecoderClient::feed() {
    while (!inputEnded_) {
        const auto index = output_.freeBuffer();
        if (!index) return {};
        const auto packet = source_.next();
        if (!packet) return failure(packet.error());
        if (!*packet) {
            inputEnded_ = true;
            break;
        }
        const auto& bytes = (*packet)->bytes;
        const auto room = output_.plane(*index, 0);
        if (bytes.size() > room.size())
            return failure(
                "an access unit of {} bytes does not fit into {}'s OUTPUT buffers of {} bytes; the node is too small for it",
                bytes.size(), endpoint_.name(), room.size());
        output_.beginAccess(*index);
        std::ranges::copy(bytes, room.begin());
        output_.endAccess(*index);
        const uint64_t timestampUs = ++packetsSent_;
        sent_[timestampUs % sent_.size()] = {timestampUs, (*packet)->pts, (*packet)->duration, (*packet)->discard};
        if (const auto done = output_.queue(*index, static_cast<uint32_t>(bytes.size()), timestampUs); !done) return done;
        progressed();
    }
    // Without effect until both queues stream, so setUpCapture() may have to say it again.
    return stopSent_ ? Outcome<>() : stop();
}

int DecoderClient::command(uint32_t cmd) {
    v4l2_decoder_cmd arg{};
    arg.cmd = cmd;
    return endpoint_.ioctl(VIDIOC_DECODER_CMD, &arg) == 0 ? 0 : errno;
}

Outcome<> DecoderClient::stop() {
    const int error = command(V4L2_DEC_CMD_STOP);
    // EBUSY: a drain is under way already.
    if (error != 0 && error != EBUSY) return callFailure(endpoint_, "VIDIOC_DECODER_CMD(STOP)", error);
    stopSent_ = true;
    return {};
}

Outcome<> DecoderClient::waitForNode() {
    short revents = 0;
    const int ready = endpoint_.poll(POLLIN | POLLOUT | POLLPRI, &revents, static_cast<int>(settings_.patience.count()));
    if (ready < 0 && errno != EINTR) return callFailure(endpoint_, "poll", errno);
    if (ready < 0) return {};
    if ((revents & POLLHUP) != 0) return callFailure(endpoint_, "poll", ENODEV);

    const auto before = lastProgress_;
    if ((revents & POLLPRI) != 0)
        if (const auto done = takeEvents(); !done) return done;
    if ((revents & (POLLOUT | POLLERR)) != 0 && output_.queued() > 0)
        if (const auto done = takeOutput(); !done) return done;
    if ((revents & (POLLIN | POLLERR)) != 0 && capture_.queued() > 0)
        if (const auto done = takeCapture(); !done) return done;
    if (sourceChanged_ && !capture_.streaming())
        if (const auto done = setUpCapture(); !done) return done;
    return lastProgress_ == before ? withoutProgress(revents) : Outcome<>();
}

Outcome<> DecoderClient::withoutProgress(short revents) {
    v4l2_capability capability{};
    if (endpoint_.ioctl(VIDIOC_QUERYCAP, &capability) != 0) return callFailure(endpoint_, "VIDIOC_QUERYCAP", errno);
    const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - lastProgress_);
    const bool allTaken = inputEnded_ && output_.queued() == 0 && !capture_.streaming();
    constexpr auto kHeadersLate = 2000ms;
    if (allTaken && waited >= std::min(kHeadersLate, settings_.patience))
        return failure("{} found no picture in the whole stream; check the file with ffprobe", endpoint_.name());
    if (waited >= settings_.patience)
        return failure(
            "{}: no progress for {} s after {} packets and {} frames; look at the calls with `daedalus run --log ioctl`",
            endpoint_.name(), waited.count() / 1000, packetsSent_, summary_.frames);
    // What poll() reports and no call can take: it would report it again at once.
    if (revents != 0) std::this_thread::sleep_for(2ms);
    return {};
}

Outcome<> DecoderClient::takeEvents() {
    while (true) {
        v4l2_event event{};
        if (endpoint_.ioctl(VIDIOC_DQEVENT, &event) != 0) {
            if (errno == ENOENT || errno == EAGAIN || errno == EINTR) return {};
            return callFailure(endpoint_, "VIDIOC_DQEVENT", errno);
        }
        progressed();
        if (event.type == V4L2_EVENT_SOURCE_CHANGE && (event.u.src_change.changes & V4L2_EVENT_SRC_CH_RESOLUTION) != 0)
            sourceChanged_ = true;
    }
}

Outcome<> DecoderClient::takeOutput() {
    while (output_.queued() > 0) {
        const auto buffer = output_.dequeue();
        if (!buffer) return failure(buffer.error());
        if (!*buffer) return {};
        progressed();
    }
    return {};
}

Outcome<> DecoderClient::takeCapture() {
    while (capture_.queued() > 0 && !finished_) {
        const auto dequeued = capture_.dequeue();
        if (!dequeued) return failure(dequeued.error());
        if (!*dequeued) return {};
        const Dequeued& buffer = **dequeued;
        progressed();
        if (!buffer.empty)
            if (const auto done = deliver(buffer); !done) return done;
        if (finished_ || buffer.last) return finished_ ? Outcome<>() : endOfSequence();
        if (const auto done = capture_.queue(buffer.index); !done) return done;
    }
    return {};
}

Outcome<> DecoderClient::deliver(const Dequeued& buffer) {
    const bool damaged = (buffer.flags & V4L2_BUF_FLAG_ERROR) != 0;
    if (buffer.bytesUsed == 0) {
        if (damaged) ++summary_.lost;
        return {};
    }
    const Sent& sent = sent_[buffer.timestampUs % sent_.size()];
    const bool known = sent.timestampUs == buffer.timestampUs;
    if (known && sent.discard) return {};
    // In a stream that begins in its middle.
    begun_ = begun_ || settings_.outputCorrupt || !damaged || (buffer.flags & V4L2_BUF_FLAG_KEYFRAME) != 0;
    if (!begun_) {
        ++summary_.withheld;
        return {};
    }

    Picture picture;
    picture.format = rawFormat_;
    picture.stream = sampling_;
    picture.visible = visible_;
    picture.codedHeight = captureFormat_.height;
    for (uint32_t i = 0; i < rawFormat_->memoryPlanes; ++i) {
        picture.bytesPerLine[i] = captureFormat_.plane_fmt[i].bytesperline;
        picture.planes[i] = capture_.plane(buffer.index, i);
    }
    FrameInfo info;
    info.damaged = damaged;
    if (known) {
        info.pts = sent.pts;
        info.duration = sent.duration;
    }
    capture_.beginAccess(buffer.index);
    auto done = sink_.frame(picture, info);
    capture_.endAccess(buffer.index);
    if (!done) return done;
    if (damaged) ++summary_.damaged;
    if (++summary_.frames == settings_.frames) finished_ = true;
    return {};
}

Outcome<> DecoderClient::endOfSequence() {
    // The events that explain it were queued before it.
    if (const auto done = takeEvents(); !done) return done;
    if (sourceChanged_) {
        ++summary_.sourceChanges;
        if (const auto done = capture_.release(); !done) return done;
        return setUpCapture();
    }
    if (const auto done = takeOutput(); !done) return done;
    if (stopSent_ && output_.queued() == 0) {
        finished_ = true;
        return {};
    }
    // The stream itself said that it ends, and there is more of it.
    if (const int error = command(V4L2_DEC_CMD_START); error != 0)
        return callFailure(endpoint_, "VIDIOC_DECODER_CMD(START)", error);
    while (const auto index = capture_.freeBuffer())
        if (const auto done = capture_.queue(*index); !done) return done;
    return inputEnded_ ? stop() : Outcome<>();
}

}  // namespace daedalus::tools
