// What the kernel shim promises to daemons and to their clients. Runs as root in the VM, with cuse and the shim loaded.
#include <linux/dma-buf.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>

#include "shim_client.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr size_t kPage = 4096;
constexpr uint64_t kOffset = 0x10000;

/// An attached node and one client of it.
struct Attached {
    UniqueFd control = openControl();
    ToyNode node;
    int error = node.attach(control.get());
    UniqueFd client = node.open();
    uint64_t file = fileOf(client.get());
};

int attachFd(int control, int fd) {
    const daedalus_shim_attach attach{fd, kToyHold};
    return command(control, DAEDALUS_SHIM_ATTACH, &attach);
}

/// Waits until the thread sleeps in the kernel; false if it does not within 10 s.
bool sleeps(const std::atomic<pid_t>& tid) {
    for (int tries = 0; tries < 1000; ++tries) {
        std::ifstream file("/proc/self/task/" + std::to_string(tid.load()) + "/wchan");
        std::string place;
        if (file >> place && place != "0" && !place.empty()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
}

/// Runs `body` in a child; its result, 0 to 255.
template <typename Body>
int inChild(Body body) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(body());
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

}  // namespace

TEST_CASE("a control file says its version, and refuses what it does not know") {
    const UniqueFd control = openControl();
    REQUIRE(control);
    uint32_t version = 0;
    CHECK(command(control.get(), DAEDALUS_SHIM_GET_VERSION, &version) == 0);
    CHECK(version == DAEDALUS_SHIM_VERSION);
    CHECK(command(control.get(), _IO(DAEDALUS_SHIM_IOC, 63), &version) == ENOTTY);
    CHECK(command(control.get(), _IOWR('V', 0, char[104]), &version) == ENOTTY);
    CHECK(command(control.get(), DAEDALUS_SHIM_BIND, static_cast<daedalus_shim_bind*>(nullptr)) == EFAULT);
    CHECK(command(control.get(), DAEDALUS_SHIM_DETACH, &version) == ENOTCONN);
}

TEST_CASE("only a CUSE node can be attached") {
    const UniqueFd control = openControl();
    CHECK(attachFd(control.get(), -1) == EBADF);
    CHECK(attachFd(control.get(), makeMemory(kPage).get()) == ENODEV);
    CHECK(attachFd(control.get(), UniqueFd(::open("/dev/null", O_RDWR)).get()) == ENODEV);
    CHECK(attachFd(control.get(), UniqueFd(::open("/dev/cuse", O_RDWR)).get()) == ENODEV);
    CHECK(attachFd(control.get(), control.get()) == ENODEV);
}

TEST_CASE("only who serves a node can attach it") {
    const UniqueFd control = openControl();
    SECTION("the server answers 0 to whatever it does not know") { CHECK(ToyNode(Hello::Zero).attach(control.get()) == EPERM); }
    SECTION("it answers something else") { CHECK(ToyNode(Hello::Wrong).attach(control.get()) == EPERM); }
    SECTION("it refuses") { CHECK(ToyNode(Hello::Error).attach(control.get()) == EDOM); }
    SECTION("once") {
        const UniqueFd other = openControl();
        const ToyNode node;
        CHECK(node.attach(control.get()) == 0);
        CHECK(node.attach(other.get()) == EBUSY);
        CHECK(node.attach(control.get()) == EBUSY);
        const ToyNode second(Hello::Yes, "daedalus-toy2");
        CHECK(second.attach(control.get()) == EBUSY);
        CHECK(second.attach(other.get()) == 0);
    }
    SECTION("it has no right to reach into others") {
        const ToyNode node;
        const int error = inChild([&] {
            ::setresuid(65534, 65534, 65534);
            return attachFd(control.get(), ::open("/dev/null", O_RDWR));
        });
        CHECK(error == EPERM);
    }
}

TEST_CASE("a client maps what is bound for it") {
    Attached it;
    REQUIRE(it.error == 0);
    REQUIRE(it.file != 0);
    const UniqueFd memory = makeMemory(2 * kPage);
    const int control = it.control.get();
    const int client = it.client.get();
    REQUIRE(bind(control, it.file, kOffset, memory.get()) == 0);
    CHECK(bind(control, it.file, kOffset, memory.get()) == EEXIST);

    Mapping mapping(client, kOffset, 2 * kPage);
    REQUIRE(mapping.error() == 0);
    mapping.words()[kPage / 4] = 0x600dcafe;
    Mapping ours(memory.get(), 0, 2 * kPage);
    CHECK(ours.words()[kPage / 4] == 0x600dcafe);

    CHECK(Mapping(client, kOffset, kPage).error() == 0);
    CHECK(Mapping(client, kOffset, 3 * kPage).error() == EINVAL);
    CHECK(Mapping(client, kOffset + kPage, kPage).error() == EINVAL);
    CHECK(Mapping(client, 0, kPage).error() == EINVAL);
    CHECK(Mapping(client, kOffset, kPage, MAP_PRIVATE).error() == EINVAL);

    const UniqueFd second = it.node.open();
    CHECK(Mapping(second.get(), kOffset, kPage).error() == EINVAL);
    const UniqueFd reading = it.node.open(O_RDONLY);
    const uint64_t readingFile = fileOf(reading.get());
    CHECK(readingFile != it.file);
    REQUIRE(bind(control, readingFile, kOffset, memory.get()) == 0);
    CHECK(Mapping(reading.get(), kOffset, kPage).error() == EACCES);

    CHECK(unbind(control, it.file, kOffset + kPage) == ENOENT);
    CHECK(unbind(control, it.file, kOffset) == 0);
    CHECK(unbind(control, it.file, kOffset) == ENOENT);
    CHECK(Mapping(client, kOffset, kPage).error() == EINVAL);
    it.client.reset();
    CHECK(bind(control, it.file, kOffset, memory.get()) == ENOENT);
    mapping.words()[0] = 7;
    CHECK(ours.words()[0] == 7);
}

TEST_CASE("only sealed memory of its own can be bound or exported") {
    Attached it;
    REQUIRE(it.error == 0);
    HeldCall call(it.control.get(), it.client.get());
    const auto refused = [&](int fd) {
        const int error = bind(it.control.get(), it.file, kOffset, fd);
        CHECK(call.give(fd, DAEDALUS_SHIM_GIVE_DMABUF) == error);
        return error;
    };
    CHECK(refused(-1) == EBADF);
    CHECK(refused(makeMemory(kPage, F_SEAL_SHRINK).get()) == EINVAL);
    CHECK(refused(makeMemory(kPage, F_SEAL_SEAL).get()) == EINVAL);
    CHECK(refused(makeMemory(kPage, kSealed | F_SEAL_WRITE).get()) == EINVAL);
    CHECK(refused(makeMemory(kPage, kSealed | F_SEAL_FUTURE_WRITE).get()) == EINVAL);
    CHECK(refused(makeMemory(0).get()) == EINVAL);
    CHECK(refused(makeMemory(size_t{DAEDALUS_SHIM_MAX_BYTES} + 1).get()) == EINVAL);
    CHECK(refused(UniqueFd(::open("/dev/zero", O_RDWR)).get()) == EINVAL);
    CHECK(refused(UniqueFd(::open("/dev/shm", O_RDWR | O_TMPFILE, 0600)).get()) == EINVAL);
    const UniqueFd memory = makeMemory(kPage);
    const std::string name = "/proc/self/fd/" + std::to_string(memory.get());
    CHECK(refused(UniqueFd(::open(name.c_str(), O_RDONLY)).get()) == EINVAL);

    const int control = it.control.get();
    CHECK(bind(control, it.file, kOffset + 1, memory.get()) == EINVAL);
    CHECK(bind(control, it.file + 1, kOffset, memory.get()) == ENOENT);
    const UniqueFd foreign = openControl();
    CHECK(bind(foreign.get(), it.file, kOffset, memory.get()) == ENOENT);
    for (uint64_t i = 0; i < DAEDALUS_SHIM_MAX_BINDINGS; ++i) REQUIRE(bind(control, it.file, i * kPage, memory.get()) == 0);
    CHECK(bind(control, it.file, DAEDALUS_SHIM_MAX_BINDINGS * kPage, memory.get()) == ENOSPC);
    CHECK(unbind(control, it.file, 0) == 0);
    CHECK(bind(control, it.file, DAEDALUS_SHIM_MAX_BINDINGS * kPage, memory.get()) == 0);
}

TEST_CASE("a call gives descriptors to its caller") {
    Attached it;
    REQUIRE(it.error == 0);
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const UniqueFd readEnd(ends[0]);
    UniqueFd writeEnd(ends[1]);

    SECTION("the file itself, close-on-exec if asked for") {
        for (const unsigned flags : {0U, unsigned{O_CLOEXEC}}) {
            HeldCall call(it.control.get(), it.client.get());
            REQUIRE(call.file() == it.file);
            CHECK(call.give(writeEnd.get(), 0, flags) == 0);
            CHECK(call.give(writeEnd.get(), 0, flags) == EBUSY);
            CHECK(call.release() == 0);
            const UniqueFd given = call.given();
            CHECK(::fcntl(given.get(), F_GETFD) == (flags ? FD_CLOEXEC : 0));
            CHECK(::write(given.get(), "x", 1) == 1);
        }
    }
    SECTION("nothing if it fails, and nothing stays behind") {
        HeldCall call(it.control.get(), it.client.get());
        CHECK(call.give(writeEnd.get(), 0) == 0);
        CHECK(call.release(-EDOM) == EDOM);
        CHECK(!call.given());
        writeEnd.reset();
        // Only if no other write end is left.
        pollfd hangup{readEnd.get(), 0, 0};
        CHECK(::poll(&hangup, 1, 0) == 1);
    }
    SECTION("not if its number has no place") {
        HeldCall call(it.control.get(), it.client.get());
        for (const uint32_t at : {1U, 2U, 8U, 12U, 0x7ffffffcU, 0xfffffffcU, 0xffffffffU}) {
            CHECK(call.give(writeEnd.get(), 0, 0, at) == EINVAL);
        }
        CHECK(call.give(writeEnd.get(), 2) == EINVAL);
        CHECK(call.give(writeEnd.get(), 0, O_APPEND) == EINVAL);
        CHECK(call.give(writeEnd.get(), 0, 0, 4) == 0);
    }
    SECTION("EFAULT where it cannot be written") {
        Mapping page(-1, 0, kPage, MAP_PRIVATE | MAP_ANONYMOUS);
        HeldCall call(it.control.get(), it.client.get(),
                      const_cast<ToyArgument*>(reinterpret_cast<volatile ToyArgument*>(page.words())));
        CHECK(call.give(writeEnd.get(), 0) == 0);
        ::mprotect(const_cast<uint32_t*>(page.words()), kPage, PROT_READ);
        CHECK(call.release() == EFAULT);
    }
    SECTION("only while there is such a call, of that file") {
        const daedalus_shim_give give{it.file, writeEnd.get(), 4, 0, 0};
        const UniqueFd other = it.node.open();
        CHECK(command(it.control.get(), DAEDALUS_SHIM_GIVE, &give) == ESRCH);
        HeldCall call(it.control.get(), it.client.get());
        daedalus_shim_give wrong = give;
        wrong.file = fileOf(other.get());
        CHECK(command(it.control.get(), DAEDALUS_SHIM_GIVE, &wrong) == ESRCH);
        wrong.file = it.file + 1;
        CHECK(command(it.control.get(), DAEDALUS_SHIM_GIVE, &wrong) == ENOENT);
        const UniqueFd foreign = openControl();
        CHECK(command(foreign.get(), DAEDALUS_SHIM_GIVE, &give) == ENOENT);
        CHECK(command(it.control.get(), DAEDALUS_SHIM_GIVE, &give) == 0);
    }
}

TEST_CASE("calls of one file that can give take turns, so that each caller gets what is its own") {
    Attached it;
    REQUIRE(it.error == 0);
    const UniqueFd small = makeMemory(kPage);
    const UniqueFd large = makeMemory(2 * kPage);
    HeldCall first(it.control.get(), it.client.get());
    // It is not held while the first is.
    ToyArgument argument{0, -1};
    std::atomic<int> result = -1;
    std::atomic<pid_t> tid = 0;
    std::thread second([&] {
        tid = ::gettid();
        result = command(it.client.get(), kToyHold, &argument);
    });
    REQUIRE(sleeps(tid));
    int32_t held = 0;
    CHECK(command(it.client.get(), kToyHeld, &held) == 0);
    CHECK(held == 1);
    // Others do not wait for it.
    ToyArgument other{1, -1};
    CHECK(command(it.client.get(), kToyNothing, &other) == 0);

    SECTION("one after the other") {
        REQUIRE(first.give(small.get(), DAEDALUS_SHIM_GIVE_DMABUF) == 0);
        CHECK(first.release() == 0);
        while (command(it.client.get(), kToyHeld, &held) == 0 && held == 0) std::this_thread::yield();
        REQUIRE(first.give(large.get(), DAEDALUS_SHIM_GIVE_DMABUF) == 0);
        CHECK(command(it.client.get(), kToyRelease, &other) == 0);
        second.join();
        CHECK(::lseek(first.given().get(), 0, SEEK_END) == kPage);
        CHECK(::lseek(UniqueFd(argument.fd).get(), 0, SEEK_END) == 2 * kPage);
    }
    SECTION("a signal ends the wait") {
        struct sigaction action {};
        action.sa_handler = [](int) {};
        ::sigaction(SIGUSR1, &action, nullptr);
        ::pthread_kill(second.native_handle(), SIGUSR1);
        second.join();
        CHECK(result == EINTR);
        CHECK(first.release() == 0);
    }
}

TEST_CASE("memory is exported as a dma-buf") {
    Attached it;
    REQUIRE(it.error == 0);
    const UniqueFd memory = makeMemory(3 * kPage - 5);
    HeldCall call(it.control.get(), it.client.get());
    REQUIRE(call.give(memory.get(), DAEDALUS_SHIM_GIVE_DMABUF, O_RDWR | O_CLOEXEC) == 0);
    REQUIRE(call.release() == 0);
    const UniqueFd dmabuf = call.given();
    CHECK(::lseek(dmabuf.get(), 0, SEEK_END) == 3 * kPage);
    Mapping theirs(dmabuf.get(), 0, 3 * kPage);
    REQUIRE(theirs.error() == 0);
    const Mapping ours(memory.get(), 0, 3 * kPage);
    dma_buf_sync sync{DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW};
    CHECK(command(dmabuf.get(), DMA_BUF_IOCTL_SYNC, &sync) == 0);
    theirs.words()[kPage / 4] = 42;
    sync.flags = DMA_BUF_SYNC_END | DMA_BUF_SYNC_RW;
    CHECK(command(dmabuf.get(), DMA_BUF_IOCTL_SYNC, &sync) == 0);
    CHECK(ours.words()[kPage / 4] == 42);
    CHECK(Mapping(dmabuf.get(), 0, 4 * kPage).error() == EINVAL);
    CHECK(Mapping(dmabuf.get(), kPage, 2 * kPage).words()[0] == 42);

    HeldCall again(it.control.get(), it.client.get());
    REQUIRE(again.give(memory.get(), DAEDALUS_SHIM_GIVE_DMABUF, O_RDONLY) == 0);
    REQUIRE(again.release() == 0);
    const UniqueFd readable = again.given();
    CHECK(Mapping(readable.get(), 0, kPage).error() == EACCES);
    CHECK(Mapping(readable.get(), 0, kPage, MAP_SHARED, PROT_READ).error() == 0);
}

TEST_CASE("clients that open before, while and after a node is attached") {
    const UniqueFd control = openControl();
    const ToyNode node;
    const UniqueFd memory = makeMemory(kPage);
    const UniqueFd before = node.open();
    REQUIRE(node.attach(control.get()) == 0);
    const UniqueFd during = node.open();
    const uint64_t file = fileOf(during.get());
    REQUIRE(bind(control.get(), file, kOffset, memory.get()) == 0);
    CHECK(fileOf(before.get()) == 0);
    CHECK(Mapping(before.get(), kOffset, kPage).error() == ENODEV);
    Mapping kept(during.get(), kOffset, kPage);
    CHECK(kept.error() == 0);

    HeldCall across(control.get(), during.get());
    REQUIRE(across.give(memory.get(), DAEDALUS_SHIM_GIVE_DMABUF) == 0);
    CHECK(command(control.get(), DAEDALUS_SHIM_DETACH, static_cast<int*>(nullptr)) == 0);
    CHECK(across.give(memory.get(), 0) == ENOENT);
    CHECK(across.release() == 0);
    CHECK(::lseek(across.given().get(), 0, SEEK_END) == kPage);

    const UniqueFd after = node.open();
    ToyArgument argument{5, 6};
    for (const UniqueFd* client : {&before, &during, &after}) {
        CHECK(command(client->get(), kToyNothing, &argument) == 0);
        CHECK(command(client->get(), kToyFail, &argument) == EDOM);
        CHECK(Mapping(client->get(), kOffset, kPage).error() == ENODEV);
    }
    kept.words()[0] = 1;
    CHECK(bind(control.get(), file, kOffset, memory.get()) == ENOENT);

    REQUIRE(node.attach(control.get()) == 0);
    const UniqueFd again = node.open();
    CHECK(fileOf(again.get()) != 0);
    CHECK(bind(control.get(), file, kOffset, memory.get()) == ENOENT);
}

TEST_CASE("the daemon's death detaches") {
    Attached it;
    REQUIRE(it.error == 0);
    const UniqueFd memory = makeMemory(kPage);
    REQUIRE(bind(it.control.get(), it.file, kOffset, memory.get()) == 0);
    Mapping kept(it.client.get(), kOffset, kPage);
    HeldCall call(it.control.get(), it.client.get());
    REQUIRE(call.give(memory.get(), 0) == 0);
    it.control.reset();
    it.node.kill();
    CHECK(call.release() == ECONNABORTED);
    CHECK(!call.given());
    ToyArgument argument{};
    CHECK(command(it.client.get(), kToyNothing, &argument) == ENOTCONN);
    CHECK(Mapping(it.client.get(), kOffset, kPage).error() == ENODEV);
    kept.words()[0] = 1;
    CHECK(kept.words()[0] == 1);

    const Attached next;
    CHECK(next.error == 0);
    CHECK(next.file != it.file);
}
