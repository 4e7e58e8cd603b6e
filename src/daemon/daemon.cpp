#include "daedalus/daemon/daemon.h"

#include <algorithm>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daedalus/base/worker_pool.h"
#include "daedalus/codec/narrowed.h"
#include "daedalus/transport/cuse.h"
#include "daedalus/transport/socket.h"

namespace daedalus::daemon {
namespace {

unsigned workers(const device::DeviceOptions& options) {
    return options.threads > 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
}

/// `number` tells the nodes of one daemon apart.
device::DeviceOptions numbered(device::DeviceOptions options, size_t number) {
    options.busInfo = "platform:daedalus-" + std::to_string(number);
    return options;
}

std::string cardOf(const device::DeviceOptions& options) { return options.card.empty() ? options.kind->card : options.card; }

}  // namespace

/// In the order in which they need each other; destroyed from the end.
struct Daemon::Impl {
    explicit Impl(const device::DeviceOptions& options)
        : options(options),
          pool(workers(options)),
          codecs(codec::narrowed(codec::makeFfmpegFactory(), options.codecs)),
          device(loop, pool, *codecs, numbered(options, 0)),
          node(device) {}

    /// A node beside the first.
    struct Further {
        Further(Impl& impl, size_t number)
            : device(impl.loop, impl.pool, *impl.codecs, numbered(impl.options, number)), node(device) {}
        device::Device device;
        ioctl::Node node;
    };

    const device::DeviceOptions options;
    EventLoop loop;
    WorkerPool pool;
    std::unique_ptr<codec::Factory> codecs;
    device::Device device;
    ioctl::Node node;
    std::vector<std::unique_ptr<Further>> further;
    std::vector<std::unique_ptr<transport::CuseNode>> cuse;
    std::unique_ptr<transport::SocketServer> server;
};

Daemon::Daemon(const device::DeviceOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Daemon::~Daemon() = default;

Result<> Daemon::addCuse(const std::string& nodePath) {
    std::unique_ptr<Impl::Further> further;
    if (!impl_->cuse.empty()) further = std::make_unique<Impl::Further>(*impl_, impl_->cuse.size());
    ioctl::Node& node = further ? further->node : impl_->node;
    auto served = transport::serveCuse(impl_->loop, node, {.nodePath = nodePath});
    if (!served) return fail(served.error());
    // Without its device, the daemon would seem to serve: whoever watches it shall see that it does not.
    (*served)->onEnd([this] { stop(); });
    if (further) impl_->further.push_back(std::move(further));
    impl_->cuse.push_back(std::move(*served));
    return {};
}

Result<> Daemon::listen(const std::string& socketPath, const std::string& nodePath) {
    auto server =
        transport::listenSocket(impl_->loop, impl_->node, socketPath, {.nodePath = nodePath, .card = cardOf(impl_->options)});
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
const char* Daemon::decoderName(v4l2::Codec codec) const { return impl_->codecs->decoderName(codec); }

EventLoop& Daemon::loop() { return impl_->loop; }
ioctl::Node& Daemon::node() { return impl_->node; }

}  // namespace daedalus::daemon
