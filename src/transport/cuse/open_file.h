// One open of the device: its calls, its pollers, and what their answers need of the client's process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "../compat32.h"
#include "client_process.h"
#include "daedalus/ioctl/node.h"
#include "daedalus/transport/cuse.h"
#include "extended.h"
#include "fuse.h"

namespace daedalus::transport::cuse {

/// What the files of one device share.
struct Surroundings {
    /// Tells the log what a client's user can do, once for each client and topic. Clients open many files.
    void advise(const std::string& client, const std::string& topic, const std::string& line);

    std::string nodePath;
    CuseExtension* extension = nullptr;
    /// The device is being removed: calls that still wait are answered with ENODEV.
    bool ending = false;
    std::unordered_set<std::string> advised;  ///< clients and topics
};

/// An open file. Every request that it is given is answered, at once or later. Loop thread.
class OpenFile {
public:
    /// `shared` outlives the file. `client` is for log lines.
    OpenFile(Surroundings& shared, std::unique_ptr<ioctl::File> file, std::string client, bool nonblocking);
    ~OpenFile();
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;

    /// `in` and `outSize` are what the kernel has copied and has room for: nothing on the first trip of a call.
    void ioctl(fuse_req_t request, uint32_t cmd, uint64_t address, unsigned flags, std::span<const std::byte> in,
               size_t outSize);
    /// `events`: what the client asks for. `handle` (may be null) is libfuse's, handed over: it wakes the client later.
    void poll(fuse_req_t request, uint32_t events, fuse_pollhandle* handle);

private:
    /// One call from its arrival to its answer.
    struct Pending {
        OpenFile* file = nullptr;
        fuse_req_t request = nullptr;
        pid_t tid = 0;
        uint32_t cmd = 0;
        uint64_t address = 0;
        std::optional<Compat32> compat;  ///< a 32-bit program's, whose struct differs; cmd is the wide one
        bool copiedByKernel = false;
        std::vector<iovec> ranges;  ///< what the kernel copied of a 32-bit program
        int gatherError = 0;
        ioctl::File::Ticket ticket = 0;
    };
    using PendingRef = std::shared_ptr<Pending>;

    /// A payload of what the program's memory holds, as far as this process may reach it.
    [[nodiscard]] static Result<ioctl::Payload> gatherFor(const Pending& pending);
    void start(const PendingRef& pending, std::span<const std::byte> in, size_t outSize);
    void dispatch(const PendingRef& pending, ioctl::Call&& call);
    void answered(const PendingRef& pending, ioctl::Answer&& answer);
    void reply(const Pending& pending, ioctl::Answer& answer);
    [[nodiscard]] bool isNonblocking(const Pending& pending);
    [[nodiscard]] ioctl::Call makeCall(const PendingRef& pending, ioctl::Payload&& payload);
    void adviseOnMmap(const ioctl::Allocation& made);
    void adviseOnRefusal(const char* wanted);
    void readinessChanged();
    void dropPollHandle();
    static void interrupted(fuse_req_t request, void* pending);

    Surroundings& shared_;
    const std::string client_;
    bool nonblocking_;
    UserBuffers userBuffers_;
    std::unique_ptr<Extended> extended_;  ///< none without an extension
    fuse_pollhandle* pollHandle_ = nullptr;
    std::unordered_set<PendingRef> waiting_;
    std::unique_ptr<ioctl::File> file_;
};

}  // namespace daedalus::transport::cuse
