// A decoder in this very process.
#include <fcntl.h>
#include <sys/mman.h>

#include <cstring>
#include <thread>

#include "daedalus/transport/inproc.h"
#include "endpoint.h"

namespace daedalus::tools {
namespace {

class InprocEndpoint : public Endpoint {
public:
    explicit InprocEndpoint(const device::DeviceOptions& options) : Endpoint("decoder in this process"), daemon_(options) {}
    ~InprocEndpoint() override {
        file_.reset();
        if (!loopThread_.joinable()) return;
        daemon_.stop();
        loopThread_.join();
    }

    [[nodiscard]] Result<> open() {
        auto node = daemon_.addNode(*daemon::defaultKinds().front(), "/dev/video0");
        if (!node) return fail(node.error());
        loopThread_ = std::thread([this] { daemon_.run(); });
        auto file = transport::openInproc(daemon_.loop(), **node, O_NONBLOCK);
        if (!file) return fail(file.error());
        file_ = std::move(*file);
        return {};
    }

    int ioctl(unsigned long cmd, void* argument) override { return file_->ioctl(cmd, argument); }
    void* map(size_t length, uint64_t offset) override { return file_->mmap(length, PROT_READ | PROT_WRITE, offset); }
    int poll(short events, short* revents, int timeoutMs) override { return file_->poll(events, revents, timeoutMs); }

private:
    daemon::Daemon daemon_;
    std::thread loopThread_;
    std::unique_ptr<transport::InprocFile> file_;
};

}  // namespace

Outcome<std::unique_ptr<Endpoint>> openInProcess(const device::DeviceOptions& options) {
    auto endpoint = std::make_unique<InprocEndpoint>(options);
    if (const auto opened = endpoint->open(); !opened)
        return failure("cannot open the decoder in this process: {}; free memory or file descriptors",
                       std::strerror(opened.error().value));
    return endpoint;
}

}  // namespace daedalus::tools
