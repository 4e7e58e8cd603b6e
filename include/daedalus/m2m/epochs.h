// The formats that one stream has had, as numbered epochs: what was found, what the client was told, what it has set up.
#pragma once

#include <cstdint>
#include <deque>

#include "daedalus/codec/decoder.h"
#include "daedalus/v4l2/formats.h"

namespace daedalus::m2m {

/// What CAPTURE delivers.
struct CaptureFormat {
    const v4l2::RawFormat* raw = nullptr;
    v4l2::FrameLayout layout;
    v4l2::Rect visible;  ///< inside the coded frame
    uint32_t field = V4L2_FIELD_NONE;
    v4l2::Colorimetry colorimetry;
};

/// A stretch of a stream in one format.
struct Epoch {
    enum class Stage : uint8_t {
        Found,        ///< by the worker, which waits for it to be set up
        Told,         ///< the client has an event that tells of it
        Seen,         ///< the client has fetched the event, or gets none
        Provisional,  ///< set up by a client that may still answer the event by another setup: until it has dequeued a frame,
                      ///< a CAPTURE STREAMOFF takes the frames back
        SetUp,        ///< the worker delivers its frames
    };
    uint64_t number = 0;
    codec::StreamFormat format;
    Stage stage = Stage::Found;
    CaptureFormat capture{};  ///< from Provisional on: what it was set up as
};

/// The list of them, as far as it still matters: the one set up, and what was found since. The only place that knows. Loop
/// thread.
class Epochs {
public:
    /// The last one that the client was told of, or nullptr: what formats and controls are about.
    [[nodiscard]] const Epoch* current() const;
    /// The last one whose frames the worker may deliver, or nullptr.
    [[nodiscard]] const Epoch* setUp() const;
    /// The one that was found and not told, or nullptr.
    [[nodiscard]] const Epoch* untold() const;
    /// True if CAPTURE would be set up for the first time, by a client that has not seen the event.
    [[nodiscard]] bool firstIsUnseen() const;

    /// The stream has another format. It takes the place of one that was found and not told.
    void found(const codec::StreamFormat& format);
    /// untold() becomes current().
    void tell();
    /// untold() is not wanted.
    void refuse();
    /// The client has no event (any more) that tells of current().
    void seen();
    /// current() is set up; what was before it is forgotten.
    const Epoch& setUp(const CaptureFormat& capture, Epoch::Stage stage);
    /// A frame was dequeued. True if the setup was provisional till now.
    bool accept();
    /// CAPTURE was stopped. True if the setup was provisional: it is none any more.
    bool takeBack();
    /// OUTPUT was stopped, and CAPTURE streams on: changes that the client has not answered are given up where there is a setup
    /// to go on with. True if there were any.
    bool giveUpChanges();
    /// The frames of that epoch are described anew. True if it is current().
    bool describe(uint64_t number, const codec::StreamFormat& format);
    /// A new stream begins. Numbers go on.
    void clear() { epochs_.clear(); }

private:
    [[nodiscard]] Epoch* last(Epoch::Stage from);

    std::deque<Epoch> epochs_;  ///< oldest first; at most the newest is Found
    uint64_t lastNumber_ = 0;
};

}  // namespace daedalus::m2m
