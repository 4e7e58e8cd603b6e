// A daemon around the toy codec, so that a stress test is about the transport and the core, and not about decoding.
// Usage: stress_daemon SOCKET NODE
// With DAEDALUS_TEST_TRANSPORT=cuse NODE is a character device, too.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/worker_pool.h"
#include "daedalus/codec/decoder.h"
#include "daedalus/device/device.h"
#include "daedalus/ioctl/node.h"
#include "daedalus/transport/cuse.h"
#include "daedalus/transport/socket.h"

int main(int argc, char** argv) {
    using namespace daedalus;
    if (argc != 3) return std::fputs("usage: stress_daemon SOCKET NODE\n", stderr), EXIT_FAILURE;
    std::signal(SIGPIPE, SIG_IGN);
    const auto codecs = codec::makeFakeFactory();
    EventLoop loop;
    WorkerPool pool(2);
    device::Device device(loop, pool, *codecs, {});
    ioctl::Node node(device);
    // First: whoever finds the socket finds the device.
    std::unique_ptr<transport::CuseNode> character;
    const char* transport = std::getenv("DAEDALUS_TEST_TRANSPORT");
    if (transport != nullptr && std::strcmp(transport, "cuse") == 0) {
        auto served = transport::serveCuse(loop, node, {.nodePath = argv[2]});
        if (!served) return std::fprintf(stderr, "%s: %s\n", argv[2], std::strerror(served.error().value)), EXIT_FAILURE;
        character = *std::move(served);
    }
    const auto server = transport::listenSocket(loop, node, argv[1], {.nodePath = argv[2]});
    if (!server) return std::fprintf(stderr, "%s: %s\n", argv[1], std::strerror(server.error().value)), EXIT_FAILURE;
    const auto end = loop.signal(SIGTERM, [&loop] { loop.stop(); });
    loop.run();
    return EXIT_SUCCESS;
}
