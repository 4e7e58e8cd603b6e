#include "daedalus/ioctl/node.h"

#include <poll.h>

#include <algorithm>

#include "daedalus/device/device.h"
#include "daedalus/device/session.h"
#include "dispatcher.h"
#include "media_callees.h"
#include "node_file.h"

namespace daedalus::ioctl {
namespace {

/// A session of a device and the handlers of device/.
class SessionCallee final : public Callee {
public:
    SessionCallee(device::Device& device, std::string client, uid_t user, Changed changed)
        : planes_(device.planes()), session_(device, std::move(client), user, std::move(changed)) {}

    const std::string& name() const override { return session_.name(); }
    Result<> checkPriority() const override { return session_.checkPriority(); }
    Result<> run(const Row& row, std::byte* argument, device::CallContext& context) override {
        const auto run = planes_ == v4l2::PlanesApi::Single ? row.runSinglePlanar : row.run;
        return run({.session = &session_, .media = nullptr, .request = nullptr}, argument, context);
    }
    Result<memory::MemoryRef> mmap(uint64_t offset, size_t length) override { return device::mmap(session_, offset, length); }
    Result<memory::MemoryRef> memoryAt(uint64_t offset, size_t length) const override {
        return device::memoryAt(session_, offset, length);
    }
    uint32_t readiness() const override { return session_.readiness(); }

private:
    const v4l2::PlanesApi planes_;
    mutable device::Session session_;
};

std::unique_ptr<File> openSession(device::Device& device, FileKind kind, std::string client, uid_t user) {
    return std::make_unique<CallFile>(device.loop(), kind, user, [&](Callee::Changed changed) {
        return std::make_unique<SessionCallee>(device, std::move(client), user, std::move(changed));
    });
}

const NodeKind kNodeKinds[] = {
    {"stateful", FileKind::Stateful, &device::kStatefulDecoder, openSession},
    {"stateless", FileKind::Stateless, &device::kStatelessDecoder, openSession},
    {"jpeg", FileKind::Jpeg, &device::kJpegDecoder, openSession},
};

}  // namespace

std::span<const NodeKind> nodeKinds() { return kNodeKinds; }

const NodeKind* findNodeKind(std::string_view name) {
    const auto* found = std::ranges::find(kNodeKinds, name, &NodeKind::name);
    return found == std::end(kNodeKinds) ? nullptr : found;
}

uint32_t answerToPoll(uint32_t readiness, uint32_t events) {
    if ((readiness & kOnlyForPriority) != 0)
        return (events & POLLPRI) != 0 ? readiness & (POLLPRI | POLLERR | POLLHUP) : readiness & POLLHUP;
    constexpr uint32_t kData = POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM;
    return readiness & ((events & kData ? events | POLLERR : events & ~uint32_t{POLLERR}) | POLLHUP);
}

Node::Node(device::Device& device) : Node(device, *std::ranges::find(kNodeKinds, &device.kind(), &NodeKind::decoder)) {}
Node::Node(device::Device& device, const NodeKind& kind) : device_(device), kind_(kind) {}
Node::~Node() = default;

Result<std::unique_ptr<File>> Node::open(std::string client, uid_t user) {
    if (unplugged_) return fail(ENODEV);
    if (auto ok = device_.admits(client, user); !ok) return fail(ok.error());
    return std::make_unique<NodeFile>(*this, kind_.open(device_, kind_.files, std::move(client), user));
}

Result<std::unique_ptr<File>> Node::openMedia(const std::string& client, uid_t user) {
    if (unplugged_ || !device_.media()) return fail(ENODEV);
    return std::make_unique<NodeFile>(*this, ioctl::openMedia(device_.loop(), *device_.media(), client, user));
}

void Node::unplug() {
    unplugged_ = true;
    const auto files = files_;
    // One that ends may take others with it.
    for (NodeFile* file : files)
        if (files_.contains(file)) file->unplug();
}

}  // namespace daedalus::ioctl
