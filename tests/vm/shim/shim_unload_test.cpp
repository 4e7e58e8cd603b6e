// When the kernel shim can be unloaded, and that it survives being so. Runs as root in the VM, with cuse loaded and the shim
// not; DAEDALUS_SHIM_MODULE is the module's file.
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <vector>

#include "shim_client.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr size_t kPage = 4096;
constexpr int kRounds = 100;
/// Why a module that is in use is not unloaded.
constexpr int kInUse = EAGAIN;

int load() {
    const char* path = std::getenv("DAEDALUS_SHIM_MODULE");
    const UniqueFd module(::open(path ? path : "", O_RDONLY | O_CLOEXEC));
    return ::syscall(SYS_finit_module, module.get(), "", 0) == 0 ? 0 : errno;
}

int unload() { return ::syscall(SYS_delete_module, "daedalus_shim", O_NONBLOCK) == 0 ? 0 : errno; }

/// A process that opens the node, calls and closes it over and over.
class Hammer {
public:
    explicit Hammer(const ToyNode& node) : pid_(::fork()) {
        if (pid_ != 0) return;
        for (;;) {
            const UniqueFd fd = node.open();
            // Whatever becomes of the shim meanwhile, the program sees a node that is there or gone. Not ESTALE.
            const int openError = fd ? 0 : errno;
            if (!isOneOf(openError, {0, ENOENT, ENODEV, ENXIO, ENOTCONN, ECONNABORTED})) ::_exit(openError);
            if (!fd) continue;
            ToyArgument argument{};
            const int callError = command(fd.get(), kToyNothing, &argument);
            if (!isOneOf(callError, {0, ENOTCONN, ECONNABORTED})) ::_exit(callError);
            const Mapping mapping(fd.get(), 0, kPage);
            if (!isOneOf(mapping.error(), {EINVAL, ENODEV})) ::_exit(255);
        }
    }
    /// Ends it. 0, or the errno that it did not expect.
    int stop() {
        int status = 0;
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, &status, 0);
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? 0 : WEXITSTATUS(status);
    }

private:
    static bool isOneOf(int error, std::initializer_list<int> wanted) {
        return std::find(wanted.begin(), wanted.end(), error) != wanted.end();
    }

    pid_t pid_;
};

}  // namespace

TEST_CASE("the module stays while something needs it, and no longer") {
    REQUIRE(load() == 0);
    UniqueFd control = openControl();
    CHECK(unload() == kInUse);
    ToyNode node;
    const UniqueFd before = node.open();
    REQUIRE(node.attach(control.get()) == 0);
    UniqueFd client = node.open();
    const UniqueFd memory = makeMemory(kPage);
    HeldCall call(control.get(), client.get());
    REQUIRE(bind(control.get(), call.file(), 0, memory.get()) == 0);
    REQUIRE(call.give(memory.get(), DAEDALUS_SHIM_GIVE_DMABUF, O_RDWR) == 0);
    REQUIRE(call.release() == 0);
    UniqueFd dmabuf = call.given();
    Mapping mapping(client.get(), 0, kPage);
    Mapping exported(dmabuf.get(), 0, kPage);

    SECTION("the daemon goes first") {
        control.reset();
        node.kill();
        CHECK(unload() == kInUse);
        client.reset();
        CHECK(unload() == kInUse);
        dmabuf.reset();
    }
    SECTION("the clients go first") {
        client.reset();
        dmabuf.reset();
        CHECK(unload() == kInUse);
        CHECK(command(control.get(), DAEDALUS_SHIM_DETACH, static_cast<int*>(nullptr)) == 0);
        CHECK(unload() == kInUse);
        control.reset();
        node.kill();
    }
    // The mappings and a file that was opened before stay.
    CHECK(unload() == 0);
    mapping.words()[0] = 11;
    CHECK(exported.words()[0] == 11);
    ToyArgument argument{};
    CHECK(command(before.get(), kToyNothing, &argument) == ENOTCONN);
    CHECK(unload() == ENOENT);
}

TEST_CASE("loaded and unloaded under clients that hold mappings and dma-bufs") {
    std::vector<std::unique_ptr<Mapping>> kept;
    for (int round = 0; round < kRounds; ++round) {
        INFO("round " << round);
        REQUIRE(load() == 0);
        UniqueFd control = openControl();
        ToyNode node;
        Hammer hammer(node);
        const UniqueFd before = node.open();
        REQUIRE(node.attach(control.get()) == 0);
        UniqueFd client = node.open();
        const UniqueFd memory = makeMemory(kPage);
        HeldCall call(control.get(), client.get());
        REQUIRE(bind(control.get(), call.file(), 0, memory.get()) == 0);
        REQUIRE(call.give(memory.get(), DAEDALUS_SHIM_GIVE_DMABUF, O_RDWR) == 0);
        REQUIRE(call.release() == 0);
        UniqueFd dmabuf = call.given();
        for (const int fd : {client.get(), dmabuf.get()}) {
            kept.push_back(std::make_unique<Mapping>(fd, 0, kPage));
            REQUIRE(kept.back()->error() == 0);
            kept.back()->words()[round % 1024] = static_cast<uint32_t>(round);
        }
        for (int i = 0; i < 3; ++i) {
            CHECK(command(control.get(), DAEDALUS_SHIM_DETACH, static_cast<int*>(nullptr)) == 0);
            CHECK(node.attach(control.get()) == 0);
        }
        CHECK(unload() == kInUse);
        // Half of the daemons detach before they end, and the node lives on without the shim; the others are killed.
        if (round % 2 == 0) CHECK(command(control.get(), DAEDALUS_SHIM_DETACH, static_cast<int*>(nullptr)) == 0);
        if (round % 2 != 0) node.kill();
        control.reset();
        CHECK(unload() == kInUse);
        if (round % 4 < 2) client.reset();
        if (round % 4 >= 2) dmabuf.reset();
        CHECK(unload() == kInUse);
        client.reset();
        dmabuf.reset();
        CHECK(hammer.stop() == 0);
        node.kill();
        CHECK(unload() == 0);
    }
    for (size_t i = 0; i < kept.size(); ++i) CHECK(kept[i]->words()[i / 2 % 1024] == i / 2);
}
