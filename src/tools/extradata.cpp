#include "extradata.h"

#include <algorithm>

#include "container_traits.h"

namespace daedalus::tools {

std::vector<std::byte> withExtradata(v4l2::Codec codec, std::span<const std::byte> extradata, std::span<const std::byte> unit) {
    const ContainerTraits& traits = containerTraitsOf(codec);
    const auto parameters = traits.streamable(extradata);
    if (parameters.empty() || !std::ranges::search(unit, parameters).empty()) return {};
    const size_t head = traits.ahead(unit);
    std::vector<std::byte> whole;
    whole.reserve(parameters.size() + unit.size());
    whole.insert(whole.end(), unit.begin(), unit.begin() + static_cast<std::ptrdiff_t>(head));
    whole.insert(whole.end(), parameters.begin(), parameters.end());
    whole.insert(whole.end(), unit.begin() + static_cast<std::ptrdiff_t>(head), unit.end());
    return whole;
}

}  // namespace daedalus::tools
