// The device that all files of one node share.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "daedalus/base/event_loop.h"
#include "daedalus/base/worker_pool.h"
#include "daedalus/codec/decoder.h"
#include "daedalus/device/decoder_kind.h"
#include "daedalus/device/limits.h"
#include "daedalus/media/device.h"
#include "daedalus/memory/accounts.h"
#include "daedalus/v4l2/planes.h"

namespace daedalus::device {

/// What the user may decide about a node: one struct from the command line to here.
struct DeviceOptions {
    const DecoderKind* kind = &kStatefulDecoder;
    std::string driver = "daedalus";              ///< as QUERYCAP tells it: at most 15 bytes
    std::string card;                             ///< at most 31 bytes; empty: the kind's
    unsigned number = 0;                          ///< N of /dev/videoN, as a media device tells it
    std::string busInfo = "platform:daedalus-0";  ///< tells the nodes of one daemon apart, which gives it
    /// Threads that decode, for one stream as for all. 0: as many as the machine has cores, all of them for one stream while
    /// few sessions decode, 1 for each as soon as there are as many sessions as cores.
    unsigned threads = 0;
    codec::ThreadType threadType = codec::ThreadType::Auto;
    Limits limits;
    /// What the sessions are charged to, where several nodes share it; null: an account of the node's own, by its limits.
    std::shared_ptr<memory::Accounts> accounts{};
    std::vector<v4l2::Codec> codecs;  ///< that it offers; empty: all that this build decodes
    v4l2::PlanesApi planes = v4l2::PlanesApi::Multi;
    /// poll() for clients that libavcodec's V4L2 decoders crash or hang: no POLLERR before a queue streams, and POLLIN for as
    /// long as DQBUF answers EPIPE.
    bool lenientPoll = false;
};

/// `options` with an account, which is made by their limits, or by the machine's, where they have none. Devices that are made
/// of what it returns share it. Any thread.
[[nodiscard]] DeviceOptions withAccounts(DeviceOptions options);

/// State that is shared across the opens of a node: what it can decode, priorities, the number of sessions. Loop thread.
/// The loop, the pool and the factory are the caller's and must outlive it.
class Device {
public:
    Device(EventLoop& loop, WorkerPool& pool, codec::Factory& codecs, DeviceOptions options);
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    [[nodiscard]] EventLoop& loop();
    [[nodiscard]] v4l2::PlanesApi planes() const;
    [[nodiscard]] const DecoderKind& kind() const;
    [[nodiscard]] const std::shared_ptr<memory::Accounts>& accounts() const;
    /// The media device beside the node; null if it has none.
    [[nodiscard]] media::Device* media();
    /// Whether `user` may open one more session: EMFILE at a limit, ENODEV if this build decodes nothing. `client` is for the
    /// log line.
    [[nodiscard]] Result<> admits(const std::string& client, uid_t user) const;

    struct Shared;
    [[nodiscard]] Shared& shared() { return *shared_; }

private:
    std::unique_ptr<Shared> shared_;
};

}  // namespace daedalus::device
