#include "open_file.h"

#include <cerrno>
#include <utility>

#include "../gather.h"
#include "daedalus/base/log.h"
#include "daedalus/v4l2/uapi.h"
#include "retry.h"

namespace daedalus::transport::cuse {

void Surroundings::advise(const std::string& client, const std::string& topic, const std::string& line) {
    // Bounded; a client that is told twice after so many others does no harm.
    constexpr size_t kRemembered = 1000;
    if (advised.size() >= kRemembered) advised.clear();
    if (advised.insert(client + " " + topic).second) log::warn("{}: {} {}", nodePath, client, line);
}

OpenFile::OpenFile(Surroundings& shared, std::unique_ptr<ioctl::File> file, std::string client, bool nonblocking)
    : shared_(shared), client_(std::move(client)), nonblocking_(nonblocking), file_(std::move(file)) {
    if (shared_.extension) extended_ = std::make_unique<Extended>(*shared_.extension);
    file_->onReadiness([this] { readinessChanged(); });
}

OpenFile::~OpenFile() {
    file_.reset();
    dropPollHandle();
}

void OpenFile::ioctl(fuse_req_t request, uint32_t cmd, uint64_t address, unsigned flags, std::span<const std::byte> in,
                     size_t outSize) {
    const auto pending = std::make_shared<Pending>();
    pending->file = this;
    pending->request = request;
    pending->tid = ::fuse_req_ctx(request)->pid;
    if ((flags & FUSE_IOCTL_COMPAT) != 0) pending->compat = Compat32::of(cmd);
    pending->cmd = pending->compat ? pending->compat->cmd() : cmd;
    pending->address = address;
    start(pending, in, outSize);
}

Result<ioctl::Payload> OpenFile::gatherFor(const Pending& pending) {
    return pending.compat ? pending.compat->gather(pending.tid, pending.address)
                          : gather(pending.tid, pending.cmd, pending.address);
}

void OpenFile::start(const PendingRef& pending, std::span<const std::byte> in, size_t outSize) {
    const uint32_t cmd = pending->cmd;
    Result<ioctl::Payload> payload;
    if (!file_->takes(cmd)) {
        const auto own = extended_ ? shared_.extension->ownCall(pending->tid, cmd, pending->address) : std::nullopt;
        if (own) {
            if (own->file) extended_->named(*own->file);
            ::fuse_reply_ioctl(pending->request, own->result, nullptr, 0);
            return;
        }
        payload = fail(ENOTTY);
    } else if (ioctl::traitsOf(cmd).exports && !(extended_ && extended_->reaches())) {
        // A descriptor could not be handed over: as a driver without dma-buf export says it.
        ::fuse_reply_err(pending->request, ENOTTY);
        return;
    } else {
        pending->copiedByKernel = !in.empty() || outSize > 0;
        if (!pending->copiedByKernel) payload = gatherFor(*pending);
        if (!payload && payload.error().value == EPERM) pending->copiedByKernel = true;
    }
    if (pending->copiedByKernel) {
        auto assembled = pending->compat ? assemble(*pending->compat, pending->address, in, outSize, pending->ranges)
                                         : assemble(cmd, pending->address, in, outSize);
        if (!assembled) {
            payload = fail(assembled.error());
        } else if (const auto* wanted = std::get_if<Wanted>(&*assembled)) {
            ::fuse_reply_ioctl_retry(pending->request, wanted->in.data(), wanted->in.size(), wanted->out.data(),
                                     wanted->out.size());
            return;
        } else {
            payload = std::get<ioctl::Payload>(std::move(*assembled));
        }
    }
    if (!payload) {
        pending->gatherError = payload.error().value;
        auto call = makeCall(pending, {});
        call.faulted = true;
        return dispatch(pending, std::move(call));
    }
    dispatch(pending, makeCall(pending, *std::move(payload)));
}

ioctl::Call OpenFile::makeCall(const PendingRef& pending, ioctl::Payload&& payload) {
    ioctl::Call call;
    call.cmd = pending->cmd;
    call.payload = std::move(payload);
    call.nonblocking = ioctl::Nonblocking(std::function<bool()>([this, pending] { return isNonblocking(*pending); }));
    if (ioctl::traitsOf(pending->cmd).role == proto::MemoryRole::Give)
        call.clientMemory = std::make_shared<CallMemory>(pending->tid, userBuffers_, call.payload,
                                                         [this](const char* wanted) { adviseOnRefusal(wanted); });
    return call;
}

void OpenFile::dispatch(const PendingRef& pending, ioctl::Call&& call) {
    const auto ticket =
        file_->ioctl(std::move(call),
                     ioctl::Reply([pending](ioctl::Answer&& answer) { pending->file->answered(pending, std::move(answer)); }));
    if (ticket == 0) return;  // answered
    pending->ticket = ticket;
    waiting_.insert(pending);
    // Not by libfuse's callback where the signal came first: it must not answer while it is being registered.
    if (::fuse_req_interrupted(pending->request) != 0) return file_->interrupt(pending->ticket);
    ::fuse_req_interrupt_func(pending->request, interrupted, pending.get());
}

void OpenFile::interrupted(fuse_req_t /*request*/, void* pending) {
    const auto* const self = static_cast<Pending*>(pending);
    self->file->file_->interrupt(self->ticket);
}

void OpenFile::answered(const PendingRef& pending, ioctl::Answer&& answer) {
    waiting_.erase(pending);
    const ioctl::CallTraits& traits = ioctl::traitsOf(pending->cmd);
    if (answer.error == EFAULT && pending->gatherError != 0) answer.error = pending->gatherError;
    if (answer.error == EBADF && shared_.ending) answer.error = ENODEV;
    if (answer.error == 0 && extended_) answer.error = extended_->answered(traits, *file_, answer);
    // There is no way to make a file of ours another descriptor of the client.
    if (answer.error == 0 && !answer.files.empty()) answer.error = ENOTTY;
    if (answer.error == 0 && traits.allocated && !(extended_ && extended_->reaches()))
        adviseOnMmap(traits.allocated(answer.payload.argument.data()));
    if (answer.error == 0 && traits.role == proto::MemoryRole::Take)
        if (auto given = userBuffers_.giveBack(pending->tid, answer.payload); !given) answer.error = given.error().value;
    reply(*pending, answer);
}

bool OpenFile::isNonblocking(const Pending& pending) {
    // F_SETFL may have changed it since open(); where that cannot be seen, what was last known holds.
    if (const auto now = waitsNonblocking(pending.tid, pending.address, shared_.nodePath)) nonblocking_ = *now;
    return nonblocking_;
}

void OpenFile::reply(const Pending& pending, ioctl::Answer& answer) {
    std::vector<std::byte> bytes;
    if (answer.copyBack && pending.copiedByKernel && !pending.compat) {
        bytes = disassemble(answer.payload);
    } else if (answer.copyBack && pending.copiedByKernel) {
        auto narrow = disassemble(*pending.compat, pending.address, answer.payload, pending.ranges);
        if (narrow)
            bytes = *std::move(narrow);
        else
            answer.error = narrow.error().value;
    } else if (answer.copyBack) {
        const auto written = pending.compat ? pending.compat->scatter(pending.tid, pending.address, answer.payload)
                                            : scatter(pending.tid, pending.address, answer.payload);
        if (!written) answer.error = EFAULT;
    }
    ::fuse_reply_ioctl(pending.request, -answer.error, bytes.empty() ? nullptr : bytes.data(), bytes.size());
}

void OpenFile::adviseOnMmap(const ioctl::Allocation& made) {
    if (made.memory != V4L2_MEMORY_MMAP || made.count == 0) return;
    shared_.advise(client_, "mmap",
                   "asks for MMAP buffers, but a CUSE device cannot be mapped (mmap fails with ENODEV): let it use USERPTR or "
                   "DMABUF buffers, load the kernel module daedalus-shim, or start it by `daedalus run`");
}

void OpenFile::adviseOnRefusal(const char* wanted) {
    shared_.advise(client_, "refusal",
                   fmt::format("brings {} buffers, but this daemon may not reach into its process: give the daemon "
                               "CAP_SYS_PTRACE, or run it as the client's user with kernel.yama.ptrace_scope=0",
                               wanted));
}

void OpenFile::poll(fuse_req_t request, uint32_t events, fuse_pollhandle* handle) {
    if (handle) {
        dropPollHandle();
        pollHandle_ = handle;
    }
    ::fuse_reply_poll(request, ioctl::answerToPoll(file_->readiness(), events));
}

void OpenFile::readinessChanged() {
    // Whoever waits asks again when woken, so that one wake-up is enough until then. Also without a new bit: with
    // edge-triggered epoll each change counts.
    if (!pollHandle_ || file_->readiness() == 0) return;
    ::fuse_lowlevel_notify_poll(pollHandle_);
    dropPollHandle();
}

void OpenFile::dropPollHandle() {
    if (pollHandle_) ::fuse_pollhandle_destroy(std::exchange(pollHandle_, nullptr));
}

}  // namespace daedalus::transport::cuse
