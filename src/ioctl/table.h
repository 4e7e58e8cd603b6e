// The ioctl table: one row per ioctl, and nothing else in the program lists ioctls.
#pragma once

#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <type_traits>

#include "daedalus/base/result.h"
#include "daedalus/device/handlers.h"
#include "daedalus/ioctl/call_traits.h"
#include "daedalus/ioctl/node_kind.h"

namespace daedalus::ioctl {

/// Whether a call that answers EAGAIN is parked.
enum class Wait : uint8_t {
    Never,
    IfBlocking,  ///< unless the file is O_NONBLOCK
    Briefly,     ///< the same; where it does not wait, or is interrupted, the handler answers without (CallContext::mayWait)
    Always,      ///< until a worker has let go, whatever the file says
};

/// Some of the kinds of files.
class FileKinds {
public:
    constexpr FileKinds(std::initializer_list<FileKind> kinds) {
        for (const FileKind kind : kinds) bits_ |= bitOf(kind);
    }
    [[nodiscard]] constexpr bool contains(FileKind kind) const { return (bits_ & bitOf(kind)) != 0; }

private:
    static constexpr uint8_t bitOf(FileKind kind) { return static_cast<uint8_t>(1U << static_cast<unsigned>(kind)); }
    uint8_t bits_ = 0;
};

/// Whose ioctl it is: one of these, by the kind of the file.
struct Target {
    device::Session* session = nullptr;
    media::Device* media = nullptr;
    media::Request* request = nullptr;

    template <class T>
    [[nodiscard]] T& as() const {
        if constexpr (std::is_same_v<T, device::Session>) {
            return *session;
        } else if constexpr (std::is_same_v<T, media::Device>) {
            return *media;
        } else {
            return *request;
        }
    }
};

/// One ioctl.
struct Row {
    uint32_t cmd = 0;
    const char* name = nullptr;
    /// The files that take it; for others it is ENOTTY.
    FileKinds kinds;
    CallTraits traits;
    /// Bytes of the argument that are the client's input; the rest is cleared before the handler sees it.
    uint32_t keep = 0;
    bool priority = false;     ///< refused with EBUSY while another session has a higher priority
    bool copyOnError = false;  ///< the argument goes back to the client on errors, too
    Wait wait = Wait::Never;
    int nothingThere = EAGAIN;  ///< what a non-blocking file gets instead of waiting
    Result<> (*run)(const Target&, void* argument, device::CallContext&) = nullptr;
    /// The same for a client of the single-planar API.
    Result<> (*runSinglePlanar)(const Target&, void* argument, device::CallContext&) = nullptr;
    void (*print)(std::string& out, const void* argument) = nullptr;
};

/// All rows.
[[nodiscard]] std::span<const Row> table();
/// The row by which a file of that kind takes a number, or nullptr; all bits of `cmd` must match.
[[nodiscard]] const Row* findRow(FileKind kind, uint32_t cmd);

}  // namespace daedalus::ioctl
