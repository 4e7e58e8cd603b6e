// The values of a stateless decoder's compound controls: what the kernel's v4l2-ctrls-core.c sets them to, refuses, and clears.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "daedalus/base/result.h"

namespace daedalus::device {

/// The value of a control before any was set.
[[nodiscard]] std::vector<std::byte> defaultUnitValue(uint32_t id);

/// Clears in a value (of the control's size) what does not apply to it. EINVAL for one that cannot be.
[[nodiscard]] Result<> normaliseUnitValue(uint32_t id, std::span<std::byte> value);

}  // namespace daedalus::device
