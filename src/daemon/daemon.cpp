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
#include "daedalus/v4l2/node_name.h"

namespace daedalus::daemon {
namespace {

unsigned workers(const device::DeviceOptions& options) {
    return options.threads > 0 ? options.threads : std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace

NodeKinds defaultKinds() { return {&ioctl::nodeKinds().front()}; }

std::string parseKinds(const std::string& text, NodeKinds& into) {
    into.clear();
    for (size_t at = 0; at <= text.size();) {
        const std::string name = text.substr(at, text.find(',', at) - at);
        at += name.size() + 1;
        const ioctl::NodeKind* const kind = ioctl::findNodeKind(name);
        if (!kind) {
            std::string known;
            for (const auto& other : ioctl::nodeKinds()) known += (known.empty() ? "" : ", ") + std::string(other.name);
            return (name.empty() ? "an empty word" : name) + " is no kind of node; choose from " + known;
        }
        into.push_back(kind);
    }
    return {};
}

/// In the order in which they need each other; destroyed from the end.
struct Daemon::Impl {
    explicit Impl(const device::DeviceOptions& wanted)
        : options(device::withAccounts(wanted)),  // all nodes charge their sessions to one
          pool(workers(options)),
          codecs(codec::narrowed(codec::makeFfmpegFactory(), options.codecs)),
          nodes(loop, pool, *codecs) {}

    const device::DeviceOptions options;
    EventLoop loop;
    WorkerPool pool;
    std::unique_ptr<codec::Factory> codecs;
    ioctl::Registry nodes;
    std::vector<std::unique_ptr<transport::CuseNode>> cuse;
    std::unique_ptr<transport::SocketServer> server;
};

Daemon::Daemon(const device::DeviceOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Daemon::~Daemon() = default;

Result<std::shared_ptr<ioctl::Node>> Daemon::addNode(const ioctl::NodeKind& kind, const std::string& nodePath) {
    const auto number = v4l2::nodeNumber(nodePath);
    return number ? impl_->nodes.add(kind, *number, impl_->options) : fail(EINVAL);
}

Result<> Daemon::addCuse(ioctl::Node& node, const std::string& devicePath) {
    auto served = transport::serveCuse(impl_->loop, node, {.nodePath = devicePath});
    if (!served) return fail(served.error());
    // Without its device, the daemon would seem to serve: whoever watches it shall see that it does not.
    (*served)->onEnd([this] { stop(); });
    impl_->cuse.push_back(std::move(*served));
    return {};
}

Result<> Daemon::listen(const std::string& socketPath) {
    auto server = transport::listenSocket(impl_->loop, impl_->nodes, socketPath, impl_->options.accounts);
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
const ioctl::Registry& Daemon::nodes() const { return impl_->nodes; }

}  // namespace daedalus::daemon
