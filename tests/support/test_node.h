// A node for contract tests, and a client that reaches it by the transport that the environment names.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/worker_pool.h"
#include "daedalus/codec/decoder.h"
#include "daedalus/device/device.h"
#include "daedalus/ioctl/node.h"
#include "daedalus/transport/inproc.h"

namespace daedalus::test {

/// What a test does with an open node: the system calls, whichever way they travel. Any thread.
class Client {
public:
    virtual ~Client() = default;
    /// 0, or the errno.
    virtual int ioctl(unsigned long cmd, void* argument) = 0;
    virtual void* mmap(size_t length, int protection, uint64_t offset) = 0;
    /// The events that are set, 0 after `timeoutMs`.
    virtual short poll(short events, int timeoutMs) = 0;
    virtual void setNonblocking(bool nonblocking) = 0;
    /// The open file itself, for select() and epoll; -1 in process, where there is none.
    [[nodiscard]] virtual int fd() const { return -1; }
};

/// A node on its own loop thread. DAEDALUS_TEST_TRANSPORT says how open() reaches it: "inproc" (default), "socket" (the test
/// then runs under the preload library and DAEDALUS_SOCKET names where to listen), "notify" (under notify_run), "cuse" (which
/// needs /dev/cuse; what a kernel module would add is done by cuse_client.h), or "shim" (the same with the kernel module
/// daedalus-shim). With DAEDALUS_TEST_PLANES=single it is a single-planar node, and open() gives clients that turn the tests'
/// multi-planar calls into single-planar ones; not so where the test itself asks for a single-planar node.
class TestNode {
public:
    explicit TestNode(std::unique_ptr<codec::Factory> codecs = codec::makeFakeFactory(), unsigned threads = 2,
                      device::DeviceOptions options = {});
    /// With the toy codec.
    explicit TestNode(const device::Limits& limits) : TestNode(codec::makeFakeFactory(), 2, {.limits = limits}) {}
    ~TestNode();
    TestNode(const TestNode&) = delete;
    TestNode& operator=(const TestNode&) = delete;

    /// A new session. `flags`: O_NONBLOCK or 0.
    [[nodiscard]] std::unique_ptr<Client> open(int flags = 0);

    /// Takes the node away from its clients, as from a host.
    void unplug();

    /// Over CUSE: how many requests the kernel has sent so far.
    [[nodiscard]] uint64_t cuseRoundTrips();
    /// Over CUSE: removes the device, as a daemon that ends.
    void endCuse();

    /// The name of the transport in use.
    [[nodiscard]] static std::string transport();
    /// Whether DAEDALUS_TEST_KIND says that the node is one of the kind "jpeg"; it is a stateful one else.
    [[nodiscard]] static bool isJpeg();
    /// Whether DAEDALUS_TEST_PLANES says so.
    [[nodiscard]] static bool isSinglePlanar();

private:
    struct Server;
    std::unique_ptr<Client> openDirectly(int flags);
    void onLoop(const std::function<void()>& task);
    std::unique_ptr<codec::Factory> codecs_;
    bool converts_;  ///< clients are SinglePlanarClients
    EventLoop loop_;
    WorkerPool pool_;
    device::Device device_;
    ioctl::Node node_;
    std::unique_ptr<Server> server_;
    std::thread thread_;
};

}  // namespace daedalus::test
