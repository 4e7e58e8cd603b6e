#include "daedalus/base/log.h"

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
        general_->set_pattern(stamp + "%l: %v");
        ioctls_->set_pattern(stamp + "ioctl: %v");
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
