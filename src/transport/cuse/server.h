// One CUSE device and its open files.
#pragma once

#include <cerrno>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "channel.h"
#include "daedalus/base/event_loop.h"
#include "daedalus/ioctl/node.h"
#include "daedalus/transport/cuse.h"
#include "open_file.h"
#include "shim.h"

namespace daedalus::transport::cuse {

/// Owns the channel and the files. Loop thread.
class Server final : public CuseNode {
public:
    /// As serveCuse().
    [[nodiscard]] static Result<std::unique_ptr<Server>> start(EventLoop& loop, ioctl::Node& node, const CuseOptions& options);
    ~Server() override;
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    size_t sessions() const override { return files_.size(); }
    const std::string& nodePath() const override { return shared_.nodePath; }
    uint64_t roundTrips() const override { return roundTrips_; }
    void onEnd(std::function<void()> callback) override { onEnd_ = std::move(callback); }

private:
    /// libfuse's callbacks; each finds the server in the request.
    struct Operations;

    Server(EventLoop& loop, ioctl::Node& node, const CuseOptions& options);
    void readable();
    /// Answers requests, if there are some before the time is over.
    void serveFor(std::chrono::milliseconds atMost);
    /// At the end: what clients have asked by now gets ENODEV, which would be ECONNABORTED once the channel is closed.
    void answerTheRest();
    /// For a call on a file that is not, or no longer, one of ours.
    [[nodiscard]] int strangersError() const { return shared_.ending ? ENODEV : EBADF; }
    void open(fuse_req_t request, fuse_file_info& info);
    [[nodiscard]] OpenFile* find(const fuse_file_info& info) const;

    ioctl::Node& node_;
    Shim shim_;  ///< ends after the channel
    Surroundings shared_;
    uint64_t lastFile_ = 0;
    uint64_t roundTrips_ = 0;
    std::function<void()> onEnd_;
    std::unordered_map<uint64_t, std::unique_ptr<OpenFile>> files_;
    std::unique_ptr<Channel> channel_;
    EventLoop::Registration watch_;
};

}  // namespace daedalus::transport::cuse
