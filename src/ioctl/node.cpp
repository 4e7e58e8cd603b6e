#include "daedalus/ioctl/node.h"

#include "daedalus/device/device.h"
#include "dispatcher.h"

namespace daedalus::ioctl {

Node::Node(device::Device& device) : device_(device) {}
Node::~Node() = default;

Result<std::unique_ptr<File>> Node::open(std::string client) {
    static const ValidRows valid = statefulRows();
    if (auto ok = device_.admits(client); !ok) return fail(ok.error());
    return std::make_unique<SessionFile>(device_, device_.loop(), valid, std::move(client));
}

std::vector<std::pair<uint32_t, proto::Follow>> Node::follows() {
    std::vector<std::pair<uint32_t, proto::Follow>> follows;
    for (const auto& row : table())
        if (row.follow != proto::Follow::None) follows.emplace_back(row.cmd, row.follow);
    return follows;
}

}  // namespace daedalus::ioctl
