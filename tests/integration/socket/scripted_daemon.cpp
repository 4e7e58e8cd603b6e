// A daemon whose sessions do what their clients script by controls (script.h): all of it is the product's own, from the socket
// to the rows of the ioctl table, but for the handlers. Usage: scripted_daemon SOCKET NODE. Prints "ready" and serves until it
// is killed.
#include <fcntl.h>
#include <poll.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <random>

#include "daedalus/base/worker_pool.h"
#include "daedalus/transport/socket.h"
#include "daedalus/v4l2/node_name.h"
#include "src/ioctl/dispatcher.h"
#include "tests/integration/socket/script.h"

namespace daedalus {
namespace {

using Milliseconds = std::chrono::milliseconds;

/// What all sessions share.
struct Stage {
    EventLoop loop;
    WorkerPool pool{1};
    std::unique_ptr<codec::Factory> codecs = codec::makeFakeFactory();
    ioctl::Registry nodes{loop, pool, *codecs};
    std::unique_ptr<transport::SocketServer> server;
    int interrupts = 0;

    Result<> plug(unsigned number);
};
Stage* stage = nullptr;

class Script final : public ioctl::Callee {
public:
    explicit Script(Changed changed) : changed_(std::move(changed)), mapped_(*memory::allocate(kMapped, "daedalus-test")) {
        std::memset(mapped_->bytes().data(), 0x5A, kMapped);
    }

    const std::string& name() const override { return name_; }
    Result<> checkPriority() const override { return {}; }
    Result<memory::MemoryRef> mmap(uint64_t offset, size_t length) override { return memoryAt(offset, length); }
    Result<memory::MemoryRef> memoryAt(uint64_t offset, size_t length) const override {
        if (offset != test::kMapOffset || length > kMapped) return fail(EINVAL);
        return mapped_;
    }

    uint32_t readiness() const override {
        uint32_t mask = mask_;
        if (frames_ > 0) mask |= POLLIN | POLLRDNORM;
        if (slots_ > 0) mask |= POLLOUT | POLLWRNORM;
        if (events_ > 0) mask |= POLLPRI;
        return mask;
    }

    Result<> run(const ioctl::Row& row, std::byte* argument, device::CallContext& context) override {
        switch (row.cmd) {
            case VIDIOC_QUERYCAP:
                std::strcpy(reinterpret_cast<char*>(as<v4l2_capability>(argument).driver), "fake");
                return {};
            case VIDIOC_G_CTRL:
                return answer(as<v4l2_control>(argument));
            case VIDIOC_S_CTRL:
                return steer(as<v4l2_control>(argument));
            case VIDIOC_G_EXT_CTRLS:
                return echo(as<v4l2_ext_controls>(argument));
            case VIDIOC_EXPBUF:
                context.passedOffset = offsetof(v4l2_exportbuffer, fd);
                context.passedFlags = static_cast<int>(as<v4l2_exportbuffer>(argument).flags);
                context.passedFd = UniqueFd(::fcntl(mapped_->fd(), F_DUPFD_CLOEXEC, 0));
                return {};
            case VIDIOC_QBUF:
                return queue(as<v4l2_buffer>(argument), context);
            case VIDIOC_DQBUF:
                return dequeue(as<v4l2_buffer>(argument));
            case VIDIOC_DQEVENT:
                if (events_ == 0) return fail(EAGAIN);
                --events_;
                as<v4l2_event>(argument).type = V4L2_EVENT_EOS;
                changed_();
                return {};
            case VIDIOC_STREAMOFF:
                slots_ = frames_ = events_ = 0;
                planes_.clear();
                changed_();
                return {};
            default:
                return fail(ENOTTY);
        }
    }

private:
    static constexpr size_t kMapped = 8192;

    template <class T>
    static T& as(std::byte* argument) {
        return *reinterpret_cast<T*>(argument);
    }

    static Result<> answer(v4l2_control& control) {
        if (control.id != test::kSessions && control.id != test::kInterrupts) return fail(EINVAL);
        control.value = control.id == test::kSessions ? static_cast<int>(stage->server->sessions()) : stage->interrupts;
        return {};
    }

    Result<> steer(const v4l2_control& control) {
        const int count = control.value;
        switch (control.id) {
            case test::kMask:
                mask_ = static_cast<uint32_t>(count);
                break;
            case test::kMaskLater:
                return later(count >> 16, [this, count] { mask_ = static_cast<uint32_t>(count) & 0xFFFF; });
            case test::kFrames:
                frames_ += count;
                break;
            case test::kFramesLater:
                return later(count >> 16, [this, count] { frames_ += count & 0xFFFF; });
            case test::kSlots:
                slots_ += count;
                break;
            case test::kEvents:
                events_ += count;
                break;
            case test::kPlug:
                return stage->plug(static_cast<unsigned>(count));
            case test::kUnplug:
                return stage->nodes.unplug(static_cast<unsigned>(count));
            default:
                return fail(EINVAL);
        }
        changed_();
        return {};
    }

    Result<> later(int ms, std::function<void()> change) {
        later_ = stage->loop.timer(Milliseconds(ms), Milliseconds(0), [this, change = std::move(change)] {
            change();
            changed_();
        });
        return {};
    }

    /// Adds 1 to each value, and inverts each payload.
    static Result<> echo(v4l2_ext_controls& controls) {
        controls.error_idx = controls.count > 0 ? 1 : 0;
        for (v4l2_ext_control& control : std::span(controls.controls, controls.count)) {
            const uint32_t bytes = proto::payloadBytes(control.id);
            if (control.size == 0) ++control.value;
            if (bytes == 0 || control.size < bytes) continue;
            ++controls.error_idx;
            for (__u8& byte : std::span(control.p_u8, bytes)) byte = static_cast<__u8>(~byte);
        }
        return controls.which == test::kEchoFails ? fail(ERANGE) : Result<>{};
    }

    /// OUTPUT: a plane's bytes are summed up; a frame comes of it after a while. CAPTURE: the memory is kept.
    Result<> queue(const v4l2_buffer& buffer, device::CallContext& context) {
        if (buffer.length == 0 || !V4L2_TYPE_IS_MULTIPLANAR(buffer.type)) return fail(EINVAL);
        const v4l2_plane& plane = buffer.m.planes[0];
        const bool output = V4L2_TYPE_IS_OUTPUT(buffer.type);
        auto& place = planes_[{buffer.type, buffer.index}];
        const memory::PlaneSlot slot{buffer.type, buffer.index, 0};
        const auto access = output ? memory::Access::Read : memory::Access::Write;
        Result<memory::MemoryRef> brought = mapped_;
        if (buffer.memory == V4L2_MEMORY_USERPTR)
            brought = context.client->importUserptr(slot, plane.m.userptr, plane.length, access, place);
        else if (buffer.memory == V4L2_MEMORY_DMABUF)
            brought = context.client->importDmabuf(slot, plane.m.fd, plane.length, access, place);
        if (!brought) return fail(brought.error());
        place = *brought;
        if (!output) {
            queued_.push_back({buffer, plane});
            return {};
        }
        sum_ = 0;
        for (const auto byte : place->bytes().first(std::min<size_t>(plane.bytesused, place->size())))
            sum_ += static_cast<uint32_t>(byte);
        if (buffer.memory == V4L2_MEMORY_MMAP) produce();
        return {};
    }

    /// A frame and a free OUTPUT slot come of each queued OUTPUT buffer, a moment later, as from a worker.
    void produce() {
        auto made = [this, life = std::weak_ptr(life_)] {
            if (life.expired()) return;
            ++slots_;
            ++frames_;
            if (++produced_ % test::kFramesPerEvent == 0) ++events_;
            changed_();
        };
        if (random_() % 4 == 0) return made();
        stage->loop.post(made);
    }

    Result<> dequeue(v4l2_buffer& buffer) {
        if (V4L2_TYPE_IS_OUTPUT(buffer.type)) {
            if (slots_ == 0) return fail(EAGAIN);
            --slots_;
            buffer.index = sum_;
        } else {
            if (frames_ == 0 && (mask_ & POLLIN) == 0) return fail(EAGAIN);
            if (frames_ > 0) --frames_;
            if (!queued_.empty() && buffer.length > 0) fill(buffer);
        }
        changed_();
        return {};
    }

    void fill(v4l2_buffer& buffer) {
        auto [done, plane] = queued_.front();
        queued_.pop_front();
        const auto bytes = planes_[{done.type, done.index}]->bytes();
        plane.bytesused = plane.length;
        for (size_t i = 0; i < plane.length; ++i) bytes[i] = static_cast<std::byte>(i * 7 + done.index);
        buffer.index = done.index;
        buffer.m.planes[0] = plane;
    }

    const std::string name_ = "script";
    Changed changed_;
    memory::MemoryRef mapped_;
    std::map<std::pair<uint32_t, uint32_t>, memory::MemoryRef> planes_;
    std::deque<std::pair<v4l2_buffer, v4l2_plane>> queued_;
    EventLoop::Registration later_;
    uint32_t mask_ = 0;
    uint32_t sum_ = 0;
    int frames_ = 0;
    int slots_ = 0;
    int events_ = 0;
    int produced_ = 0;
    std::minstd_rand random_;
    std::shared_ptr<int> life_ = std::make_shared<int>(0);
};

/// Counts the calls that were interrupted.
class ScriptedFile final : public ioctl::CallFile {
public:
    ScriptedFile(ioctl::FileKind kind, uid_t user)
        : CallFile(stage->loop, kind, user, [](auto changed) { return std::make_unique<Script>(std::move(changed)); }) {}
    void interrupt(Ticket ticket) override {
        ++stage->interrupts;
        CallFile::interrupt(ticket);
    }
};

const ioctl::NodeKind kScripted{
    .name = "scripted",
    .files = ioctl::FileKind::Stateful,
    .decoder = &device::kStatefulDecoder,
    .open = [](device::Device&, ioctl::FileKind kind, std::string, uid_t user) -> std::unique_ptr<ioctl::File> {
        return std::make_unique<ScriptedFile>(kind, user);
    },
};

Result<> Stage::plug(unsigned number) {
    if (auto added = nodes.add(kScripted, number, {.card = "Fake"}); !added) return fail(added.error());
    return {};
}

int serve(const char* socket, const char* node) {
    Stage here;
    stage = &here;
    const auto number = v4l2::nodeNumber(node);
    if (!number || !here.plug(*number)) return std::fprintf(stderr, "%s: is no node\n", node), 2;
    auto server = transport::listenSocket(here.loop, here.nodes, socket);
    if (!server) return std::fprintf(stderr, "%s: %s\n", socket, std::strerror(server.error().value)), 1;
    here.server = *std::move(server);
    auto quit = here.loop.signal(SIGTERM, [&] { here.loop.stop(); });
    std::puts("ready");
    std::fflush(stdout);
    here.loop.run();
    return 0;
}

}  // namespace
}  // namespace daedalus

int main(int argc, char** argv) {
    if (argc != 3) return std::fputs("usage: scripted_daemon SOCKET NODE\n", stderr), 2;
    return daedalus::serve(argv[1], argv[2]);
}
