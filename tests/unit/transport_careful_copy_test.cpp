#include "src/transport/careful_copy.h"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

using namespace daedalus;

namespace {

/// Two pages, of which the second cannot be touched.
struct HalfReadable {
    HalfReadable() { REQUIRE(::mprotect(bytes + page, page, PROT_NONE) == 0); }
    ~HalfReadable() { ::munmap(bytes, 2 * page); }
    const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    std::byte* bytes =
        static_cast<std::byte*>(::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
};

}  // namespace

TEST_CASE("a careful copy copies whatever its size") {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}, size_t{4097}, size_t{300'001}}) {
        std::vector<unsigned char> from(size);
        std::iota(from.begin(), from.end(), static_cast<unsigned char>(size));
        std::vector<unsigned char> to(size + 1, 0xA5);
        REQUIRE(transport::carefulCopy(to.data(), from.data(), size));
        CHECK(std::equal(from.begin(), from.end(), to.begin()));
        CHECK(to.back() == 0xA5);
    }
}

TEST_CASE("a careful copy from or to what is not there is EFAULT") {
    HalfReadable memory;
    std::vector<std::byte> mine(memory.page);
    std::byte* const edge = memory.bytes + memory.page - 8;
    CHECK(transport::carefulCopy(mine.data(), edge, 8));
    CHECK(transport::carefulCopy(edge, mine.data(), 8));
    CHECK(transport::carefulCopy(mine.data(), edge, 9).error() == Errno{EFAULT});
    CHECK(transport::carefulCopy(edge, mine.data(), 9).error() == Errno{EFAULT});
    CHECK(transport::carefulCopy(mine.data(), nullptr, 1).error() == Errno{EFAULT});
    CHECK(transport::carefulCopy(nullptr, mine.data(), 1).error() == Errno{EFAULT});
}
