// A codec that is busy for too long: what was on its way to its worker, and what the session does meanwhile.
#include "m2m_stage.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

using namespace std::chrono_literals;

m2m::SessionLimits limited() {
    m2m::SessionLimits limits;
    limits.decodeTime = 50ms;
    return limits;
}

struct StuckStage : DecodingStage {
    StuckStage() : DecodingStage("size 64x48\n", 1, limited()) {}
    /// In the codec's next call, time passes, `before` happens, and the session looks at its clock.
    void getStuck(const std::function<void()>& before) {
        factory.inside = [this, before] {
            factory.inside = [] {};
            clock.advance(51ms);
            before();
            context->watchDecoder();
        };
    }
};

}  // namespace

TEST_CASE_METHOD(DecodingStage, "a codec that is in time is left alone") {
    factory.inside = [this] {
        clock.advance(29s);
        context->watchDecoder();
    };
    REQUIRE(feed("frame 1\n"));
    settle();
    CHECK(take(capture())->number == 1);
}

TEST_CASE_METHOD(StuckStage, "a codec that is given up leaves both queues failed, and another begins") {
    getStuck([] {});
    REQUIRE(feed("frame 1\n"));
    settle();
    CHECK(output().hasFailed());
    CHECK(capture().hasFailed());
    CHECK(take(capture())->error == EIO);
    // OUTPUT streams still, and has no decoder: what a client may ask of it now.
    CHECK(context->stop());
    CHECK(context->start());
    stop(output());
    stop(capture());
    REQUIRE(start(output()) == 0);
    REQUIRE(feed("size 64x48\nframe 2\n"));
    settle();
    fetchEvents();
    setUpCapture();
    settle();
    CHECK(take(capture())->number == 2);
}

TEST_CASE_METHOD(StuckStage, "a seek that is on its way does not revive a worker that was given up") {
    getStuck([this] { (void)output().streamOff(); });
    REQUIRE(feed("frame 1\n"));
    REQUIRE(feed("frame 2\n"));
    const int before = factory.units();
    settle();
    CHECK(factory.units() == before + 1);
    CHECK(capture().hasFailed());
}

TEST_CASE_METHOD(StuckStage, "a seek in which the codec gets stuck ends, and another begins") {
    REQUIRE(feed("frame 1\n"));
    settle();
    factory.insideFlush = [this] {
        clock.advance(51ms);
        context->watchDecoder();
    };
    REQUIRE(feed("frame 2\n"));
    const int before = factory.units();
    stop(output());
    settle();
    CHECK(factory.units() == before);
    CHECK(capture().hasFailed());
    stop(capture());
    REQUIRE(start(output()) == 0);
    REQUIRE(feed("size 64x48\nframe 3\n"));
    settle();
    fetchEvents();
    setUpCapture();
    settle();
    CHECK(take(capture())->number == 3);
}

TEST_CASE_METHOD(DecodingStage, "a seek that finds no memory holds up neither queue") {
    factory.insideFlush = [this] {
        factory.insideFlush = [] {};
        throw std::bad_alloc();
    };
    REQUIRE(feed("frame 1\n"));
    for (auto* queue : {&output(), &capture()}) CHECK_FALSE(queue->streamOff());
    settle();
    for (auto* queue : {&output(), &capture()}) CHECK(queue->streamOff());
}

namespace {

/// A strand alone, whose session does nothing about it.
struct Alone : private queue::Owner, private m2m::DecodeStrand::Listener {
    Stage stage{1, limited()};
    queue::Queue output;
    queue::Queue capture;
    m2m::DecodeStrand strand;
    std::vector<std::string> heard;

    Alone()
        : output(stage.resources().loop, *this, V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, 0, stage.resources().memory),
          capture(stage.resources().loop, *this, V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE, 1U << 30, stage.resources().memory),
          strand(stage.resources(), v4l2::Codec::H264, "alone", static_cast<m2m::DecodeStrand::Listener&>(*this)) {
        for (auto* queue : {&output, &capture}) {
            REQUIRE(queue->request(4, V4L2_MEMORY_MMAP) == 4U);
            REQUIRE(queue->streamOn());
        }
    }
    queue::ActiveBuffer filled(const std::string& text) {
        for (uint32_t i = 0; i < output.bufferCount(); ++i) {
            const auto info = output.query(i);
            if (info->flags & (V4L2_BUF_FLAG_QUEUED | V4L2_BUF_FLAG_DONE)) continue;
            const auto memory = output.memoryAt(info->planes[0].offset, info->planes[0].length);
            std::memcpy(memory->bytes().data(), text.data(), text.size());
            queue::BufferRequest request{.index = i, .memory = V4L2_MEMORY_MMAP, .field = 0, .metadata = {}, .planeCount = 1};
            request.planes[0].bytesUsed = static_cast<uint32_t>(text.size());
            REQUIRE(output.enqueue(request, nullptr));
            return *output.take();
        }
        FAIL("no OUTPUT buffer is free");
        std::abort();
    }

    queue::PlaneSizes planeSizes(const queue::Queue&) const override { return {.count = 1, .bytes = {8192}}; }
    Result<> startStreaming(queue::Queue&) override { return {}; }
    void bufferQueued(queue::Queue&) override {}
    void stopStreaming(queue::Queue&) override {}
    void bufferDequeued(queue::Queue&) override {}
    void queueChanged(queue::Queue&) override {}
    void streamFound(const codec::StreamFormat&) override { heard.emplace_back("found"); }
    void headersMissing() override { heard.emplace_back("missing"); }
    void streamDescribed(uint64_t, const codec::StreamFormat&) override { heard.emplace_back("described"); }
    void starved() override {}
    void endMarkFound() override { heard.emplace_back("mark"); }
    void drained(m2m::LastBuffer) override { heard.emplace_back("drained"); }
    void failed(Errno) override { heard.emplace_back("failed"); }
};

}  // namespace

TEST_CASE_METHOD(Alone, "after it was given up a worker works no more, whatever it is sent") {
    bool gaveUp = false;
    stage.factory.inside = [this, &gaveUp] {
        stage.factory.inside = [] {};
        stage.clock.advance(51ms);
        strand.flush();
        gaveUp = strand.writeOffIfStuck();
    };
    strand.input(filled("size 64x48\nframe 1\n"));
    stage.settle();
    REQUIRE(gaveUp);
    CHECK(stage.factory.units() == 1);
    strand.flush();
    strand.input(filled("size 64x48\nframe 2\n"));
    strand.drain();
    stage.settle();
    CHECK(stage.factory.units() == 1);
    CHECK(heard.empty());
}

TEST_CASE_METHOD(Alone, "what a flush has overtaken is not heard") {
    strand.input(filled("size 64x48\n"));
    REQUIRE(stage.worker());
    SECTION("not overtaken") {
        stage.settle();
        CHECK(heard == std::vector<std::string>{"found"});
    }
    SECTION("overtaken") {
        strand.flush();
        stage.settle();
        CHECK(heard.empty());
    }
}
