// Which files of clients are memory, and how much of them is mapped.
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <limits>
#include <string>

#include "daedalus/memory/memory.h"
#include "src/memory/guarded_range.h"

using namespace daedalus;

namespace {

constexpr size_t kPage = 4096;

UniqueFd memfd(off_t size, unsigned flags = MFD_ALLOW_SEALING) {
    UniqueFd fd(::memfd_create("test", MFD_CLOEXEC | flags));
    if (fd && ::ftruncate(fd.get(), size) != 0) fd.reset();
    return fd;
}

/// A file of that folder that has a page and no name.
UniqueFd fileIn(const std::string& folder) {
    std::string path = folder + "/dmabuf:XXXXXX";
    UniqueFd fd(::mkostemp(path.data(), O_CLOEXEC));
    if (!fd) return fd;
    ::unlink(path.c_str());
    if (::ftruncate(fd.get(), kPage) != 0) fd.reset();
    return fd;
}

int errnoOf(const Result<memory::MemoryRef>& result) { return result ? 0 : result.error().value; }

}  // namespace

TEST_CASE("files that could shrink are no memory, whatever they are called") {
    for (const char* folder : {"/tmp", "/dev/shm", "/var/tmp"}) {
        auto fd = fileIn(folder);
        CAPTURE(folder);
        if (fd) CHECK(errnoOf(memory::import(std::move(fd), 0, false)) == EINVAL);
    }
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const UniqueFd writing(ends[1]);
    CHECK(errnoOf(memory::import(UniqueFd(ends[0]), 0, false)) == EINVAL);
    CHECK(errnoOf(memory::import(UniqueFd(::open("/dev/zero", O_RDWR | O_CLOEXEC)), 0, true)) == EINVAL);
}

TEST_CASE("a memfd gets the seal that keeps it from shrinking, or is refused") {
    auto fd = memfd(kPage);
    REQUIRE(fd);
    const UniqueFd clients(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    REQUIRE(memory::import(std::move(fd), 0, true));
    CHECK(::ftruncate(clients.get(), 0) == -1);
    CHECK(errno == EPERM);

    auto unsealable = memfd(kPage, 0);
    REQUIRE(unsealable);
    CHECK(errnoOf(memory::import(std::move(unsealable), 0, true)) == EINVAL);
    CHECK(errnoOf(memory::import(memfd(0), 0, true)) == EINVAL);
}

TEST_CASE("a memfd of huge pages is refused: its holes may have no page") {
    auto fd = memfd(off_t{1} << 30, MFD_ALLOW_SEALING | MFD_HUGETLB);
    // A kernel without huge pages has no such file that it could let in.
    if (fd) CHECK(errnoOf(memory::import(std::move(fd), 0, true)) == EINVAL);
}

TEST_CASE("no more of a file is mapped than is asked for, and never more than a plane can have") {
    constexpr off_t kSparse = off_t{1} << 46;
    auto fd = memfd(kSparse);
    REQUIRE(fd);
    const UniqueFd clients(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    const auto some = memory::import(std::move(fd), 3 * kPage, true);
    REQUIRE(some);
    CHECK((*some)->size() == 3 * kPage);
    CHECK(memory::isImportOf(**some, clients.get(), 3 * kPage));
    CHECK_FALSE(memory::isImportOf(**some, clients.get(), 4 * kPage));
    CHECK_FALSE(memory::isImportOf(**some, memfd(kSparse).get(), 3 * kPage));

    const auto all = memory::import(UniqueFd(::fcntl(clients.get(), F_DUPFD_CLOEXEC, 0)), 0, true);
    REQUIRE(all);
    CHECK((*all)->size() == std::numeric_limits<uint32_t>::max());

    const auto small = memory::import(memfd(kPage), 3 * kPage, true);
    REQUIRE(small);
    CHECK((*small)->size() == kPage);
}

TEST_CASE("a page that is gone breaks its range, and nothing else") {
    std::string path = "/tmp/guarded-XXXXXX";
    const UniqueFd fd(::mkostemp(path.data(), O_CLOEXEC));
    REQUIRE(fd);
    ::unlink(path.c_str());
    REQUIRE(::ftruncate(fd.get(), 4 * kPage) == 0);
    void* const place = ::mmap(nullptr, 4 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    REQUIRE(place != MAP_FAILED);
    {
        const auto guarded = memory::GuardedRange::guard(place, 4 * kPage);
        REQUIRE(guarded);
        auto* const bytes = static_cast<volatile char*>(place);
        bytes[0] = 1;
        CHECK_FALSE(guarded->isBroken());
        REQUIRE(::ftruncate(fd.get(), kPage) == 0);
        CHECK(bytes[2 * kPage] == 0);
        CHECK(guarded->isBroken());
        // What is written there from now on goes nowhere.
        bytes[3 * kPage] = 5;
        char now = 0;
        REQUIRE(::pread(fd.get(), &now, 1, 0) == 1);
        CHECK(now == 1);
        const auto other = memory::import(memfd(kPage), 0, true);
        REQUIRE(other);
        CHECK((*other)->isIntact());
    }
    ::munmap(place, 4 * kPage);
}

TEST_CASE("imported memory keeps no descriptor, and is known again by its file") {
    auto fd = memfd(2 * kPage);
    REQUIRE(fd);
    const UniqueFd clients(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
    const auto imported = memory::import(std::move(fd), kPage, true);
    REQUIRE(imported);
    CHECK((*imported)->fd() == -1);
    CHECK(memory::isImportOf(**imported, clients.get(), kPage));
    CHECK_FALSE(memory::isImportOf(**imported, clients.get(), 0));
    CHECK_FALSE(memory::isImportOf(**imported, memfd(2 * kPage).get(), kPage));
}
