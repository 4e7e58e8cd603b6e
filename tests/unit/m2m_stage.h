// One stateful decoder whose worker, loop and clock the test steps by hand, on one thread: any order of events can be written
// down, and happens so.
#pragma once

#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daedalus/m2m/stateful.h"
#include "src/codec/fake/fake_decoder.h"

namespace daedalus::test {

/// Stands still until it is advanced.
class HandClock final : public Clock {
public:
    Time now() const override { return now_; }
    void advance(std::chrono::nanoseconds by) { now_ += by; }

private:
    Time now_{std::chrono::hours(1)};
};

/// The toy decoder; what `inside` says happens while it is busy with a unit.
class HookedFactory final : public codec::Factory {
public:
    std::function<void()> inside = [] {};
    std::function<void()> insideFlush = [] {};

    bool supports(v4l2::Codec codec) const override { return toys_->supports(codec); }
    const char* decoderName(v4l2::Codec) const override { return "hooked"; }
    Result<std::unique_ptr<codec::Decoder>> open(v4l2::Codec codec, const codec::DecoderOptions& options) override {
        return std::make_unique<Hooked>(*this, *toys_->open(codec, options));
    }
    [[nodiscard]] int units() const { return units_; }

private:
    struct Hooked final : codec::Decoder {
        Hooked(HookedFactory& from, std::unique_ptr<codec::Decoder> decoder) : factory(from), toy(std::move(decoder)) {}
        Result<> send(std::span<const std::byte> bytes, uint64_t tag) override {
            ++factory.units_;
            const auto now = factory.inside;  // it may set another
            now();
            return toy->send(bytes, tag);
        }
        void cutAnywhere() override {}
        Result<codec::Received> receive() override { return toy->receive(); }
        std::optional<codec::StreamFormat> headers() const override { return toy->headers(); }
        Result<> drain() override { return toy->drain(); }
        void resume() override { toy->resume(); }
        void flush() override {
            factory.insideFlush();
            toy->flush();
        }
        HookedFactory& factory;
        std::unique_ptr<codec::Decoder> toy;
    };
    std::unique_ptr<codec::Factory> toys_ = codec::makeFakeFactory();
    int units_ = 0;
};

/// What DQBUF gave.
struct Taken {
    int error = 0;
    bool last = false;
    bool damaged = false;
    uint32_t index = 0;
    std::optional<uint32_t> number{};  ///< of the toy codec's frame; nothing for an empty buffer
};

/// A session, and a client that the test moves. Nothing happens outside of the functions here.
class Stage : private m2m::StatefulContext::Listener {
public:
    explicit Stage(unsigned threads = 1, m2m::SessionLimits limits = {})
        : Stage(std::make_unique<WorkerPool>(WorkerPool::ByHand{threads}), true, limits) {}
    /// With a pool that steps by itself.
    explicit Stage(std::unique_ptr<WorkerPool> pool) : Stage(std::move(pool), false, {}) {}
    ~Stage() override {
        close();
        settle();
        while (!isByHand_ && !isGone()) loop();
        CHECK(isGone());
    }
    Stage(const Stage&) = delete;
    Stage& operator=(const Stage&) = delete;

    [[nodiscard]] m2m::Resources resources() {
        return {loop_,
                *pool_,
                factory,
                graveyard_,
                [] { return codec::DecoderOptions{}; },
                limits_,
                budget_,
                v4l2::PlanesApi::Multi,
                clock,
                0};
    }

    // Steps.
    bool worker(size_t before = 0) { return isByHand_ && pool_->step(before); }
    /// What has been posted till now, and what that posts.
    void loop() {
        loop_.post([this] { loop_.stop(); });
        loop_.run();
    }
    /// Until nothing is left to do.
    void settle() {
        do loop();
        while (worker());
        loop();
    }

    // The client.
    [[nodiscard]] queue::Queue& output() { return context->output(); }
    [[nodiscard]] queue::Queue& capture() { return context->capture(); }
    void allocate(queue::Queue& queue, uint32_t count) { REQUIRE(queue.request(count, V4L2_MEMORY_MMAP) == count); }
    int start(queue::Queue& queue) { return errorOf(queue.streamOn()); }
    /// STREAMOFF, which waits for the worker.
    void stop(queue::Queue& queue) {
        while (!queue.streamOff()) {
            if (!worker()) loop();
        }
    }
    /// A unit of the toy syntax in a free OUTPUT buffer; false if there is none.
    bool feed(const std::string& text) {
        while (const auto done = take(output())) {
            if (done->error != 0) break;
        }
        for (uint32_t i = 0; i < output().nextIndex(); ++i) {
            const auto info = output().query(i);
            if (!info || (info->flags & (V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_DONE))) continue;
            const auto memory = output().memoryAt(info->planes[0].offset, info->planes[0].length);
            std::memcpy(memory->bytes().data(), text.data(), text.size());
            queue::BufferRequest request{.index = i, .memory = V4L2_MEMORY_MMAP, .field = 0, .metadata = {}, .planeCount = 1};
            request.planes[0].bytesUsed = static_cast<uint32_t>(text.size());
            return output().enqueue(request, nullptr).has_value();
        }
        return false;
    }
    void queueCapture(uint32_t index) {
        const queue::BufferRequest request{
            .index = index, .memory = V4L2_MEMORY_MMAP, .field = 0, .metadata = {}, .planeCount = VIDEO_MAX_PLANES};
        REQUIRE(capture().enqueue(request, nullptr));
    }
    /// Buffers for the present format, all queued, and STREAMON.
    void setUpCapture(uint32_t count = 4) {
        allocate(capture(), count);
        for (uint32_t i = 0; i < count; ++i) queueCapture(i);
        REQUIRE(start(capture()) == 0);
    }
    void replaceCapture(uint32_t count = 4) {
        stop(capture());
        setUpCapture(count);
    }
    /// DQBUF; nothing if there is nothing now.
    std::optional<Taken> take(queue::Queue& queue) {
        const auto info = queue.dequeue(VIDEO_MAX_PLANES);
        if (!info && info.error().value == EAGAIN) return std::nullopt;
        if (!info) return Taken{.error = info.error().value};
        Taken taken{.last = (info->flags & V4L2_BUF_FLAG_LAST) != 0,
                    .damaged = (info->flags & V4L2_BUF_FLAG_ERROR) != 0,
                    .index = info->index};
        if (!queue.isOutput() && info->planes[0].bytesUsed > 0) taken.number = numberOf(*info);
        return taken;
    }
    /// DQBUF(CAPTURE) and QBUF again.
    std::optional<Taken> takeFrame() {
        const auto taken = take(capture());
        if (taken && taken->error == 0) queueCapture(taken->index);
        return taken;
    }
    /// The client fetches its events.
    void fetchEvents() {
        events.clear();
        context->sourceChangeSeen();
    }
    void close() { context.reset(); }
    /// Nothing of a session that was closed is left.
    [[nodiscard]] bool isGone() const { return graveyard_->empty(); }

    HandClock clock;
    HookedFactory factory;
    std::unique_ptr<m2m::StatefulContext> context;
    std::vector<std::string> events;  ///< "change WxH", "eos", "described"

private:
    Stage(std::unique_ptr<WorkerPool> pool, bool isByHand, m2m::SessionLimits limits)
        : pool_(std::move(pool)), isByHand_(isByHand), limits_(limits) {
        context = std::make_unique<m2m::StatefulContext>(resources(), "test", static_cast<Listener&>(*this));
        const auto* coded = v4l2::findCoded(v4l2::Codec::H264);
        REQUIRE(context->changeOutput({.coded = coded, .width = 64, .height = 48, .sizeImage = 4096}));
    }

    static int errorOf(const Result<>& result) { return result ? 0 : result.error().value; }
    uint32_t numberOf(const queue::BufferInfo& info) {
        const auto memory = capture().memoryAt(info.planes[0].offset, info.planes[0].length);
        const auto first = static_cast<uint16_t>(memory->bytes()[0]);
        for (uint32_t number = 0; number < 256; ++number)
            if (codec::fake::fakeSample(number, 0, 0, 0, 8) == first) return number;
        return UINT32_MAX;
    }

    void sourceChanged() override {
        const auto* stream = context->stream();
        events.push_back("change " + std::to_string(stream->codedWidth) + "x" + std::to_string(stream->codedHeight));
    }
    void streamDescribed() override {}
    void endOfStream() override { events.emplace_back("eos"); }
    void changed() override {}

    EventLoop loop_;
    std::unique_ptr<WorkerPool> pool_;
    const bool isByHand_;
    m2m::SessionLimits limits_;
    std::shared_ptr<memory::Budget> budget_ = std::make_shared<memory::Budget>(uint64_t{1} << 30);
    std::shared_ptr<m2m::Graveyard> graveyard_ = std::make_shared<m2m::Graveyard>();
};

/// CAPTURE set up for a stream of 64x48.
struct DecodingStage : Stage {
    explicit DecodingStage(const std::string& headers = "size 64x48\n", unsigned threads = 1, m2m::SessionLimits limits = {})
        : Stage(threads, limits) {
        allocate(output(), 4);
        REQUIRE(start(output()) == 0);
        REQUIRE(feed(headers));
        settle();
        REQUIRE(events == std::vector<std::string>{"change 64x48"});
        fetchEvents();
        setUpCapture();
        settle();
        REQUIRE(context->state() == m2m::DecoderState::Decoding);
    }
};

}  // namespace daedalus::test
