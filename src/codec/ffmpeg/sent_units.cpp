#include "sent_units.h"

#include <algorithm>

namespace daedalus::codec::ffmpeg {

int64_t SentUnits::add(const UnitInfo& unit, bool owesPicture) {
    ++serial_;
    inFlight_[static_cast<size_t>(serial_) % inFlight_.size()] = {serial_, unit};
    if (owesPicture) owed_.push_back(serial_);
    return serial_;
}

const UnitInfo& SentUnits::infoOf(int64_t serial) const {
    const Entry& last = inFlight_[static_cast<size_t>(serial_) % inFlight_.size()];
    if (serial < 0) return last.info;
    const Entry& entry = inFlight_[static_cast<size_t>(serial) % inFlight_.size()];
    return entry.serial == serial ? entry.info : last.info;
}

void SentUnits::answered(int64_t serial) {
    const auto found = std::ranges::lower_bound(owed_, serial);
    if (found != owed_.end() && *found == serial) owed_.erase(found);
}

std::optional<int64_t> SentUnits::takeLost(int64_t serial) {
    if (owed_.empty() || owed_.front() >= serial) return std::nullopt;
    const int64_t lost = owed_.front();
    owed_.pop_front();
    return lost;
}

}  // namespace daedalus::codec::ffmpeg
