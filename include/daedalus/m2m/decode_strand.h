// The worker's side of one stream: takes OUTPUT and CAPTURE buffers, drives the codec, fills and returns the buffers.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/mailbox.h"
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

/// Strands whose session is gone, until their worker has let go of them. Loop thread.
using Graveyard = std::map<const DecodeStrand*, std::unique_ptr<DecodeStrand>>;

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
};

/// The CAPTURE format that frames are delivered in, and the stream format that it was set up for.
struct CaptureSetup {
    codec::StreamFormat stream;
    const v4l2::RawFormat* raw = nullptr;
    v4l2::FrameLayout layout;
    /// CAPTURE streamed before the stream was known. The client may still answer the source change by CAPTURE STREAMOFF:
    /// until it has dequeued a frame, frames are kept, and given again after such a STREAMOFF.
    bool provisional = false;
};

/// One stream on its way through a codec. The public functions are for the loop thread and only send messages; everything else
/// runs in steps on the worker pool. Buffers come back by themselves (ActiveBuffer::done).
class DecodeStrand {
public:
    /// What the loop side hears, on the loop thread.
    class Listener {
    public:
        virtual ~Listener() = default;
        // `flushes` counts the flush() calls that the strand had seen.
        /// The stream has this format; no frame of it is delivered before setUp().
        virtual void streamFound(const codec::StreamFormat& format, uint64_t flushes) = 0;
        /// From the next frame on the stream is described so: nothing that a client sets itself up for has changed.
        virtual void streamDescribed(const codec::StreamFormat& format) = 0;
        /// A mark in the stream says that it ends: a drain begins by itself, of the number kMarkDrain.
        virtual void endMarkFound(uint64_t flushes) = 0;
        /// The drain of that number is over; the buffer with LAST follows at once. False: nobody waits for it any more.
        [[nodiscard]] virtual bool drained(uint64_t drainId) = 0;
        /// Decoding cannot go on until flush().
        virtual void failed(Errno error, uint64_t flushes) = 0;
    };

    /// The number of a drain that a mark in the stream began; drain() has others.
    static constexpr uint64_t kMarkDrain = 0;

    /// `placeholder` is announced if the stream shows no headers for long (see kPatienceBytes).
    DecodeStrand(Resources resources, v4l2::Codec codec, const codec::StreamFormat& placeholder, std::string session,
                 Listener& listener);
    ~DecodeStrand();
    DecodeStrand(const DecodeStrand&) = delete;
    DecodeStrand& operator=(const DecodeStrand&) = delete;
    /// Ends a strand without waiting for its worker. The listener is not called any more.
    static void retire(std::unique_ptr<DecodeStrand> strand);

    [[nodiscard]] v4l2::Codec codec() const { return codec_; }

    /// A piece of the bitstream.
    void input(queue::ActiveBuffer buffer) { send(Input{std::move(buffer)}); }
    /// A place for a frame.
    void output(queue::ActiveBuffer buffer) { send(Output{std::move(buffer)}); }
    /// Frames of `setup.stream` may be delivered from now on. Resumes after a drain, too.
    void setUp(CaptureSetup setup) { send(std::move(setup)); }
    /// The format that was found is not the one of the CAPTURE buffers at hand: the next of them is returned empty with LAST.
    void markLast() { send(MarkLast{}); }
    /// After what was put in so far, all frames come out, the last with LAST.
    void drain(uint64_t drainId) { send(DrainMark{drainId}); }
    /// Goes on after a drain.
    void resume() { send(Resume{}); }
    /// OUTPUT STREAMOFF: returns the inputs, forgets undelivered frames.
    void flush() {
        ++flushes_;
        send(Flush{});
    }
    /// The client works with a provisional setup: it dequeued a frame.
    void accept() { send(Accept{}); }
    /// CAPTURE STREAMOFF: returns the outputs, keeps undelivered frames.
    void returnOutputs() { send(ReturnOutputs{}); }
    [[nodiscard]] uint64_t flushes() const { return flushes_; }
    /// True if the codec has been busy with one call for longer than the limit. From then on the strand leaves all buffers
    /// alone and its worker is replaced; all that is left to do with it is retire().
    [[nodiscard]] bool writeOffIfStuck();

private:
    struct Input {
        queue::ActiveBuffer buffer;
    };
    struct Output {
        queue::ActiveBuffer buffer;
    };
    struct MarkLast {};
    struct DrainMark {
        uint64_t id;
    };
    struct Resume {};
    struct Flush {};
    struct Accept {};
    struct ReturnOutputs {};
    struct Quit {};
    using Message = std::variant<Input, Output, CaptureSetup, MarkLast, DrainMark, Resume, Flush, Accept, ReturnOutputs, Quit>;

    /// An access unit without a frame counts as an item: its buffer is empty and has the ERROR flag.
    using Item = std::variant<std::unique_ptr<codec::Frame>, codec::Damaged>;
    enum class DrainPhase : uint8_t {
        None,
        Draining,   ///< the codec still has frames
        Ended,      ///< all frames are in ready_
        Abandoned,  ///< CAPTURE was stopped in a drain: the rest comes out, without LAST
        Stopped,    ///< LAST was delivered
    };
    enum class EmptyLast : uint8_t { None, SourceChange, Drain };

    void send(Message message);

    // On the worker:
    Strand::Step step();
    void handle(Input& message);
    void handle(Output& message);
    void handle(CaptureSetup& message);
    void handle(MarkLast& message);
    void handle(DrainMark& message);
    void handle(Resume& message);
    void handle(Flush& message);
    void handle(Accept& message);
    void handle(ReturnOutputs& message);
    void handle(Quit& message);
    [[nodiscard]] bool deliver();
    [[nodiscard]] bool fetch();
    [[nodiscard]] bool nextTellsOfFirst() const;
    /// In a drain one item more is fetched than delivered, to know which is the last.
    [[nodiscard]] bool looksAhead() const;
    [[nodiscard]] bool receive();
    void feed(queue::ActiveBuffer buffer);
    void beginDrain(uint64_t id);
    /// The codec has given all frames of a drain, or of what stands before a mark.
    void codecEnded();
    void beginMarkDrain();
    void dropDrainMarks();
    void endDrain();
    void announce(const codec::StreamFormat& format);
    void describe(const codec::StreamFormat& format);
    void lookForHeaders(size_t bytes);
    [[nodiscard]] bool awaitsSetup() const;
    /// True if the stream counts as one without headers: each of its OUTPUT buffers gives an empty CAPTURE buffer.
    [[nodiscard]] bool headerless() const;
    [[nodiscard]] bool opened();
    /// Runs a call of the codec under the eyes of writeOffIfStuck(); ECANCELED if it was written off meanwhile.
    template <class Call>
    [[nodiscard]] auto timed(const Call& call) -> decltype(call());
    void fill(const codec::Frame& frame, queue::ActiveBuffer buffer, bool last);
    [[nodiscard]] queue::Outcome emptyOutcome(bool error, bool last) const;
    [[nodiscard]] Result<> convert(const codec::Frame& frame, queue::ActiveBuffer& buffer, queue::Outcome& outcome);
    void logFrame(const codec::Frame& frame, std::chrono::nanoseconds convertTime);
    [[nodiscard]] queue::Metadata metadataOf(uint64_t tag) const;
    void takeGivenBack();
    /// Returns a CAPTURE buffer, and what belongs to it in the same step of the loop thread.
    void give(queue::ActiveBuffer buffer, const queue::Outcome& outcome);
    void fail(Errno error, const std::string& reason);
    void post(std::function<void(Listener&)> call);

    const Resources resources_;
    const v4l2::Codec codec_;
    const codec::StreamFormat placeholder_;
    const std::string session_;
    const codec::DecoderOptions decoderOptions_;
    Mailbox<Message> mailbox_;
    // Loop thread:
    uint64_t flushes_ = 0;
    struct Link;  ///< the listener, until retire()
    std::shared_ptr<Link> link_;

    // Worker:
    std::unique_ptr<codec::Decoder> decoder_;
    std::deque<std::variant<queue::ActiveBuffer, DrainMark>> inputs_;
    std::deque<queue::ActiveBuffer> outputs_;
    std::deque<Item> ready_;
    std::deque<Item> given_;  ///< delivered under a provisional setup
    std::optional<CaptureSetup> setup_;
    std::optional<codec::StreamFormat> announced_;
    std::optional<codec::StreamFormat> described_;  ///< what the listener heard last
    std::map<uint64_t, queue::Metadata> metadata_;
    std::vector<std::byte> scratch_;
    uint64_t nextTag_ = 1;
    uint64_t drainId_ = 0;
    uint64_t flushesSeen_ = 0;
    std::chrono::nanoseconds decodeTime_{0};
    /// When the codec's call under way began (steady clock, ns); 0: there is none; kWrittenOff.
    std::atomic<int64_t> busySince_ = 0;
    DrainPhase drain_ = DrainPhase::None;
    EmptyLast emptyLast_ = EmptyLast::None;
    size_t headerlessBytes_ = 0;  ///< consumed without finding headers
    /// The OUTPUT buffer of a headerless stream goes back together with the CAPTURE buffer that it gives.
    std::optional<queue::ActiveBuffer> heldInput_;
    bool mayReceive_ = false;
    uint64_t fed_ = 0;           ///< OUTPUT buffers since the start or a flush
    bool unitGaveItem_ = false;  ///< the unit that was sent last has an item in ready_
    bool sawFrame_ = false;
    bool failed_ = false;
    bool quit_ = false;

    Strand strand_;  ///< last: its step uses everything above
};

}  // namespace daedalus::m2m
