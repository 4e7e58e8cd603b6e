// `daedalus decode`: a V4L2 client that decodes a file.
#pragma once

#include <cstdint>
#include <string>

#include "daedalus/device/device.h"

namespace daedalus::tools {

struct DecodeOptions {
    /// "/dev/videoN"; empty: the first that decodes the stream.
    std::string device;
    /// A decoder in this process, without any node.
    bool inProcess = false;
    /// The CAPTURE format, by its name or its fourcc; empty: the native one.
    std::string capture;
    /// Frames are hashed and written in FFmpeg's own order of planes, whatever the CAPTURE format.
    bool native = false;
    /// "mmap", "userptr" or "dmabuf".
    std::string memory = "mmap";
    /// With "dmabuf": the V4L2 device whose buffers are used; empty: the host's allocator.
    std::string exportDevice;
    /// Where framemd5 lines go: a file, "-" for stdout, or empty.
    std::string frameMd5;
    /// Where raw frames go: a file, "-" for stdout, or empty.
    std::string output;
    /// Damaged frames before the first key frame count, too.
    bool outputCorrupt = false;
    /// Stops after so many frames; 0: all.
    uint64_t frames = 0;
    /// Seconds without progress after which the node is given up.
    unsigned timeoutSeconds = 10;
    std::string input;
    device::DeviceOptions decoder;  ///< the one in this process
};

/// Returns the exit status.
[[nodiscard]] int decodeMain(const DecodeOptions& options);

}  // namespace daedalus::tools
