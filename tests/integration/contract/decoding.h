// What the decoding contract's tests share: sessions of the toy codec that have come so far, and what is expected of them.
#pragma once

#include <catch2/catch.hpp>
#include <string>
#include <utility>

#include "src/codec/fake/fake_decoder.h"
#include "v4l2_client.h"
#include "waiting.h"

namespace daedalus::test {

/// Whether a CAPTURE buffer holds the toy codec's frame `number`, of 8 bits, to its last sample.
inline bool pixelsAre(V4l2Client& client, const Taken& taken, uint32_t number) {
    const auto& pix = client.streamed();
    const auto* raw = v4l2::findRaw(pix.pixelformat);
    if (taken.error != 0 || raw == nullptr || raw->bitDepth != 8) return false;
    const auto layout = v4l2::layoutOf(*raw, pix.width, pix.height);
    for (uint32_t i = 0; i < layout.memoryPlanes; ++i)
        if (taken.planes[i].bytesused != layout.sizeImage[i]) return false;
    for (uint32_t plane = 0; plane < raw->channels.size(); ++plane) {
        const auto& channel = raw->channels[plane];
        const auto& component = layout.component[channel.component];
        const unsigned char* line = client.pixels(taken.buffer.index, component.memoryPlane) + component.offset;
        for (uint32_t y = 0; y < component.height; ++y, line += component.stride)
            for (uint32_t x = 0; x < component.width / channel.step; ++x)
                if (line[channel.first + x * channel.step] != codec::fake::fakeSample(number, plane, x, y, 8)) return false;
    }
    return true;
}

/// A client of a node of its own that has subscribed to the events of a stateful decoder.
struct Subscribed {
    TestNode node;
    V4l2Client client{node};

    explicit Subscribed(device::DeviceOptions options = {}) : node(codec::makeFakeFactory(), 2, std::move(options)) {
        REQUIRE(client.subscribe(V4L2_EVENT_SOURCE_CHANGE) == 0);
        REQUIRE(client.subscribe(V4L2_EVENT_EOS) == 0);
    }
    void sourceChange() {
        const auto event = client.event();
        REQUIRE(event);
        REQUIRE(event->type == V4L2_EVENT_SOURCE_CHANGE);
        REQUIRE(event->u.src_change.changes == V4L2_EVENT_SRC_CH_RESOLUTION);
    }
    void endOfStream() {
        const auto event = client.event();
        REQUIRE(event);
        REQUIRE(event->type == V4L2_EVENT_EOS);
    }
    void queueCapture(uint32_t buffers) {
        for (uint32_t i = 0; i < buffers; ++i) REQUIRE(client.queue(i) == 0);
    }
    /// Allocates, queues and starts.
    void setUpCapture(uint32_t buffers) {
        REQUIRE(client.request(kCapture, buffers) == 0);
        queueCapture(buffers);
        REQUIRE(client.streamOn(kCapture) == 0);
    }
    /// Stops CAPTURE and starts it with the same buffers.
    void restartCapture(uint32_t buffers = 4) {
        REQUIRE(client.streamOff(kCapture) == 0);
        queueCapture(buffers);
        REQUIRE(client.streamOn(kCapture) == 0);
    }
    /// Stops CAPTURE and starts it with new buffers.
    void replaceCapture(uint32_t buffers) {
        REQUIRE(client.streamOff(kCapture) == 0);
        REQUIRE(client.request(kCapture, 0) == 0);
        setUpCapture(buffers);
    }
    /// Allocates OUTPUT, starts it, and queues what the stream begins with in buffer 0.
    void startOutput(const std::string& headers, uint32_t buffers = 2) {
        REQUIRE(client.request(kOutput, buffers) == 0);
        REQUIRE(client.streamOn(kOutput) == 0);
        REQUIRE(client.feed(0, headers) == 0);
    }
    /// Feeds one unit in OUTPUT buffer 0 and gets the buffer back.
    void feed(const std::string& text, long timestampUs = 0) {
        REQUIRE(client.feed(0, text, timestampUs) == 0);
        REQUIRE(client.await(kOutput).error == 0);
    }
    /// The next CAPTURE buffer holds this frame of the toy codec.
    Taken expectFrame(uint32_t number) {
        const auto taken = client.await(kCapture);
        REQUIRE(taken.error == 0);
        CHECK(taken.planes[0].bytesused > 0);
        CHECK(pixelsAre(client, taken, number));
        return taken;
    }
    void expectEmptyLast() {
        const auto last = client.await(kCapture);
        REQUIRE(last.error == 0);
        CHECK(last.buffer.flags & V4L2_BUF_FLAG_LAST);
        CHECK(last.planes[0].bytesused == 0);
        CHECK(client.take(kCapture).error == EPIPE);
    }
};

/// It has queued headers and set CAPTURE up for them.
struct Decoding : Subscribed {
    explicit Decoding(const std::string& headers = "size 64x48\n", uint32_t buffers = 4) {
        startOutput(headers, 4);
        sourceChange();
        REQUIRE(client.await(kOutput).error == 0);
        setUpCapture(buffers);
    }
};

/// It knows the stream's size by itself, 64x48, and streams on both queues before the headers. Nothing is fed yet.
struct Early : Subscribed {
    /// `queued` of the 4 CAPTURE buffers are queued. `first`: the queue that streams first.
    explicit Early(uint32_t queued = 4, uint32_t first = kCapture) {
        REQUIRE(client.setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 48) == 0);
        REQUIRE(client.request(kOutput, 2) == 0);
        REQUIRE(client.request(kCapture, 4) == 0);
        queueCapture(queued);
        REQUIRE(client.streamOn(first) == 0);
        REQUIRE(client.streamOn(first == kCapture ? kOutput : kCapture) == 0);
    }
};

}  // namespace daedalus::test
