#include "daedalus/device/device.h"

#include <algorithm>

#include "daedalus/base/log.h"
#include "daedalus/v4l2/formats.h"
#include "daedalus/v4l2/node_name.h"
#include "shared.h"

namespace daedalus::device {

DeviceOptions withAccounts(DeviceOptions options) {
    if (options.accounts) return options;
    const auto limits = memory::accountLimits(memory::examineMachine(), options.limits.totalMemory, options.limits.userMemory);
    options.accounts = std::make_shared<memory::Accounts>(limits);
    return options;
}

Device::Device(EventLoop& loop, WorkerPool& pool, codec::Factory& codecs, DeviceOptions options)
    : shared_(std::make_unique<Shared>(Shared{loop, pool, codecs, withAccounts(std::move(options))})) {
    if (!kind().hasRequests) return;
    const auto& said = shared_->options;
    shared_->media = std::make_unique<media::Device>(media::Identity{said.driver, said.card.empty() ? kind().card : said.card,
                                                                     said.busInfo, v4l2::kVideoMajor, said.number});
}

Device::~Device() {
    // Within the time that whoever ends a service has for it.
    constexpr std::chrono::milliseconds kPatience{1000};
    if (shared_) m2m::DecodeStrand::endAll(*shared_->graveyard, kPatience);
}

EventLoop& Device::loop() { return shared_->loop; }
const DecoderKind& Device::kind() const { return *shared_->options.kind; }

const std::shared_ptr<memory::Accounts>& Device::accounts() const { return shared_->options.accounts; }
media::Device* Device::media() { return shared_->media.get(); }

v4l2::PlanesApi Device::planes() const { return shared_->options.planes; }

Result<> Device::admits(const std::string& client, uid_t user) const {
    const Limits& limits = shared_->options.limits;
    if (shared_->sessions >= limits.sessions) {
        log::warn("{} is refused: {} sessions are open, which is the limit; close some, or start another node", client,
                  shared_->sessions);
        return fail(EMFILE);
    }
    const auto own = shared_->sessionsOf.find(user);
    if (own != shared_->sessionsOf.end() && own->second >= limits.sessionsPerUser) {
        log::warn("{} is refused: user {} has {} sessions open, which is the limit; close some, or raise --user-sessions",
                  client, user, own->second);
        return fail(EMFILE);
    }
    const auto offered = [this](const auto& coded) { return shared_->offers(coded); };
    if (std::ranges::none_of(kind().codedFormats(), offered)) {
        log::warn("{} is refused: this build of libavcodec decodes none of the node's codecs; install one that does", client);
        return fail(ENODEV);
    }
    return {};
}

codec::DecoderOptions Device::Shared::decoderOptions() const {
    // With as many streams as workers, threads inside each stream only cost memory and time.
    const bool alone = sessions < pool.threads() || sessions <= 1;
    const unsigned threads = options.threads != 0 ? options.threads : (alone ? pool.threads() : 1);
    return {.threads = threads, .threadType = options.threadType};
}

}  // namespace daedalus::device
