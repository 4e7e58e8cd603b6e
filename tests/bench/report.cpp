#include "report.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <fstream>
#include <functional>

namespace daedalus::bench {
namespace {

/// What is aimed at: node/(a) by threads of one stream and for crowds, and the rest.
constexpr double kLeastFpsAlone = 1.0;
constexpr double kLeastFps = 0.98;
constexpr double kMostQuerycapOnOneCpu = 1.5;  ///< times the ping-pong
constexpr double kMostFirstFrameMs = 2;        ///< later than (a)
constexpr double kMostAddedP50Us = 600;

using Value = double (*)(const Result&);

double medianOf(const Series& series, Contender contender, Value value) {
    std::vector<double> values;
    for (const auto& round : series.rounds)
        if (const auto& result = round[static_cast<size_t>(contender)]) values.push_back(value(*result));
    return median(std::move(values));
}

double fps(const Result& result) { return result.fps(); }
double cpu(const Result& result) { return result.cpuPerFrame(); }
double first(const Result& result) { return result.own.firstFrameMs; }
double rss(const Result& result) { return result.own.peakRssMb; }
double daemonRss(const Result& result) { return result.daemonRssMb; }
double perFrameUs(const Result& result, double seconds) {
    return result.own.frames > 0 ? seconds * 1e6 / static_cast<double>(result.own.frames) : 0;
}
double loop(const Result& result) { return perFrameUs(result, result.loopSeconds); }
double loopKernel(const Result& result) { return perFrameUs(result, result.loopKernelSeconds); }
double p50(const Result& result) { return result.own.latencyP50Us; }
double p99(const Result& result) { return result.own.latencyP99Us; }

/// Whichever of the two ways to write (a) is faster.
Contender bestConvert(const Series& series) {
    const double inTurn = medianOf(series, Contender::ConvertInTurn, fps);
    return medianOf(series, Contender::ConvertEach, fps) > inTurn ? Contender::ConvertEach : Contender::ConvertInTurn;
}

struct Spread {
    double least = 0;
    double middle = 0;
    double most = 0;
};

Spread fpsRatio(const Series& series) {
    const auto convert = static_cast<size_t>(bestConvert(series));
    std::vector<double> ratios;
    for (const auto& round : series.rounds) {
        const auto& node = round[static_cast<size_t>(Contender::Node)];
        if (node && round[convert] && round[convert]->fps() > 0) ratios.push_back(node->fps() / round[convert]->fps());
    }
    if (ratios.empty()) return {};
    const auto [least, most] = std::ranges::minmax(ratios);
    return {least, median(std::move(ratios)), most};
}

const char* verdict(bool passed) { return passed ? "pass" : "MISS"; }

bool isAlone(const Series& series) { return series.what.sessions == 1; }

double leastFps(const Series& series) { return isAlone(series) && series.what.threads == 1 ? kLeastFpsAlone : kLeastFps; }

std::string text(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string text(const char* format, ...) {
    char buffer[512];
    va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(buffer, sizeof buffer, format, arguments);
    va_end(arguments);
    return buffer;
}

const char* styleName(const Series& series) {
    if (series.what.sessions == 1) return "-";
    return bestConvert(series) == Contender::ConvertEach ? "thread each" : "in turn";
}

void printThroughput(const std::vector<Series>& all) {
    std::printf(
        "\n1080p: the node (client and daemon), (a) libavcodec + libyuv to NV12, (b) libavcodec, frames dropped\n"
        "                      frames per second   node/(a): median, goal, spread       CPU ms per frame     loop us/frame     "
        "first frame ms   peak RSS MB\n"
        "stream sessions threads  node    (a)    (b)                                   node    (a)    (b)     all in kernel  "
        "  node    (a)  daemon client    (a)  (a) is\n");
    for (const auto& series : all) {
        const auto convert = bestConvert(series);
        const auto ratio = fpsRatio(series);
        std::printf(
            "%-6s %8u %7u %6.1f %6.1f %6.1f   %5.3f %s %.2f (%5.3f to %5.3f)  %5.2f %6.2f %6.2f  %6.0f %9.0f  %6.1f %6.1f "
            "%7.0f "
            "%6.0f %6.0f  %s\n",
            series.what.name.c_str(), series.what.sessions, series.what.threads, medianOf(series, Contender::Node, fps),
            medianOf(series, convert, fps), medianOf(series, Contender::Drop, fps), ratio.middle,
            verdict(ratio.middle >= leastFps(series)), leastFps(series), ratio.least, ratio.most,
            medianOf(series, Contender::Node, cpu), medianOf(series, convert, cpu), medianOf(series, Contender::Drop, cpu),
            medianOf(series, Contender::Node, loop), medianOf(series, Contender::Node, loopKernel),
            medianOf(series, Contender::Node, first), medianOf(series, convert, first),
            medianOf(series, Contender::Node, daemonRss), medianOf(series, Contender::Node, rss),
            medianOf(series, convert, rss), styleName(series));
    }
}

/// One stream starts as soon as without a node; many do as when they are decoded in turn.
void printFirstFrames(const std::vector<Series>& all) {
    std::printf("\nFirst frame later than (a) in turn, ms (goal: %.0f for one session, 0 for 32)\n", kMostFirstFrameMs);
    for (const auto& series : all) {
        const double later = medianOf(series, Contender::Node, first) - medianOf(series, Contender::ConvertInTurn, first);
        const double most = isAlone(series) ? kMostFirstFrameMs : 0;
        std::printf("%-6s %8u %7u %8.1f %s\n", series.what.name.c_str(), series.what.sessions, series.what.threads, later,
                    verdict(later <= most));
    }
}

void printLatency(const std::vector<Series>& all) {
    std::printf(
        "\nLatency of a frame in us since its access unit was due, at half the speed that (a) has: to DQBUF(CAPTURE) against "
        "to "
        "the converted frame\n"
        "stream  node p50    p99  (a) p50    p99  added p50    p99\n");
    for (const auto& series : all) {
        const double node50 = medianOf(series, Contender::Node, p50);
        const double node99 = medianOf(series, Contender::Node, p99);
        const double convert50 = medianOf(series, Contender::ConvertInTurn, p50);
        const double convert99 = medianOf(series, Contender::ConvertInTurn, p99);
        std::printf("%-6s %9.0f %6.0f %8.0f %6.0f %10.0f %6.0f %s\n", series.what.name.c_str(), node50, node99, convert50,
                    convert99, node50 - convert50, node99 - convert99, verdict(node50 - convert50 <= kMostAddedP50Us));
    }
}

std::string contenderJson(const Series& series, Contender contender) {
    std::string out = text("{\"fps\": %.3f, \"cpu_ms_per_frame\": %.4f, \"first_frame_ms\": %.3f, \"peak_rss_mb\": %.1f",
                           medianOf(series, contender, fps), medianOf(series, contender, cpu),
                           medianOf(series, contender, first), medianOf(series, contender, rss));
    if (contender == Contender::Node)
        out += text(", \"daemon_peak_rss_mb\": %.1f, \"loop_us_per_frame\": %.2f, \"loop_kernel_us_per_frame\": %.2f",
                    medianOf(series, contender, daemonRss), medianOf(series, contender, loop),
                    medianOf(series, contender, loopKernel));
    return out + "}";
}

std::string seriesHead(const Series& series) {
    return text("{\"stream\": \"%s\", \"sessions\": %u, \"threads\": %u, \"frames\": %u, \"rounds\": %zu",
                series.what.name.c_str(), series.what.sessions, series.what.threads, series.what.frames, series.rounds.size());
}

std::string latencyJson(const Series& series, Contender contender) {
    return text("{\"p50_us\": %.1f, \"p99_us\": %.1f}", medianOf(series, contender, p50), medianOf(series, contender, p99));
}

std::string list(const std::vector<Series>& all, const std::function<std::string(const Series&)>& element) {
    std::string out;
    for (const auto& series : all) out += (out.empty() ? "\n    " : ",\n    ") + element(series);
    return "[" + out + "\n  ]";
}

}  // namespace

void Report::print() const {
    printThroughput(throughput_);
    printFirstFrames(throughput_);
    printLatency(latency_);
    for (size_t i = 0; i < querycaps_.size(); ++i) {
        const auto& one = querycaps_[i];
        const double ratio = one.pingPongUs > 0 ? one.callUs / one.pingPongUs : 0;
        std::printf("\nQUERYCAP, %s: %.2f us, bare SOCK_SEQPACKET ping-pong %.2f us: %.2f times",
                    i == 0 ? "both ends on one CPU" : "an end on each of two CPUs", one.callUs, one.pingPongUs, ratio);
        if (i == 0) std::printf(", %s (goal: %.1f)", verdict(ratio <= kMostQuerycapOnOneCpu), kMostQuerycapOnOneCpu);
    }
    std::printf("\n");
    std::fflush(stdout);
}

bool Report::writeJson(const std::string& path, const std::string& extent) const {
    std::ofstream file(path);
    file << "{\n  \"extent\": \"" << extent << "\",\n  \"throughput\": "
         << list(throughput_,
                 [](const Series& series) {
                     const auto ratio = fpsRatio(series);
                     std::string out = seriesHead(series) + text(
                                                                ", \"fps_ratio\": %.4f, \"fps_ratio_least\": %.4f, "
                                                                "\"fps_ratio_most\": %.4f, \"convert_is\": \"%s\"",
                                                                ratio.middle, ratio.least, ratio.most, styleName(series));
                     out += ", \"node\": " + contenderJson(series, Contender::Node);
                     out += ", \"convert\": " + contenderJson(series, bestConvert(series));
                     return out + ", \"drop\": " + contenderJson(series, Contender::Drop) + "}";
                 })
         << ",\n  \"latency\": " << list(latency_, [](const Series& series) {
                return seriesHead(series) + ", \"node\": " + latencyJson(series, Contender::Node) +
                       ", \"convert\": " + latencyJson(series, Contender::ConvertInTurn) + "}";
            });
    for (size_t i = 0; i < querycaps_.size(); ++i)
        file << text(",\n  \"querycap_%zu_cpu\": {\"call_us\": %.3f, \"ping_pong_us\": %.3f}", i + 1, querycaps_[i].callUs,
                     querycaps_[i].pingPongUs);
    file << "\n}\n";
    file.close();
    return file.good();
}

}  // namespace daedalus::bench
