// What a session needs of whatever does its work, be that a stateful decoder or another mem2mem device.
#pragma once

#include <cstdint>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/codec/decoder.h"
#include "daedalus/m2m/formats.h"
#include "daedalus/queue/queue.h"
#include "daedalus/v4l2/formats.h"

namespace daedalus::m2m {

/// Two queues and their formats, and the rules of when they may change. Loop thread.
class Context {
public:
    /// What the session hears, on the loop thread. A context tells what its kind knows of.
    class Listener {
    public:
        virtual ~Listener() = default;
        /// The stream's format was found or has changed; captureFormat() tells it already. Once the client has no event (any
        /// more) that tells of it, maybe at once, the listener says so by sourceChangeSeen().
        virtual void sourceChanged() = 0;
        /// stream() says something new that is no change of format; it holds from the next CAPTURE buffer on.
        virtual void streamDescribed() = 0;
        /// A drain is over; the buffer with LAST follows.
        virtual void endOfStream() = 0;
        /// Something changed that a parked call or poll() may wait for.
        virtual void changed() = 0;
    };

    virtual ~Context() = default;

    [[nodiscard]] virtual queue::Queue& output() = 0;
    [[nodiscard]] virtual queue::Queue& capture() = 0;
    [[nodiscard]] virtual const OutputFormat& outputFormat() const = 0;
    [[nodiscard]] virtual const CaptureFormat& captureFormat() const = 0;
    /// What is known of the stream by itself; nullptr before its headers, or if it is the client that tells.
    [[nodiscard]] virtual const codec::StreamFormat* stream() const = 0;
    /// What CAPTURE may deliver now, the default first.
    [[nodiscard]] virtual std::vector<const v4l2::RawFormat*> offered() const = 0;

    /// S_FMT(OUTPUT): `format` is one that this node offers, within its limits. CAPTURE follows. EBUSY where buffers of either
    /// queue forbid it.
    [[nodiscard]] virtual Result<> changeOutput(const OutputFormat& format) = 0;
    /// S_FMT(CAPTURE): `raw` is one of offered(); `width` and `height` count only where the stream does not tell them. EBUSY.
    [[nodiscard]] virtual Result<> changeCapture(const v4l2::RawFormat& raw, uint32_t width, uint32_t height,
                                                 uint32_t field) = 0;
    /// The field that changeCapture() would give.
    [[nodiscard]] virtual uint32_t captureField(uint32_t wanted) const = 0;
    /// The layout that changeCapture() would give.
    [[nodiscard]] virtual v4l2::FrameLayout captureLayout(const v4l2::RawFormat& raw, uint32_t width,
                                                          uint32_t height) const = 0;
    /// REQBUFS(0) has freed the buffers of a queue.
    virtual void buffersFreed(const queue::Queue& queue) = 0;

    /// See Listener::sourceChanged().
    virtual void sourceChangeSeen() {}
    /// True while the headers of what OUTPUT got last may be about to be found, for a client that has not set CAPTURE up.
    /// Listener::changed() tells when that is over, by them or in vain.
    [[nodiscard]] virtual bool expectsHeaders() { return false; }
    /// True from sourceChanged() until CAPTURE is set up for it.
    [[nodiscard]] virtual bool awaitsSetup() const { return false; }

    /// Whether it has events of this type (V4L2_EVENT_*) to tell, beside those of controls.
    [[nodiscard]] virtual bool tells(uint32_t eventType) const = 0;
    /// Where it stands, for LOG_STATUS.
    [[nodiscard]] virtual const char* stateName() const = 0;
};

}  // namespace daedalus::m2m
