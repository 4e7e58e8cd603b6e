// The nodes of this process: everything between a transport and the codec, put together.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/result.h"
#include "daedalus/codec/decoder.h"
#include "daedalus/device/device.h"
#include "daedalus/ioctl/node.h"
#include "daedalus/ioctl/registry.h"

namespace daedalus::daemon {

/// Nodes by their kinds, as the command line names them.
using NodeKinds = std::vector<const ioctl::NodeKind*>;
/// What --nodes has where nobody says it.
[[nodiscard]] NodeKinds defaultKinds();
/// "KIND[,KIND...]", or what is wrong with the text.
[[nodiscard]] std::string parseKinds(const std::string& text, NodeKinds& into);

/// Owns the loop, the workers, the codecs and the nodes. Everything but stop() belongs to the thread that calls run(), or to
/// any one thread before that.
class Daemon {
public:
    /// Each of its nodes follows `options`.
    explicit Daemon(const device::DeviceOptions& options);
    ~Daemon();
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    /// Adds a node that clients of the socket find at `nodePath`. Errors as ioctl::Registry::add().
    [[nodiscard]] Result<std::shared_ptr<ioctl::Node>> addNode(const ioctl::NodeKind& kind, const std::string& nodePath);
    /// Takes clients of the preload library at a socket of this path, and shows them the nodes. EADDRINUSE if another daemon is
    /// alive there.
    [[nodiscard]] Result<> listen(const std::string& socketPath);
    /// Serves a node as the character device `devicePath` ("/dev/videoN") too, by CUSE. Errors as transport::serveCuse().
    [[nodiscard]] Result<> addCuse(ioctl::Node& node, const std::string& devicePath);
    /// Serves until stop().
    void run();
    /// Ends run(). Any thread.
    void stop();

    /// Open files of the socket's clients.
    [[nodiscard]] size_t sessions() const;
    /// Calls `callback` each time sessions() falls to 0. After listen().
    void onIdle(std::function<void()> callback);

    /// True if the libavcodec of this machine decodes it.
    [[nodiscard]] bool decodes(v4l2::Codec codec) const;
    /// libavcodec's name of the decoder, or nullptr if it has none.
    [[nodiscard]] const char* decoderName(v4l2::Codec codec) const;

    [[nodiscard]] EventLoop& loop();
    [[nodiscard]] const ioctl::Registry& nodes() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace daedalus::daemon
