#include "target_check.h"

namespace daedalus::codec {

bool targetFits(const CaptureTarget& target, const StreamFormat& format) {
    if (!target.format || v4l2::fitOf(*target.format, format.sampling()) == v4l2::Fit::None) return false;
    const v4l2::FrameLayout& layout = target.layout;
    if (layout.width != format.codedWidth || layout.height != format.codedHeight) return false;
    if (layout.components != target.format->colorPlanes) return false;
    // Widths and heights come from the table, not from the caller; strides and offsets are the caller's.
    const v4l2::FrameLayout own = v4l2::layoutOf(*target.format, layout.width, layout.height);
    for (uint32_t i = 0; i < own.components; ++i) {
        const v4l2::ComponentLayout& component = layout.component[i];
        if (component.memoryPlane >= target.planes.size()) return false;
        if (component.width != own.component[i].width || component.height != own.component[i].height) return false;
        const std::span<std::byte> plane = target.planes[component.memoryPlane];
        const size_t sampleBytes = target.format->sampleBytes;
        constexpr size_t kWidest = size_t{1} << 20;
        if (component.stride < component.width || component.stride > kWidest || component.stride % sampleBytes != 0)
            return false;
        if (component.offset > plane.size()) return false;
        if (reinterpret_cast<uintptr_t>(plane.data() + component.offset) % sampleBytes != 0) return false;
        const size_t needed = component.stride * (component.height - 1) + component.width;
        if (needed > plane.size() - component.offset) return false;
    }
    return true;
}

}  // namespace daedalus::codec
