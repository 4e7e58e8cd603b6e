#include "runner.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <thread>

#include "process.h"

namespace daedalus::bench {
namespace {

std::vector<std::string> caseArguments(const Case& one) {
    return {"--clips=" + one.clips, "--sessions=" + std::to_string(one.sessions), "--frames=" + std::to_string(one.frames),
            "--threads=" + std::to_string(one.threads), "--paced-us=" + std::to_string(one.pacedUs)};
}

std::optional<Measured> readMeasured(const Ended& ended, const std::string& program) {
    const auto measured = ended.status == 0 ? parseMeasured(ended.output) : std::nullopt;
    if (!measured) std::fprintf(stderr, "FAILED: %s ended with status %d\n", program.c_str(), ended.status);
    return measured;
}

bool complete(const Case& one, const Measured& measured, const std::string& program) {
    const uint64_t wanted = uint64_t{one.sessions} * one.frames;
    if (measured.frames == wanted) return true;
    std::fprintf(stderr, "FAILED: %s, %s x %u: %llu frames of %llu came\n", program.c_str(), one.name.c_str(), one.sessions,
                 static_cast<unsigned long long>(measured.frames), static_cast<unsigned long long>(wanted));
    return false;
}

}  // namespace

std::optional<Result> Runner::underNode(const std::vector<std::string>& arguments, unsigned threads,
                                        std::optional<unsigned> daemonCpu) {
    // Not in the build folder, whose path may be longer than a socket's may be.
    const auto socket = (std::filesystem::temp_directory_path() / ("daedalus-bench-" + std::to_string(::getpid()))).string();
    DaemonProcess daemon(programs_.daedalus, socket, threads, daemonCpu);
    if (!daemon.alive()) {
        std::fprintf(stderr, "FAILED: `%s serve --socket %s` does not start\n", programs_.daedalus.c_str(), socket.c_str());
        return std::nullopt;
    }
    std::vector<std::string> command = {programs_.daedalus, "--log", "warning", "run",
                                        "--attach",         socket,  "--",      programs_.client};
    command.insert(command.end(), arguments.begin(), arguments.end());
    const double cpuBefore = daemon.cpuSeconds();
    const auto ended = runProcess(command);
    Result result;
    result.daemonCpuSeconds = daemon.cpuSeconds() - cpuBefore;
    result.daemonRssMb = peakRssMb(daemon.pid());
    const auto loop = daemon.loopTime();
    result.loopSeconds = loop.seconds;
    result.loopKernelSeconds = loop.seconds * loop.kernelShare;
    const int status = daemon.stop();
    if (status != 0) {
        std::fprintf(stderr, "FAILED: the daemon ended with status %d\n", status);
        return std::nullopt;
    }
    const auto measured = readMeasured(ended, programs_.client);
    if (!measured) return std::nullopt;
    result.own = *measured;
    return result;
}

std::optional<Result> Runner::node(const Case& one) {
    // A crowd meets the daemon as it is by default: a pool of as many workers as cores, and one thread for each stream.
    const auto result = underNode(caseArguments(one), one.sessions == 1 ? one.threads : 0);
    if (!result || !complete(one, result->own, "the node")) return std::nullopt;
    return result;
}

std::optional<Result> Runner::baseline(const Case& one, Contender contender) {
    std::vector<std::string> command = {programs_.baseline};
    const auto arguments = caseArguments(one);
    command.insert(command.end(), arguments.begin(), arguments.end());
    const unsigned workers = contender == Contender::ConvertEach ? 0 : std::max(1U, std::thread::hardware_concurrency());
    command.push_back("--workers=" + std::to_string(workers));
    if (contender == Contender::Drop) command.emplace_back("--drop");
    const auto measured = readMeasured(runProcess(command), programs_.baseline);
    if (!measured || !complete(one, *measured, "libavcodec")) return std::nullopt;
    Result result;
    result.own = *measured;
    return result;
}

std::optional<Measured> Runner::querycap(unsigned batches, unsigned clientCpu, unsigned otherCpu) {
    const auto result = underNode({"--querycaps=" + std::to_string(batches), "--own-cpu=" + std::to_string(clientCpu),
                                   "--ping-cpu=" + std::to_string(otherCpu)},
                                  0, otherCpu);
    return result ? std::optional(result->own) : std::nullopt;
}

}  // namespace daedalus::bench
