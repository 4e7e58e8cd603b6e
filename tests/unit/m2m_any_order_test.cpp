// A client that knows no order: whatever it asks for, wherever the worker and the loop stand, is answered; the machine meets no
// event that cannot be, nothing hangs, and afterwards the same session decodes.
#include <random>

#include "m2m_stage.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

using namespace std::chrono_literals;

constexpr uint32_t kBytes = (1U << 20) + 4096;

m2m::SessionLimits narrow() {
    m2m::SessionLimits limits;
    limits.maxWidth = 64;
    limits.maxHeight = 64;
    limits.decodeTime = 50ms;
    return limits;
}

class Stranger : public Stage {
public:
    Stranger(uint32_t seed, unsigned threads) : Stage(threads, narrow()), random_(seed) {}

    /// As a client begins that knows what it does, for a start.
    void begin() {
        if (below(4) == 0) return;
        (void)setOutput();
        setsUp(output());
        if (below(3) == 0) setsUp(capture());
        (void)feed("size 16x16\n");
        settle();
        setsUp(capture());
    }

    void act() {
        const uint32_t what = below(100);
        if (what < 45) return step();
        if (what < 65) return give();
        if (what < 77) return takes();
        if (what < 83) return setsUp(below(2) == 0 ? output() : capture());
        ask();
    }

    /// Both queues stop, and a stream from its beginning comes out.
    void recover() {
        factory.inside = [] {};
        for (auto* queue : {&output(), &capture()}) {
            int attempts = 0;
            for (; attempts < 1000 && !queue->streamOff(); ++attempts)
                if (!worker()) loop();
            REQUIRE(attempts < 1000);
            REQUIRE(queue->request(0, V4L2_MEMORY_MMAP) == 0U);
            context->buffersFreed(*queue);
        }
        REQUIRE(setOutput());
        allocate(output(), 2);
        REQUIRE(start(output()) == 0);
        REQUIRE(feed("size 16x16\nframe 1\n"));
        settle();
        fetchEvents();
        setUpCapture();
        settle();
        const auto taken = take(capture());
        REQUIRE(taken);
        CHECK(taken->number == 1);
    }

private:
    uint32_t below(uint32_t count) { return static_cast<uint32_t>(random_() % count); }

    void step() {
        if (below(3) == 0) return loop();
        (void)worker(below(2));
    }

    /// Something of the toy syntax, or much that is none.
    void give() {
        const std::string text = unit();
        const auto& format = context->outputFormat();
        if (text.size() <= format.sizeImage) (void)feed(text);
    }

    std::string unit() {
        if (below(3) > 0) return "frame 1\n";
        static const std::vector<std::string> units = {"frame 1\n",
                                                       "frame 2\n",
                                                       "frame 3\nframe 4\n",
                                                       "size 16x16\n",
                                                       "size 16x16\nframe 5\n",
                                                       "size 32x16\nframe 6\n",
                                                       "eos\n",
                                                       "eos\nframe 7\n",
                                                       "size 128x16\n",
                                                       "size 16x16 chroma other\nframe 8\n",
                                                       "damage here\n",
                                                       "fatal 5\n",
                                                       "nomem\n",
                                                       "nothing\n",
                                                       "size 16x16 reorder 2\nframe 3\n",
                                                       "frame 2\nsize 32x16\nframe 1\neos\n"};
        const uint32_t which = below(static_cast<uint32_t>(units.size()) + 1);
        return which < units.size() ? units[which] : std::string(1U << 20, 'x');
    }

    /// It streams, with buffers, if it can.
    void setsUp(queue::Queue& queue) {
        if (queue.bufferCount() == 0) (void)queue.request(1 + below(5), V4L2_MEMORY_MMAP);
        if (!queue.isOutput()) queueAll();
        (void)queue.streamOn();
    }

    void takes() {
        (void)take(output());
        while (const auto taken = take(capture()))
            if (taken->error != 0 || below(3) == 0) break;
        queueAll();
    }

    void queueAll() {
        for (uint32_t i = 0; i < 6; ++i)
            (void)capture().enqueue({.index = i, .memory = V4L2_MEMORY_MMAP, .planeCount = VIDEO_MAX_PLANES}, nullptr);
    }

    Result<> setOutput() {
        const auto codec = below(4) == 0 ? v4l2::Codec::Vp8 : v4l2::Codec::H264;
        const uint32_t bytes = below(4) == 0 ? kBytes : 4096;
        return context->changeOutput(
            {.coded = v4l2::findCoded(codec), .width = 16 + below(2) * 48, .height = 16, .sizeImage = bytes});
    }

    void changesOutput() {
        const auto before = context->outputFormat();
        (void)setOutput();
        if (context->outputFormat() != before) CHECK_FALSE((output().isStreaming() || capture().isStreaming()));
    }

    void remove(queue::Queue& queue) {
        for (uint32_t i = 0; i < 6; ++i) (void)queue.remove(i, 1);
    }

    void free(queue::Queue& queue) {
        if (queue.request(0, V4L2_MEMORY_MMAP)) context->buffersFreed(queue);
    }

    void create() {
        const auto& layout = context->captureFormat().layout;
        queue::PlaneSizes sizes{.count = layout.memoryPlanes, .bytes = {}};
        for (uint32_t i = 0; i < layout.memoryPlanes; ++i) sizes.bytes[i] = layout.sizeImage[i] + below(2) * 4096;
        (void)capture().create(2, V4L2_MEMORY_MMAP, sizes);
    }

    void ask() {
        auto& queue = below(2) == 0 ? output() : capture();
        switch (below(16)) {
            case 0:
            case 1:
            case 2:
                return (void)queue.streamOff();
            case 3:
                return (void)queue.streamOn();
            case 4:
                return free(queue);
            case 5:
                return remove(queue);
            case 6:
                return create();
            case 7:
                return changesOutput();
            case 8: {
                const auto offered = context->offered();
                const auto& raw = *offered[below(static_cast<uint32_t>(offered.size()))];
                return (void)context->changeCapture(raw, 16 + below(3) * 16, 16, V4L2_FIELD_NONE);
            }
            case 9:
            case 10:
            case 11:
                return (void)context->stop();
            case 12:
            case 13:
                return (void)context->start();
            case 14:
                return context->sourceChangeSeen();
            default:
                // The next unit takes too long, and meanwhile this goes on.
                factory.inside = [this] {
                    factory.inside = [] {};
                    clock.advance(51ms);
                    for (uint32_t more = below(4); more > 0; --more) ask();
                    context->watchDecoder();
                };
        }
    }

    std::mt19937 random_;
};

void run(unsigned threads) {
    for (uint32_t seed = 0; seed < 500; ++seed) {
        CAPTURE(seed, threads);
        Stranger stranger(seed, threads);
        stranger.begin();
        for (int i = 0; i < 100; ++i) stranger.act();
        stranger.recover();
    }
}

}  // namespace

TEST_CASE("whatever is asked for, in whatever order") { run(1); }
// With two threads a frame is converted by another strand.
TEST_CASE("whatever is asked for, in whatever order, converted aside") { run(2); }
