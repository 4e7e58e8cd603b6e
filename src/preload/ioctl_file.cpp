// An ioctl on a file of ours: gathers what its pointers lead to, asks the daemon, and puts the answer back.
#include <fcntl.h>
#include <linux/videodev2.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "proto/follow.h"
#include "src/preload/client_memory.h"
#include "src/preload/file.h"
#include "src/preload/kernel.h"
#include "src/preload/planes.h"
#include "src/preload/process.h"
#include "src/preload/real.h"
#include "src/preload/scratch.h"

namespace daedalus::preload {
namespace {

/// Nested arrays that travel in the message itself.
constexpr size_t kInlineNested = 8;
/// No argument that is followed is larger.
constexpr size_t kMaxFollowed = 256;

/// One ioctl under way. Its methods return 0 or an errno.
class IoctlCall {
public:
    IoctlCall(int fd, uint64_t session, uint32_t cmd, void* argument)
        : fd_(fd), session_(session), address_(reinterpret_cast<uint64_t>(argument)), size_(_IOC_SIZE(cmd)) {
        exchange_.request.kind = proto::Kind::Ioctl;
        exchange_.request.cmd = cmd;
        exchange_.interruptible = true;
        writes_ = (_IOC_DIR(cmd) & _IOC_WRITE) != 0 && size_ > 0;
        reads_ = (_IOC_DIR(cmd) & _IOC_READ) != 0 && size_ > 0;
        const long status = kernel(SYS_fcntl, fd, F_GETFL);
        if (status >= 0 && (status & O_NONBLOCK) != 0) exchange_.request.flags |= proto::kRequestNonblocking;
    }

    int run(const proto::FollowEntry* follow) {
        if (follow == nullptr || !writes_ || size_ > kMaxFollowed) return runFlat();
        return runFollowed(*follow);
    }

private:
    int runFlat() {
        const iovec argument{reinterpret_cast<void*>(address_), size_};
        exchange_.in = &argument;
        exchange_.inCount = reads_ ? 1 : 0;
        if (!writes_) return finish(exchangeFor(fd_, session_, exchange_));
        exchange_.out = &argument;
        exchange_.outCount = 1;
        exchange_.request.argumentBytes = static_cast<uint32_t>(size_);
        exchange_.request.bodyBytes = static_cast<uint32_t>(size_);
        if (size_ > proto::kMaxInlineBytes) return runLarge(&argument, 1);
        return finish(exchangeFor(fd_, session_, exchange_));
    }

    int runFollowed(const proto::FollowEntry& entry) {
        alignas(16) unsigned char argument[kMaxFollowed];
        if (!copyIn(argument, address_, size_)) return faulted();
        const auto follow = static_cast<proto::Follow>(entry.follow);
        nameRequest(proto::requestOf(follow, argument, size_));
        proto::NestedRef first;
        // What is wrong with the counts is the daemon's to say.
        const bool any = proto::followArgument(follow, argument, size_, &first) == 1;
        const uint64_t firstAddress = any ? pointerAt(argument, first.offset) : 0;
        Scratch firstMemory;
        void* const firstBytes = any ? firstMemory.get(first.length) : nullptr;
        if (any && firstBytes == nullptr) return ENOMEM;
        if (any && !copyIn(firstBytes, firstAddress, first.length)) return faulted();

        exchange_.request.argumentBytes = static_cast<uint32_t>(size_);
        proto::NestedRef arrays[proto::kMaxArrays];
        const size_t arrayCount = proto::followArrays(follow, argument, size_, arrays);
        if (arrayCount > 0) return runArrays(argument, arrays, arrayCount);
        if (any && follow == proto::Follow::ExtControls) {
            Scratch refMemory;
            const size_t most = first.length / sizeof(v4l2_ext_control);
            auto* const refs = static_cast<proto::NestedRef*>(refMemory.get(most * sizeof(proto::NestedRef)));
            if (refs == nullptr) return ENOMEM;
            const size_t found = proto::followNested(follow, firstBytes, first.length, refs, most);
            if (found > 0) return runDeep(argument, first, firstBytes, firstAddress, refs, found);
        }
        const auto role = static_cast<proto::MemoryRole>(entry.role);
        v4l2_buffer buffer{};
        const bool hasBuffer = follow == proto::Follow::Planes && size_ == sizeof buffer;
        if (hasBuffer) std::memcpy(&buffer, argument, sizeof buffer);
        const bool hasPlanes = any || (hasBuffer && !V4L2_TYPE_IS_MULTIPLANAR(buffer.type));
        const bool own = hasPlanes && (buffer.memory == V4L2_MEMORY_USERPTR || buffer.memory == V4L2_MEMORY_DMABUF);
        const proto::NestedRef* const nested = any ? &first : nullptr;
        if (own && role == proto::MemoryRole::Give) return give(argument, nested, buffer, firstBytes, firstAddress);
        const int error = runShallow(argument, nested, firstBytes, firstAddress, nullptr);
        if (error == 0 && hasPlanes && role == proto::MemoryRole::Take) return take(firstAddress, any ? first.length : 0);
        return error;
    }

    /// The argument names this descriptor, or none (-1): the daemon cannot see whose it is.
    void nameRequest(int fd) {
        if (!isOurFileForSure(fd, exchange_.request.value)) return;
        exchange_.request.length = static_cast<uint64_t>(fd);
    }

    /// The argument and at most one nested array.
    int runShallow(void* argument, const proto::NestedRef* first, void* bytes, uint64_t bytesAddress,
                   const GivenPlanes* given) {
        proto::NestedHeader header{};
        iovec out[4] = {{argument, size_}};
        iovec in[2] = {{reinterpret_cast<void*>(address_), size_}};
        size_t outCount = 1;
        size_t inCount = 1;
        exchange_.request.nestedCount = first != nullptr ? 1 : 0;
        if (first != nullptr) {
            header = {first->parent, first->offset, first->length};
            out[outCount++] = {&header, sizeof header};
            out[outCount++] = {bytes, first->length};
            in[inCount++] = {reinterpret_cast<void*>(bytesAddress), first->length};
        }
        exchange_.request.planeCount = 0;
        exchange_.sendFdCount = 0;
        if (given != nullptr) {
            exchange_.request.planeCount = given->count();
            out[outCount++] = {const_cast<proto::PlaneMemory*>(given->headers()), given->count() * sizeof(proto::PlaneMemory)};
            exchange_.sendFds = given->fds();
            exchange_.sendFdCount = given->fdCount();
        }
        exchange_.out = out;
        exchange_.outCount = outCount;
        exchange_.in = in;
        exchange_.inCount = reads_ ? inCount : 0;
        exchange_.request.bodyBytes = static_cast<uint32_t>(total(out, outCount));
        if (exchange_.request.bodyBytes > proto::kMaxInlineBytes) {
            if (given != nullptr) return ENOMEM;
            return runLarge(in, inCount);
        }
        return finish(exchangeFor(fd_, session_, exchange_));
    }

    /// `first`: null for a buffer of the single-planar API.
    int give(void* argument, const proto::NestedRef* first, const v4l2_buffer& buffer, void* planesBytes,
             uint64_t planesAddress) {
        const v4l2_plane only = proto::onlyPlane(buffer);
        const auto* const planes = first != nullptr ? static_cast<const v4l2_plane*>(planesBytes) : &only;
        const uint32_t count = first != nullptr ? buffer.length : 1;
        GivenPlanes given;
        given.collect(session_, buffer, planes, count, false);
        int error = runShallow(argument, first, planesBytes, planesAddress, &given);
        if ((exchange_.reply.flags & proto::kReplyNeedMemory) != 0) {
            given.collect(session_, buffer, planes, count, true);
            error = runShallow(argument, first, planesBytes, planesAddress, &given);
        }
        if (error == 0) given.commit(session_, buffer);
        return error;
    }

    /// After DQBUF. The answer says of what kind the buffer is: as in the kernel, what the program wrote there does not count.
    int take(uint64_t planesAddress, size_t planesLength) {
        v4l2_buffer buffer;
        v4l2_plane planes[kMaxPlanes];
        if (!copyIn(&buffer, address_, sizeof buffer)) return EFAULT;
        if (buffer.memory != V4L2_MEMORY_USERPTR || planesLength > sizeof planes) return 0;
        if (!V4L2_TYPE_IS_MULTIPLANAR(buffer.type)) {
            const v4l2_plane only = proto::onlyPlane(buffer);
            return takePlanes(session_, buffer, &only, 1) ? 0 : EFAULT;
        }
        if (!copyIn(planes, planesAddress, planesLength)) return EFAULT;
        if (buffer.length * sizeof planes[0] > planesLength) return 0;
        return takePlanes(session_, buffer, planes, buffer.length) ? 0 : EFAULT;
    }

    /// Arrays that the device only writes, and that are small.
    int runArrays(void* argument, const proto::NestedRef* refs, size_t count) {
        Scratch scratch;
        auto* const bytes = scratch.get<unsigned char>(proto::kMaxArrayBytes);
        if (bytes == nullptr) return ENOMEM;
        proto::NestedHeader headers[proto::kMaxArrays];
        iovec in[proto::kMaxArrays + 1] = {{reinterpret_cast<void*>(address_), size_}};
        size_t used = 0;
        for (size_t i = 0; i < count; ++i) {
            const uint64_t from = pointerAt(argument, refs[i].offset);
            if (used + refs[i].length > proto::kMaxArrayBytes || !copyIn(bytes + used, from, refs[i].length)) return faulted();
            headers[i] = {refs[i].parent, refs[i].offset, refs[i].length};
            in[i + 1] = {reinterpret_cast<void*>(from), refs[i].length};
            used += refs[i].length;
        }
        const iovec out[3] = {{argument, size_}, {headers, count * sizeof *headers}, {bytes, used}};
        exchange_.request.nestedCount = static_cast<uint32_t>(count);
        exchange_.request.bodyBytes = static_cast<uint32_t>(total(out, 3));
        exchange_.out = out;
        exchange_.outCount = 3;
        exchange_.in = in;
        exchange_.inCount = count + 1;
        return finish(exchangeFor(fd_, session_, exchange_));
    }

    /// Controls with payloads: all that can be read goes along. What is missing is the daemon's to say.
    int runDeep(void* argument, const proto::NestedRef& first, void* firstBytes, uint64_t firstAddress,
                const proto::NestedRef* refs, size_t count) {
        size_t payloads = 0;
        for (size_t i = 0; i < count; ++i) payloads += refs[i].length;
        Scratch headerMemory;
        Scratch payloadMemory;
        Scratch pieceMemory;
        auto* const headers = static_cast<proto::NestedHeader*>(headerMemory.get((count + 1) * sizeof(proto::NestedHeader)));
        auto* const payload = static_cast<unsigned char*>(payloadMemory.get(payloads));
        auto* const in = static_cast<iovec*>(pieceMemory.get((count + 2) * sizeof(iovec)));
        if (headers == nullptr || payload == nullptr || in == nullptr) return ENOMEM;
        headers[0] = {first.parent, first.offset, first.length};
        in[0] = {reinterpret_cast<void*>(address_), size_};
        in[1] = {reinterpret_cast<void*>(firstAddress), first.length};
        size_t nested = 1;
        size_t used = 0;
        for (size_t i = 0; i < count; ++i) {
            const uint64_t from = pointerAt(firstBytes, refs[i].offset);
            if (!copyIn(payload + used, from, refs[i].length)) continue;
            headers[nested] = {refs[i].parent, refs[i].offset, refs[i].length};
            in[nested + 1] = {reinterpret_cast<void*>(from), refs[i].length};
            used += refs[i].length;
            ++nested;
        }
        const iovec out[4] = {
            {argument, size_}, {headers, nested * sizeof *headers}, {firstBytes, first.length}, {payload, used}};
        exchange_.request.nestedCount = static_cast<uint32_t>(nested);
        exchange_.request.bodyBytes = static_cast<uint32_t>(total(out, 4));
        exchange_.out = out;
        exchange_.outCount = 4;
        exchange_.in = in;
        exchange_.inCount = reads_ ? nested + 1 : 0;
        if (exchange_.request.bodyBytes > proto::kMaxInlineBytes || nested > kInlineNested) return runLarge(in, nested + 1);
        return finish(exchangeFor(fd_, session_, exchange_));
    }

    /// The body by memfd, both ways.
    int runLarge(const iovec* in, size_t inCount) {
        const int memfd = ::memfd_create("daedalus-call", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (memfd < 0) return ENOMEM;
        off_t at = 0;
        int error = 0;
        for (size_t i = 0; i < exchange_.outCount && error == 0; ++i) {
            const ssize_t put = ::pwrite(memfd, exchange_.out[i].iov_base, exchange_.out[i].iov_len, at);
            if (put < 0) {
                error = errno;
            } else if (static_cast<size_t>(put) != exchange_.out[i].iov_len) {
                error = EFAULT;
            }
            at += put;
        }
        if (error == EFAULT) {
            realClose(memfd);
            return faulted();
        }
        if (error == 0) {
            exchange_.request.flags |= proto::kRequestLarge;
            exchange_.outCount = 0;
            exchange_.inCount = 0;
            exchange_.sendFds = &memfd;
            exchange_.sendFdCount = 1;
            error = finish(exchangeFor(fd_, session_, exchange_));
            at = 0;
            const bool back = reads_ && (exchange_.reply.flags & proto::kReplyCopyBack) != 0;
            for (size_t i = 0; back && i < inCount; ++i) {
                const ssize_t got = ::pread(memfd, in[i].iov_base, in[i].iov_len, at);
                if (got != static_cast<ssize_t>(in[i].iov_len)) {
                    error = EFAULT;
                    break;
                }
                at += got;
            }
        }
        realClose(memfd);
        return error;
    }

    /// The argument is bad: the daemon still says whether it knows the call at all.
    int faulted() {
        exchange_.request.flags = (exchange_.request.flags | proto::kRequestFaulted) & ~proto::kRequestLarge;
        exchange_.request.argumentBytes = 0;
        exchange_.request.nestedCount = 0;
        exchange_.request.planeCount = 0;
        exchange_.request.bodyBytes = 0;
        exchange_.outCount = 0;
        exchange_.inCount = 0;
        exchange_.sendFdCount = 0;
        return finish(exchangeFor(fd_, session_, exchange_));
    }

    int finish(Outcome outcome) {
        switch (outcome) {
            case Outcome::Answered:
                return installFds();
            case Outcome::CannotRead:
                return faulted();
            case Outcome::CannotWrite:
                return EFAULT;
            case Outcome::BadFd:
                return EINVAL;
            case Outcome::Gone:
                break;
        }
        return ENODEV;
    }

    /// Writes the numbers of the descriptors that came where the argument wants them.
    int installFds() {
        int error = exchange_.reply.error;
        if (error == 0 && exchange_.fdCount < exchange_.reply.fdCount) error = EMFILE;
        for (size_t i = 0; i < exchange_.fdCount; ++i) {
            const auto& place = exchange_.reply.fds[i];
            const int number = exchange_.fds[i];
            const bool good =
                error == 0 && place.offset + sizeof number <= size_ && copyOut(address_ + place.offset, &number, sizeof number);
            if (!good) {
                if (error == 0) error = EFAULT;
                realClose(number);
            } else {
                if ((place.flags & O_CLOEXEC) == 0) kernel(SYS_fcntl, number, F_SETFD, 0);
                // It may be a file of ours, and is looked for among them from now on.
                uint64_t session = 0;
                (void)isOurFileForSure(number, session);
            }
        }
        exchange_.fdCount = 0;
        return error;
    }

    static uint64_t pointerAt(const void* bytes, uint32_t offset) {
        void* pointer = nullptr;
        std::memcpy(&pointer, static_cast<const char*>(bytes) + offset, sizeof pointer);
        return reinterpret_cast<uint64_t>(pointer);
    }

    static size_t total(const iovec* pieces, size_t count) {
        size_t bytes = 0;
        for (size_t i = 0; i < count; ++i) bytes += pieces[i].iov_len;
        return bytes;
    }

    int fd_;
    uint64_t session_;
    uint64_t address_;
    size_t size_;
    bool writes_;
    bool reads_;
    Exchange exchange_;
};

}  // namespace

int ioctlFile(int fd, uint64_t session, uint32_t cmd, void* argument) {
    const int before = errno;
    int error = ENODEV;
    if (greeting() != nullptr) {
        IoctlCall call(fd, session, cmd, argument);
        error = call.run(findFollow(cmd));
    }
    errno = error != 0 ? error : before;
    return error != 0 ? -1 : 0;
}

}  // namespace daedalus::preload
