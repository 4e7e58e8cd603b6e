#include "hdr10.h"

#include <algorithm>

namespace daedalus::codec::bitstream {
namespace {

enum SeiType : uint8_t { kMasteringDisplaySei = 137, kContentLightSei = 144 };
enum ObuMetadata : uint8_t { kContentLightObu = 1, kMasteringDisplayObu = 2 };

v4l2::ContentLight readContentLight(BitReader& in) {
    v4l2::ContentLight light;
    light.max = static_cast<uint16_t>(in.bits(16));
    light.maxOfAverages = static_cast<uint16_t>(in.bits(16));
    return light;
}

/// V4L2's units and order are those of this message.
v4l2::MasteringDisplay readMasteringDisplay(BitReader& in) {
    v4l2::MasteringDisplay display;
    const auto read16 = [&in] { return static_cast<uint16_t>(in.bits(16)); };
    for (size_t i = 0; i < 3; ++i) {
        display.primariesX[i] = read16();
        display.primariesY[i] = read16();
    }
    display.whiteX = read16();
    display.whiteY = read16();
    display.maxLuminance = in.bits(32);
    display.minLuminance = in.bits(32);
    return display;
}

/// `value` in units of 1/2^fraction as a number of units of 1/steps, rounded.
uint32_t rescaled(uint64_t value, unsigned fraction, uint64_t steps) {
    return static_cast<uint32_t>(std::min<uint64_t>((value * steps + (uint64_t{1} << fraction) / 2) >> fraction, UINT32_MAX));
}

/// AV1 has the primaries in the order red, green, blue, and binary fractions.
v4l2::MasteringDisplay readAv1MasteringDisplay(BitReader& in) {
    constexpr size_t kPlace[] = {2, 0, 1};
    v4l2::MasteringDisplay display;
    const auto chromaticity = [&in] { return static_cast<uint16_t>(rescaled(in.bits(16), 16, 50'000)); };
    for (const size_t place : kPlace) {
        display.primariesX[place] = chromaticity();
        display.primariesY[place] = chromaticity();
    }
    display.whiteX = chromaticity();
    display.whiteY = chromaticity();
    display.maxLuminance = rescaled(in.bits(32), 8, 10'000);
    display.minLuminance = rescaled(in.bits(32), 14, 10'000);
    return display;
}

}  // namespace

void readHdr10Sei(uint32_t type, Bytes payload, v4l2::Hdr10& hdr10) {
    BitReader message(payload);
    if (type == kContentLightSei) {
        const auto light = readContentLight(message);
        if (message.ok()) hdr10.contentLight = light;
    } else if (type == kMasteringDisplaySei) {
        const auto display = readMasteringDisplay(message);
        if (message.ok()) hdr10.masteringDisplay = display;
    }
}

void readHdr10Obu(Bytes payload, v4l2::Hdr10& hdr10) {
    BitReader in(payload);
    // A larger type would take more bytes; none that is known does.
    const uint32_t type = in.bits(8);
    if (type == kContentLightObu) {
        const auto light = readContentLight(in);
        if (in.ok()) hdr10.contentLight = light;
    } else if (type == kMasteringDisplayObu) {
        const auto display = readAv1MasteringDisplay(in);
        if (in.ok()) hdr10.masteringDisplay = display;
    }
}

}  // namespace daedalus::codec::bitstream
