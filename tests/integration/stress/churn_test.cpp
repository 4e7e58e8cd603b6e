// 10,000 sessions one after the other: neither the daemon nor the client may keep anything of them.
#include <sys/epoll.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>

#include "process.h"
#include "sanitized.h"
#include "stream_decoding.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr unsigned kSessions = 10'000;
constexpr unsigned kWarmUp = 2'000;
constexpr unsigned kWindow = 3'000;  ///< the first and the last so many sessions after the warm-up are compared
constexpr unsigned kSamples = 50;    ///< by the memory at the start of every so manyth
constexpr unsigned kDecodes = 20;    ///< every so manyth session decodes a stream
/// What the memory allocator may hold back more at the end than after the warm-up: from run to run up to 4 MiB, and no more
/// after 60,000 sessions than after 10,000.
constexpr size_t kToleranceBytes = 6U << 20;

/// Opens, sets formats, allocates, maps.
std::string allocate(V4l2Client& client, const SynthStream& stream) {
    const auto* coded = v4l2::findCoded(stream.codec);
    if (client.setFormat(kOutput, coded->fourcc, stream.width, stream.height) != 0) return "S_FMT(OUTPUT)";
    if (client.request(kOutput, 2) != 0) return "REQBUFS(OUTPUT)";
    if (client.request(kCapture, 3) != 0) return "REQBUFS(CAPTURE)";
    return {};
}

/// Closes while the decoder is at work, and CAPTURE may be waiting.
std::string abandon(V4l2Client& client, const SynthStream& stream) {
    if (auto wrong = allocate(client, stream); !wrong.empty()) return wrong;
    for (uint32_t i = 0; i < 3; ++i)
        if (client.queue(i) != 0) return "QBUF(CAPTURE)";
    if (client.streamOn(kOutput) != 0 || client.streamOn(kCapture) != 0) return "STREAMON";
    for (uint32_t i = 0; i < 2; ++i) {
        const auto& unit = stream.units[i].bytes;
        if (client.feed(i, {reinterpret_cast<const char*>(unit.data()), unit.size()}) != 0) return "QBUF(OUTPUT)";
    }
    return {};
}

/// Never takes its file out of the epoll set.
std::string watch(V4l2Client& client, int fd, int set) {
    if (client.subscribe(V4L2_EVENT_SOURCE_CHANGE) != 0) return "SUBSCRIBE_EVENT";
    epoll_event event{.events = EPOLLIN | EPOLLPRI, .data = {.fd = fd}};
    return ::epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) == 0 ? "" : "epoll_ctl";
}

/// OUTPUT in the client's own memory.
std::string bring(V4l2Client& client, const SynthStream& stream) {
    if (client.setFormat(kOutput, v4l2::findCoded(stream.codec)->fourcc, stream.width, stream.height) != 0)
        return "S_FMT(OUTPUT)";
    v4l2_requestbuffers request{};
    request.type = kOutput;
    request.memory = V4L2_MEMORY_USERPTR;
    request.count = 1;
    if (client.ioctl(VIDIOC_REQBUFS, &request) != 0) return "REQBUFS(USERPTR)";
    std::vector<std::byte> memory(client.format(kOutput).fmt.pix_mp.plane_fmt[0].sizeimage);
    v4l2_plane plane{};
    plane.m.userptr = reinterpret_cast<unsigned long>(memory.data());
    plane.length = static_cast<uint32_t>(memory.size());
    plane.bytesused = 16;
    v4l2_buffer buffer{};
    buffer.type = kOutput;
    buffer.memory = V4L2_MEMORY_USERPTR;
    buffer.length = 1;
    buffer.m.planes = &plane;
    if (client.ioctl(VIDIOC_QBUF, &buffer) != 0) return "QBUF(USERPTR)";
    return client.streamOn(kOutput) == 0 ? "" : "STREAMON(OUTPUT)";
}

std::string session(unsigned number, const SynthStream& stream, int set) {
    auto file = openNode(O_NONBLOCK);
    if (!file) return "cannot open the node";
    const int fd = file->fd();
    StreamDecoding decoding(std::move(file), stream);
    if (number % kDecodes == 0) return decoding.run();
    switch (number % 5) {
        case 1:
            return abandon(decoding.client(), stream);
        case 2:
            return watch(decoding.client(), fd, set);
        case 3:
            return bring(decoding.client(), stream);
        default:
            return allocate(decoding.client(), stream);
    }
}

/// The least resident memory of a process in a span of sessions: what it keeps, without the buffers that are on their way back
/// to the allocator at the moment.
struct Kept {
    pid_t process;
    size_t early = SIZE_MAX;
    size_t late = SIZE_MAX;

    void sample(unsigned session) {
        if (session < kWarmUp || session % kSamples != 0) return;
        if (session < kWarmUp + kWindow) early = std::min(early, residentBytes(process));
        if (session >= kSessions - kWindow) late = std::min(late, residentBytes(process));
    }
};

}  // namespace

TEST_CASE("10,000 sessions one after the other leave nothing behind") {
    const auto streams = streamsOfAllCodecs(2);
    REQUIRE(!streams.empty());
    const UniqueFd set(::epoll_create1(EPOLL_CLOEXEC));
    auto daemon = DaemonProcess::serve();
    const pid_t serverPid = daemon.process().pid();
    const size_t serverFds = openFds(serverPid);
    // The library's connection stays, and what it keeps beside it.
    REQUIRE(session(1, streams[0], set.get()) == "");
    const size_t ownFds = openFds(::getpid());

    Kept server{serverPid};
    Kept own{::getpid()};
    for (unsigned i = 0; i < kSessions; ++i) {
        server.sample(i);
        own.sample(i);
        const auto wrong = session(i, streams[i / kDecodes % streams.size()], set.get());
        if (wrong.empty()) continue;
        FAIL("session " << i << ": " << wrong << "; daemon: " << openFds(serverPid) << " fds");
    }
    CHECK(eventually(kGraceMs, [&] { return openFds(serverPid) <= serverFds + 1 + kLibraryKeeps; }));
    CHECK(openFds(::getpid()) <= ownFds);
    WARN("daemon: " << openFds(serverPid) << " fds (" << serverFds << " before), " << server.early / 1024 << " KiB kept after "
                    << kWarmUp << " sessions, " << server.late / 1024 << " KiB after " << kSessions
                    << "; client: " << openFds(::getpid()) << " fds (" << ownFds << " before), " << own.early / 1024 << " KiB, "
                    << own.late / 1024 << " KiB");
    if (kSanitized) return;
    CHECK(server.late <= server.early + kToleranceBytes);
    CHECK(own.late <= own.early + kToleranceBytes);
}
