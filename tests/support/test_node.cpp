#include "test_node.h"

#include <fcntl.h>
#include <cstdlib>
#include <future>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "cuse_client.h"
#include "daedalus/transport/cuse.h"
#include "daedalus/transport/socket.h"
#include "fd_client.h"
#include "proto/wire.h"
#include "single_planar_client.h"

namespace daedalus::test {
namespace {

class InprocClient final : public Client {
public:
    explicit InprocClient(std::unique_ptr<transport::InprocFile> file) : file_(std::move(file)) {}
    int ioctl(unsigned long cmd, void* argument) override { return file_->ioctl(cmd, argument) == 0 ? 0 : errno; }
    void* mmap(size_t length, int protection, uint64_t offset) override { return file_->mmap(length, protection, offset); }
    short poll(short events, int timeoutMs) override {
        short got = 0;
        return file_->poll(events, &got, timeoutMs) > 0 ? got : short{0};
    }
    void setNonblocking(bool nonblocking) override { file_->setNonblocking(nonblocking); }

private:
    std::unique_ptr<transport::InprocFile> file_;
};

/// Of all memory together, if a test does not say it: what it sees shall not depend on the machine, as the default does.
/// Imports of much memory are sparse.
constexpr uint64_t kMemory = uint64_t{64} << 30;

/// The options of a node: single-planar where the clients are, and of the kind that the environment names.
device::DeviceOptions inForce(device::DeviceOptions options, bool converts) {
    if (options.limits.totalMemory == 0) options.limits.totalMemory = kMemory;
    if (converts) options.planes = v4l2::PlanesApi::Single;
    if (TestNode::isJpeg()) options.kind = &device::kJpegDecoder;
    return options;
}

}  // namespace

struct TestNode::Server {
    std::unique_ptr<transport::SocketServer> socket;
    CuseMappings mappings;
    std::unique_ptr<transport::CuseNode> cuse;
    bool isMapped = false;  ///< by the kernel module: `mappings` are not needed
    std::string path;
};

std::string TestNode::transport() {
    const char* name = std::getenv("DAEDALUS_TEST_TRANSPORT");
    return name ? name : "inproc";
}

bool TestNode::isSinglePlanar() {
    const char* planes = std::getenv("DAEDALUS_TEST_PLANES");
    return planes && std::string_view(planes) == "single";
}

bool TestNode::isJpeg() {
    const char* kind = std::getenv("DAEDALUS_TEST_KIND");
    return kind && std::string_view(kind) == "jpeg";
}

TestNode::TestNode(std::unique_ptr<codec::Factory> codecs, unsigned threads, device::DeviceOptions options)
    : codecs_(std::move(codecs)),
      converts_(isSinglePlanar() && options.planes == v4l2::PlanesApi::Multi),
      pool_(threads),
      device_(loop_, pool_, *codecs_, inForce(std::move(options), converts_)),
      node_(device_),
      server_(std::make_unique<Server>()) {
    if (transport() == "socket" || transport() == "notify") {
        const char* path = std::getenv(proto::kSocketVariable);
        if (!path) throw std::runtime_error("the socket transport needs a path in the environment");
        // Always the same: the library in this process asks for the path once, and would take the last node for one of the
        // host.
        auto socket = transport::listenSocket(loop_, node_, path, {.nodePath = "/dev/video250", .hasSysfs = false});
        if (!socket) throw std::runtime_error("cannot listen at the socket");
        server_->socket = *std::move(socket);
        server_->path = server_->socket->nodePath();
    }
    if (transport() == "cuse" || transport() == "shim") {
        server_->isMapped = transport() == "shim";
        auto cuse = transport::serveCuse(
            loop_, node_, {.nodePath = "/dev/video250", .extension = server_->isMapped ? nullptr : &server_->mappings});
        if (!cuse) throw std::runtime_error("cannot serve /dev/video250 by CUSE");
        server_->cuse = *std::move(cuse);
        server_->path = server_->cuse->nodePath();
    }
    thread_ = std::thread([this] { loop_.run(); });
}

TestNode::~TestNode() {
    loop_.post([this] {
        server_->socket.reset();
        server_->cuse.reset();
        loop_.stop();
    });
    thread_.join();
}

void TestNode::onLoop(const std::function<void()>& task) {
    std::promise<void> done;
    loop_.post([&] {
        task();
        done.set_value();
    });
    done.get_future().wait();
}

void TestNode::unplug() {
    onLoop([this] { node_.unplug(); });
}

uint64_t TestNode::cuseRoundTrips() {
    uint64_t trips = 0;
    onLoop([&] { trips = server_->cuse->roundTrips(); });
    return trips;
}

void TestNode::endCuse() {
    onLoop([this] { server_->cuse.reset(); });
}

std::unique_ptr<Client> TestNode::open(int flags) {
    auto client = openDirectly(flags);
    if (converts_) return std::make_unique<SinglePlanarClient>(std::move(client));
    return client;
}

std::unique_ptr<Client> TestNode::openDirectly(int flags) {
    if (!server_->path.empty()) {
        UniqueFd fd(::open(server_->path.c_str(), O_RDWR | O_CLOEXEC | flags));
        if (!fd) throw std::runtime_error("cannot open the node");
        if (server_->cuse && !server_->isMapped) return std::make_unique<CuseClient>(std::move(fd), server_->mappings);
        return std::make_unique<FdClient>(std::move(fd));
    }
    auto file = transport::openInproc(loop_, node_, flags);
    if (!file) throw std::runtime_error("cannot open the node");
    return std::make_unique<InprocClient>(*std::move(file));
}

}  // namespace daedalus::test
