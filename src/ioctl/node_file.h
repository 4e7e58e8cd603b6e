// A file as its node gives it out: it keeps the node alive, and outlives the node's being plugged in.
#pragma once

#include <memory>

#include "daedalus/ioctl/node.h"

namespace daedalus::ioctl {

/// Loop thread.
class NodeFile final : public File {
public:
    NodeFile(Node& node, std::unique_ptr<File> file);
    ~NodeFile() override;
    NodeFile(const NodeFile&) = delete;
    NodeFile& operator=(const NodeFile&) = delete;

    /// The node is gone: so is what the file was.
    void unplug();

    bool takes(uint32_t cmd) const override { return !file_ || file_->takes(cmd); }
    Ticket ioctl(Call&& call, Reply&& reply) override;
    void interrupt(Ticket ticket) override;
    Result<memory::MemoryRef> mmap(uint64_t offset, size_t length) override;
    Result<memory::MemoryRef> memoryAt(uint64_t offset, size_t length) const override;
    uint32_t readiness() const override { return file_ ? file_->readiness() : kUnplugged; }
    void onReadiness(std::function<void()> listener) override;
    void endCalls(int error) override;
    uid_t owner() const override { return owner_; }
    std::shared_ptr<media::Request> request() const override { return file_ ? file_->request() : nullptr; }

private:
    const std::shared_ptr<Node> keptAlive_;  ///< null for a node that its owner keeps
    Node& node_;
    const uid_t owner_;
    std::function<void()> listener_;
    std::unique_ptr<File> file_;  ///< null once unplugged
};

}  // namespace daedalus::ioctl
