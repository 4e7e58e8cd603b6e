#include "measured.h"

#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string_view>

namespace daedalus::bench {
namespace {

struct Field {
    std::string_view name;
    double Measured::*value;
};

constexpr auto kFields = std::to_array<Field>({
    {"seconds", &Measured::seconds},
    {"first_ms", &Measured::firstFrameMs},
    {"cpu_s", &Measured::cpuSeconds},
    {"rss_mb", &Measured::peakRssMb},
    {"p50_us", &Measured::latencyP50Us},
    {"p99_us", &Measured::latencyP99Us},
    {"call_us", &Measured::callUs},
    {"pingpong_us", &Measured::pingPongUs},
});

}  // namespace

double cpuSecondsSoFar() {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void printMeasured(Measured measured) {
    measured.peakRssMb = peakRssMb(::getpid());
    std::printf("frames=%llu steady=%llu", static_cast<unsigned long long>(measured.frames),
                static_cast<unsigned long long>(measured.steadyFrames));
    for (const auto& field : kFields) std::printf(" %s=%.6f", std::string(field.name).c_str(), measured.*field.value);
    std::printf("\n");
}

std::optional<Measured> parseMeasured(const std::string& line) {
    std::istringstream words(line);
    Measured measured;
    bool any = false;
    for (std::string word; words >> word;) {
        const auto equals = word.find('=');
        if (equals == std::string::npos) return std::nullopt;
        const auto name = std::string_view(word).substr(0, equals);
        const double value = std::strtod(word.c_str() + equals + 1, nullptr);
        if (name == "frames") measured.frames = static_cast<uint64_t>(value);
        if (name == "steady") measured.steadyFrames = static_cast<uint64_t>(value);
        for (const auto& field : kFields)
            if (name == field.name) measured.*field.value = value;
        any = true;
    }
    return any ? std::optional(measured) : std::nullopt;
}

double peakRssMb(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
    return 0;
}

}  // namespace daedalus::bench
