// The ioctl table: one row per ioctl, and nothing else in the program lists ioctls.
#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <string>

#include "daedalus/base/result.h"
#include "daedalus/device/handlers.h"
#include "proto/follow.h"

namespace daedalus::ioctl {

/// Whether a call that answers EAGAIN is parked.
enum class Wait : uint8_t {
    Never,
    IfBlocking,  ///< unless the file is O_NONBLOCK
    Always,      ///< until a worker has let go, whatever the file says
};

/// One ioctl.
struct Row {
    uint32_t cmd = 0;
    const char* name = nullptr;
    proto::Follow follow = proto::Follow::None;
    /// Bytes of the argument that are the client's input; the rest is cleared before the handler sees it.
    uint32_t keep = 0;
    bool priority = false;     ///< refused with EBUSY while another session has a higher priority
    bool copyOnError = false;  ///< the argument goes back to the client on errors, too
    Wait wait = Wait::Never;
    Result<> (*run)(device::Session&, void* argument, device::CallContext&) = nullptr;
    /// The same for a client of the single-planar API.
    Result<> (*runSinglePlanar)(device::Session&, void* argument, device::CallContext&) = nullptr;
    void (*print)(std::string& out, const void* argument) = nullptr;
};

/// All rows.
[[nodiscard]] std::span<const Row> table();
/// The row of a number, or nullptr; all bits of `cmd` must match.
[[nodiscard]] const Row* findRow(uint32_t cmd);

/// Which rows a node answers, by their index in table(); others are ENOTTY there.
using ValidRows = std::bitset<64>;
/// A stateful decoder answers all of today's rows.
[[nodiscard]] ValidRows statefulRows();

}  // namespace daedalus::ioctl
