// What the printers are made of: tables of names, and a writer of `{key=value, key=value}`.
#pragma once

#include <spdlog/fmt/fmt.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace daedalus::v4l2 {

/// One value of an enum, or one bit of a set of flags, and how it is printed.
struct Name {
    uint32_t value;
    const char* name;
};

extern const std::span<const Name> kBufferTypeNames;
extern const std::span<const Name> kMemoryNames;
extern const std::span<const Name> kFieldNames;
extern const std::span<const Name> kCapabilityNames;
extern const std::span<const Name> kFormatFlagNames;
extern const std::span<const Name> kBufferFlagNames;
extern const std::span<const Name> kBufferCapabilityNames;
extern const std::span<const Name> kTimestampNames;
extern const std::span<const Name> kColorspaceNames;
extern const std::span<const Name> kTransferFunctionNames;
extern const std::span<const Name> kYcbcrEncodingNames;
extern const std::span<const Name> kQuantizationNames;
extern const std::span<const Name> kOpenFlagNames;
extern const std::span<const Name> kSelectionTargetNames;
extern const std::span<const Name> kSelectionFlagNames;
extern const std::span<const Name> kFrameSizeTypeNames;
extern const std::span<const Name> kParmCapabilityNames;
extern const std::span<const Name> kDecoderCommandNames;
extern const std::span<const Name> kEventNames;
extern const std::span<const Name> kSubscriptionFlagNames;
extern const std::span<const Name> kControlChangeNames;
extern const std::span<const Name> kSourceChangeNames;
extern const std::span<const Name> kControlTypeNames;
extern const std::span<const Name> kControlFlagNames;
extern const std::span<const Name> kControlWhichNames;
extern const std::span<const Name> kControlIdNames;

/// Appends the name of an enum's value, or its number in hex where the table has none.
void appendEnum(std::string& out, std::span<const Name> names, uint32_t value);
/// Appends the names of the bits that are set, joined by '|', what is left in hex; "0" for no bit.
void appendFlags(std::string& out, std::span<const Name> names, uint32_t value);
/// Appends a string in quotes; stops at NUL or the end of the field, escapes what cannot be printed.
void appendText(std::string& out, std::string_view field);

/// Writes `{a=1, b=2}`: opens in the constructor, closes in the destructor. Values are taken by copy, because some UAPI structs
/// are packed.
class Fields {
public:
    explicit Fields(std::string& out) : out_(out) { out_ += '{'; }
    ~Fields() { out_ += '}'; }
    Fields(const Fields&) = delete;
    Fields& operator=(const Fields&) = delete;

    /// Starts a field and returns where its value goes.
    std::string& key(std::string_view name) {
        if (!std::exchange(first_, false)) out_ += ", ";
        out_ += name;
        out_ += '=';
        return out_;
    }
    template <class Integer>
    void number(std::string_view name, Integer value) {
        fmt::format_to(std::back_inserter(key(name)), "{}", value);
    }
    /// As number(), left out if 0.
    template <class Integer>
    void optional(std::string_view name, Integer value) {
        if (value != Integer{}) number(name, value);
    }
    void hex(std::string_view name, uint64_t value) { fmt::format_to(std::back_inserter(key(name)), "{:#x}", value); }
    void enumeration(std::string_view name, std::span<const Name> names, uint32_t value) {
        appendEnum(key(name), names, value);
    }
    void flags(std::string_view name, std::span<const Name> names, uint32_t value) { appendFlags(key(name), names, value); }
    /// As flags(), left out if no bit is set.
    void optionalFlags(std::string_view name, std::span<const Name> names, uint32_t value) {
        if (value != 0) flags(name, names, value);
    }
    void text(std::string_view name, const void* field, size_t size) {
        appendText(key(name), {static_cast<const char*>(field), size});
    }
    void fourcc(std::string_view name, uint32_t value);

private:
    std::string& out_;
    bool first_ = true;
};

}  // namespace daedalus::v4l2
