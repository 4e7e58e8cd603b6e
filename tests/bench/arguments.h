// The options that the contenders share: --name=value each.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "clip.h"

namespace daedalus::bench {

struct Arguments {
    std::vector<Clip> clips;  ///< session i plays clip i modulo their number
    unsigned sessions = 1;
    unsigned frames = 0;     ///< of each session
    unsigned threads = 1;    ///< of each decoder
    unsigned workers = 0;    ///< threads that take the sessions' packets in turn; 0: a thread for each session
    bool drop = false;       ///< frames are not converted
    unsigned pacedUs = 0;    ///< one access unit each so many microseconds, for latencies; 0: as fast as it goes
    unsigned querycaps = 0;  ///< batches of QUERYCAP and ping-pong instead of decoding
    unsigned ownCpu = 0;     ///< of those, the CPU of this process
    unsigned pingCpu = 0;    ///< and that of the ping-pong's other end
};

[[nodiscard]] inline bool parseArguments(int argc, char** argv, Arguments& arguments) {
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        const auto equals = word.find('=');
        const auto name = word.substr(0, equals);
        const std::string value(equals == std::string_view::npos ? "1" : word.substr(equals + 1));
        const auto number = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
        if (name == "--clips") {
            arguments.clips = loadClips(value);
            if (arguments.clips.empty()) return false;
        } else if (name == "--sessions") {
            arguments.sessions = number;
        } else if (name == "--frames") {
            arguments.frames = number;
        } else if (name == "--threads") {
            arguments.threads = number;
        } else if (name == "--workers") {
            arguments.workers = number;
        } else if (name == "--drop") {
            arguments.drop = number != 0;
        } else if (name == "--paced-us") {
            arguments.pacedUs = number;
        } else if (name == "--querycaps") {
            arguments.querycaps = number;
        } else if (name == "--own-cpu") {
            arguments.ownCpu = number;
        } else if (name == "--ping-cpu") {
            arguments.pingCpu = number;
        } else {
            std::fprintf(stderr, "%s: unknown option; tests/bench/arguments.h lists them\n", argv[i]);
            return false;
        }
    }
    return arguments.querycaps != 0 || (!arguments.clips.empty() && arguments.frames != 0);
}

}  // namespace daedalus::bench
