// The ioctl table, as what every row of it has to fulfil.
#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "src/ioctl/table.h"

namespace daedalus::ioctl {
namespace {

TEST_CASE("every row is valid for some kind of file, and found for exactly those") {
    for (const Row& row : table()) {
        INFO(row.name);
        size_t valid = 0;
        for (size_t i = 0; i < kFileKinds; ++i) {
            const auto kind = static_cast<FileKind>(i);
            const bool here = row.kinds.contains(kind);
            CHECK((findRow(kind, row.cmd) == &row) == here);
            valid += here ? 1 : 0;
        }
        CHECK(valid > 0);
    }
}

TEST_CASE("a number is only found with all of its bits") {
    for (const Row& row : table()) {
        INFO(row.name);
        for (unsigned bit = 0; bit < 32; ++bit) {
            const Row* found = findRow(FileKind::Stateful, row.cmd ^ (1U << bit));
            CHECK((!found || found->cmd == (row.cmd ^ (1U << bit))));
        }
    }
}

TEST_CASE("kinds of one number agree on what transports have to know of it") {
    for (const Row& row : table()) {
        INFO(row.name);
        const CallTraits& traits = traitsOf(row.cmd);
        CHECK(traits.follow == row.traits.follow);
        CHECK(traits.role == row.traits.role);
        CHECK(traits.frees == row.traits.frees);
        CHECK(traits.tellsOffsets == row.traits.tellsOffsets);
        CHECK(traits.exports == row.traits.exports);
        CHECK(traits.allocated == row.traits.allocated);
    }
}

TEST_CASE("what is done with a client's memory is done by ioctls whose planes are gathered") {
    size_t exporting = 0;
    for (const Row& row : table()) {
        INFO(row.name);
        if (row.traits.role != proto::MemoryRole::None || row.traits.tellsOffsets)
            CHECK(row.traits.follow == proto::Follow::Planes);
        exporting += row.traits.exports ? 1 : 0;
    }
    CHECK(exporting == 1);
    CHECK(traitsOf(exportingCall()).exports);
}

TEST_CASE("what was allocated is told by the argument of each ioctl that allocates") {
    v4l2_requestbuffers request{};
    request.count = 3;
    request.memory = V4L2_MEMORY_MMAP;
    const auto requested = traitsOf(VIDIOC_REQBUFS).allocated(reinterpret_cast<const std::byte*>(&request));
    CHECK((requested.count == 3 && requested.memory == V4L2_MEMORY_MMAP));
    v4l2_create_buffers create{};
    create.count = 5;
    create.memory = V4L2_MEMORY_USERPTR;
    const auto created = traitsOf(VIDIOC_CREATE_BUFS).allocated(reinterpret_cast<const std::byte*>(&create));
    CHECK((created.count == 5 && created.memory == V4L2_MEMORY_USERPTR));
    CHECK(traitsOf(VIDIOC_QBUF).allocated == nullptr);
}

TEST_CASE("an unknown number does nothing") {
    const CallTraits& traits = traitsOf(_IOWR('V', 250, int));
    CHECK((traits.follow == proto::Follow::None && traits.role == proto::MemoryRole::None && !traits.exports));
}

TEST_CASE("kinds of nodes have names of their own, and are found by them") {
    std::set<std::string> names;
    for (const NodeKind& kind : nodeKinds()) {
        CHECK(names.insert(kind.name).second);
        CHECK(findNodeKind(kind.name) == &kind);
    }
    CHECK(findNodeKind("") == nullptr);
    CHECK(findNodeKind("Stateful") == nullptr);
}

}  // namespace
}  // namespace daedalus::ioctl
