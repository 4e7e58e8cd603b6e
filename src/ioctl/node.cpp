#include "daedalus/ioctl/node.h"

#include <poll.h>

#include "daedalus/device/device.h"
#include "dispatcher.h"

namespace daedalus::ioctl {
namespace {

const ValidRows& validRows() {
    static const ValidRows valid = statefulRows();
    return valid;
}

}  // namespace

uint32_t answerToPoll(uint32_t readiness, uint32_t events) {
    constexpr uint32_t kData = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
    return readiness & (events & kData ? events | POLLERR : events & ~uint32_t{POLLERR});
}

Node::Node(device::Device& device) : device_(device) {}
Node::~Node() = default;

Result<std::unique_ptr<File>> Node::open(std::string client, uid_t user) {
    if (auto ok = device_.admits(client, user); !ok) return fail(ok.error());
    return std::make_unique<SessionFile>(device_, device_.loop(), validRows(), std::move(client), user);
}

bool Node::takes(uint32_t cmd) {
    const Row* row = findRow(cmd);
    return row && validRows()[static_cast<size_t>(row - table().data())];
}

std::vector<std::pair<uint32_t, proto::Follow>> Node::follows() {
    std::vector<std::pair<uint32_t, proto::Follow>> follows;
    for (const auto& row : table())
        if (row.follow != proto::Follow::None) follows.emplace_back(row.cmd, row.follow);
    return follows;
}

}  // namespace daedalus::ioctl
