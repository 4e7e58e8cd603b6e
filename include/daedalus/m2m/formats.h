// What OUTPUT and CAPTURE are set to, what the stream is, and how the one follows the other.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daedalus/codec/decoder.h"
#include "daedalus/m2m/epochs.h"
#include "daedalus/m2m/limits.h"
#include "daedalus/queue/queue.h"
#include "daedalus/v4l2/formats.h"
#include "daedalus/v4l2/planes.h"

namespace daedalus::m2m {

/// What OUTPUT carries. Sizes in pixels and bytes.
struct OutputFormat {
    const v4l2::CodedFormat* coded = nullptr;
    uint32_t width = 0;
    uint32_t height = 0;
    uint32_t sizeImage = 0;
    v4l2::Colorimetry colorimetry;
    uint32_t field = V4L2_FIELD_NONE;  ///< as the client says; CAPTURE repeats it until the stream is known
    friend bool operator==(const OutputFormat&, const OutputFormat&) = default;
};

/// The formats of one session. Loop thread.
class Formats {
public:
    /// `planes`: which formats CAPTURE can have at all. `session` names the session in log lines.
    Formats(v4l2::PlanesApi planes, const SessionLimits& limits, std::string session)
        : planes_(planes), limits_(limits), session_(std::move(session)) {}

    [[nodiscard]] const OutputFormat& output() const { return output_; }
    [[nodiscard]] const CaptureFormat& capture() const { return capture_; }
    /// The stream's, as the client was told it; nullptr before.
    [[nodiscard]] const codec::StreamFormat* stream() const { return epochs_.current() ? &epochs_.current()->format : nullptr; }
    /// What is known of it, for whoever changes nothing.
    [[nodiscard]] const Epochs& epochs() const { return epochs_; }
    [[nodiscard]] uint32_t minCaptureBuffers() const;
    [[nodiscard]] queue::PlaneSizes planeSizes(bool ofOutput) const;

    /// What CAPTURE may deliver now, the default first: the formats that fit the stream, or before its headers those that fit
    /// some stream of the coded format.
    [[nodiscard]] std::vector<const v4l2::RawFormat*> offered() const { return fitting(stream()); }
    /// The layout of CAPTURE in that format; `width` and `height` count only before the headers.
    [[nodiscard]] v4l2::FrameLayout captureLayout(const v4l2::RawFormat& raw, uint32_t width, uint32_t height) const;
    /// The field of CAPTURE for a client that asks for `wanted`: what the stream has, except that INTERLACED stands for either
    /// order of an interlaced one. GStreamer knows no other word, and insists on reading it back.
    [[nodiscard]] uint32_t captureField(uint32_t wanted) const;
    void setColorimetry(const v4l2::Colorimetry& colorimetry);
    /// The client's choice, one of offered(). It stays through changes of the stream for as long as it fits, and else its depth
    /// stays if there is a format of that depth; so a client gets fewer bits than the stream has only if it chose them.
    void chooseCapture(const v4l2::RawFormat& raw, uint32_t width, uint32_t height, uint32_t field);

    /// CAPTURE follows; the stream has been forgotten.
    void setOutput(const OutputFormat& format);
    /// A new stream begins.
    void forgetStream() { epochs_.clear(); }
    /// The stream has this format.
    void found(const codec::StreamFormat& format) { epochs_.found(format); }
    /// The stream shows no headers: it counts as one of the size that the client set itself.
    void headersMissing();
    enum class Told : uint8_t {
        Nothing,    ///< nothing was found
        Refused,    ///< it goes beyond a limit, or no raw format holds its pictures
        Change,     ///< CAPTURE is not what it was (from here on there is something to tell)
        SameSetup,  ///< CAPTURE is what it was, and so are the buffers that it needs
    };
    /// What was found becomes what the client is told: CAPTURE follows it.
    [[nodiscard]] Told tell();
    /// The client has no event (any more) that tells of it.
    void seen() { epochs_.seen(); }
    /// True if the client was told of a format that CAPTURE is not set up for.
    [[nodiscard]] bool awaitsSetup() const { return epochs_.current() && epochs_.current()->stage < Epoch::Stage::Provisional; }
    /// CAPTURE is set up as it stands.
    const Epoch& setUp(Epoch::Stage stage) { return epochs_.setUp(capture_, stage); }
    /// A frame was dequeued. True if the setup was provisional till now.
    [[nodiscard]] bool accept() { return epochs_.accept(); }
    /// CAPTURE was stopped. True if the setup was provisional: it is none any more.
    [[nodiscard]] bool takeBack() { return epochs_.takeBack(); }
    /// OUTPUT was stopped: what was found is given up. True if CAPTURE, which streams, becomes again what it was set up as.
    [[nodiscard]] bool giveUpChanges(bool captureStreams);
    /// The frames of that epoch are described anew. True if it is the one that the client knows.
    [[nodiscard]] bool describe(uint64_t epoch, const codec::StreamFormat& format);

private:
    /// What CAPTURE may be for that stream, the default first; nullptr: for any of OUTPUT's codec.
    [[nodiscard]] std::vector<const v4l2::RawFormat*> fitting(const codec::StreamFormat* stream) const;
    /// Of those the one that CAPTURE becomes.
    [[nodiscard]] const v4l2::RawFormat& bestOf(const std::vector<const v4l2::RawFormat*>& fitting,
                                                const codec::StreamFormat& stream) const;
    void setCapture(const v4l2::RawFormat& raw, uint32_t width, uint32_t height);
    /// What CAPTURE tells of colours and fields: what the stream says, and for what it does not, what the client said.
    void describeCapture();

    const v4l2::PlanesApi planes_;
    const SessionLimits limits_;
    const std::string session_;
    OutputFormat output_;
    CaptureFormat capture_;
    Epochs epochs_;
    uint32_t wantedField_ = V4L2_FIELD_ANY;  ///< by chooseCapture()
    bool chosen_ = false;                    ///< capture_.raw is the client's choice
};

}  // namespace daedalus::m2m
