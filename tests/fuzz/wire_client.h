// A client of the socket protocol that keeps as much of it as the fuzzer likes.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client.h"
#include "daedalus/base/unique_fd.h"
#include "daedalus/ioctl/call.h"
#include "proto/wire.h"

namespace daedalus::fuzz {

/// One message on its way to the daemon.
struct Message {
    std::vector<std::byte> bytes;
    std::vector<UniqueFd> fds;
};

/// One connection, with the sessions that were opened on it. Sends and receives without waiting: it lets the stage turn
/// instead.
class WireClient final : public Path {
public:
    struct Answer {
        proto::Reply head{};
        std::vector<std::byte> body;
        std::vector<UniqueFd> fds;
    };

    WireClient(Stage& stage, std::string socketPath) : stage_(stage), socketPath_(std::move(socketPath)) {}

    // As a good client does it:
    [[nodiscard]] bool connect();
    [[nodiscard]] bool hello();
    /// Opens a session, which the calls that follow are for.
    [[nodiscard]] bool open();
    /// Sends a request without a body and waits for its answer; nothing if there is none.
    std::optional<Answer> ask(proto::Kind kind, uint64_t value = 0, uint64_t length = 0);
    int call(uint32_t cmd, uint64_t address) override;
    void put(uint64_t offset, std::span<const std::byte> content) override;
    int memoryFd(Input& input) override;
    void settle(unsigned steps) override { stage_.settle(steps); }

    // As no good client does it:
    void disconnect() { connection_.reset(); }
    void corruptNext(Input& input);
    void sendRaw(Input& input);
    void sendRequest(Input& input);
    void cancel();
    void switchSession(Input& input);
    void useFile(Input& input);
    void setReading(bool reading) { reading_ = reading; }
    void setNonblocking(bool nonblocking) { nonblocking_ = nonblocking; }

private:
    struct Open {
        uint64_t session = 0;
        UniqueFd file;
    };

    [[nodiscard]] proto::Request head(proto::Kind kind);
    [[nodiscard]] Message ioctlMessage(uint32_t cmd, uint64_t address);
    void addPlanes(Message& message, proto::Request& request, const ioctl::Payload& payload);
    void send(Message message);
    /// The next reply, if one is there.
    std::optional<Answer> receive();
    std::optional<Answer> exchange(Message message);
    void obey(const proto::Reply& reply);

    Stage& stage_;
    std::string socketPath_;
    UniqueFd connection_;
    uint32_t sequence_ = 0;
    uint32_t serial_ = 0;
    std::deque<Open> opens_;
    size_t current_ = 0;
    std::deque<UniqueFd> fds_;
    std::function<void(Message&)> corrupt_;
    bool reading_ = true;
    bool nonblocking_ = true;
};

}  // namespace daedalus::fuzz
