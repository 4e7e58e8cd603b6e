// The topology of a mem2mem decoder's media device, as the kernel's v4l2_m2m_register_media_controller() makes it. It never
// changes, so that who gathers a caller's arrays knows how long they are. As proto/follow.h: plain code over UAPI structs.
#pragma once

#include <linux/media.h>

#include <cstddef>
#include <cstdint>

namespace daedalus::proto {

/// Ids are unique over all kinds of objects.
inline constexpr uint32_t kSourceEntity = 1;
inline constexpr uint32_t kDecoderEntity = 2;
inline constexpr uint32_t kSinkEntity = 3;
inline constexpr uint32_t kVideoInterface = 8;

struct TopologyPad {
    uint32_t id;
    uint32_t entity;
    uint16_t index;
    uint32_t flags;
};
inline constexpr TopologyPad kTopologyPads[] = {
    {4, kSourceEntity, 0, MEDIA_PAD_FL_SOURCE},
    {5, kDecoderEntity, 0, MEDIA_PAD_FL_SINK},
    {6, kDecoderEntity, 1, MEDIA_PAD_FL_SOURCE},
    {7, kSinkEntity, 0, MEDIA_PAD_FL_SINK},
};

struct TopologyLink {
    uint32_t id;
    uint32_t source;  ///< a pad, or an interface
    uint32_t sink;    ///< a pad, or an entity
    uint32_t flags;
};
inline constexpr uint32_t kFixedLink = MEDIA_LNK_FL_ENABLED | MEDIA_LNK_FL_IMMUTABLE;
inline constexpr TopologyLink kTopologyLinks[] = {
    {9, 4, 5, kFixedLink},
    {10, 6, 7, kFixedLink},
    {11, kVideoInterface, kSourceEntity, kFixedLink | MEDIA_LNK_FL_INTERFACE_LINK},
    {12, kVideoInterface, kSinkEntity, kFixedLink | MEDIA_LNK_FL_INTERFACE_LINK},
};

inline constexpr uint32_t kTopologyEntityCount = 3;
inline constexpr uint32_t kTopologyInterfaceCount = 1;
inline constexpr uint32_t kTopologyPadCount = sizeof kTopologyPads / sizeof *kTopologyPads;
inline constexpr uint32_t kTopologyLinkCount = sizeof kTopologyLinks / sizeof *kTopologyLinks;

/// The pad of that id, or nullptr.
inline constexpr const TopologyPad* findPad(uint32_t id) {
    for (const auto& pad : kTopologyPads)
        if (pad.id == id) return &pad;
    return nullptr;
}

/// Pads of an entity, and links that begin at one of them.
inline constexpr uint32_t padsOf(uint32_t entity) {
    uint32_t count = 0;
    for (const auto& pad : kTopologyPads) count += pad.entity == entity ? 1 : 0;
    return count;
}
inline constexpr uint32_t linksOf(uint32_t entity) {
    uint32_t count = 0;
    for (const auto& link : kTopologyLinks) {
        const TopologyPad* const pad = findPad(link.source);
        count += pad != nullptr && pad->entity == entity ? 1 : 0;
    }
    return count;
}

}  // namespace daedalus::proto
