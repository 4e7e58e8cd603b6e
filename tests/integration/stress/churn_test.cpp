// 10,000 sessions one after the other: neither the daemon nor the client may keep anything of them.
#include <sys/epoll.h>

#include <catch2/catch.hpp>

#include "process.h"
#include "stream_decoding.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr unsigned kSessions = 10'000;
constexpr unsigned kWarmUp = 1'000;
constexpr unsigned kDecodes = 20;  ///< every so manyth session decodes a stream
/// What the memory allocator may hold back more at the end than after the warm-up.
constexpr size_t kToleranceBytes = 2U << 20;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // keeps freed memory on purpose
#else
constexpr bool kSanitized = false;
#endif

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

}  // namespace

TEST_CASE("10,000 sessions one after the other leave nothing behind") {
    const auto streams = streamsOfAllCodecs(2);
    REQUIRE(!streams.empty());
    const UniqueFd set(::epoll_create1(EPOLL_CLOEXEC));
    auto daemon = DaemonProcess::serve();
    const pid_t server = daemon.process().pid();
    const pid_t self = ::getpid();
    const size_t serverFds = openFds(server);
    // The library's connection stays.
    REQUIRE(session(1, streams[0], set.get()) == "");
    const size_t ownFds = openFds(self);

    size_t serverBytes = 0;
    size_t ownBytes = 0;
    for (unsigned i = 0; i < kSessions; ++i) {
        if (i == kWarmUp) {
            serverBytes = residentBytes(server);
            ownBytes = residentBytes(self);
        }
        const auto wrong = session(i, streams[i / kDecodes % streams.size()], set.get());
        if (wrong.empty()) continue;
        FAIL("session " << i << ": " << wrong << "; daemon: " << openFds(server) << " fds");
    }
    CHECK(eventually(kGraceMs, [&] { return openFds(server) <= serverFds + 1; }));
    CHECK(openFds(self) <= ownFds);
    const size_t serverAfter = residentBytes(server);
    const size_t ownAfter = residentBytes(self);
    WARN("daemon: " << openFds(server) << " fds (" << serverFds << " before), " << serverBytes / 1024 << " KiB after "
                    << kWarmUp << " sessions, " << serverAfter / 1024 << " KiB after " << kSessions
                    << "; client: " << openFds(self) << " fds (" << ownFds << " before), " << ownBytes / 1024 << " KiB, "
                    << ownAfter / 1024 << " KiB");
    if (kSanitized) return;
    CHECK(serverAfter <= serverBytes + kToleranceBytes);
    CHECK(ownAfter <= ownBytes + kToleranceBytes);
}
