// The ioctls of a media device and of a request.
#include <linux/media.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "daedalus/device/handlers.h"
#include "proto/media.h"

namespace daedalus::device {
namespace {

constexpr uint32_t kApiVersion = (6U << 16) | (10U << 8);
constexpr const char* kEntitySuffixes[] = {"-source", "-proc", "-sink"};

template <class Field>
void copyText(Field& to, const std::string& from) {
    std::memcpy(to, from.data(), std::min(from.size(), sizeof to - 1));
}

/// Names are unique within 31 bytes.
std::string nameOf(const media::Device& device, uint32_t entity) {
    return "video" + std::to_string(device.identity().videoMinor) + kEntitySuffixes[entity - 1];
}

uint32_t functionOf(uint32_t entity) {
    return entity == proto::kDecoderEntity ? MEDIA_ENT_F_PROC_VIDEO_DECODER : MEDIA_ENT_F_IO_V4L;
}

void describe(const media::Device& device, media_v2_entity (&entities)[proto::kTopologyEntityCount]) {
    for (uint32_t i = 0; i < proto::kTopologyEntityCount; ++i) {
        entities[i].id = i + 1;
        entities[i].function = functionOf(i + 1);
        copyText(entities[i].name, nameOf(device, i + 1));
    }
}

/// Fills an array that the caller wants.
template <class T, size_t N>
void put(const T (&from)[N], uint64_t pointer) {
    if (pointer != 0) std::memcpy(reinterpret_cast<void*>(static_cast<uintptr_t>(pointer)), from, sizeof from);
}

template <class Desc>
Desc padOf(const proto::TopologyPad& pad) {
    Desc desc{};
    desc.entity = pad.entity;
    desc.index = pad.index;
    desc.flags = pad.flags;
    return desc;
}

}  // namespace

Result<> device_info(media::Device& device, media_device_info& info, CallContext&) {
    const auto& identity = device.identity();
    copyText(info.driver, identity.driver);
    copyText(info.model, identity.model);
    copyText(info.bus_info, identity.busInfo);
    info.media_version = kApiVersion;
    info.driver_version = kApiVersion;
    return {};
}

Result<> enum_entities(media::Device& device, media_entity_desc& desc, CallContext&) {
    const uint32_t wanted = desc.id & ~uint32_t{MEDIA_ENT_ID_FLAG_NEXT};
    const uint32_t id = (desc.id & MEDIA_ENT_ID_FLAG_NEXT) != 0 ? wanted + 1 : wanted;
    if (id == 0 || id > proto::kTopologyEntityCount || wanted > proto::kTopologyEntityCount) return fail(EINVAL);
    desc = {};
    desc.id = id;
    copyText(desc.name, nameOf(device, id));
    desc.type = functionOf(id);
    desc.pads = static_cast<__u16>(proto::padsOf(id));
    desc.links = static_cast<__u16>(proto::linksOf(id));
    if (id != proto::kDecoderEntity) {
        desc.dev.major = device.identity().videoMajor;
        desc.dev.minor = device.identity().videoMinor;
    } else {
        // What is no device node tells its function by the old numbers.
        desc.type = MEDIA_ENT_T_DEVNODE_UNKNOWN;
    }
    return {};
}

Result<> enum_links(media::Device&, media_links_enum& links, CallContext&) {
    if (links.entity == 0 || links.entity > proto::kTopologyEntityCount) return fail(EINVAL);
    std::ranges::fill(links.reserved, 0U);
    auto* pad = links.pads;
    auto* link = links.links;
    for (const auto& known : proto::kTopologyPads)
        if (pad && known.entity == links.entity) *pad++ = padOf<media_pad_desc>(known);
    for (const auto& known : proto::kTopologyLinks) {
        const auto* const source = proto::findPad(known.source);
        if (!link || !source || source->entity != links.entity) continue;
        *link = {};
        link->source = padOf<media_pad_desc>(*source);
        link->sink = padOf<media_pad_desc>(*proto::findPad(known.sink));
        link->flags = known.flags;
        ++link;
    }
    return {};
}

Result<> setup_link(media::Device&, media_link_desc& wanted, CallContext&) {
    std::ranges::fill(wanted.reserved, 0U);
    const auto isOf = [](const media_pad_desc& desc, uint32_t id) {
        const auto* const pad = proto::findPad(id);
        return pad && pad->entity == desc.entity && pad->index == desc.index;
    };
    for (const auto& link : proto::kTopologyLinks)
        if (isOf(wanted.source, link.source) && isOf(wanted.sink, link.sink))
            return wanted.flags == link.flags ? Result<>{} : fail(EINVAL);
    return fail(EINVAL);
}

Result<> g_topology(media::Device& device, media_v2_topology& topology, CallContext&) {
    media_v2_entity entities[proto::kTopologyEntityCount] = {};
    media_v2_interface interfaces[proto::kTopologyInterfaceCount] = {};
    media_v2_pad pads[proto::kTopologyPadCount] = {};
    media_v2_link links[proto::kTopologyLinkCount] = {};
    describe(device, entities);
    interfaces[0].id = proto::kVideoInterface;
    interfaces[0].intf_type = MEDIA_INTF_T_V4L_VIDEO;
    interfaces[0].devnode = {device.identity().videoMajor, device.identity().videoMinor};
    for (uint32_t i = 0; i < proto::kTopologyPadCount; ++i) {
        const auto& pad = proto::kTopologyPads[i];
        pads[i].id = pad.id;
        pads[i].entity_id = pad.entity;
        pads[i].flags = pad.flags;
        pads[i].index = pad.index;
    }
    for (uint32_t i = 0; i < proto::kTopologyLinkCount; ++i) {
        const auto& link = proto::kTopologyLinks[i];
        links[i].id = link.id;
        links[i].source_id = link.source;
        links[i].sink_id = link.sink;
        links[i].flags = link.flags;
    }
    const auto tooShort = [](uint64_t pointer, uint32_t room, uint32_t count) { return pointer != 0 && room < count; };
    if (tooShort(topology.ptr_entities, topology.num_entities, proto::kTopologyEntityCount) ||
        tooShort(topology.ptr_interfaces, topology.num_interfaces, proto::kTopologyInterfaceCount) ||
        tooShort(topology.ptr_pads, topology.num_pads, proto::kTopologyPadCount) ||
        tooShort(topology.ptr_links, topology.num_links, proto::kTopologyLinkCount))
        return fail(ENOSPC);
    topology.topology_version = 1;
    topology.num_entities = proto::kTopologyEntityCount;
    topology.num_interfaces = proto::kTopologyInterfaceCount;
    topology.num_pads = proto::kTopologyPadCount;
    topology.num_links = proto::kTopologyLinkCount;
    topology.reserved1 = topology.reserved2 = topology.reserved3 = topology.reserved4 = 0;
    put(entities, topology.ptr_entities);
    put(interfaces, topology.ptr_interfaces);
    put(pads, topology.ptr_pads);
    put(links, topology.ptr_links);
    return {};
}

Result<> request_alloc(media::Device& device, int&, CallContext& call) {
    auto request = device.makeRequest();
    if (!request) return fail(request.error());
    call.passedRequest = *std::move(request);
    return {};
}

Result<> request_queue(media::Request& request, NoArgument&, CallContext&) { return request.queue(); }
Result<> request_reinit(media::Request& request, NoArgument&, CallContext&) { return request.reinit(); }

}  // namespace daedalus::device
