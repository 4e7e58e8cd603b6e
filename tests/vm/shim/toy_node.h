// A CUSE node without a device behind it, to test the kernel shim by itself: what its ioctls mean is up to the test that holds
// the shim's control file.
#pragma once

#include <linux/ioctl.h>
#include <sys/types.h>

#include <cstdint>
#include <string>

#include "daedalus/base/unique_fd.h"

namespace daedalus::test {

/// Argument of the node's ioctls.
struct ToyArgument {
    int32_t value;
    int32_t fd;  ///< where a test has descriptors put
};

constexpr unsigned kToyNothing = _IOWR('t', 0, ToyArgument);  ///< answered at once
constexpr unsigned kToyHold = _IOWR('t', 1, ToyArgument);     ///< answered when someone releases it; may give descriptors
constexpr unsigned kToyRelease =
    _IOWR('t', 2, ToyArgument);  ///< answers what is held with `value` (0, -errno); sets it to how many
constexpr unsigned kToyFail = _IOWR('t', 3, ToyArgument);  ///< answered at once with EDOM
constexpr unsigned kToyName = _IOR('t', 4, uint64_t);      ///< what the shim has named this open file, or 0
constexpr unsigned kToyHeld = _IOR('t', 5, int32_t);       ///< how many calls of this open file are held

/// What the server answers to the shim's question.
enum class Hello : uint8_t { Yes, Zero, Wrong, Error };

/// A process that serves a node; the test gives the shim's commands.
class ToyNode {
public:
    /// Starts the server and waits until its node is there. Aborts the test if that takes too long.
    explicit ToyNode(Hello hello = Hello::Yes, const std::string& name = "daedalus-toy");
    /// Kills it.
    ~ToyNode();
    ToyNode(const ToyNode&) = delete;
    ToyNode& operator=(const ToyNode&) = delete;

    /// A new open file of the node.
    [[nodiscard]] UniqueFd open(int flags = 2 /* O_RDWR */) const;
    /// Attaches the node to the control file: 0 or an errno.
    [[nodiscard]] int attach(int control) const;
    /// As kill -9; returns when it is gone.
    void kill();
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
    pid_t server_ = -1;
};

}  // namespace daedalus::test
