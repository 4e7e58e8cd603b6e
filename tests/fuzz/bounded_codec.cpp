#include "bounded_codec.h"

#include <algorithm>
#include <string>
#include <utility>

namespace daedalus::fuzz {
namespace {

constexpr size_t kMaxBytes = 16384;
constexpr uint64_t kMaxPixels = 512 * 512;

/// Cuts numbers down to two digits, and has no frame sleep.
std::string tame(std::span<const std::byte> bytes) {
    std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    size_t digits = 0;
    for (char& c : text) {
        digits = c >= '0' && c <= '9' ? digits + 1 : 0;
        if (digits > 2) c = ' ';
    }
    for (size_t at = 0; (at = text.find("sleep", at)) != std::string::npos;) text[at] = 'S';
    return text;
}

class BoundedDecoder final : public codec::Decoder {
public:
    BoundedDecoder(std::unique_ptr<codec::Decoder> inner, bool fake) : inner_(std::move(inner)), fake_(fake) {}

    Result<> send(std::span<const std::byte> bytes, uint64_t tag) override {
        bytes = bytes.first(std::min(bytes.size(), kMaxBytes));
        if (fake_) {
            const std::string text = tame(bytes);
            return inner_->send(std::as_bytes(std::span(text)), tag);
        }
        auto sent = inner_->send(bytes, tag);
        const auto format = inner_->headers();
        if (format && uint64_t{format->codedWidth} * format->codedHeight > kMaxPixels) return fail(EIO);
        return sent;
    }
    void cutAnywhere() override { inner_->cutAnywhere(); }
    Result<codec::Received> receive() override { return inner_->receive(); }
    void settle() override { inner_->settle(); }
    bool holdsBack() const override { return inner_->holdsBack(); }
    std::optional<codec::StreamFormat> headers() const override { return inner_->headers(); }
    Result<> drain() override { return inner_->drain(); }
    void resume() override { inner_->resume(); }
    void flush() override { inner_->flush(); }

private:
    std::unique_ptr<codec::Decoder> inner_;
    bool fake_;
};

class BoundedFactory final : public codec::Factory {
public:
    BoundedFactory(std::unique_ptr<codec::Factory> inner, bool fake) : inner_(std::move(inner)), fake_(fake) {}

    bool supports(v4l2::Codec codec) const override { return inner_->supports(codec); }
    const char* decoderName(v4l2::Codec codec) const override { return inner_->decoderName(codec); }
    Result<std::unique_ptr<codec::Decoder>> open(v4l2::Codec codec, const codec::DecoderOptions& options) override {
        auto decoder = inner_->open(codec, options);
        if (!decoder) return decoder;
        return std::make_unique<BoundedDecoder>(*std::move(decoder), fake_);
    }

private:
    std::unique_ptr<codec::Factory> inner_;
    bool fake_;
};

}  // namespace

std::unique_ptr<codec::Factory> makeBoundedFakeFactory() {
    return std::make_unique<BoundedFactory>(codec::makeFakeFactory(), true);
}

std::unique_ptr<codec::Factory> makeBoundedFfmpegFactory() {
    return std::make_unique<BoundedFactory>(codec::makeFfmpegFactory(), false);
}

}  // namespace daedalus::fuzz
