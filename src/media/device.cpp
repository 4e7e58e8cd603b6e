#include "daedalus/media/device.h"

#include "daedalus/base/log.h"

namespace daedalus::media {

Result<std::shared_ptr<Request>> Device::makeRequest() {
    if (*live_ >= kMostRequests) {
        log::warn("{}: {} requests are there, which is the limit; close those that are done, or use them again",
                  identity_.model, *live_);
        return fail(ENOMEM);
    }
    ++*live_;
    const std::shared_ptr<void> alive(nullptr, [live = live_](void*) { --*live; });
    return std::make_shared<Request>(live_.get(), alive);
}

}  // namespace daedalus::media
