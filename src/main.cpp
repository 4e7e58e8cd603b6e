// The command line: which subcommand, with which options.
#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daedalus/base/log.h"
#include "daedalus/daemon/run.h"
#include "daedalus/daemon/serve.h"
#include "daedalus/tools/codecs.h"
#include "daedalus/tools/decode.h"
#include "daedalus/tools/doctor.h"

namespace daedalus {
namespace {

constexpr int kUsage = 2;

/// All subcommands' options, as the user gave them.
struct Options {
    std::string log = "info";
    daemon::RunOptions run;
    daemon::ServeOptions serve;
    tools::DecodeOptions decode;
    tools::DoctorOptions doctor;
};

void addThreads(CLI::App* command, device::DeviceOptions& options) {
    static const std::map<std::string, codec::ThreadType> kTypes = {
        {"auto", codec::ThreadType::Auto}, {"frame", codec::ThreadType::Frame}, {"slice", codec::ThreadType::Slice}};
    command->add_option("--threads", options.threads, "Threads that decode (default: as many as there are cores)")
        ->type_name("N")
        ->check(CLI::Range(1, 256));
    command->add_option("--thread-type", options.threadType, "How threads share one stream: auto, frame or slice")
        ->type_name("TYPE")
        ->transform(CLI::CheckedTransformer(kTypes).description(""));
}

/// "WIDTHxHEIGHT": even numbers that a node can have. Returns what is wrong with it, or nothing.
std::string parseFrameSize(const std::string& text, m2m::SessionLimits& limits) {
    uint32_t width = 0;
    uint32_t height = 0;
    const char* const end = text.data() + text.size();
    const auto first = std::from_chars(text.data(), end, width);
    if (first.ec == std::errc() && first.ptr != end && *first.ptr == 'x') {
        const auto second = std::from_chars(first.ptr + 1, end, height);
        if (second.ec != std::errc() || second.ptr != end) height = 0;
    }
    const auto fits = [](uint32_t size) {
        return size >= v4l2::kMinDimension && size <= v4l2::kMaxDimension && size % v4l2::kDimensionStep == 0;
    };
    if (!fits(width) || !fits(height))
        return text + " is no frame size; write WIDTHxHEIGHT, both even and at most " + std::to_string(v4l2::kMaxDimension);
    limits.maxWidth = width;
    limits.maxHeight = height;
    return {};
}

void addLimits(CLI::App* command, device::Limits& limits) {
    const char* const group = "Limits";
    command
        ->add_option_function<std::string>(
            "--max-frame-size",
            [&limits](const std::string& text) {
                if (const auto wrong = parseFrameSize(text, limits.session); !wrong.empty())
                    throw CLI::ValidationError("--max-frame-size", wrong);
            },
            "Largest coded frame of a stream (default: 8192x8192)")
        ->type_name("WxH")
        ->group(group);
    command
        ->add_option("--session-memory", limits.session.memory,
                     "Memory of one session's buffers and decoded frames, as 512M or 4G (default: 4G)")
        ->type_name("BYTES")
        ->transform(CLI::AsSizeValue(false).description(""))
        ->group(group);
    command->add_option("--user-sessions", limits.sessionsPerUser, "Sessions that one user may have open (default: 1024)")
        ->type_name("N")
        ->check(CLI::PositiveNumber.description(""))
        ->group(group);
    command
        ->add_option_function<double>(
            "--frame-time",
            [&limits](double seconds) {
                limits.session.decodeTime = std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
            },
            "Longest time that decoding one frame may take; 0: no limit (default: 30)")
        ->type_name("SECONDS")
        ->check(CLI::Range(0.0, 86400.0).description(""))
        ->group(group);
}

/// What `run` and `serve` let the user decide about their nodes; an option that only a daemon of one's own heeds is refused
/// beside `elsewhere`.
void addDecoder(CLI::App* command, device::DeviceOptions& options, const std::vector<CLI::Option*>& elsewhere = {}) {
    static const std::map<std::string, v4l2::PlanesApi> kPlanes = {{"multi", v4l2::PlanesApi::Multi},
                                                                   {"single", v4l2::PlanesApi::Single}};
    addThreads(command, options);
    CLI::Option* planes =
        command
            ->add_option("--planes", options.planes,
                         "Which API's buffers the node has, multi-planar or single-planar ones: multi, single")
            ->type_name("API")
            ->transform(CLI::CheckedTransformer(kPlanes).description(""));
    CLI::Option* lenient =
        command->add_flag("--lenient-poll", options.lenientPoll,
                          "poll() without POLLERR before streaming starts: mpv and OpenCV crash of it in libavcodec");
    for (CLI::Option* other : elsewhere) {
        lenient->excludes(other);
        planes->excludes(other);
    }
    addLimits(command, options.limits);
}

CLI::App* addRun(CLI::App& app, daemon::RunOptions& options) {
    CLI::App* command = app.add_subcommand("run", "Run a program that finds a decoder of its own at /dev/videoN");
    auto* node = command->add_option("--node", options.node, "Serve this /dev/videoN (default: the next free one)");
    auto* attach = command->add_option("--attach", options.attach, "Use the daemon at this socket instead of a private one");
    auto* device = command->add_option(
        "--device", options.device,
        "Use this device file of the host, as `serve --cuse` makes it; udev, and so GStreamer, is shown it too");
    device->type_name("/dev/videoN")->excludes(node)->excludes(attach);
    attach->excludes(node);
    addDecoder(command, options.decoder, {device, attach});
    command->footer("daedalus run [OPTIONS] -- PROGRAM [ARGS...]");
    command->prefix_command();
    return command;
}

CLI::App* addServe(CLI::App& app, daemon::ServeOptions& options) {
    CLI::App* command = app.add_subcommand("serve", "Serve a decoder until SIGTERM or SIGINT");
    command->add_option("--socket", options.socket,
                        "Where programs reach it (default: $XDG_RUNTIME_DIR/daedalus.sock; root: /run/daedalus/daedalus.sock)");
    command->add_option(
        "--node", options.node,
        "The /dev/videoN that programs see through the socket (default: the first of --cuse, else the next free)");
    command
        ->add_option_function<std::vector<std::string>>(
            "--cuse",
            [&options](const std::vector<std::string>& names) {
                options.cuse = true;
                options.cuseNames = names.empty() ? "" : names.front();
            },
            "Serve character devices that every program can open (default: one, the first free name)")
        ->type_name("[videoN,...]")
        ->expected(0, 1);
    addDecoder(command, options.decoder);
    return command;
}

CLI::App* addDecode(CLI::App& app, tools::DecodeOptions& options) {
    CLI::App* command = app.add_subcommand("decode", "Decode a file by a V4L2 decoder");
    auto* device = command->add_option("--device", options.device, "The decoder (default: the first that decodes the file)");
    command->add_flag("--in-process", options.inProcess, "Decode in this process, without a node")->excludes(device);
    command
        ->add_option("--capture", options.capture,
                     "CAPTURE format: NV12, NV12M, YU12, YM12, P010, ... (default: the native one)")
        ->type_name("FOURCC");
    command->add_flag("--native", options.native, "Hash and write frames in FFmpeg's native order in spite of --capture");
    command->add_option("--memory", options.memory, "Buffers: mmap, userptr or dmabuf")
        ->type_name("KIND")
        ->check(CLI::IsMember({"mmap", "userptr", "dmabuf"}).description(""));
    command
        ->add_option("--export-device", options.exportDevice,
                     "With --memory dmabuf: decode into buffers of this V4L2 device, a camera or a display")
        ->type_name("/dev/videoN");
    command->add_option("--framemd5", options.frameMd5, "Write each frame's MD5 as FFmpeg's framemd5 does (- for stdout)")
        ->type_name("FILE");
    command->add_option("-o", options.output, "Write raw frames (- for stdout)")->type_name("FILE");
    command->add_option("--frames", options.frames, "Stop after so many frames")->type_name("N");
    command->add_option("--timeout", options.timeoutSeconds, "Give up after so many seconds without progress (default: 10)")
        ->type_name("SECONDS");
    addThreads(command, options.decoder);
    command->add_option("INPUT", options.input, "Any container that libavformat reads, IVF, or a raw stream")->required();
    return command;
}

CLI::App* addDoctor(CLI::App& app, tools::DoctorOptions& options) {
    CLI::App* command = app.add_subcommand("doctor", "Tell what this host offers and what to do about the rest");
    command->add_flag("--probe", options.probe)->group("");
    return command;
}

/// The name of the subcommand, wherever it stands among the common options; empty if there is none.
std::string_view subcommandOf(const std::vector<std::string>& words) {
    for (size_t i = 0; i < words.size(); ++i) {
        if (words[i] == "--log") {
            ++i;
        } else if (!words[i].starts_with('-')) {
            return words[i];
        }
    }
    return {};
}

int usageStatus(std::string_view subcommand) { return subcommand == "run" ? daemon::kRunFailed : kUsage; }

int daedalusMain(std::vector<std::string> words) {
    const std::string subcommand(subcommandOf(words));
    Options options;
    // What follows run's "--" is the program's, to the last dash.
    if (const auto dashes = std::ranges::find(words, "--"); subcommand == "run" && dashes != words.end()) {
        options.run.command.assign(dashes + 1, words.end());
        words.erase(dashes, words.end());
    }

    CLI::App app("A V4L2 stateful video decoder (/dev/videoN) in userspace", "daedalus");
    app.set_version_flag("--version", "daedalus " DAEDALUS_VERSION);
    app.require_subcommand(1);
    app.failure_message([](const CLI::App*, const CLI::Error& error) {
        return std::string("daedalus: ") + error.what() + "; see `daedalus --help` and `daedalus COMMAND --help`\n";
    });
    CLI::App* run = addRun(app, options.run);
    CLI::App* serve = addServe(app, options.serve);
    CLI::App* decode = addDecode(app, options.decode);
    CLI::App* codecs = app.add_subcommand("codecs", "Tell which coded formats this machine decodes");
    CLI::App* doctor = addDoctor(app, options.doctor);
    for (CLI::App* command : {&app, run, serve, decode, codecs, doctor})
        command
            ->add_option("--log", options.log, "error, warning, info, debug, trace; ioctl prints every call; several by commas")
            ->type_name("LEVEL[,ioctl]");
    const auto named = app.get_subcommands([&](const CLI::App* command) { return command->get_name() == subcommand; });
    if (!subcommand.empty() && named.empty()) {
        log::error("{}: no such command; see `daedalus --help`", subcommand);
        return kUsage;
    }
    try {
        std::ranges::reverse(words);
        app.parse(words);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? EXIT_SUCCESS : usageStatus(subcommand);
    }

    if (const auto configured = log::configure(options.log); !configured) {
        log::error("--log {}: no such level; choose from error, warning, info, debug, trace, ioctl", options.log);
        return usageStatus(subcommand);
    }
    if (run->parsed()) {
        const auto rest = run->remaining();
        options.run.command.insert(options.run.command.begin(), rest.begin(), rest.end());
        if (options.run.command.empty() || (!rest.empty() && rest.front().starts_with('-'))) {
            log::error("{}; write `daedalus run [OPTIONS] -- PROGRAM [ARGS...]`",
                       rest.empty() ? std::string("run: no program") : "run: unknown option " + rest.front());
            return usageStatus(subcommand);
        }
        return daemon::runMain(options.run);
    }
    if (serve->parsed()) return daemon::serveMain(options.serve);
    if (decode->parsed()) return tools::decodeMain(options.decode);
    if (codecs->parsed()) return tools::codecsMain();
    return tools::doctorMain(options.doctor);
}

}  // namespace
}  // namespace daedalus

int main(int argc, char** argv) { return daedalus::daedalusMain({argv + 1, argv + argc}); }
