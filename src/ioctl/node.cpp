#include "daedalus/ioctl/node.h"

#include <poll.h>

#include <algorithm>

#include "daedalus/device/device.h"
#include "dispatcher.h"
#include "node_file.h"

namespace daedalus::ioctl {
namespace {

std::unique_ptr<File> openSession(device::Device& device, FileKind kind, std::string client, uid_t user) {
    return std::make_unique<SessionFile>(device, kind, std::move(client), user);
}

const NodeKind kNodeKinds[] = {
    {"stateful", FileKind::Stateful, &device::kStatefulDecoder, openSession},
    {"jpeg", FileKind::Jpeg, &device::kJpegDecoder, openSession},
};

}  // namespace

std::span<const NodeKind> nodeKinds() { return kNodeKinds; }

const NodeKind* findNodeKind(std::string_view name) {
    const auto* found = std::ranges::find(kNodeKinds, name, &NodeKind::name);
    return found == std::end(kNodeKinds) ? nullptr : found;
}

uint32_t answerToPoll(uint32_t readiness, uint32_t events) {
    constexpr uint32_t kData = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
    return readiness & ((events & kData ? events | POLLERR : events & ~uint32_t{POLLERR}) | POLLHUP);
}

Node::Node(device::Device& device)
    : device_(device), kind_(*std::ranges::find(kNodeKinds, &device.kind(), &NodeKind::decoder)) {}
Node::~Node() = default;

Result<std::unique_ptr<File>> Node::open(std::string client, uid_t user) {
    if (unplugged_) return fail(ENODEV);
    if (auto ok = device_.admits(client, user); !ok) return fail(ok.error());
    return std::make_unique<NodeFile>(*this, kind_.open(device_, kind_.files, std::move(client), user));
}

void Node::unplug() {
    unplugged_ = true;
    const auto files = files_;
    // One that ends may take others with it.
    for (NodeFile* file : files)
        if (files_.contains(file)) file->unplug();
}

}  // namespace daedalus::ioctl
