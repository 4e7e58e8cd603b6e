// A client that decodes a synthetic stream of a real codec and compares every frame with libavcodec's own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "synth.h"
#include "v4l2_client.h"

namespace daedalus::test {

/// One small stream per codec (8 bits, 4:2:0), `frames` pictures each. Those that this libavcodec cannot encode are left out.
[[nodiscard]] std::vector<SynthStream> streamsOfAllCodecs(unsigned frames, uint32_t width = 96, uint32_t height = 80);

/// One session that decodes a stream from its start to its end. Any one thread.
class StreamDecoding {
public:
    /// `file` is non-blocking. `captureFourcc`: NV12 or YUV420.
    StreamDecoding(std::unique_ptr<Client> file, const SynthStream& stream, uint32_t captureFourcc = V4L2_PIX_FMT_YUV420)
        : client_(std::move(file)), stream_(stream), captureFourcc_(captureFourcc) {}

    /// Called when CAPTURE streams, before its first frame is taken.
    void onSetUp(std::function<void()> callback) { onSetUp_ = std::move(callback); }

    /// Decodes all of it. Empty if every frame was right, else what went wrong. Once.
    [[nodiscard]] std::string run();

    V4l2Client& client() { return client_; }

private:
    [[nodiscard]] std::string begin();
    [[nodiscard]] std::string feed();
    [[nodiscard]] std::string takeEvents();
    [[nodiscard]] std::string setUpCapture();
    [[nodiscard]] std::string takeOutput();
    [[nodiscard]] std::string takeCapture();
    [[nodiscard]] std::string check(const Taken& taken);
    [[nodiscard]] short awaited() const;
    [[nodiscard]] std::string where() const;

    V4l2Client client_;
    const SynthStream& stream_;
    const uint32_t captureFourcc_;
    std::function<void()> onSetUp_ = [] {};
    std::vector<uint32_t> freeOutput_;
    v4l2_pix_format_mplane format_{};
    v4l2_rect visible_{};
    size_t fed_ = 0;
    size_t frames_ = 0;
    bool setUp_ = false;
    bool stopSent_ = false;
    bool ended_ = false;
};

}  // namespace daedalus::test
