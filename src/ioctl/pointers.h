// The pointers inside an argument while a handler runs: they lead to the gathered copies, not to the client.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/ioctl/call.h"
#include "proto/follow.h"

namespace daedalus::ioctl {

/// Checks that what the transport gathered is what the argument says: EINVAL for too many elements, EFAULT for missing ones.
[[nodiscard]] Result<> checkNested(proto::Follow follow, const Payload& payload);

/// Replaces the client's pointers by local ones (null where nothing was gathered) for its lifetime.
class LocalPointers {
public:
    LocalPointers(proto::Follow follow, Payload& payload);
    ~LocalPointers();
    LocalPointers(const LocalPointers&) = delete;
    LocalPointers& operator=(const LocalPointers&) = delete;

private:
    void replace(std::byte* field, const void* local);

    struct Saved {
        std::byte* field;
        uint64_t client;
    };
    std::array<Saved, proto::kMaxArrays> argument_{};
    size_t argumentCount_ = 0;
    std::vector<Saved> nested_;
};

}  // namespace daedalus::ioctl
