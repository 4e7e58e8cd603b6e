// Runs calls against the table, and parks those that have to wait.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "callee.h"
#include "daedalus/base/event_loop.h"
#include "daedalus/ioctl/node.h"
#include "table.h"

namespace daedalus::ioctl {

/// A File: what its calls run on, and those of them that are parked. Loop thread.
class CallFile : public File {
public:
    using MakeCallee = std::function<std::unique_ptr<Callee>(Callee::Changed changed)>;
    /// The file takes the rows of its kind. `make` is called once, here.
    CallFile(EventLoop& loop, FileKind kind, uid_t user, const MakeCallee& make);
    ~CallFile() override;

    bool takes(uint32_t cmd) const override { return findRow(kind_, cmd) != nullptr; }
    Ticket ioctl(Call&& call, Reply&& reply) override;
    void interrupt(Ticket ticket) override;
    Result<memory::MemoryRef> mmap(uint64_t offset, size_t length) override;
    Result<memory::MemoryRef> memoryAt(uint64_t offset, size_t length) const override;
    uint32_t readiness() const override { return callee_->readiness(); }
    void onReadiness(std::function<void()> listener) override { listener_ = std::move(listener); }
    void endCalls(int error) override;
    uid_t owner() const override { return owner_; }
    std::shared_ptr<media::Request> request() const override { return callee_->request(); }

private:
    struct Parked {
        Ticket ticket;
        const Row* row;
        Call call;
        Reply reply;
    };

    enum class Patience : uint8_t { Some, None };  ///< whether a handler may ask for a wait
    /// Runs the handler once. EAGAIN and a row that may wait: the caller parks.
    [[nodiscard]] int attempt(const Row& row, Call& call, Answer& answer, Patience patience = Patience::Some);
    [[nodiscard]] Result<> runHandler(const Row& row, Call& call, device::CallContext& context);
    static void refuse(Call&& call, Reply&& reply, int error);
    void finish(const Row& row, Call&& call, Reply&& reply, Answer&& answer);
    void calleeChanged();
    void retryParked();
    void log(const Row& row, const Payload& payload, int error) const;

    EventLoop& loop_;
    const FileKind kind_;
    const uid_t owner_;
    std::function<void()> listener_;
    std::list<Parked> parked_;
    Ticket lastTicket_ = 0;
    bool retryPosted_ = false;
    std::shared_ptr<CallFile*> self_;  ///< for posts that may come after the end
    std::unique_ptr<Callee> callee_;
};

}  // namespace daedalus::ioctl
