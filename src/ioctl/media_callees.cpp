#include "media_callees.h"

#include <poll.h>

#include <utility>

#include "dispatcher.h"

namespace daedalus::ioctl {
namespace {

/// What both have in common.
class FlatCallee : public Callee {
public:
    explicit FlatCallee(std::string name) : name_(std::move(name)) {}
    const std::string& name() const override { return name_; }
    Result<> checkPriority() const override { return {}; }
    Result<memory::MemoryRef> mmap(uint64_t, size_t) override { return fail(ENODEV); }
    Result<memory::MemoryRef> memoryAt(uint64_t, size_t) const override { return fail(ENODEV); }

private:
    const std::string name_;
};

class MediaCallee final : public FlatCallee {
public:
    MediaCallee(media::Device& device, const std::string& client) : FlatCallee("media (" + client + ")"), device_(device) {}
    Result<> run(const Row& row, std::byte* argument, device::CallContext& context) override {
        return row.run({.session = nullptr, .media = &device_, .request = nullptr}, argument, context);
    }
    uint32_t readiness() const override { return POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM; }

private:
    media::Device& device_;
};

class RequestCallee final : public FlatCallee {
public:
    RequestCallee(std::shared_ptr<media::Request> request, Changed changed)
        : FlatCallee("request"), request_(std::move(request)) {
        request_->onReadiness(std::move(changed));
    }
    ~RequestCallee() override { request_->onReadiness(nullptr); }
    RequestCallee(const RequestCallee&) = delete;
    RequestCallee& operator=(const RequestCallee&) = delete;
    Result<> run(const Row& row, std::byte* argument, device::CallContext& context) override {
        return row.run({.session = nullptr, .media = nullptr, .request = request_.get()}, argument, context);
    }
    uint32_t readiness() const override { return request_->readiness() | kOnlyForPriority; }
    std::shared_ptr<media::Request> request() const override { return request_; }

private:
    const std::shared_ptr<media::Request> request_;
};

}  // namespace

std::unique_ptr<File> openMedia(EventLoop& loop, media::Device& device, const std::string& client, uid_t user) {
    return std::make_unique<CallFile>(loop, FileKind::Media, user,
                                      [&](const Callee::Changed&) { return std::make_unique<MediaCallee>(device, client); });
}

std::unique_ptr<File> openRequest(EventLoop& loop, std::shared_ptr<media::Request> request, uid_t user) {
    return std::make_unique<CallFile>(loop, FileKind::Request, user, [&](Callee::Changed changed) {
        return std::make_unique<RequestCallee>(std::move(request), std::move(changed));
    });
}

}  // namespace daedalus::ioctl
