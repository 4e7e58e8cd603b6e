// The kinds of nodes, as data.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "daedalus/base/result.h"
#include "daedalus/device/decoder_kind.h"
#include "daedalus/ioctl/file.h"

namespace daedalus::device {
class Device;
}

namespace daedalus::ioctl {

/// What a file is an open of. A row of the ioctl table says for which of these it is valid.
enum class FileKind : uint8_t { Stateful, Jpeg, Stateless, Media, Request };
inline constexpr size_t kFileKinds = 5;

/// One kind of node: a line of the table.
struct NodeKind {
    const char* name;  ///< as the command line says it
    FileKind files;    ///< whose rows its files have
    const device::DecoderKind* decoder;
    /// Makes a file of a device of that kind. The device admits the client before.
    std::unique_ptr<File> (*open)(device::Device& device, FileKind kind, std::string client, uid_t user);
};

/// All kinds, the default first.
[[nodiscard]] std::span<const NodeKind> nodeKinds();
/// The kind of that name, or nullptr.
[[nodiscard]] const NodeKind* findNodeKind(std::string_view name);

}  // namespace daedalus::ioctl
