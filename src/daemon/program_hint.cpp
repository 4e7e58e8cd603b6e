#include "program_hint.h"

#include <elf.h>
#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>

#include "daedalus/base/unique_fd.h"

namespace daedalus::daemon {
namespace {

std::string find(const std::string& program) {
    if (program.find('/') != std::string::npos) return program;
    const char* variable = std::getenv("PATH");
    std::string_view rest = variable != nullptr ? variable : "/bin:/usr/bin";
    while (true) {
        const size_t colon = rest.find(':');
        const std::string folder(rest.substr(0, colon));
        const std::string path = (folder.empty() ? "." : folder) + '/' + program;
        if (::access(path.c_str(), X_OK) == 0) return path;
        if (colon == std::string_view::npos) return program;
        rest.remove_prefix(colon + 1);
    }
}

template <class Type>
std::optional<Type> readAt(int fd, uint64_t offset) {
    Type value{};
    if (::pread(fd, &value, sizeof value, static_cast<off_t>(offset)) != static_cast<ssize_t>(sizeof value)) return {};
    return value;
}

/// The dynamic loader that an executable names; empty: it is static; nothing: it is none of this kind.
template <class Header, class Segment>
std::optional<std::string> loaderOf(int fd) {
    const auto header = readAt<Header>(fd, 0);
    if (!header || header->e_phentsize != sizeof(Segment)) return {};
    for (unsigned i = 0; i < header->e_phnum; ++i) {
        const auto segment = readAt<Segment>(fd, header->e_phoff + i * sizeof(Segment));
        if (!segment) return {};
        if (segment->p_type != PT_INTERP) continue;
        std::array<char, 256> name{};
        const ssize_t size = ::pread(fd, name.data(), name.size() - 1, static_cast<off_t>(segment->p_offset));
        return size > 0 ? std::optional<std::string>(name.data()) : std::nullopt;
    }
    return std::string();
}

/// The interpreter of a script's first line, or nothing.
std::string interpreterOf(std::string_view line) {
    if (!line.starts_with("#!")) return {};
    line.remove_prefix(2);
    line = line.substr(0, line.find('\n'));
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    return std::string(line.substr(0, line.find_first_of(" \t")));
}

/// The loader ignores LD_PRELOAD where a program gets rights that its caller lacks.
std::string privilegeOf(const std::string& path, int fd) {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return {};
    if ((status.st_mode & S_ISUID) != 0 && status.st_uid != ::geteuid()) return fmt::format("{} is setuid", path);
    if ((status.st_mode & S_ISGID) != 0 && status.st_gid != ::getegid()) return fmt::format("{} is setgid", path);
    if (::geteuid() != 0 && ::fgetxattr(fd, "security.capability", nullptr, 0) > 0)
        return fmt::format("{} has file capabilities", path);
    return {};
}

ProgramHint judge(const std::string& path, bool mayBeScript) {
    using Kind = ProgramHint::Kind;
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) return {};
    std::array<char, 256> start{};
    if (::pread(fd.get(), start.data(), start.size() - 1, 0) <= 0) return {};
    if (const std::string interpreter = interpreterOf(start.data()); !interpreter.empty())
        return mayBeScript ? judge(interpreter, false) : ProgramHint{};
    if (std::memcmp(start.data(), ELFMAG, SELFMAG) != 0) return {};
    if (const std::string privilege = privilegeOf(path, fd.get()); !privilege.empty())
        return {
            Kind::Privileged,
            privilege + ", and the loader gives such programs no preloaded library; run it as the user whose rights it takes"};
    const bool wide = start[EI_CLASS] == ELFCLASS64;
    const auto loader = wide ? loaderOf<Elf64_Ehdr, Elf64_Phdr>(fd.get()) : loaderOf<Elf32_Ehdr, Elf32_Phdr>(fd.get());
    if (!loader) return {};
    if (loader->empty())
        return {Kind::Static, path + " is statically linked, and takes no preloaded library; use a dynamically linked build"};
    if (loader->find("ld-musl") != std::string::npos)
        return {Kind::OtherLibc, path + " is built for musl, and the preloaded library for glibc; use a build for glibc"};
    if (!wide) return {Kind::OtherLibc, path + " is a 32-bit program, and the preloaded library has 64; use a 64-bit build"};
    return {};
}

}  // namespace

ProgramHint judgeProgram(const std::string& program) { return judge(find(program), true); }

}  // namespace daedalus::daemon
