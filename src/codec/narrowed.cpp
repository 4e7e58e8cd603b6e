#include "daedalus/codec/narrowed.h"

#include <algorithm>
#include <utility>

#include "daedalus/codec/picture_decoder.h"

namespace daedalus::codec {
namespace {

class Narrowed final : public Factory {
public:
    Narrowed(std::unique_ptr<Factory> all, std::vector<v4l2::Codec> codecs)
        : all_(std::move(all)), codecs_(std::move(codecs)) {}

    bool supports(v4l2::Codec codec) const override { return isWanted(codec) && all_->supports(codec); }
    const char* decoderName(v4l2::Codec codec) const override { return isWanted(codec) ? all_->decoderName(codec) : nullptr; }
    Result<std::unique_ptr<Decoder>> open(v4l2::Codec codec, const DecoderOptions& options) override {
        if (!isWanted(codec)) return fail(EINVAL);
        return all_->open(codec, options);
    }
    bool supportsUnits(v4l2::Codec codec) const override { return isWanted(codec) && all_->supportsUnits(codec); }
    Result<std::unique_ptr<PictureDecoder>> openUnits(v4l2::Codec codec, const DecoderOptions& options) override {
        if (!isWanted(codec)) return fail(EINVAL);
        return all_->openUnits(codec, options);
    }

private:
    [[nodiscard]] bool isWanted(v4l2::Codec codec) const { return std::ranges::find(codecs_, codec) != codecs_.end(); }

    std::unique_ptr<Factory> all_;
    std::vector<v4l2::Codec> codecs_;
};

}  // namespace

std::unique_ptr<Factory> narrowed(std::unique_ptr<Factory> all, std::vector<v4l2::Codec> codecs) {
    if (codecs.empty()) return all;
    return std::make_unique<Narrowed>(std::move(all), std::move(codecs));
}

}  // namespace daedalus::codec
