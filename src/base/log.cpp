#include "daedalus/base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace daedalus::log {

namespace {

struct Threshold {
    std::string_view word;
    spdlog::level::level_enum level;
};

constexpr std::array thresholds{
    Threshold{"error", spdlog::level::err},   Threshold{"warning", spdlog::level::warn}, Threshold{"info", spdlog::level::info},
    Threshold{"debug", spdlog::level::debug}, Threshold{"trace", spdlog::level::trace},
};

std::optional<spdlog::level::level_enum> levelOf(std::string_view word) {
    for (const Threshold& threshold : thresholds) {
        if (threshold.word == word) return threshold.level;
    }
    return std::nullopt;
}

/// What is logged, with control characters written as \\n, \\t or \\x1b: names of files and programs are whatever somebody
/// chose, and shall neither forge a line nor speak to a terminal.
class Visible : public spdlog::custom_flag_formatter {
public:
    static constexpr char kFlag = '*';
    static constexpr const char* kMark = "%*";
    void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& line) override {
        const std::string_view text(message.payload.data(), message.payload.size());
        for (size_t i = 0; i < text.size(); ++i) {
            const auto byte = static_cast<unsigned char>(text[i]);
            // U+0080 to U+009F are control characters, too; their UTF-8 is C2 and the number.
            const bool second = i + 1 < text.size() && byte == 0xC2 && (static_cast<unsigned char>(text[i + 1]) & 0xE0) == 0x80;
            if (byte == '\n') {
                append(line, "\\n");
            } else if (byte == '\t') {
                append(line, "\\t");
            } else if (byte < 0x20 || byte == 0x7F || second) {
                append(line, fmt::format("\\x{:02x}", second ? static_cast<unsigned char>(text[++i]) : byte));
            } else {
                line.push_back(text[i]);
            }
        }
    }
    [[nodiscard]] std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<Visible>(); }

private:
    static void append(spdlog::memory_buf_t& line, std::string_view text) {
        line.append(text.data(), text.data() + text.size());
    }
};

std::unique_ptr<spdlog::formatter> formatterOf(const std::string& pattern) {
    auto formatter = std::make_unique<spdlog::pattern_formatter>();
    formatter->add_flag<Visible>(Visible::kFlag).set_pattern(pattern + Visible::kMark);
    return formatter;
}

/// The loggers, both to stderr: spdlog's own default would write to stdout, where a client's frames may go.
class Loggers {
public:
    Loggers() {
        const auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
        general_ = std::make_shared<spdlog::logger>("daedalus", sink);
        // A sink of its own for its own pattern; stderr's lock is shared by spdlog.
        ioctls_ = std::make_shared<spdlog::logger>("ioctl", std::make_shared<spdlog::sinks::stderr_sink_mt>());
        spdlog::set_default_logger(general_);
        setLevel(spdlog::level::info);
    }

    /// From debug on, lines carry the time: their distance is what one looks for.
    void setLevel(spdlog::level::level_enum level) {
        const std::string stamp = level <= spdlog::level::debug ? "daedalus: %H:%M:%S.%f " : "daedalus: ";
        general_->set_level(level);
        general_->set_formatter(formatterOf(stamp + "%l: "));
        ioctls_->set_formatter(formatterOf(stamp + "ioctl: "));
    }

    void ioctlLine(const std::string& line) { ioctls_->info("{}", line); }

    std::atomic<bool> ioctlsOn = false;

private:
    std::shared_ptr<spdlog::logger> general_;
    std::shared_ptr<spdlog::logger> ioctls_;
};

Loggers& loggers() {
    // Never destroyed: other objects' destructors may still log.
    static Loggers& instance = *std::make_unique<Loggers>().release();
    return instance;
}

// Puts spdlog's default logger on stderr before main().
[[maybe_unused]] const Loggers& atStart = loggers();

}  // namespace

Result<> configure(const std::string& spec) {
    std::optional<spdlog::level::level_enum> level;
    bool ioctlsWanted = false;
    std::string_view rest = spec;
    while (true) {
        const size_t comma = rest.find(',');
        const std::string_view word = rest.substr(0, comma);
        if (word == "ioctl") {
            ioctlsWanted = true;
        } else if (const auto named = levelOf(word)) {
            level = named;
        } else {
            return fail(EINVAL);
        }
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
    }
    loggers().setLevel(level.value_or(spdlog::level::info));
    loggers().ioctlsOn = ioctlsWanted;
    return {};
}

bool ioctls() { return loggers().ioctlsOn.load(std::memory_order_relaxed); }

void ioctlLine(const std::string& line) { loggers().ioctlLine(line); }

}  // namespace daedalus::log
