// How much memory, and how many descriptors and mappings, this process can have.
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "daedalus/memory/accounts.h"

namespace daedalus::memory {
namespace {

constexpr uint64_t kUnknownMemory = uint64_t{1} << 30;
constexpr uint64_t kUsualMappings = 65530;

/// The number that a file consists of; nothing for "max", or where there is no such file.
std::optional<uint64_t> numberIn(const std::string& path) {
    std::ifstream file(path);
    uint64_t number = 0;
    return file >> number ? std::optional(number) : std::nullopt;
}

uint64_t memoryOf(const std::string& root) {
    std::ifstream lines(root + "/proc/meminfo");
    std::string name;
    uint64_t kib = 0;
    while (lines >> name) {
        if (name == "MemTotal:" && lines >> kib) return kib << 10;
        std::string rest;
        std::getline(lines, rest);
    }
    return kUnknownMemory;
}

/// A cgroup's folder and its limit's file there.
struct Cgroup {
    std::string mount;
    std::string path;
    const char* limit;
};

/// The groups that count memory, of either version.
std::vector<Cgroup> cgroupsOf(const std::string& root) {
    std::vector<Cgroup> groups;
    std::ifstream lines(root + "/proc/self/cgroup");
    for (std::string line; std::getline(lines, line);) {
        const size_t first = line.find(':');
        const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const std::string path = line.substr(second + 1);
        if (controllers == ",,") {
            groups.push_back({root + "/sys/fs/cgroup", path, "memory.max"});
        } else if (controllers.find(",memory,") != std::string::npos) {
            groups.push_back({root + "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes"});
        }
    }
    return groups;
}

uint64_t handlesOf(const std::string& root) {
    rlimit files{};
    const uint64_t most = ::getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : 0;
    return std::min(most, numberIn(root + "/proc/sys/vm/max_map_count").value_or(kUsualMappings));
}

}  // namespace

Machine examineMachine(const std::string& root) {
    Machine machine{memoryOf(root), "this machine", handlesOf(root)};
    for (const Cgroup& group : cgroupsOf(root)) {
        // A group's limit holds for those within it. In a container the path may be one of outside: then only its last
        // part, the mount's root, is there.
        for (std::string path = group.path;; path.resize(path.rfind('/'))) {
            const std::string file = group.mount + (path == "/" ? "" : path) + "/" + group.limit;
            if (const auto limit = numberIn(file); limit && *limit < machine.bytes) {
                machine.bytes = *limit;
                machine.source = file;
            }
            if (path.rfind('/') == std::string::npos) break;
        }
    }
    return machine;
}

}  // namespace daedalus::memory
