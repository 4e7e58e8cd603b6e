// Nodes that come and go while clients hold files of them.
#include <poll.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <optional>
#include <string>

#include "daedalus/ioctl/registry.h"
#include "daedalus/v4l2/uapi.h"

namespace daedalus::ioctl {
namespace {

/// Calls what needs no waiting on the loop's own thread.
struct World {
    EventLoop loop;
    WorkerPool pool{1};
    std::unique_ptr<codec::Factory> codecs = codec::makeFakeFactory();
    Registry nodes{loop, pool, *codecs};

    std::shared_ptr<Node> add(const char* kind, unsigned number) { return *nodes.add(*findNodeKind(kind), number, {}); }
};

Call callOf(unsigned long cmd, bool nonblocking = true) {
    Call call;
    call.cmd = static_cast<uint32_t>(cmd);
    call.payload.argument.resize(_IOC_SIZE(call.cmd));
    call.nonblocking = nonblocking;
    return call;
}

/// The answer's errno; nothing while the call waits.
std::shared_ptr<std::optional<int>> start(File& file, Call&& call, Payload* back = nullptr) {
    const auto error = std::make_shared<std::optional<int>>();
    file.ioctl(std::move(call), Reply([error, back](Answer&& answer) {
                   *error = answer.error;
                   if (back) *back = std::move(answer.payload);
               }));
    return error;
}

int run(File& file, unsigned long cmd) { return start(file, callOf(cmd))->value(); }

v4l2_capability capabilityOf(File& file) {
    Payload payload;
    REQUIRE(start(file, callOf(VIDIOC_QUERYCAP), &payload)->value() == 0);
    v4l2_capability capability;
    std::memcpy(&capability, payload.argument.data(), sizeof capability);
    return capability;
}

std::string text(const __u8* bytes) { return reinterpret_cast<const char*>(bytes); }

TEST_CASE("nodes are listed in the order in which they came, each with a number and a bus of its own") {
    World world;
    CHECK(world.nodes.list().empty());
    const uint32_t before = world.nodes.generation();
    size_t told = 0;
    world.nodes.onChange([&] { ++told; });
    world.add("stateful", 7);
    world.add("jpeg", 3);
    REQUIRE(world.nodes.list().size() == 2);
    CHECK((world.nodes.list()[0].number == 7 && world.nodes.list()[1].number == 3));
    CHECK(world.nodes.list()[0].busInfo != world.nodes.list()[1].busInfo);
    CHECK(told == 2);
    CHECK(world.nodes.generation() != before);
    CHECK(world.nodes.add(*findNodeKind("jpeg"), 7, {}).error().value == EEXIST);
    CHECK(world.nodes.add(*findNodeKind("jpeg"), 256, {}).error().value == EINVAL);
    CHECK(world.nodes.unplug(1).error().value == ENOENT);

    auto file = *world.nodes.find(3)->open("test", 0);
    const auto capability = capabilityOf(*file);
    CHECK(text(capability.card) == world.nodes.list()[1].card);
    CHECK(text(capability.bus_info) == world.nodes.list()[1].busInfo);
}

TEST_CASE("a file of an unplugged node answers ENODEV to everything, and hangs up") {
    World world;
    const auto node = world.add("stateful", 0);
    auto file = *node->open("test", ::getuid());
    size_t woken = 0;
    file->onReadiness([&] { ++woken; });
    const auto waiting = start(*file, callOf(VIDIOC_DQEVENT, false));
    REQUIRE(!waiting->has_value());

    REQUIRE(world.nodes.unplug(0).has_value());
    CHECK(*waiting == ENODEV);
    CHECK(woken > 0);
    CHECK(run(*file, VIDIOC_QUERYCAP) == ENODEV);
    CHECK(file->takes(static_cast<uint32_t>(_IO('V', 250))));
    CHECK(run(*file, _IO('V', 250)) == ENODEV);
    CHECK(file->mmap(0, 4096).error().value == ENODEV);
    CHECK(file->readiness() == (POLLHUP | POLLERR | POLLPRI));
    CHECK(answerToPoll(file->readiness(), POLLIN) == (POLLHUP | POLLERR));
    CHECK((answerToPoll(file->readiness(), 0) & POLLHUP) != 0);
    CHECK(file->owner() == ::getuid());
    CHECK(node->open("test", 0).error().value == ENODEV);
    CHECK(world.nodes.list().empty());
    CHECK(world.nodes.find(0) == nullptr);
}

TEST_CASE("a number and a bus are nobody else's while somebody holds a file") {
    World world;
    auto file = *world.add("stateful", 0)->open("test", 0);
    const std::string bus = world.nodes.list().front().busInfo;
    REQUIRE(world.nodes.unplug(0).has_value());
    CHECK(world.nodes.holds(0));
    CHECK(world.nodes.add(*findNodeKind("stateful"), 0, {}).error().value == EEXIST);
    world.add("stateful", 1);
    CHECK(world.nodes.list().front().busInfo != bus);
    file.reset();
    CHECK_FALSE(world.nodes.holds(0));
    world.add("stateful", 0);
    CHECK(world.nodes.list().back().busInfo == bus);
}

TEST_CASE("an unplugged node without files is gone at once") {
    World world;
    world.add("jpeg", 5);
    REQUIRE(world.nodes.unplug(5).has_value());
    CHECK_FALSE(world.nodes.holds(5));
    world.add("stateful", 5);
}

TEST_CASE("an ioctl that a kind does not have is ENOTTY before its argument is looked at") {
    World world;
    auto stateful = *world.add("stateful", 0)->open("test", 0);
    auto jpeg = *world.add("jpeg", 1)->open("test", 0);
    for (const unsigned long cmd : {VIDIOC_ENUM_FRAMESIZES, VIDIOC_S_SELECTION, VIDIOC_S_CROP}) {
        Call unreadable = callOf(cmd);
        unreadable.faulted = true;
        CHECK(*start(*jpeg, std::move(unreadable)) == ENOTTY);
        CHECK_FALSE(jpeg->takes(static_cast<uint32_t>(cmd)));
        unreadable = callOf(cmd);
        unreadable.faulted = true;
        CHECK(*start(*stateful, std::move(unreadable)) == EFAULT);
    }
}

}  // namespace
}  // namespace daedalus::ioctl
