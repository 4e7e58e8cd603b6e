// What an open file asks of a CuseExtension: which memory can be mapped at which offset, and descriptors for the client.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>

#include "daedalus/ioctl/call_traits.h"
#include "daedalus/ioctl/node.h"
#include "daedalus/transport/cuse.h"

namespace daedalus::transport::cuse {

/// One open file's dealings with the extension. Loop thread.
class Extended {
public:
    explicit Extended(CuseExtension& extension) : extension_(extension) {}

    /// The extension has told a name for the file. The first one counts: later ones come from the client.
    void named(uint64_t file) {
        if (!file_) file_ = file;
    }
    /// False for a file that has to do without the extension.
    [[nodiscard]] bool reaches() const { return file_.has_value(); }
    /// A call is about to be answered without an error: QUERYBUF makes its planes mappable, freed buffers stop to be,
    /// descriptors are given. 0, or the errno to answer instead.
    [[nodiscard]] int answered(const ioctl::CallTraits& traits, const ioctl::File& file, const ioctl::Answer& answer);

private:
    [[nodiscard]] int bindPlanes(uint64_t name, const ioctl::File& file, const ioctl::Payload& payload);
    void unbindFreed(uint64_t name, const ioctl::File& file);

    CuseExtension& extension_;
    std::optional<uint64_t> file_;
    std::map<uint64_t, std::weak_ptr<memory::Memory>> bound_;  ///< by offset
};

}  // namespace daedalus::transport::cuse
