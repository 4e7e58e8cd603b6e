// The account: limits in a tree, and what this machine gives them.
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "daedalus/memory/accounts.h"

using namespace daedalus::memory;

namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

AccountLimits limits(uint64_t total, uint64_t user, uint64_t handles = 1000) { return {{total, handles}, {user, handles}}; }

/// A root with files of /proc and /sys.
struct Root {
    Root() {
        std::string pattern = std::filesystem::temp_directory_path() / "machine-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
        write("/proc/meminfo", "MemTotal:        8388608 kB\nMemFree:   1 kB\n");
        write("/proc/sys/vm/max_map_count", "65530\n");
    }
    ~Root() { std::filesystem::remove_all(path); }
    Root(const Root&) = delete;
    Root& operator=(const Root&) = delete;
    void write(const std::string& file, const std::string& text) const {
        std::filesystem::create_directories(std::filesystem::path(path + file).parent_path());
        std::ofstream(path + file) << text;
    }
    std::string path;
};

}  // namespace

TEST_CASE("what a session takes is its user's, too, and all give it back") {
    Accounts accounts(limits(1000 * kMiB, 500 * kMiB));
    const auto user = accounts.user(7);
    const auto session = accounts.session(7, 100 * kMiB);
    {
        const auto share = Budget::take(session, 60 * kMiB);
        REQUIRE(share);
        CHECK(session->used() == 60 * kMiB);
        CHECK(user->used() == 60 * kMiB);
        CHECK(accounts.total().used() == 60 * kMiB);
        CHECK_FALSE(Budget::take(session, 41 * kMiB));
        CHECK(user->used() == 60 * kMiB);
    }
    CHECK(session->used() == 0);
    CHECK(user->used() == 0);
    CHECK(accounts.total().used() == 0);
    CHECK(session->peak() == 60 * kMiB);
}

TEST_CASE("a user's sessions share a limit, which is not another user's") {
    Accounts accounts(limits(1600 * kMiB, 800 * kMiB));
    const auto first = accounts.session(1, 700 * kMiB);
    const auto second = accounts.session(1, 700 * kMiB);
    const auto others = accounts.session(2, 700 * kMiB);
    const auto share = Budget::take(first, 500 * kMiB);
    REQUIRE(share);
    CHECK_FALSE(Budget::take(second, 400 * kMiB));
    CHECK(second->shortage(400 * kMiB) == "500 of the 800 MiB of --user-memory are in use, and 400 more are wanted");
    CHECK(Budget::take(others, 400 * kMiB));
}

TEST_CASE("the last eighth is for sessions that hold little") {
    Accounts accounts(limits(800 * kMiB, 8000 * kMiB));
    const auto large = accounts.session(1, 800 * kMiB);
    const auto small = accounts.session(1, 800 * kMiB);
    const auto share = Budget::take(large, 700 * kMiB);
    REQUIRE(share);
    CHECK_FALSE(Budget::take(large, kMiB));
    const auto little = Budget::take(small, 60 * kMiB);
    REQUIRE(little);
    CHECK(Budget::take(small, 4 * kMiB));
    CHECK_FALSE(Budget::take(small, 5 * kMiB));
}

TEST_CASE("descriptors and mappings are counted beside bytes, also where no byte is left") {
    Accounts accounts(limits(100 * kMiB, 100 * kMiB, 3));
    const auto user = accounts.user(1);
    const auto session = accounts.session(1, 100 * kMiB);
    const auto bytes = Budget::take(session, 64 * kMiB);
    REQUIRE(bytes);
    const auto first = Budget::take(user, 0, 2);
    REQUIRE(first);
    const auto second = Budget::take(session, 0, 1);
    REQUIRE(second);
    CHECK_FALSE(Budget::take(user, 0, 1));
    CHECK(user->shortage(0, 1).find("3 of 3 descriptors and mappings") == 0);
    CHECK(user->used() == 64 * kMiB);
}

TEST_CASE("a share grows and shrinks, or stays as it is") {
    const auto budget = std::make_shared<Budget>(10);
    auto share = Budget::take(budget, 4);
    CHECK(share.resize(9));
    CHECK(budget->used() == 9);
    CHECK_FALSE(share.resize(11));
    CHECK(share.bytes() == 9);
    CHECK(share.resize(1));
    CHECK(budget->used() == 1);
    Budget::Share empty;
    CHECK_FALSE(empty.resize(1));
}

TEST_CASE("a user's account ends with the last that is charged to it") {
    Accounts accounts(limits(100 * kMiB, 100 * kMiB));
    auto share = Budget::take(accounts.session(5, 50 * kMiB), 10 * kMiB);
    CHECK(accounts.user(5)->used() == 10 * kMiB);
    share = {};
    CHECK(accounts.user(5)->used() == 0);
}

TEST_CASE("threads never take more than there is") {
    const auto root = std::make_shared<Budget>("--total-memory", Budget::Amount{100, 100}, nullptr);
    std::atomic<bool> exceeded = false;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            const auto mine = std::make_shared<Budget>("--session-memory", Budget::Amount{60, 60}, root);
            for (int i = 0; i < 20'000; ++i) {
                const auto one = Budget::take(mine, 30, 1);
                const auto two = Budget::take(mine, 29, 1);
                if (root->used() > 100 || mine->used() > 60) exceeded = true;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK_FALSE(exceeded);
    CHECK(root->used() == 0);
    CHECK(root->handles() == 0);
}

TEST_CASE("the machine's memory is the limit where no cgroup is") {
    const Root root;
    const Machine machine = examineMachine(root.path);
    CHECK(machine.bytes == uint64_t{8} << 30);
    CHECK(machine.source == "this machine");
    const auto made = accountLimits(machine, 0, 0);
    CHECK(made.total.bytes == uint64_t{6} << 30);
    CHECK(made.user.bytes == (uint64_t{6} << 30) / 4 * 3);
    CHECK(accountLimits(machine, 5, 3).total.bytes == 5);
    CHECK(accountLimits(machine, 5, 3).user.bytes == 3);
}

TEST_CASE("a cgroup's limit holds, also one above ours") {
    const Root root;
    root.write("/proc/self/cgroup", "0::/system.slice/daedalus.service\n");
    root.write("/sys/fs/cgroup/system.slice/daedalus.service/memory.max", "max\n");
    CHECK(examineMachine(root.path).bytes == uint64_t{8} << 30);
    root.write("/sys/fs/cgroup/system.slice/memory.max", "4294967296\n");
    CHECK(examineMachine(root.path).bytes == uint64_t{4} << 30);
    CHECK(examineMachine(root.path).source == root.path + "/sys/fs/cgroup/system.slice/memory.max");
    root.write("/sys/fs/cgroup/system.slice/daedalus.service/memory.max", "1073741824\n");
    CHECK(examineMachine(root.path).bytes == uint64_t{1} << 30);
}

TEST_CASE("cgroups of version 1, and those of which a container shows the root only") {
    const Root root;
    root.write("/proc/self/cgroup", "9:cpu:/x\n4:memory:/docker/0123\n");
    root.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
    CHECK(examineMachine(root.path).bytes == uint64_t{2} << 30);
    root.write("/sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes", "1073741824\n");
    CHECK(examineMachine(root.path).bytes == uint64_t{1} << 30);
}
