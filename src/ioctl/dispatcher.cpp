#include "dispatcher.h"

#include <fcntl.h>

#include <algorithm>
#include <new>
#include <utility>

#include "daedalus/base/log.h"
#include "daedalus/v4l2/print.h"
#include "media_callees.h"
#include "pointers.h"

namespace daedalus::ioctl {
namespace {

/// The request that the argument names by its descriptor.
std::shared_ptr<media::Request> requestOf(const Row& row, const Call& call) {
    const auto& argument = call.payload.argument;
    const int fd = proto::requestOf(row.traits.follow, argument.data(), argument.size());
    File* const file = fd >= 0 && call.clientFiles ? call.clientFiles->find(fd) : nullptr;
    return file ? file->request() : nullptr;
}

}  // namespace

CallFile::CallFile(EventLoop& loop, FileKind kind, uid_t user, const MakeCallee& make)
    : loop_(loop),
      kind_(kind),
      owner_(user),
      self_(std::make_shared<CallFile*>(this)),
      callee_(make([this] { calleeChanged(); })) {}

CallFile::~CallFile() {
    *self_ = nullptr;
    listener_ = nullptr;
    endCalls(EBADF);
}

File::Ticket CallFile::ioctl(Call&& call, Reply&& reply) {
    const Row* row = findRow(kind_, call.cmd);
    if (!row) {
        if (log::ioctls()) log::ioctlLine(fmt::format("{}: ioctl {:#x} = ENOTTY", callee_->name(), call.cmd));
        refuse(std::move(call), std::move(reply), ENOTTY);
        return 0;
    }
    Answer answer;
    answer.error = attempt(*row, call, answer);
    if (answer.error == EAGAIN) {
        if (row->wait == Wait::Always || (row->wait != Wait::Never && !call.nonblocking.isSet())) {
            parked_.push_back({++lastTicket_, row, std::move(call), std::move(reply)});
            return lastTicket_;
        }
        answer.hasty = row->wait == Wait::Briefly;
        answer.error = answer.hasty ? attempt(*row, call, answer, Patience::None) : row->nothingThere;
    }
    finish(*row, std::move(call), std::move(reply), std::move(answer));
    return 0;
}

void CallFile::endCalls(int error) {
    for (auto& parked : std::exchange(parked_, {})) refuse(std::move(parked.call), std::move(parked.reply), error);
}

void CallFile::refuse(Call&& call, Reply&& reply, int error) {
    Answer answer;
    answer.error = error;
    answer.payload = std::move(call.payload);
    reply.answer(std::move(answer));
}

int CallFile::attempt(const Row& row, Call& call, Answer& answer, Patience patience) {
    if (call.faulted || call.payload.argument.size() != _IOC_SIZE(row.cmd)) return EFAULT;
    device::CallContext context;
    context.client = call.clientMemory.get();
    context.mayWait = patience == Patience::Some;
    context.request = requestOf(row, call);
    if (row.priority)
        if (auto ok = callee_->checkPriority(); !ok) return ok.error().value;
    auto& argument = call.payload.argument;
    const size_t keep = _IOC_DIR(row.cmd) & _IOC_WRITE ? std::min<size_t>(row.keep, argument.size()) : 0;
    std::fill(argument.begin() + static_cast<ptrdiff_t>(keep), argument.end(), std::byte{0});
    const auto ok = runHandler(row, call, context);
    if (context.passedFd) answer.fds.push_back({context.passedOffset, context.passedFlags, std::move(context.passedFd)});
    if (context.passedRequest)
        answer.files.push_back({0, O_CLOEXEC, openRequest(loop_, std::move(context.passedRequest), owner_)});
    return ok ? 0 : ok.error().value;
}

Result<> CallFile::runHandler(const Row& row, Call& call, device::CallContext& context) {
    if (auto ok = checkNested(row.traits.follow, call.payload); !ok) return ok;
    const LocalPointers pointers(row.traits.follow, call.payload);
    try {
        return callee_->run(row, call.payload.argument.data(), context);
    } catch (const std::bad_alloc&) {
        log::warn("{}: {}: out of memory; close sessions or give this process more", callee_->name(), row.name);
        return fail(ENOMEM);
    }
}

void CallFile::finish(const Row& row, Call&& call, Reply&& reply, Answer&& answer) {
    if (log::ioctls()) log(row, call.payload, answer.error);
    const bool readable = (_IOC_DIR(row.cmd) & _IOC_READ) != 0;
    answer.copyBack = readable && !call.faulted && (answer.error == 0 || row.copyOnError);
    answer.payload = std::move(call.payload);
    reply.answer(std::move(answer));
}

void CallFile::interrupt(Ticket ticket) {
    for (auto entry = parked_.begin(); entry != parked_.end(); ++entry) {
        if (entry->ticket != ticket) continue;
        // STREAMOFF has begun and cannot be taken back; its end is near.
        if (entry->row->wait == Wait::Always) return;
        Parked parked = std::move(*entry);
        parked_.erase(entry);
        Answer answer;
        answer.error = EINTR;
        if (parked.row->wait == Wait::Briefly) answer.error = attempt(*parked.row, parked.call, answer, Patience::None);
        finish(*parked.row, std::move(parked.call), std::move(parked.reply), std::move(answer));
        return;
    }
}

Result<memory::MemoryRef> CallFile::mmap(uint64_t offset, size_t length) { return callee_->mmap(offset, length); }

Result<memory::MemoryRef> CallFile::memoryAt(uint64_t offset, size_t length) const { return callee_->memoryAt(offset, length); }

void CallFile::calleeChanged() {
    if (parked_.empty()) {
        if (listener_) listener_();
        return;
    }
    if (retryPosted_) return;
    // Not here: the change comes from inside a handler or a queue. What a waiting call takes is not told to poll() before.
    retryPosted_ = true;
    loop_.post([self = self_] {
        if (*self) (*self)->retryParked();
    });
}

void CallFile::retryParked() {
    retryPosted_ = false;
    // Answering may close this file, so nothing of it is touched after the last answer.
    std::vector<std::pair<Parked, Answer>> finished;
    for (auto entry = parked_.begin(); entry != parked_.end();) {
        Answer answer;
        answer.error = attempt(*entry->row, entry->call, answer);
        if (answer.error == EAGAIN) {
            ++entry;
            continue;
        }
        finished.emplace_back(std::move(*entry), std::move(answer));
        entry = parked_.erase(entry);
    }
    const auto self = self_;
    if (listener_) listener_();
    for (auto& [parked, answer] : finished) {
        if (!*self) return;
        finish(*parked.row, std::move(parked.call), std::move(parked.reply), std::move(answer));
    }
}

void CallFile::log(const Row& row, const Payload& payload, int error) const {
    Payload copy = payload;
    std::string text;
    {
        const LocalPointers pointers(row.traits.follow, copy);
        if (copy.argument.size() == _IOC_SIZE(row.cmd)) row.print(text, copy.argument.data());
    }
    log::ioctlLine(fmt::format("{}: {}({}) = {}", callee_->name(), row.name, text, error == 0 ? "0" : v4l2::errnoName(error)));
}

}  // namespace daedalus::ioctl
