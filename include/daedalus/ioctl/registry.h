// The nodes of one daemon: they come, and go while clients hold them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/result.h"
#include "daedalus/base/worker_pool.h"
#include "daedalus/codec/decoder.h"
#include "daedalus/device/device.h"
#include "daedalus/ioctl/node.h"

namespace daedalus::ioctl {

/// A node as clients find it.
struct NodeEntry {
    unsigned number = 0;  ///< N of /dev/videoN
    std::string card;
    std::string busInfo;
    std::shared_ptr<Node> node;
};

/// Loop thread. The loop, the pool and the codecs are the caller's and must outlive it and all files of its nodes.
class Registry {
public:
    Registry(EventLoop& loop, WorkerPool& pool, codec::Factory& codecs);
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    /// Adds a node of that kind, which must outlive its files. Its kind, card and bus_info in `options` are the registry's to
    /// choose, the card only if it is empty there. EEXIST: the number is a node's, or that of an unplugged one of which
    /// somebody still has a file; EINVAL: it is none of a V4L2 node.
    [[nodiscard]] Result<std::shared_ptr<Node>> add(const NodeKind& kind, unsigned number, device::DeviceOptions options);
    /// Takes a node away; see Node::unplug(). ENOENT: there is none of that number.
    [[nodiscard]] Result<> unplug(unsigned number);
    /// All nodes that are plugged in, in the order in which they came.
    [[nodiscard]] const std::vector<NodeEntry>& list() const { return nodes_; }
    /// The node of that number, or null.
    [[nodiscard]] std::shared_ptr<Node> find(unsigned number) const;
    /// Whether a node, or a file of one that is gone, has that number.
    [[nodiscard]] bool holds(unsigned number) const;
    /// Another number after each add() and unplug().
    [[nodiscard]] uint32_t generation() const { return generation_; }
    /// Calls `listener` after each add() and unplug().
    void onChange(std::function<void()> listener) { listener_ = std::move(listener); }

private:
    struct OwnedNode;
    /// What a node has that no other may have.
    struct Claim {
        unsigned number;
        unsigned bus;  ///< of bus_info
        std::weak_ptr<Node> holder;
    };
    void changed();
    [[nodiscard]] unsigned freeBus() const;

    EventLoop& loop_;
    WorkerPool& pool_;
    codec::Factory& codecs_;
    std::vector<NodeEntry> nodes_;
    std::vector<Claim> claims_;
    uint32_t generation_ = 0;
    std::function<void()> listener_;
};

}  // namespace daedalus::ioctl
