// One stream on its way through a codec, as the loop sees it: messages to a worker, and what comes back.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "daedalus/base/clock.h"
#include "daedalus/base/event_loop.h"
#include "daedalus/base/worker_pool.h"
#include "daedalus/codec/decoder.h"
#include "daedalus/m2m/limits.h"
#include "daedalus/queue/active_buffer.h"
#include "daedalus/v4l2/planes.h"

namespace daedalus::m2m {

class DecodeStrand;

/// A stream that shows no headers within so many bytes will not: the client gets the resolution that it set itself, and then
/// an ERROR buffer for each OUTPUT buffer, instead of waiting for ever.
inline constexpr size_t kPatienceBytes = 1U << 20;

/// What sends a session's work to the pool, and outlives the session until its worker has let go. Loop thread.
class SessionStrand {
public:
    SessionStrand() = default;
    virtual ~SessionStrand() = default;
    SessionStrand(const SessionStrand&) = delete;
    SessionStrand& operator=(const SessionStrand&) = delete;
    /// Waits for the step under way. False: it is in a call of the codec that does not return within `patience`, and this
    /// object must stay for as long as the process.
    [[nodiscard]] virtual bool end(std::chrono::milliseconds patience) = 0;
};

/// Strands whose session is gone. Loop thread.
using Graveyard = std::map<const SessionStrand*, std::unique_ptr<SessionStrand>>;

/// What a session's decoding needs from the device; all of it outlives the session.
struct Resources {
    EventLoop& loop;
    WorkerPool& pool;
    codec::Factory& codecs;
    std::weak_ptr<Graveyard> graveyard;  ///< the device owns it: what lies there ends with the device at the latest
    /// Decides the threads of a decoder that is about to be opened. Loop thread.
    std::function<codec::DecoderOptions()> decoderOptions;
    SessionLimits limits;
    /// The session's own, of limits.memory bytes.
    std::shared_ptr<memory::Budget> memory;
    /// Of the node: which formats CAPTURE can have.
    v4l2::PlanesApi planes = v4l2::PlanesApi::Multi;
    const Clock& clock = Clock::steady();
    /// Frames of fewer bytes are converted on the thread that decodes: to wake another takes longer.
    size_t conversionWorthAThread = 256U << 10;
};

/// The epoch that the worker may deliver, and the CAPTURE format for it.
struct CaptureSetup {
    uint64_t epoch = 0;
    codec::StreamFormat stream;
    const v4l2::RawFormat* raw = nullptr;
    v4l2::FrameLayout layout;
    bool keepsFrames = false;  ///< until accept() frames may be asked back
};

/// The CAPTURE buffer that ends a drain, with the last frame or empty; move-only. Dropping it says that nobody waits for the
/// end any more: a frame is then delivered like any other, and an empty buffer goes back unused.
class LastBuffer {
public:
    LastBuffer(queue::ActiveBuffer buffer, const queue::Outcome& outcome) : buffer_(std::move(buffer)), outcome_(outcome) {}
    LastBuffer(LastBuffer&& other) noexcept : buffer_(std::exchange(other.buffer_, std::nullopt)), outcome_(other.outcome_) {}
    LastBuffer& operator=(LastBuffer&&) = delete;
    ~LastBuffer();
    /// To the client, with LAST.
    void deliver();

private:
    std::optional<queue::ActiveBuffer> buffer_;
    queue::Outcome outcome_;
};

/// What CAPTURE STREAMOFF means for a drain and for frames that were delivered.
enum class CaptureStop : uint8_t {
    Plain,      ///< a drain is given up: the rest comes out without LAST
    ForChange,  ///< a change of format is answered: a drain goes on afterwards
    TakeBack,   ///< the same, and the frames that the setup kept are undelivered again, and wait for another setup
};

/// The public functions are for the loop thread and only send messages; the work is done in steps on the worker pool (Worker).
/// Buffers come back by themselves (ActiveBuffer::done).
class DecodeStrand final : public SessionStrand {
public:
    /// What the loop side hears, on the loop thread. Nothing of it is heard that a later flush() has overtaken, of formats
    /// nothing that a later setUp() has overtaken, and of drains nothing that a later returnOutputs() has overtaken.
    class Listener {
    public:
        virtual ~Listener() = default;
        /// The stream has this format; no frame of it is delivered before setUp().
        virtual void streamFound(const codec::StreamFormat& format) = 0;
        /// The stream shows no headers (see kPatienceBytes); nothing is delivered before setUp().
        virtual void headersMissing() = 0;
        /// From the next frame on the epoch is described so: nothing that a client sets itself up for has changed. Heard even
        /// when overtaken, as the frame is.
        virtual void streamDescribed(uint64_t epoch, const codec::StreamFormat& format) = 0;
        /// The codec holds back what could come out, and no more of the stream is at hand: settle().
        virtual void starved() = 0;
        /// A mark in the stream says that it ends: a drain begins by itself.
        virtual void endMarkFound() = 0;
        /// A drain is over.
        virtual void drained(LastBuffer last) = 0;
        /// Decoding cannot go on until flush().
        virtual void failed(Errno error) = 0;
    };

    DecodeStrand(Resources resources, v4l2::Codec codec, const std::string& session, Listener& listener);
    ~DecodeStrand() override;
    bool end(std::chrono::milliseconds patience) override;
    /// Ends a strand without waiting for its worker. The listener is not called any more.
    static void retire(std::unique_ptr<DecodeStrand> strand);

    /// Ends all of a graveyard, when their device ends. Who is in a call of the codec that does not return within `patience` is
    /// abandoned: it keeps its thread and its memory for as long as the process.
    static void endAll(Graveyard& graveyard, std::chrono::milliseconds patience);

    /// A piece of the bitstream.
    void input(queue::ActiveBuffer buffer);
    /// A place for a frame.
    void output(queue::ActiveBuffer buffer);
    /// Frames of `setup.stream` may be delivered from now on. Resumes after a drain, too.
    void setUp(const CaptureSetup& setup);
    /// The format that was found is not the one of the CAPTURE buffers at hand: the next of them is returned empty with LAST,
    /// and this field (V4L2_FIELD_*).
    void markLast(uint32_t field);
    /// No more has come for a while: what the codec holds back only because more could come is delivered.
    void settle();
    /// After what was put in so far, all frames come out, the last with LAST.
    void drain();
    /// Goes on after a drain.
    void resume();
    /// OUTPUT STREAMOFF: returns the inputs, forgets undelivered frames.
    void flush();
    /// The frames that a setup keeps will not be asked back.
    void accept();
    /// CAPTURE STREAMOFF: returns the outputs, keeps undelivered frames.
    void returnOutputs(CaptureStop stop);
    /// True if the codec has been busy with one call for longer than the limit. From then on the strand leaves all buffers
    /// alone and its worker is replaced; all that is left to do with it is retire().
    [[nodiscard]] bool writeOffIfStuck();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace daedalus::m2m
