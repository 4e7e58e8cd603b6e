// 64 sessions at once in one daemon, of all codecs, each frame compared.
#include <catch2/catch.hpp>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <mutex>
#include <thread>

#include "process.h"
#include "stream_decoding.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr size_t kSessions = 64;
constexpr unsigned kFrames = 12;

/// Lets nobody go on before all have come, or one has failed.
class Meeting {
public:
    void come(bool failed = false) {
        std::unique_lock lock(mutex_);
        if (failed) failed_ = true;
        ++come_;
        changed_.notify_all();
        changed_.wait_for(lock, std::chrono::minutes(1), [&] { return failed_ || come_ >= kSessions; });
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    size_t come_ = 0;
    bool failed_ = false;
};

/// Decodes in all sessions at once: none delivers its first frame before all are set up.
void decodeAll(const std::function<std::unique_ptr<Client>()>& open) {
    const auto streams = streamsOfAllCodecs(kFrames);
    REQUIRE(!streams.empty());
    if (streams.size() < 6) WARN("this libavcodec encodes only " << streams.size() << " of the six codecs");
    Meeting meeting;
    std::vector<std::string> wrong(kSessions);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < kSessions; ++i) {
        threads.emplace_back([&, i] {
            auto file = open();
            if (!file) {
                wrong[i] = "cannot open the node";
                return meeting.come(true);
            }
            const uint32_t fourcc = i % 2 == 0 ? V4L2_PIX_FMT_YUV420 : V4L2_PIX_FMT_NV12;
            StreamDecoding decoding(std::move(file), streams[i % streams.size()], fourcc);
            bool met = false;
            decoding.onSetUp([&] {
                met = true;
                meeting.come();
            });
            wrong[i] = decoding.run();
            if (!met) meeting.come(true);
        });
    }
    for (auto& thread : threads) thread.join();
    for (size_t i = 0; i < kSessions; ++i) {
        INFO("session " << i);
        CHECK(wrong[i] == "");
    }
}

}  // namespace

TEST_CASE("64 sessions at once are bit-exact in one process", "[inproc]") {
    TestNode node(codec::makeFfmpegFactory());
    REQUIRE(TestNode::transport() == "inproc");
    decodeAll([&] { return node.open(O_NONBLOCK); });
}

TEST_CASE("64 sessions at once are bit-exact through one daemon", "[socket]") {
    auto daemon = DaemonProcess::serve();
    const size_t before = openFds(daemon.process().pid());
    decodeAll([] { return openNode(O_NONBLOCK); });
    CHECK(eventually(kGraceMs, [&] { return openFds(daemon.process().pid()) <= before + kLibraryKeeps; }));
    daemon.process().kill(SIGTERM);
    CHECK(daemon.process().wait(5s) == 0);
}

TEST_CASE("100 sessions with many buffers need more files than a shell's soft limit", "[socket]") {
    auto daemon = DaemonProcess::serve();
    std::vector<std::unique_ptr<V4l2Client>> clients;
    for (unsigned i = 0; i < 100; ++i) {
        INFO("session " << i);
        auto file = openNode(O_NONBLOCK);
        REQUIRE(file);
        clients.push_back(std::make_unique<V4l2Client>(std::move(file)));
        REQUIRE(clients.back()->setFormat(kOutput, V4L2_PIX_FMT_H264, 64, 64) == 0);
        REQUIRE(clients.back()->request(kOutput, 16) == 0);
        REQUIRE(clients.back()->request(kCapture, 16) == 0);
    }
}
