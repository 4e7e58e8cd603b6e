// A connection to the daemon: requests and replies of proto/wire.h.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "daedalus/base/result.h"
#include "daedalus/base/unique_fd.h"
#include "proto/wire.h"

namespace daedalus::transport::notify {

/// What the daemon answered.
struct Answered {
    proto::Reply head{};
    std::vector<std::byte> body;
    std::vector<UniqueFd> fds;
};

/// One at a time of everything: owned by one thread.
class Link {
public:
    /// `socket`: the daemon's path. Connects when it is used.
    explicit Link(std::string socket) : socket_(std::move(socket)) {}

    /// Asked every second of a wait: whether anybody still waits for the answer. If not, the wait ends with ENODEV.
    void whileWanted(std::function<bool()> wanted) { wanted_ = std::move(wanted); }
    /// Sends a request and waits for its answer. ENODEV: there is no daemon, or it died before it answered.
    [[nodiscard]] Result<Answered> call(proto::Request request, std::span<const std::byte> body = {},
                                        std::span<const int> fds = {});
    /// As call(), for one that may wait for long: `ended` is asked every now and then, and once it says yes the call is
    /// cancelled: the answer then is EINTR, or what was on its way.
    [[nodiscard]] Result<Answered> wait(proto::Request request, std::span<const std::byte> body, std::span<const int> fds,
                                        const std::function<bool()>& ended);
    /// What the last answer asked for was not done. The daemon learns it as from a client that dies then: by the connection's
    /// end.
    void renege() { fd_.reset(); }

private:
    [[nodiscard]] bool connect();
    [[nodiscard]] bool send(const proto::Request& request, std::span<const std::byte> body, std::span<const int> fds) const;
    [[nodiscard]] Result<Answered> receive(uint32_t sequence);

    const std::string socket_;
    std::function<bool()> wanted_;
    UniqueFd fd_;
    uint32_t sequence_ = 0;
};

}  // namespace daedalus::transport::notify
