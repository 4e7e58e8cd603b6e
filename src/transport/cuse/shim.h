// The kernel module daedalus-shim (subprojects/daedalus-shim), as one device uses it: what CUSE lacks, where the module is
// there.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"
#include "daedalus/transport/cuse.h"

namespace daedalus::transport::cuse {

/// Attaches the device to the module, whenever that is loaded, and knows the files that were opened since. Loop thread.
class Shim final : public CuseExtension {
public:
    /// `nodePath`: "/dev/videoN".
    Shim(EventLoop& loop, std::string nodePath);
    /// The device must have ended before: an attempt under way waits for its answers.
    ~Shim() override;
    Shim(const Shim&) = delete;
    Shim& operator=(const Shim&) = delete;

    /// Begins to attach, if the module of our version is there and this was not done before. The module asks the device
    /// meanwhile, so that somebody else must wait for it: a process that shares nothing with us. A thread would hold /dev/cuse
    /// open, or hold up our end, if we died before we had answered, and the kernel would wait for that answer for ever.
    void begin();
    /// Calls `serve` (which answers requests of the device, and waits no longer than it is told) until the attempt under way
    /// has ended.
    void finish(const std::function<void(std::chrono::milliseconds atMost)>& serve);
    /// True if the thread is the process of begin(), which opens the device but is no client.
    [[nodiscard]] bool isOwn(pid_t tid) const { return tid > 0 && tid == attacher_; }

    /// Errors of these are those of the module's commands (proto/daedalus_shim.h).
    Result<> bind(uint64_t file, uint64_t offset, int memfd) override;
    void unbind(uint64_t file, uint64_t offset) override;
    /// A memfd becomes a dma-buf.
    Result<> give(uint64_t file, const ioctl::PassedFd& passed) override;
    /// The module's question (DAEDALUS_SHIM_HELLO) is answered to the process of begin() only. A client that makes up a name
    /// (DAEDALUS_SHIM_NAME) finds no file by it.
    std::optional<OwnCall> ownCall(pid_t tid, uint32_t cmd, uint64_t argument) override;

private:
    enum class State : uint8_t { Idle, Attaching, Attached, Refused };

    /// Learns how the process of begin() has ended; false if it has not (with WNOHANG).
    bool reap(int waitFlags);
    void refuse(const std::string& thing, int error, const char* advice);
    /// The module there speaks another version (0: it does not tell): it may be replaced while we run.
    void leave(uint32_t version);

    EventLoop& loop_;
    const std::string nodePath_;
    State state_ = State::Idle;
    UniqueFd control_;
    std::optional<uint32_t> foreignVersion_;  ///< of the last module that was not ours
    pid_t attacher_ = 0;                      ///< while it is at it
    UniqueFd attacherFd_;
    EventLoop::Registration watch_;
};

}  // namespace daedalus::transport::cuse
