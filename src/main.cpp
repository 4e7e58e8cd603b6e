// The command line: which subcommand, with which options.
#include <CLI/CLI.hpp>

#include <fcntl.h>
#include <linux/videodev2.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "completions.h"
#include "daedalus/base/log.h"
#include "daedalus/daemon/run.h"
#include "daedalus/daemon/serve.h"
#include "daedalus/tools/codecs.h"
#include "daedalus/tools/decode.h"
#include "daedalus/tools/doctor.h"
#include "option_values.h"

namespace daedalus {
namespace {

constexpr int kUsage = 2;
/// The command that the shells' completions ask; it is in no help.
constexpr std::string_view kComplete = "complete";

/// A pipe or a file that we open must not get the number of a standard descriptor that the caller closed.
void fillStandardDescriptors() {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::fcntl(fd, F_GETFD) < 0) std::ignore = ::open("/dev/null", O_RDWR);
}

/// `status`, or failure if what was printed did not reach its reader.
int written(int status) {
    std::cout.flush();
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout) return status;
    log::error("stdout cannot be written: {}; make room, or give it another place", std::strerror(errno));
    return EXIT_FAILURE;
}

/// All subcommands' options, as the user gave them.
struct Options {
    std::string log = "info";
    daemon::RunOptions run;
    daemon::ServeOptions serve;
    tools::DecodeOptions decode;
    tools::DoctorOptions doctor;
};

void addThreads(CLI::App* command, device::DeviceOptions& options) {
    addNumber(command, "--threads", options.threads, 1, 256, "Threads that decode (default: as many as there are cores)");
    addChoice<codec::ThreadType>(
        command, "--thread-type", options.threadType,
        {{"auto", codec::ThreadType::Auto}, {"frame", codec::ThreadType::Frame}, {"slice", codec::ThreadType::Slice}},
        "How threads share one stream");
}

void addLimits(CLI::App* command, device::Limits& limits) {
    const auto frameSize = [&limits](const std::string& text) {
        return parseFrameSize(text, limits.session.maxWidth, limits.session.maxHeight);
    };
    const auto memory = [&limits](const std::string& text) { return parseBytes(text, limits.session.memory); };
    const auto userMemory = [&limits](const std::string& text) { return parseBytes(text, limits.userMemory); };
    const auto totalMemory = [&limits](const std::string& text) { return parseBytes(text, limits.totalMemory); };
    const auto frameTime = [&limits](const std::string& text) { return parseSeconds(text, limits.session.decodeTime); };
    const std::vector<CLI::Option*> all = {
        addWord(command, "--max-frame-size", frameSize, "Largest coded frame of a stream (default: 8192x8192)")
            ->type_name("WxH"),
        addWord(command, "--session-memory", memory,
                "Memory of one session's buffers and decoded frames, as 512M or 4G (default: 4G)")
            ->type_name("BYTES"),
        addWord(command, "--user-memory", userMemory,
                "Memory of all sessions of one user (default: three quarters of --total-memory)")
            ->type_name("BYTES"),
        addWord(command, "--total-memory", totalMemory,
                "Memory of all sessions (default: three quarters of what the machine or the cgroup has)")
            ->type_name("BYTES"),
        addNumber(command, "--user-sessions", limits.sessionsPerUser, 1, UINT32_MAX,
                  "Sessions that one user may have open (default: 1024)"),
        addWord(command, "--frame-time", frameTime, "Longest time that decoding one frame may take; 0: no limit (default: 30)")
            ->type_name("SECONDS"),
    };
    for (CLI::Option* option : all) option->group("Limits");
}

/// What `run` and `serve` let the user decide about their nodes; an option that only a daemon of one's own heeds is refused
/// beside `elsewhere`.
void addDecoder(CLI::App* command, device::DeviceOptions& options, daemon::NodeKinds& nodes,
                const std::vector<CLI::Option*>& elsewhere = {}) {
    addThreads(command, options);
    const std::vector<CLI::Option*> own = {
        addWord(
            command, "--nodes", [&nodes](const std::string& text) { return daemon::parseKinds(text, nodes); },
            "Serve a node of each of these kinds: stateful, stateless, jpeg (default: stateful)")
            ->type_name("KIND[,KIND...]"),
        addWord(
            command, "--codecs", [&options](const std::string& text) { return parseCodecs(text, options.codecs); },
            "Offer these only, by the names of `daedalus codecs`; several by commas (default: all)")
            ->type_name("NAME[,...]"),
        addText(command, "--driver", options.driver, sizeof(v4l2_capability::driver) - 1, "The driver that the node names"),
        addText(command, "--card", options.card, sizeof(v4l2_capability::card) - 1, "The device that the node names"),
        addChoice<v4l2::PlanesApi>(command, "--planes", options.planes,
                                   {{"multi", v4l2::PlanesApi::Multi}, {"single", v4l2::PlanesApi::Single}},
                                   "Which API's buffers the node has, multi-planar or single-planar ones"),
        command->add_flag("--lenient-poll", options.lenientPoll,
                          "poll() without POLLERR before streaming starts: mpv and OpenCV crash of it in libavcodec"),
    };
    for (CLI::Option* option : own)
        for (CLI::Option* other : elsewhere) option->excludes(other);
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
    addChoice<daemon::Reach>(
        command, "--reach", options.reach,
        {{"auto", daemon::Reach::Auto}, {"preload", daemon::Reach::Preload}, {"notify", daemon::Reach::Notify}},
        "How programs see the node: by a library that is loaded into them (preload), by serving their system calls "
        "(notify), or auto")
        ->excludes(device);
    addDecoder(command, options.decoder, options.nodes, {device, attach});
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
    addDecoder(command, options.decoder, options.nodes);
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
    addChoice<std::string>(command, "--memory", options.memory,
                           {{"mmap", "mmap"}, {"userptr", "userptr"}, {"dmabuf", "dmabuf"}},
                           "The kind of memory of its buffers");
    command
        ->add_option("--export-device", options.exportDevice,
                     "With --memory dmabuf: decode into buffers of this V4L2 device, a camera or a display")
        ->type_name("/dev/videoN");
    command->add_option("--framemd5", options.frameMd5, "Write each frame's MD5 as FFmpeg's framemd5 does (- for stdout)")
        ->type_name("FILE");
    command->add_option("-o", options.output, "Write raw frames (- for stdout)")->type_name("FILE");
    command->add_flag("--output-corrupt", options.outputCorrupt, "Write damaged frames before the first key frame, too");
    addNumber(command, "--frames", options.frames, 0, UINT64_MAX, "Stop after so many frames; 0: after all of them");
    addNumber(command, "--timeout", options.timeoutSeconds, 1, UINT32_MAX,
              "Give up after so many seconds without progress (default: 10)")
        ->type_name("SECONDS");
    addThreads(command, options.decoder);
    // Whether it is there is asked after the parser has told of words that it does not know.
    command->add_option("INPUT", options.input, "Any container that libavformat reads, IVF, or a raw stream; - for stdin");
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

/// Tells what is wrong with the command line, and where to look.
int wrongUsage(const std::string& subcommand, const std::string& what) {
    log::error("{}; see `daedalus {}--help`", what, subcommand.empty() ? "" : subcommand + " ");
    return usageStatus(subcommand);
}

/// What the user is told of a parser's error.
std::string usageError(const CLI::App& app, const std::string& subcommand, const CLI::ParseError& error) {
    const auto extras = app.remaining(true);
    if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr || extras.empty()) return error.what();
    const std::string command = subcommand.empty() ? "daedalus" : "daedalus " + subcommand;
    return extras.front() + (extras.front().starts_with('-') ? ": no such option of `" : ": one word too many for `") +
           command + "`";
}

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
    CLI::App* run = addRun(app, options.run);
    CLI::App* serve = addServe(app, options.serve);
    CLI::App* decode = addDecode(app, options.decode);
    CLI::App* codecs = app.add_subcommand("codecs", "Tell which coded formats this machine decodes");
    CLI::App* doctor = addDoctor(app, options.doctor);
    for (CLI::App* command : {&app, run, serve, decode, codecs, doctor})
        command
            ->add_option("--log", options.log, "error, warning, info, debug, trace; ioctl prints every call; several by commas")
            ->type_name("LEVEL[,ioctl]");
    if (subcommand == kComplete) {
        const auto typed = std::span(words).subspan(1);
        for (const std::string& word : completions(app, typed)) std::cout << word << '\n';
        return written(EXIT_SUCCESS);
    }
    const auto named = app.get_subcommands([&](const CLI::App* command) { return command->get_name() == subcommand; });
    if (!subcommand.empty() && named.empty()) {
        log::error("{}: no such command; see `daedalus --help`", subcommand);
        return kUsage;
    }
    try {
        std::ranges::reverse(words);
        app.parse(words);
    } catch (const CLI::ParseError& error) {
        // --help and --version are errors, too.
        if (error.get_exit_code() == 0) return written(app.exit(error));
        return wrongUsage(subcommand, usageError(app, subcommand, error));
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
    if (decode->parsed()) {
        if (options.decode.input.empty()) return wrongUsage(subcommand, "decode: no INPUT");
        return tools::decodeMain(options.decode);
    }
    return written(codecs->parsed() ? tools::codecsMain() : tools::doctorMain(options.doctor));
}

}  // namespace
}  // namespace daedalus

int main(int argc, char** argv) {
    daedalus::fillStandardDescriptors();
    return daedalus::daedalusMain({argv + 1, argv + argc});
}
