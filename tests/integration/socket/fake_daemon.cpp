// A daemon with a node that clients steer by controls, so that the socket transport and the preload library can be tested
// without a decoder. Usage: fake_daemon SOCKET NODE. Prints "ready" and serves until it is killed.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/log.h"
#include "daedalus/v4l2/node_name.h"
#include "daedalus/v4l2/uapi.h"
#include "src/transport/socket/server.h"
#include "tests/integration/socket/fake_controls.h"

namespace daedalus {
namespace {

/// What all files of the fake node share.
struct World {
    EventLoop loop;
    transport::socket::Server* server = nullptr;
    int interrupts = 0;
};

template <class T>
T take(const ioctl::Payload& payload) {
    T value{};
    std::memcpy(&value, payload.argument.data(), std::min(sizeof value, payload.argument.size()));
    return value;
}

template <class T>
void put(ioctl::Payload& payload, const T& value) {
    std::memcpy(payload.argument.data(), &value, std::min(sizeof value, payload.argument.size()));
}

class FakeFile final : public ioctl::File {
public:
    FakeFile(World& world, uid_t owner) : world_(world), owner_(owner), mapped_(*memory::allocate(8192, "daedalus-test")) {
        std::memset(mapped_->bytes().data(), 0x5A, mapped_->size());
    }
    ~FakeFile() override {
        for (auto& parked : std::exchange(parked_, {})) finish(std::move(parked), EBADF, false);
    }

    bool takes(uint32_t) const override { return true; }
    void endCalls(int error) override {
        for (auto& parked : std::exchange(parked_, {})) finish(std::move(parked), error, false);
    }
    uid_t owner() const override { return owner_; }
    Ticket ioctl(ioctl::Call&& call, ioctl::Reply&& reply) override {
        Parked work{++lastTicket_, std::move(call), std::move(reply)};
        const int error = run(work);
        if (error == EAGAIN && !work.call.nonblocking.isSet() && work.call.cmd != VIDIOC_S_CTRL) {
            parked_.push_back(std::move(work));
            return lastTicket_;
        }
        finish(std::move(work), error, true);
        return 0;
    }

    void interrupt(Ticket ticket) override {
        for (auto parked = parked_.begin(); parked != parked_.end(); ++parked) {
            if (parked->ticket != ticket) continue;
            ++world_.interrupts;
            auto work = std::move(*parked);
            parked_.erase(parked);
            finish(std::move(work), EINTR, false);
            return;
        }
    }

    Result<memory::MemoryRef> mmap(uint64_t offset, size_t length) override { return memoryAt(offset, length); }

    Result<memory::MemoryRef> memoryAt(uint64_t offset, size_t length) const override {
        if (offset != test::kMapOffset || length > 8192) return fail(EINVAL);
        return mapped_;
    }

    uint32_t readiness() const override {
        uint32_t mask = mask_;
        if (frames_ > 0) mask |= POLLIN | POLLRDNORM;
        if (slots_ > 0) mask |= POLLOUT | POLLWRNORM;
        if (events_ > 0) mask |= POLLPRI;
        return mask;
    }

    void onReadiness(std::function<void()> listener) override { listener_ = std::move(listener); }

private:
    struct Parked {
        Ticket ticket;
        ioctl::Call call;
        ioctl::Reply reply;
        std::vector<ioctl::PassedFd> fds;
    };

    void finish(Parked&& work, int error, bool copyBack) {
        if (work.call.faulted && error != ENOTTY) error = EFAULT;
        work.reply.answer({error,
                           copyBack && (error == 0 || work.call.cmd == VIDIOC_G_EXT_CTRLS),
                           std::move(work.call.payload),
                           std::move(work.fds),
                           {}});
    }

    void changed() {
        if (listener_) listener_();
        for (size_t i = 0; i < parked_.size();) {
            const int error = run(parked_[i]);
            if (error == EAGAIN) {
                ++i;
                continue;
            }
            auto work = std::move(parked_[i]);
            parked_.erase(parked_.begin() + static_cast<ptrdiff_t>(i));
            finish(std::move(work), error, true);
        }
    }

    int run(Parked& work) {
        auto& payload = work.call.payload;
        if (work.call.faulted) return isKnown(work.call.cmd) ? EFAULT : ENOTTY;
        switch (work.call.cmd) {
            case VIDIOC_QUERYCAP: {
                v4l2_capability capability{};
                std::strcpy(reinterpret_cast<char*>(capability.driver), "fake");
                put(payload, capability);
                return 0;
            }
            case VIDIOC_G_CTRL:
                return getControl(payload);
            case VIDIOC_S_CTRL:
                return setControl(take<v4l2_control>(payload));
            case VIDIOC_G_EXT_CTRLS:
                return echo(payload);
            case VIDIOC_EXPBUF: {
                const auto exported = take<v4l2_exportbuffer>(payload);
                auto copy = UniqueFd(::fcntl(mapped_->fd(), F_DUPFD_CLOEXEC, 0));
                work.fds.push_back({offsetof(v4l2_exportbuffer, fd), static_cast<int>(exported.flags), std::move(copy)});
                return 0;
            }
            case VIDIOC_QBUF:
                return queue(work.call);
            case VIDIOC_DQBUF:
                return dequeue(work.call);
            case VIDIOC_DQEVENT: {
                if (events_ == 0) return EAGAIN;
                --events_;
                v4l2_event event{};
                event.type = V4L2_EVENT_EOS;
                put(payload, event);
                if (listener_) listener_();
                return 0;
            }
            case VIDIOC_STREAMOFF:
                slots_ = frames_ = events_ = 0;
                planes_.clear();
                changed();
                return 0;
            default:
                return ENOTTY;
        }
    }

    static bool isKnown(uint32_t cmd) { return _IOC_NR(cmd) < 90 && _IOC_TYPE(cmd) == 'V'; }

    int getControl(ioctl::Payload& payload) {
        auto control = take<v4l2_control>(payload);
        switch (control.id) {
            case test::kSessions:
                control.value = static_cast<int>(world_.server->sessions());
                break;
            case test::kInterrupts:
                control.value = world_.interrupts;
                break;
            default:
                return EINVAL;
        }
        put(payload, control);
        return 0;
    }

    int setControl(const v4l2_control& control) {
        switch (control.id) {
            case test::kMask:
                mask_ = static_cast<uint32_t>(control.value);
                break;
            case test::kMaskLater:
                later_ = world_.loop.timer(std::chrono::milliseconds(control.value >> 16), std::chrono::milliseconds(0),
                                           [this, mask = static_cast<uint32_t>(control.value) & 0xFFFF] {
                                               mask_ = mask;
                                               changed();
                                           });
                return 0;
            case test::kFrames:
                frames_ += control.value;
                break;
            case test::kFramesLater:
                later_ = world_.loop.timer(std::chrono::milliseconds(control.value >> 16), std::chrono::milliseconds(0),
                                           [this, count = control.value & 0xFFFF] {
                                               frames_ += count;
                                               changed();
                                           });
                return 0;
            case test::kSlots:
                slots_ += control.value;
                break;
            case test::kEvents:
                events_ += control.value;
                break;
            default:
                return EINVAL;
        }
        changed();
        return 0;
    }

    /// Adds 1 to each value, and inverts each payload.
    static int echo(ioctl::Payload& payload) {
        if (payload.nested.empty()) return 0;
        auto& array = payload.nested[0].bytes;
        for (size_t at = 0; at + sizeof(v4l2_ext_control) <= array.size(); at += sizeof(v4l2_ext_control)) {
            v4l2_ext_control control;
            std::memcpy(&control, array.data() + at, sizeof control);
            if (control.size == 0) ++control.value;
            std::memcpy(array.data() + at, &control, sizeof control);
        }
        for (size_t i = 1; i < payload.nested.size(); ++i) {
            for (auto& byte : payload.nested[i].bytes) byte = ~byte;
        }
        auto controls = take<v4l2_ext_controls>(payload);
        controls.error_idx = static_cast<uint32_t>(payload.nested.size());
        put(payload, controls);
        return controls.which == test::kEchoFails ? ERANGE : 0;
    }

    /// OUTPUT: a plane's bytes are summed up; a frame comes of it after a while. CAPTURE: the memory is kept.
    int queue(ioctl::Call& call) {
        auto buffer = take<v4l2_buffer>(call.payload);
        if (call.payload.nested.empty()) return EINVAL;
        v4l2_plane plane;
        std::memcpy(&plane, call.payload.nested[0].bytes.data(), sizeof plane);
        const bool output = V4L2_TYPE_IS_OUTPUT(buffer.type);
        auto& place = planes_[{buffer.type, buffer.index}];
        const memory::PlaneSlot slot{buffer.type, buffer.index, 0};
        const auto access = output ? memory::Access::Read : memory::Access::Write;
        Result<memory::MemoryRef> brought = mapped_;
        if (buffer.memory == V4L2_MEMORY_USERPTR) {
            brought = call.clientMemory->importUserptr(slot, plane.m.userptr, plane.length, access, place);
        } else if (buffer.memory == V4L2_MEMORY_DMABUF) {
            brought = call.clientMemory->importDmabuf(slot, plane.m.fd, plane.length, access, place);
        }
        if (!brought) return brought.error().value;
        place = *brought;
        if (output) {
            sum_ = 0;
            const auto bytes = place->bytes().first(std::min<size_t>(plane.bytesused, place->size()));
            for (const auto byte : bytes) sum_ += static_cast<uint32_t>(byte);
            if (buffer.memory == V4L2_MEMORY_MMAP) produce();
        } else {
            queued_.push_back({buffer, plane});
        }
        return 0;
    }

    /// A frame and a free OUTPUT slot come of each queued OUTPUT buffer, a moment later, as from a worker.
    void produce() {
        auto made = [this, life = std::weak_ptr(life_)] {
            if (life.expired()) return;
            ++slots_;
            ++frames_;
            if (++produced_ % test::kFramesPerEvent == 0) ++events_;
            changed();
        };
        if (random_() % 4 == 0) return made();
        world_.loop.post(made);
    }

    int dequeue(ioctl::Call& call) {
        auto buffer = take<v4l2_buffer>(call.payload);
        if (V4L2_TYPE_IS_OUTPUT(buffer.type)) {
            if (slots_ == 0) return EAGAIN;
            --slots_;
            buffer.index = sum_;
        } else {
            if (frames_ == 0 && (mask_ & POLLIN) == 0) return EAGAIN;
            if (frames_ > 0) --frames_;
            if (!queued_.empty() && !call.payload.nested.empty()) {
                auto [done, plane] = queued_.front();
                queued_.pop_front();
                auto& memory = planes_[{done.type, done.index}];
                plane.bytesused = plane.length;
                for (size_t i = 0; i < plane.length; ++i) memory->bytes()[i] = static_cast<std::byte>(i * 7 + done.index);
                buffer.index = done.index;
                std::memcpy(call.payload.nested[0].bytes.data(), &plane, sizeof plane);
            }
        }
        put(call.payload, buffer);
        if (listener_) listener_();
        return 0;
    }

    World& world_;
    const uid_t owner_;
    memory::MemoryRef mapped_;
    std::function<void()> listener_;
    std::vector<Parked> parked_;
    std::map<std::pair<uint32_t, uint32_t>, memory::MemoryRef> planes_;
    std::deque<std::pair<v4l2_buffer, v4l2_plane>> queued_;
    EventLoop::Registration later_;
    Ticket lastTicket_ = 0;
    uint32_t mask_ = 0;
    uint32_t sum_ = 0;
    int frames_ = 0;
    int slots_ = 0;
    int events_ = 0;
    int produced_ = 0;
    std::minstd_rand random_;
    std::shared_ptr<int> life_ = std::make_shared<int>(0);
};

int serve(const char* socket, const char* node) {
    World world;
    transport::socket::Backend backend;
    const auto number = v4l2::nodeNumber(node);
    if (!number) return 2;
    backend.nodes = [&] { return std::vector<transport::socket::Backend::Node>{{*number, "Fake"}}; };
    backend.open = [&](unsigned, const std::string&, uid_t user) -> Result<std::unique_ptr<ioctl::File>> {
        return std::make_unique<FakeFile>(world, user);
    };
    backend.follows = ioctl::followedCalls();
    auto server = transport::socket::Server::listen(world.loop, std::move(backend), socket);
    if (!server) {
        std::fprintf(stderr, "fake_daemon: cannot listen on %s: %s\n", socket, std::strerror(server.error().value));
        return 1;
    }
    world.server = server->get();
    auto quit = world.loop.signal(SIGTERM, [&] { world.loop.stop(); });
    std::puts("ready");
    std::fflush(stdout);
    world.loop.run();
    return 0;
}

}  // namespace
}  // namespace daedalus

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fputs("usage: fake_daemon SOCKET NODE\n", stderr);
        return 2;
    }
    return daedalus::serve(argv[1], argv[2]);
}
