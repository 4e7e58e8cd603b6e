#include "daedalus/tools/doctor.h"

extern "C" {
#include <libavcodec/avcodec.h>
}

#include <fcntl.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "daedalus/base/log.h"
#include "daedalus/base/unique_fd.h"
#include "daedalus/daemon/daemon.h"
#include "daedalus/daemon/preload_library.h"
#include "daedalus/daemon/run.h"
#include "daedalus/device/device.h"
#include "daedalus/v4l2/formats.h"
#include "daedalus/v4l2/uapi.h"
#include "endpoint.h"
#include "proto/daedalus_shim.h"

namespace daedalus::tools {
namespace {

/// One line of the table.
struct Finding {
    std::string thing;
    std::string state;
    std::string remark;  ///< detail, or what to do
};

Finding preloadLibrary() {
    if (const auto library = daemon::findPreloadLibrary()) return {"preload library", "ok", *library};
    return {"preload library", "missing",
            fmt::format("looked for {}; build or install daedalus completely, or name it in $DAEDALUS_PRELOAD",
                        daemon::preloadLibraryPlaces())};
}

/// Runs this program under itself: true if it finds a node there.
bool runWorks() {
    std::error_code error;
    std::string self = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error) return false;
    std::vector<std::string> words = {self, "--log", "error", "run", "--", self, "doctor", "--probe"};
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t pid = -1;
    if (::posix_spawn(&pid, self.c_str(), nullptr, nullptr, arguments.data(), environ) != 0) return false;
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) return false;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Finding run(bool works) {
    if (works) return {"daedalus run", "ok", "a program started by it finds its decoder"};
    return {"daedalus run", "fails", "see the messages above; `daedalus decode --in-process` needs none of it"};
}

/// True if modprobe would find this module of the running kernel, or the kernel has it built in.
bool hasModule(const std::string& module) {
    utsname kernel{};
    if (::uname(&kernel) != 0) return false;
    for (const char* list : {"modules.dep", "modules.builtin"}) {
        std::ifstream lines(fmt::format("/lib/modules/{}/{}", kernel.release, list));
        for (std::string line; std::getline(lines, line);) {
            const std::string path = line.substr(0, line.find(':'));
            if (path.find('/' + module + ".ko") != std::string::npos) return true;
        }
    }
    return false;
}

Finding servedCalls() {
    const std::string obstacle = daemon::notifyObstacle();
    if (obstacle.empty())
        return {"system calls", "served",
                "`daedalus run` reaches statically linked and 32-bit programs; --reach notify all but setuid ones"};
    return {"system calls", "not served", obstacle + "; `daedalus run` reaches dynamically linked programs only"};
}

Finding shownNodes() {
    const auto nodes = daemon::nodesShownByNotify();
    return {"served paths", nodes.shown ? "shown" : "not shown", "with --reach notify " + nodes.told};
}

/// A device file that would do us good. `module` of the kernel makes it; null: one of ours does.
Finding deviceFile(const char* thing, const char* path, const char* module, const char* ifOpen, const char* ifDenied,
                   const char* ifMissing) {
    const UniqueFd fd(::open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK));
    if (fd) return {thing, "ok", fmt::format("{}: {}", path, ifOpen)};
    // ENODEV, ENXIO: the file is there, the driver is not.
    if (errno == ENOENT || errno == ENODEV || errno == ENXIO) {
        if (module == nullptr) return {thing, "missing", ifMissing};
        if (!hasModule(module)) return {thing, "missing", fmt::format("{}: this kernel has no {}", ifMissing, thing)};
        return {thing, "missing", fmt::format("{}; `modprobe {}` as root makes it", ifMissing, module)};
    }
    return {thing, "no access", fmt::format("{}: {}; {}", path, std::strerror(errno), ifDenied)};
}

Finding cuse() {
    return deviceFile("CUSE", "/dev/cuse", "cuse", "`daedalus serve --cuse` gives every program a /dev/videoN",
                      "be root for `daedalus serve --cuse`, or start daedalus.service",
                      "no device that every program can open (`daedalus serve --cuse`)");
}

/// Whether other users' processes are within reach, which a CUSE device wants for USERPTR and DMABUF.
Finding clientMemory() {
    constexpr unsigned kSysPtrace = 19;
    std::ifstream status("/proc/self/status");
    uint64_t capabilities = 0;
    for (std::string word; status >> word;)
        if (word == "CapEff:") status >> std::hex >> capabilities;
    if ((capabilities >> kSysPtrace & 1) != 0)
        return {"client memory", "ok", "CAP_SYS_PTRACE: a CUSE device takes every client's USERPTR and DMABUF buffers"};
    return {"client memory", "own only",
            "no CAP_SYS_PTRACE: a CUSE device of this user takes USERPTR and DMABUF buffers from its own processes only"};
}

Finding shim() {
    const UniqueFd control(::open(DAEDALUS_SHIM_DEVICE, O_RDWR | O_CLOEXEC));
    uint32_t version = 0;
    if (control && (::ioctl(control.get(), DAEDALUS_SHIM_GET_VERSION, &version) < 0 || version != DAEDALUS_SHIM_VERSION))
        return {"kernel shim", "other version",
                fmt::format("the module speaks version {} of its protocol, this daedalus version {}; CUSE nodes have no mmap "
                            "and EXPBUF until the one that came with it is loaded",
                            version, DAEDALUS_SHIM_VERSION)};
    return deviceFile("kernel shim", DAEDALUS_SHIM_DEVICE, nullptr, "CUSE nodes have mmap and EXPBUF",
                      "CUSE nodes have mmap and EXPBUF only if the daemon may open it: be root, or give it by a udev rule",
                      "CUSE nodes have no mmap and EXPBUF; build and load the module of subprojects/daedalus-shim");
}

/// What the sessions of a daemon on this machine may have, unless options say otherwise.
Finding sessionMemory() {
    const memory::Machine machine = memory::examineMachine();
    const memory::AccountLimits limits = memory::accountLimits(machine, 0, 0);
    return {"session memory", "ok",
            fmt::format("{} MiB for all sessions, three quarters of the {} MiB of {} (--total-memory); {} MiB for one user "
                        "(--user-memory)",
                        limits.total.bytes >> 20, machine.bytes >> 20, machine.source, limits.user.bytes >> 20)};
}

Finding udmabuf() {
    return deviceFile("udmabuf", "/dev/udmabuf", "udmabuf", "EXPBUF hands out real dma-bufs",
                      "EXPBUF hands out memfds; join the file's group for real dma-bufs",
                      "EXPBUF hands out memfds instead of real dma-bufs");
}

std::vector<Finding> codecs() {
    const unsigned version = avcodec_version();
    std::vector<Finding> findings = {
        {"libavcodec", "ok",
         fmt::format("version {}.{}.{}", AV_VERSION_MAJOR(version), AV_VERSION_MINOR(version), AV_VERSION_MICRO(version))}};
    const daemon::Daemon decoders({.threads = 1});
    for (const v4l2::CodedFormat& format : v4l2::codedFormats()) {
        const bool decodes = decoders.decodes(format.codec);
        findings.push_back({fmt::format("codec {}", format.name), decodes ? "ok" : "missing",
                            decodes ? format.description : "this libavcodec lacks its decoder; install a complete one"});
    }
    return findings;
}

/// The nodes that the host has, by itself or by a CUSE device of Daedalus.
std::vector<Finding> nodes() {
    std::vector<Finding> findings;
    for (const std::string& path : videoNodes()) {
        const UniqueFd fd(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
        v4l2_capability capability{};
        if (!fd) {
            findings.push_back({path, "no access", fmt::format("{}; join the group that owns it", std::strerror(errno))});
        } else if (::ioctl(fd.get(), VIDIOC_QUERYCAP, &capability) != 0) {
            findings.push_back({path, "not V4L2", std::strerror(errno)});
        } else {
            std::string remark = "driver ";
            remark.append(reinterpret_cast<const char*>(capability.driver),
                          ::strnlen(reinterpret_cast<const char*>(capability.driver), sizeof capability.driver));
            const bool ours = remark == "driver daedalus";
            findings.push_back(
                {path, "present", remark + (ours ? ", by CUSE" : "; `daedalus run` takes the next free number")});
        }
    }
    if (findings.empty()) findings.push_back({"/dev/videoN", "none", "`daedalus run` serves /dev/video0"});
    return findings;
}

int probe() {
    const char* node = std::getenv("DAEDALUS_NODE");
    const auto endpoint = openDevice(node != nullptr ? node : "");
    if (endpoint) return EXIT_SUCCESS;
    log::error("{}", endpoint.error().message);
    return EXIT_FAILURE;
}

}  // namespace

int doctorMain(const DoctorOptions& options) {
    if (options.probe) return probe();
    const bool works = runWorks();
    std::vector<Finding> findings = {preloadLibrary(), run(works), servedCalls(), shownNodes(),   cuse(),
                                     clientMemory(),   shim(),     udmabuf(),     sessionMemory()};
    for (auto& list : {codecs(), nodes()}) findings.insert(findings.end(), list.begin(), list.end());
    for (const Finding& finding : findings)
        std::printf("%-16s %-10s %s\n", finding.thing.c_str(), finding.state.c_str(), finding.remark.c_str());
    return works ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace daedalus::tools
