#include "node_file.h"

#include <utility>

namespace daedalus::ioctl {

NodeFile::NodeFile(Node& node, std::unique_ptr<File> file)
    : keptAlive_(node.weak_from_this().lock()), node_(node), owner_(file->owner()), file_(std::move(file)) {
    node_.files_.insert(this);
}

NodeFile::~NodeFile() { node_.files_.erase(this); }

void NodeFile::unplug() {
    // What ends here may wake clients, and they look at us.
    const auto gone = std::exchange(file_, nullptr);
    gone->onReadiness([] {});
    gone->endCalls(ENODEV);
    if (listener_) listener_();
}

File::Ticket NodeFile::ioctl(Call&& call, Reply&& reply) {
    if (file_) return file_->ioctl(std::move(call), std::move(reply));
    Answer answer;
    answer.error = ENODEV;
    answer.payload = std::move(call.payload);
    reply.answer(std::move(answer));
    return 0;
}

void NodeFile::interrupt(Ticket ticket) {
    if (file_) file_->interrupt(ticket);
}

Result<memory::MemoryRef> NodeFile::mmap(uint64_t offset, size_t length) {
    return file_ ? file_->mmap(offset, length) : fail(ENODEV);
}

Result<memory::MemoryRef> NodeFile::memoryAt(uint64_t offset, size_t length) const {
    return file_ ? file_->memoryAt(offset, length) : fail(ENODEV);
}

void NodeFile::onReadiness(std::function<void()> listener) {
    if (file_) file_->onReadiness(listener);
    listener_ = std::move(listener);
}

void NodeFile::endCalls(int error) {
    if (file_) file_->endCalls(error);
}

}  // namespace daedalus::ioctl
