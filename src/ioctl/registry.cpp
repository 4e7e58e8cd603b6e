#include "daedalus/ioctl/registry.h"

#include <algorithm>
#include <utility>

#include "daedalus/v4l2/node_name.h"

namespace daedalus::ioctl {
namespace {

/// Made before the node that refers to it, and gone after it.
struct DeviceOfNode {
    DeviceOfNode(EventLoop& loop, WorkerPool& pool, codec::Factory& codecs, device::DeviceOptions options)
        : device(loop, pool, codecs, std::move(options)) {}
    device::Device device;
};

}  // namespace

struct Registry::OwnedNode final : private DeviceOfNode, public Node {
    OwnedNode(EventLoop& loop, WorkerPool& pool, codec::Factory& codecs, const NodeKind& kind, device::DeviceOptions options)
        : DeviceOfNode(loop, pool, codecs, std::move(options)), Node(DeviceOfNode::device, kind) {}
};

Registry::Registry(EventLoop& loop, WorkerPool& pool, codec::Factory& codecs) : loop_(loop), pool_(pool), codecs_(codecs) {}

Registry::~Registry() {
    for (const auto& entry : nodes_) entry.node->unplug();
}

Result<std::shared_ptr<Node>> Registry::add(const NodeKind& kind, unsigned number, device::DeviceOptions options) {
    if (number >= v4l2::kNodeNumbers) return fail(EINVAL);
    if (holds(number)) return fail(EEXIST);
    std::erase_if(claims_, [](const Claim& claim) { return claim.holder.expired(); });
    const unsigned bus = freeBus();
    options.kind = kind.decoder;
    options.number = number;
    options.busInfo = "platform:daedalus-" + std::to_string(bus);
    if (options.card.empty()) options.card = kind.decoder->card;
    NodeEntry entry{number, options.card, options.busInfo, nullptr};
    entry.node = std::make_shared<OwnedNode>(loop_, pool_, codecs_, kind, std::move(options));
    claims_.push_back({number, bus, entry.node});
    nodes_.push_back(entry);
    changed();
    return entry.node;
}

Result<> Registry::unplug(unsigned number) {
    const auto found = std::ranges::find(nodes_, number, &NodeEntry::number);
    if (found == nodes_.end()) return fail(ENOENT);
    const auto node = std::move(found->node);
    nodes_.erase(found);
    node->unplug();
    changed();
    return {};
}

std::shared_ptr<Node> Registry::find(unsigned number) const {
    const auto found = std::ranges::find(nodes_, number, &NodeEntry::number);
    return found == nodes_.end() ? nullptr : found->node;
}

bool Registry::holds(unsigned number) const {
    return std::ranges::any_of(claims_, [number](const Claim& c) { return c.number == number && !c.holder.expired(); });
}

unsigned Registry::freeBus() const {
    unsigned bus = 0;
    while (std::ranges::find(claims_, bus, &Claim::bus) != claims_.end()) ++bus;
    return bus;
}

void Registry::changed() {
    ++generation_;
    if (listener_) listener_();
}

}  // namespace daedalus::ioctl
