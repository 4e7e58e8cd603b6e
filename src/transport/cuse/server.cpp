#include "server.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <string_view>

#include "client_process.h"
#include "daedalus/base/log.h"
#include "daedalus/v4l2/node_name.h"

namespace daedalus::transport {
namespace cuse {
namespace {

constexpr std::string_view kDevices = "/dev/";

}  // namespace

struct Server::Operations {
    static Server& of(fuse_req_t request) { return *static_cast<Server*>(::fuse_req_userdata(request)); }

    static void open(fuse_req_t request, fuse_file_info* info) { of(request).open(request, *info); }
    static void release(fuse_req_t request, fuse_file_info* info) {
        of(request).files_.erase(info->fh);
        ::fuse_reply_err(request, 0);
    }
    // As V4L2 answers for a device that only streams.
    static void read(fuse_req_t request, size_t, off_t, fuse_file_info*) { ::fuse_reply_err(request, EINVAL); }
    static void write(fuse_req_t request, const char*, size_t, off_t, fuse_file_info*) { ::fuse_reply_err(request, EINVAL); }
    static void flush(fuse_req_t request, fuse_file_info*) { ::fuse_reply_err(request, 0); }
    static void ioctl(fuse_req_t request, int cmd, void* argument, fuse_file_info* info, unsigned flags, const void* in,
                      size_t inSize, size_t outSize) {
        OpenFile* const file = of(request).find(*info);
        if (!file) {
            const auto own = of(request).shim_.ownCall(::fuse_req_ctx(request)->pid, static_cast<uint32_t>(cmd),
                                                       reinterpret_cast<uintptr_t>(argument));
            ::fuse_reply_ioctl(request, own ? own->result : -of(request).strangersError(), nullptr, 0);
            return;
        }
        // libfuse's int would extend the top bit of the number.
        file->ioctl(request, static_cast<uint32_t>(cmd), reinterpret_cast<uintptr_t>(argument), flags,
                    {static_cast<const std::byte*>(in), inSize}, outSize);
    }
    static void poll(fuse_req_t request, fuse_file_info* info, fuse_pollhandle* handle) {
        if (OpenFile* const file = of(request).find(*info)) return file->poll(request, info->poll_events, handle);
        if (handle) ::fuse_pollhandle_destroy(handle);
        ::fuse_reply_err(request, of(request).strangersError());
    }

    static const cuse_lowlevel_ops& table() {
        static const cuse_lowlevel_ops operations = [] {
            cuse_lowlevel_ops made{};
            made.open = open;
            made.read = read;
            made.write = write;
            made.flush = flush;
            made.release = release;
            made.ioctl = ioctl;
            made.poll = poll;
            return made;
        }();
        return operations;
    }
};

Server::Server(EventLoop& loop, ioctl::Node& node, const CuseOptions& options)
    : node_(node),
      shim_(loop, options.nodePath),
      shared_{.nodePath = options.nodePath, .extension = options.extension ? options.extension : &shim_} {}

Result<std::unique_ptr<Server>> Server::start(EventLoop& loop, ioctl::Node& node, const CuseOptions& options) {
    const auto number = v4l2::nodeNumber(options.nodePath);
    if (!number) return fail(EINVAL);
    const std::string name = options.nodePath.substr(kDevices.size());
    if (v4l2::isNodeTaken(*number)) return fail(EEXIST);
    std::unique_ptr<Server> server(new Server(loop, node, options));
    auto channel = Channel::open(name, *number, Operations::table(), server.get());
    if (!channel) return fail(channel.error());
    server->channel_ = std::move(*channel);
    auto watch = loop.watch(server->channel_->fd(), EventLoop::Readable, [self = server.get()](uint32_t) { self->readable(); });
    if (!watch) return fail(watch.error());
    server->watch_ = std::move(*watch);
    // Before anybody is told that the device is there: who opens it earlier is served without.
    if (!options.extension) server->shim_.begin();
    server->shim_.finish([&](std::chrono::milliseconds atMost) { server->serveFor(atMost); });
    return server;
}

void Server::serveFor(std::chrono::milliseconds atMost) {
    pollfd waiting{channel_->fd(), POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(atMost.count())) > 0) readable();
}

Server::~Server() {
    watch_ = {};
    shared_.ending = true;
    files_.clear();
    if (!channel_) return;
    answerTheRest();
    log::info("{}: removed after {} round trips from the kernel", shared_.nodePath, roundTrips_);
}

void Server::answerTheRest() {
    // Bounded: a client may go on calling.
    constexpr int kMost = 4096;
    pollfd waiting{channel_->fd(), POLLIN, 0};
    for (int request = 0; request<kMost&& ::poll(&waiting, 1, 0)> 0 && channel_->dispatch(); ++request) ++roundTrips_;
}

void Server::readable() {
    ++roundTrips_;
    const auto handled = channel_->dispatch();
    if (handled) return;
    watch_ = {};
    log::error("{}: the kernel has ended the device ({}); start the daemon again", shared_.nodePath,
               std::strerror(handled.error().value));
    if (onEnd_) onEnd_();
}

OpenFile* Server::find(const fuse_file_info& info) const {
    const auto found = files_.find(info.fh);
    return found == files_.end() ? nullptr : found->second.get();
}

void Server::open(fuse_req_t request, fuse_file_info& info) {
    if (shared_.ending) {
        ::fuse_reply_err(request, ENODEV);
        return;
    }
    const pid_t tid = ::fuse_req_ctx(request)->pid;
    if (shim_.isOwn(tid)) {
        info.fh = 0;
        ::fuse_reply_open(request, &info);
        return;
    }
    std::string client = describeClient(tid);
    auto file = node_.open(client, ::fuse_req_ctx(request)->uid);
    if (!file) {
        ::fuse_reply_err(request, file.error().value);
        return;
    }
    // The module may have been loaded by now. This client is too early for it, the next is not.
    if (shared_.extension == &shim_) shim_.begin();
    info.fh = ++lastFile_;
    files_.emplace(info.fh,
                   std::make_unique<OpenFile>(shared_, std::move(*file), std::move(client), (info.flags & O_NONBLOCK) != 0));
    // The client was killed meanwhile: nobody will release the file.
    if (::fuse_reply_open(request, &info) == -ENOENT) files_.erase(lastFile_);
}

}  // namespace cuse

Result<std::unique_ptr<CuseNode>> serveCuse(EventLoop& loop, ioctl::Node& node, const CuseOptions& options) {
    auto server = cuse::Server::start(loop, node, options);
    if (!server) return fail(server.error());
    return std::unique_ptr<CuseNode>(std::move(*server));
}

}  // namespace daedalus::transport
