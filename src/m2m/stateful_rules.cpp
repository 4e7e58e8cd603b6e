// What a client of the stateful decoder may change when, and what it can be told.
#include "daedalus/m2m/stateful.h"

namespace daedalus::m2m {

Result<> StatefulContext::changeOutput(const OutputFormat& format) {
    if (!output_.isBusy() && !capture_.isBusy()) {
        forgetStream();
        formats_.setOutput(format);
        return {};
    }
    // The format in force changes nothing, and colorimetry alone moves no memory.
    OutputFormat wanted = format;
    wanted.colorimetry = outputFormat().colorimetry;
    if (wanted != outputFormat()) return daedalus::fail(EBUSY);
    formats_.setColorimetry(format.colorimetry);
    return {};
}

Result<> StatefulContext::changeCapture(const v4l2::RawFormat& raw, uint32_t width, uint32_t height, uint32_t field) {
    if (capture_.isBusy()) return daedalus::fail(EBUSY);
    formats_.chooseCapture(raw, width, height, field);
    return {};
}

void StatefulContext::buffersFreed(const queue::Queue& queue) {
    if (queue.isOutput()) forgetStream();
}

bool StatefulContext::tells(uint32_t eventType) const {
    return eventType == V4L2_EVENT_EOS || eventType == V4L2_EVENT_SOURCE_CHANGE;
}

}  // namespace daedalus::m2m
