#include "wire_client.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "src/transport/gather.h"

namespace daedalus::fuzz {
namespace {

constexpr size_t kMostFds = 16;
constexpr size_t kLargest = 65536;

template <class T>
void append(std::vector<std::byte>& bytes, const T& value) {
    const auto more = std::as_bytes(std::span(&value, 1));
    bytes.insert(bytes.end(), more.begin(), more.end());
}

}  // namespace

bool WireClient::connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socketPath_.copy(address.sun_path, sizeof address.sun_path - 1);
    connection_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const bool connected = ::connect(connection_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    // One turn to accept, one to see what was sent before.
    stage_.turn(2);
    return connected;
}

bool WireClient::hello() {
    const auto answer = ask(proto::Kind::Hello, proto::kProtocolVersion);
    return answer && answer->head.error == 0 && answer->body.size() >= sizeof(proto::HelloBody);
}

bool WireClient::open() {
    auto answer = ask(proto::Kind::Open, 9);  // fuzz_socket.cpp names the node so
    if (!answer || answer->head.error != 0 || answer->fds.size() != 1) return false;
    constexpr size_t kMostOpens = 4;
    if (opens_.size() >= kMostOpens) opens_.pop_front();
    opens_.push_back({answer->head.value, std::move(answer->fds.front())});
    current_ = opens_.size() - 1;
    return true;
}

proto::Request WireClient::head(proto::Kind kind) {
    proto::Request request{};
    request.kind = kind;
    request.sequence = ++sequence_;
    if (!opens_.empty()) request.session = opens_[current_ % opens_.size()].session;
    return request;
}

std::optional<WireClient::Answer> WireClient::ask(proto::Kind kind, uint64_t value, uint64_t length) {
    auto request = head(kind);
    request.value = value;
    request.length = length;
    Message message;
    append(message.bytes, request);
    return exchange(std::move(message));
}

std::optional<WireClient::Answer> WireClient::exchange(Message message) {
    send(std::move(message));
    if (!reading_) return std::nullopt;
    for (int turns = 0; turns < 3; ++turns) {
        stage_.turn();
        if (auto answer = receive()) {
            obey(answer->head);
            if (answer->head.sequence == sequence_) return answer;
        }
    }
    return std::nullopt;
}

void WireClient::send(Message message) {
    if (corrupt_) std::exchange(corrupt_, nullptr)(message);
    iovec part{message.bytes.data(), message.bytes.size()};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostFds * sizeof(int))> control{};
    const size_t count = std::min(message.fds.size(), kMostFds);
    if (count > 0) {
        header.msg_control = control.data();
        header.msg_controllen = CMSG_SPACE(count * sizeof(int));
        cmsghdr* const entry = CMSG_FIRSTHDR(&header);
        entry->cmsg_level = SOL_SOCKET;
        entry->cmsg_type = SCM_RIGHTS;
        entry->cmsg_len = CMSG_LEN(count * sizeof(int));
        for (size_t i = 0; i < count; ++i) {
            const int fd = message.fds[i].get();
            std::memcpy(CMSG_DATA(entry) + i * sizeof fd, &fd, sizeof fd);
        }
    }
    std::ignore = ::sendmsg(connection_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

std::optional<WireClient::Answer> WireClient::receive() {
    Answer answer;
    std::vector<std::byte> bytes(kLargest);
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostFds * sizeof(int))> control;
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t length = ::recvmsg(connection_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (length <= 0) return std::nullopt;
    for (cmsghdr* entry = CMSG_FIRSTHDR(&header); entry != nullptr; entry = CMSG_NXTHDR(&header, entry)) {
        for (size_t at = 0; CMSG_LEN(at + sizeof(int)) <= entry->cmsg_len; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(entry) + at, sizeof fd);
            answer.fds.emplace_back(fd);
        }
    }
    require(static_cast<size_t>(length) >= sizeof answer.head, "a reply is shorter than its head");
    std::memcpy(&answer.head, bytes.data(), sizeof answer.head);
    bytes.resize(static_cast<size_t>(length));
    bytes.erase(bytes.begin(), bytes.begin() + sizeof answer.head);
    require(answer.head.bodyBytes == bytes.size(), "a reply's head does not know its size");
    require(answer.head.fdCount == answer.fds.size(), "a reply's head does not know its descriptors");
    answer.body = std::move(bytes);
    return answer;
}

void WireClient::obey(const proto::Reply& reply) {
    if (opens_.empty()) return;
    const int file = opens_[current_ % opens_.size()].file.get();
    std::array<char, proto::kFillerBytes> filler{};
    if ((reply.flags & proto::kReplyEat) != 0) std::ignore = ::recv(file, filler.data(), 1, MSG_DONTWAIT);
    if ((reply.flags & proto::kReplyFill) != 0)
        std::ignore = ::send(file, filler.data(), filler.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void WireClient::addPlanes(Message& message, proto::Request& request, const ioctl::Payload& payload) {
    if (request.cmd != VIDIOC_QBUF && request.cmd != VIDIOC_PREPARE_BUF) return;
    if (payload.nested.empty() || payload.argument.size() < sizeof(v4l2_buffer)) return;
    v4l2_buffer buffer;
    std::memcpy(&buffer, payload.argument.data(), sizeof buffer);
    const auto& array = payload.nested.front().bytes;
    for (uint32_t i = 0; (i + 1) * sizeof(v4l2_plane) <= array.size(); ++i) {
        v4l2_plane plane;
        std::memcpy(&plane, array.data() + i * sizeof plane, sizeof plane);
        proto::PlaneMemory memory{};
        memory.plane = i;
        if (buffer.memory == V4L2_MEMORY_USERPTR) {
            std::vector<std::byte> content(std::min<size_t>(plane.length, kLargest));
            std::ignore = transport::readProcess(::getpid(), plane.m.userptr, content);
            memory.source = proto::PlaneMemory::Source::Bounce;
            memory.serial = ++serial_;
            message.fds.push_back(makeMemfd(content.size(), content));
        } else if (buffer.memory == V4L2_MEMORY_DMABUF) {
            memory.source = proto::PlaneMemory::Source::Dmabuf;
            message.fds.emplace_back(::fcntl(plane.m.fd, F_DUPFD_CLOEXEC, 0));
        } else {
            return;
        }
        memory.hasFd = message.fds.back() ? 1 : 0;
        if (memory.hasFd == 0) message.fds.pop_back();
        append(message.bytes, memory);
        ++request.planeCount;
    }
}

Message WireClient::ioctlMessage(uint32_t cmd, uint64_t address) {
    auto request = head(proto::Kind::Ioctl);
    request.cmd = cmd;
    if (nonblocking_) request.flags |= proto::kRequestNonblocking;
    Message message;
    message.bytes.resize(sizeof request);
    if (const auto payload = transport::gather(::getpid(), cmd, address)) {
        if ((_IOC_DIR(cmd) & _IOC_WRITE) != 0) {
            message.bytes.insert(message.bytes.end(), payload->argument.begin(), payload->argument.end());
            request.argumentBytes = static_cast<uint32_t>(payload->argument.size());
        }
        request.nestedCount = static_cast<uint32_t>(payload->nested.size());
        for (const auto& nested : payload->nested)
            append(message.bytes,
                   proto::NestedHeader{nested.parent, nested.offset, static_cast<uint32_t>(nested.bytes.size())});
        for (const auto& nested : payload->nested)
            message.bytes.insert(message.bytes.end(), nested.bytes.begin(), nested.bytes.end());
        addPlanes(message, request, *payload);
    } else {
        request.flags |= proto::kRequestFaulted;
    }
    request.bodyBytes = static_cast<uint32_t>(message.bytes.size() - sizeof request);
    if (request.bodyBytes > proto::kMaxInlineBytes) {
        request.flags |= proto::kRequestLarge;
        const std::span<const std::byte> body(message.bytes);
        message.fds.insert(message.fds.begin(), makeMemfd(request.bodyBytes, body.subspan(sizeof request)));
        message.bytes.resize(sizeof request);
    }
    std::memcpy(message.bytes.data(), &request, sizeof request);
    return message;
}

int WireClient::call(uint32_t cmd, uint64_t address) {
    const auto answer = exchange(ioctlMessage(cmd, address));
    if (!answer) return -1;
    // Only the argument is copied back, which is as much as this client looks at; QUERYBUF's planes follow it.
    if ((answer->head.flags & proto::kReplyCopyBack) == 0) return answer->head.error;
    const size_t size = std::min<size_t>(_IOC_SIZE(cmd), answer->body.size());
    std::ignore = transport::writeProcess(::getpid(), address, std::span(answer->body).first(size));
    if (cmd == VIDIOC_QUERYBUF && answer->head.error == 0 && answer->body.size() > size) {
        v4l2_buffer buffer;
        std::memcpy(&buffer, answer->body.data(), sizeof buffer);
        std::ignore = transport::writeProcess(::getpid(), reinterpret_cast<uintptr_t>(buffer.m.planes),
                                              std::span(answer->body).subspan(size));
    }
    return answer->head.error;
}

void WireClient::put(uint64_t offset, std::span<const std::byte> content) {
    const auto answer = ask(proto::Kind::Map, offset, 1);
    if (answer && answer->fds.size() == 1) std::ignore = ::pwrite(answer->fds.front().get(), content.data(), content.size(), 0);
}

int WireClient::memoryFd(Input& input) {
    const uint8_t choice = input.byte();
    if (choice >= 250) return -1;
    if (choice >= 128 && !fds_.empty()) return fds_[choice % fds_.size()].get();
    if (fds_.size() >= kMostFds) fds_.pop_front();
    return fds_.emplace_back(makeFd(input)).get();
}

void WireClient::corruptNext(Input& input) {
    struct Patch {
        uint8_t at;
        uint32_t value;
    };
    std::vector<Patch> patches(1 + input.below(3));
    for (auto& patch : patches) patch = {input.byte(), input.number()};
    const uint8_t shape = input.byte();
    auto more = std::make_shared<std::vector<UniqueFd>>();
    if (shape % 8 == 3)
        for (uint32_t i = 1 + input.below(kMostFds); i > 0; --i) more->push_back(makeFd(input));
    corrupt_ = [patches, shape, more](Message& message) {
        for (const auto& patch : patches) {
            // Mostly the fields of the head; beyond it single bytes.
            const size_t at =
                patch.at < 224 ? patch.at % (sizeof(proto::Request) / 4) * 4 : sizeof(proto::Request) + patch.at - 224;
            const size_t size = patch.at < 224 ? 4 : 1;
            if (at + size <= message.bytes.size()) std::memcpy(message.bytes.data() + at, &patch.value, size);
        }
        if (shape % 8 == 1) message.bytes.resize(std::min<size_t>(message.bytes.size(), shape));
        if (shape % 8 == 2) message.bytes.resize(message.bytes.size() + size_t{shape} * 32);
        if (shape % 8 == 4) message.fds.clear();
        for (auto& fd : *more)
            if (fd) message.fds.push_back(std::move(fd));
    };
}

void WireClient::sendRaw(Input& input) {
    Message message;
    const auto raw = std::as_bytes(input.bytes(input.byte()));
    message.bytes.assign(raw.begin(), raw.end());
    for (uint32_t i = input.below(4); i > 0; --i)
        if (auto fd = makeFd(input)) message.fds.push_back(std::move(fd));
    send(std::move(message));
    stage_.turn();
}

void WireClient::sendRequest(Input& input) {
    auto request = head(static_cast<proto::Kind>(input.rarely(16) ? input.number() : 1 + input.below(11)));
    request.value = input.rarely(4) ? input.number() : input.below(4) * 4096;
    request.length = input.rarely(4) ? uint64_t{input.number()} << input.below(33) : 4096;
    if (input.rarely(8)) request.session = input.word();
    if (input.rarely(8)) request.flags = input.byte();
    if (request.kind == proto::Kind::Ioctl) request.cmd = input.word();
    Message message;
    append(message.bytes, request);
    if (request.kind == proto::Kind::Alive) {
        for (const auto& open : opens_) append(message.bytes, open.session);
        const auto raw = std::as_bytes(input.bytes(input.below(20)));
        message.bytes.insert(message.bytes.end(), raw.begin(), raw.end());
    }
    // The same again and again, without a look at the answers.
    for (uint32_t i = input.rarely(8) ? input.byte() : 0; i > 0; --i) send({message.bytes, {}});
    std::ignore = exchange(std::move(message));
}

void WireClient::cancel() {
    Message message;
    append(message.bytes, head(proto::Kind::Cancel));
    send(std::move(message));
    stage_.turn();
    while (reading_ && receive()) {
    }
}

void WireClient::switchSession(Input& input) {
    if (opens_.empty() || input.rarely(2)) {
        std::ignore = open();
        return;
    }
    current_ = input.byte() % opens_.size();
}

void WireClient::useFile(Input& input) {
    if (opens_.empty()) return;
    auto& file = opens_[current_ % opens_.size()].file;
    std::array<char, 4 * proto::kFillerBytes> bytes{};
    switch (input.below(8)) {
        case 0:
        case 1:
            std::ignore = ::send(file.get(), bytes.data(), 1 + size_t{input.byte()} * 16, MSG_DONTWAIT | MSG_NOSIGNAL);
            break;
        case 2:
            std::ignore = ::recv(file.get(), bytes.data(), 1 + input.byte(), MSG_DONTWAIT);
            break;
        case 3:
            std::ignore = ::send(file.get(), bytes.data(), 1, MSG_OOB | MSG_DONTWAIT | MSG_NOSIGNAL);
            break;
        case 4:
            ::shutdown(file.get(), static_cast<int>(input.below(3)));
            break;
        case 5:
            // Somebody else has it, too.
            if (auto copy = file.duplicate(); copy && fds_.size() < kMostFds) fds_.push_back(*std::move(copy));
            break;
        default:
            opens_.erase(opens_.begin() + static_cast<ptrdiff_t>(current_ % opens_.size()));
    }
    stage_.turn();
}

}  // namespace daedalus::fuzz
