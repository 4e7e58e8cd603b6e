// One decoder node in this process: everything between a transport and the codec, put together.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/result.h"
#include "daedalus/codec/decoder.h"
#include "daedalus/device/device.h"
#include "daedalus/ioctl/node.h"

namespace daedalus::daemon {

/// Owns the loop, the workers, the codecs, the device and its node. Everything but stop() belongs to the thread that calls
/// run(), or to any one thread before that.
class Daemon {
public:
    /// Each of its nodes follows `options`.
    explicit Daemon(const device::DeviceOptions& options);
    ~Daemon();
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    /// Takes clients of the preload library at a socket of this path, and shows them the node at `nodePath`. EADDRINUSE if
    /// another daemon is alive there.
    [[nodiscard]] Result<> listen(const std::string& socketPath, const std::string& nodePath);
    /// Serves the character device `nodePath` ("/dev/videoN") too, by CUSE. The first one and the socket are one node; each
    /// further one has sessions and priorities of its own. Errors as transport::serveCuse().
    [[nodiscard]] Result<> addCuse(const std::string& nodePath);
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
    [[nodiscard]] ioctl::Node& node();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace daedalus::daemon
