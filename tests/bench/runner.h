// Runs one contender once.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "measured.h"

namespace daedalus::bench {

/// What is decoded, and how.
struct Case {
    std::string name;   ///< a codec, or "mixed"
    std::string clips;  ///< paths with ',' between them
    unsigned sessions = 1;
    unsigned threads = 1;  ///< of each decoder
    unsigned frames = 0;   ///< of each session
    unsigned pacedUs = 0;
};

enum class Contender : uint8_t {
    Node,
    ConvertInTurn,  ///< (a) as many threads as cores take the sessions' packets in turn
    ConvertEach,    ///< (a) a thread for each session
    Drop,           ///< (b)
};
inline constexpr std::array kContenders = {Contender::Node, Contender::ConvertInTurn, Contender::ConvertEach, Contender::Drop};

struct Result {
    Measured own;
    double daemonCpuSeconds = 0;
    double daemonRssMb = 0;
    double loopSeconds = 0;        ///< CPU time of the daemon's loop
    double loopKernelSeconds = 0;  ///< of it in the kernel

    [[nodiscard]] double fps() const { return own.seconds > 0 ? static_cast<double>(own.steadyFrames) / own.seconds : 0; }
    /// Milliseconds, of client and daemon together.
    [[nodiscard]] double cpuPerFrame() const {
        return own.frames > 0 ? (own.cpuSeconds + daemonCpuSeconds) * 1e3 / static_cast<double>(own.frames) : 0;
    }
};

/// The results of one round by contender; nothing of those that did not take part.
using Round = std::array<std::optional<Result>, kContenders.size()>;

struct Series {
    Case what;
    std::vector<Round> rounds;
};

/// Where the programs are, and a folder to write to.
struct Programs {
    std::string daedalus;
    std::string client;
    std::string baseline;
    std::string folder;
};

/// Results are nothing if a frame was missing or a program failed, which is said on stderr.
class Runner {
public:
    explicit Runner(Programs programs) : programs_(std::move(programs)) {}
    /// With a daemon of its own, so that its CPU time and peak RSS are those of this run.
    [[nodiscard]] std::optional<Result> node(const Case& one);
    [[nodiscard]] std::optional<Result> baseline(const Case& one, Contender contender);
    /// Client and daemon, and the ends of the ping-pong, on these CPUs.
    [[nodiscard]] std::optional<Measured> querycap(unsigned batches, unsigned clientCpu, unsigned otherCpu);

private:
    [[nodiscard]] std::optional<Result> underNode(const std::vector<std::string>& arguments, unsigned threads,
                                                  std::optional<unsigned> daemonCpu = std::nullopt);

    Programs programs_;
};

}  // namespace daedalus::bench
