#include "daedalus/m2m/epochs.h"

#include <algorithm>

namespace daedalus::m2m {

using Stage = Epoch::Stage;

Epoch* Epochs::last(Stage from) {
    const auto found =
        std::find_if(epochs_.rbegin(), epochs_.rend(), [from](const Epoch& epoch) { return epoch.stage >= from; });
    return found == epochs_.rend() ? nullptr : &*found;
}

const Epoch* Epochs::current() const { return const_cast<Epochs*>(this)->last(Stage::Told); }

const Epoch* Epochs::setUp() const { return const_cast<Epochs*>(this)->last(Stage::Provisional); }

const Epoch* Epochs::untold() const {
    return epochs_.empty() || epochs_.back().stage != Stage::Found ? nullptr : &epochs_.back();
}

bool Epochs::firstIsUnseen() const {
    const Epoch* epoch = current();
    return epoch && epoch->stage == Stage::Told && !setUp();
}

void Epochs::found(const codec::StreamFormat& format) {
    refuse();
    epochs_.push_back({.number = ++lastNumber_, .format = format});
}

void Epochs::tell() {
    if (untold()) epochs_.back().stage = Stage::Told;
}

void Epochs::refuse() {
    if (untold()) epochs_.pop_back();
}

void Epochs::seen() {
    Epoch* epoch = last(Stage::Told);
    if (epoch && epoch->stage == Stage::Told) epoch->stage = Stage::Seen;
}

const Epoch& Epochs::setUp(const CaptureFormat& capture, Stage stage) {
    Epoch& epoch = *last(Stage::Told);
    epoch.stage = stage;
    epoch.capture = capture;
    while (&epochs_.front() != &epoch) epochs_.pop_front();
    return epoch;
}

bool Epochs::accept() {
    Epoch* epoch = last(Stage::Provisional);
    if (!epoch || epoch->stage != Stage::Provisional) return false;
    epoch->stage = Stage::SetUp;
    return true;
}

bool Epochs::takeBack() {
    Epoch* epoch = last(Stage::Provisional);
    if (!epoch || epoch->stage != Stage::Provisional) return false;
    epoch->stage = Stage::Seen;
    return true;
}

bool Epochs::giveUpChanges() {
    if (!setUp()) return false;
    return std::erase_if(epochs_, [](const Epoch& epoch) { return epoch.stage < Stage::Provisional; }) > 0;
}

bool Epochs::describe(uint64_t number, const codec::StreamFormat& format) {
    const auto epoch = std::ranges::find(epochs_, number, &Epoch::number);
    if (epoch == epochs_.end()) return false;
    epoch->format = format;
    return &*epoch == current();
}

}  // namespace daedalus::m2m
