// What the preload library and the supervisor of notified calls (src/transport/notify) say to each other.
#pragma once

#include <cstdint>

namespace daedalus::proto {

/// In the upper half of poll()'s and ppoll()'s count and of epoll_ctl()'s operation, of which the kernel takes the lower half:
/// the library has seen to files of ours in this call, so that nobody need be asked.
inline constexpr uint32_t kServedByLibrary = 0x64616564;

}  // namespace daedalus::proto
