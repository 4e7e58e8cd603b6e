// The node against libavcodec, in rounds of all contenders in turn, so that what else the machine does hits all alike.
//
// Not with Google Benchmark: a contender is one or two processes of its own (CPU time and peak RSS count per process), a round
// interleaves them, and what is compared are ratios within a round. Google Benchmark repeats one function in one process.
#include <filesystem>
#include <thread>

#include "affinity.h"
#include "clip.h"
#include "make_clip.h"
#include "report.h"
#include "runner.h"

namespace daedalus::bench {
namespace {

/// How much is measured. Seconds are those of one run of one contender.
struct Extent {
    const char* name;
    unsigned rounds;
    double seconds;
    unsigned crowdRounds;
    double crowdSeconds;  ///< long enough that setting up 32 streams does not count for much
    unsigned pacedRounds;
    unsigned pacedFrames;
    unsigned querycapBatches;
    bool everyCrowd;  ///< crowds of each codec besides those of all codecs
};

constexpr Extent kShort = {"short", 7, 1.0, 5, 5.5, 5, 60, 25, false};
constexpr Extent kLong = {"long", 11, 3.0, 7, 10.0, 7, 200, 200, true};

Extent chosenExtent() {
    const char* wanted = std::getenv("DAEDALUS_BENCH");
    return wanted && std::string_view(wanted) == "long" ? kLong : kShort;
}

unsigned framesFor(double fps, double seconds, unsigned sessions) {
    // Fewer, and the start of a session decides.
    constexpr unsigned kFewest = 48;
    return std::max(kFewest, static_cast<unsigned>(fps * seconds / sessions));
}

class Bench {
public:
    Bench(Runner& runner, const Extent& extent) : runner_(runner), extent_(extent) {}

    bool run(const std::string& folder) {
        std::string all;
        for (const auto codec : kCodecs) {
            const auto path = makeClip(std::string(codec), folder);
            if (path.empty()) return false;
            all += (all.empty() ? "" : ",") + path;
            if (!single(std::string(codec), path)) return false;
        }
        if (!crowds("mixed", all) || !measureCalls()) return false;
        if (!extent_.everyCrowd) return true;
        for (const auto codec : kCodecs)
            if (!crowds(std::string(codec), folder + "/" + std::string(codec) + ".clip")) return false;
        return true;
    }

    [[nodiscard]] const Report& report() const { return report_; }

private:
    bool single(const std::string& codec, const std::string& path) {
        for (const unsigned threads : {1U, 2U}) {
            Case one{codec, path, 1, threads, 0, 0};
            if (!calibrate(one, extent_.seconds) || !throughput(one, extent_.rounds)) return false;
            if (threads == 1 && !latency(one)) return false;
        }
        return true;
    }

    bool crowds(const std::string& name, const std::string& paths) {
        for (const unsigned sessions : {8U, 32U}) {
            Case crowd{name, paths, sessions, 1, 0, 0};
            const double seconds = extent_.crowdSeconds * (sessions > 8 ? 1.0 : 0.4);
            if (!calibrate(crowd, seconds) || !throughput(crowd, extent_.crowdRounds)) return false;
        }
        return true;
    }

    /// Finds out how many frames take about `seconds`; warms the clip up, too.
    bool calibrate(Case& one, double seconds) {
        one.frames = framesFor(200, 0.2, one.sessions);
        const auto tried = runner_.baseline(one, Contender::ConvertInTurn);
        if (!tried || tried->own.seconds <= 0) return false;
        fps_ = static_cast<double>(tried->own.steadyFrames) / tried->own.seconds;
        one.frames = framesFor(fps_, seconds, one.sessions);
        return true;
    }

    bool throughput(const Case& one, unsigned rounds) {
        Series series{one, {}};
        for (unsigned round = 0; round < rounds; ++round) {
            auto& results = series.rounds.emplace_back();
            for (const auto contender : kContenders) {
                if (contender == Contender::ConvertEach && one.sessions == 1) continue;
                const auto result = contender == Contender::Node ? runner_.node(one) : runner_.baseline(one, contender);
                if (!result) return false;
                results[static_cast<size_t>(contender)] = *result;
            }
        }
        report_.addThroughput(series);
        return true;
    }

    bool latency(Case one) {
        // Half of the time nothing is to be done: each access unit finds the decoder idle.
        one.pacedUs = static_cast<unsigned>(2e6 / fps_);
        one.frames = extent_.pacedFrames;
        Series series{one, {}};
        for (unsigned round = 0; round < extent_.pacedRounds; ++round) {
            const auto node = runner_.node(one);
            const auto convert = runner_.baseline(one, Contender::ConvertInTurn);
            if (!node || !convert) return false;
            auto& results = series.rounds.emplace_back();
            results[static_cast<size_t>(Contender::Node)] = *node;
            results[static_cast<size_t>(Contender::ConvertInTurn)] = *convert;
        }
        report_.addLatency(series);
        return true;
    }

    bool measureCalls() {
        const auto cpus = allowedCpus();
        for (const size_t among : {1U, 2U}) {
            if (cpus.size() < among) break;
            const auto measured = runner_.querycap(extent_.querycapBatches, cpus[0], cpus[among - 1]);
            if (!measured) return false;
            report_.addQuerycap(*measured);
        }
        return true;
    }

    Runner& runner_;
    const Extent extent_;
    Report report_;
    double fps_ = 0;  ///< of the case that was calibrated last
};

int run(int argc, char** argv) {
    if (argc != 5) {
        std::fprintf(stderr, "usage: %s DAEDALUS NODE_CLIENT BASELINE FOLDER; DAEDALUS_BENCH=long measures longer\n", argv[0]);
        return 2;
    }
    const std::string folder = std::filesystem::absolute(argv[4]).string();
    const Extent extent = chosenExtent();
    Runner runner({argv[1], argv[2], argv[3], folder});
    Bench bench(runner, extent);
    const bool good = bench.run(folder + "/clips");
    bench.report().print();
    const std::string json = folder + "/results.json";
    if (!bench.report().writeJson(json, extent.name)) std::fprintf(stderr, "%s: cannot be written\n", json.c_str());
    std::printf("\nAll figures: %s\n", json.c_str());
    // Only what does not work fails; slowness is shown.
    return good ? 0 : 1;
}

}  // namespace
}  // namespace daedalus::bench

int main(int argc, char** argv) { return daedalus::bench::run(argc, argv); }
