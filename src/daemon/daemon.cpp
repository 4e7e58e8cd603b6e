#include "daedalus/daemon/daemon.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "daedalus/base/worker_pool.h"
#include "daedalus/device/device.h"
#include "daedalus/transport/socket.h"

namespace daedalus::daemon {
namespace {

unsigned workers(const DaemonOptions& options) {
    return options.threads > 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
}

device::DeviceOptions deviceOptions(const DaemonOptions& options) {
    device::DeviceOptions device;
    device.threads = options.threads;
    device.threadType = options.threadType;
    return device;
}

}  // namespace

/// In the order in which they need each other; destroyed from the end.
struct Daemon::Impl {
    explicit Impl(const DaemonOptions& options)
        : nodePath(options.nodePath),
          pool(workers(options)),
          codecs(codec::makeFfmpegFactory()),
          device(loop, pool, *codecs, deviceOptions(options)),
          node(device) {}

    std::string nodePath;
    EventLoop loop;
    WorkerPool pool;
    std::unique_ptr<codec::Factory> codecs;
    device::Device device;
    ioctl::Node node;
    std::unique_ptr<transport::SocketServer> server;
};

Daemon::Daemon(const DaemonOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Daemon::~Daemon() = default;

Result<> Daemon::listen(const std::string& socketPath) {
    auto server = transport::listenSocket(impl_->loop, impl_->node, socketPath, {.nodePath = impl_->nodePath});
    if (!server) return fail(server.error());
    impl_->server = std::move(*server);
    return {};
}

void Daemon::run() { impl_->loop.run(); }
void Daemon::stop() { impl_->loop.stop(); }
size_t Daemon::sessions() const { return impl_->server ? impl_->server->sessions() : 0; }

void Daemon::onIdle(std::function<void()> callback) {
    if (impl_->server) impl_->server->onIdle(std::move(callback));
}

bool Daemon::decodes(v4l2::Codec codec) const { return impl_->codecs->supports(codec); }

EventLoop& Daemon::loop() { return impl_->loop; }
ioctl::Node& Daemon::node() { return impl_->node; }

}  // namespace daedalus::daemon
