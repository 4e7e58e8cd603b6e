// Commands, calls, mappings, deaths and attachments in random order: the kernel must not mind. Runs as root in the VM, with
// cuse and the shim loaded. Usage: shim_fuzz SECONDS [SEED]
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "shim_client.h"

using namespace daedalus;
using namespace daedalus::test;

namespace {

constexpr size_t kPage = 4096;
constexpr auto kRoundTime = std::chrono::milliseconds(700);

/// What all threads of a round see.
struct Round {
    int control;
    const ToyNode* node;
    std::vector<int> memories;
    std::atomic<bool> ends = false;
    std::array<std::atomic<uint64_t>, 4> files{};     ///< what each client has open
    std::array<std::atomic<uint64_t>, 6> accepted{};  ///< commands that succeeded, by number
};

std::array<uint64_t, 6> total{};
uint64_t mapped = 0;
uint64_t given = 0;
std::atomic<uint64_t> roundMapped = 0;
std::atomic<uint64_t> roundGiven = 0;

class Dice {
public:
    explicit Dice(uint64_t seed) : engine_(seed) {}
    uint64_t below(uint64_t limit) { return engine_() % limit; }
    bool oneIn(uint64_t n) { return below(n) == 0; }
    /// A value that code likes to get wrong.
    uint64_t odd() {
        constexpr uint64_t values[] = {
            0, 1, 4, kPage - 1, kPage, 1U << 31, UINT32_MAX, uint64_t{1} << 63, UINT64_MAX, UINT64_MAX - 4095};
        return oneIn(3) ? engine_() : values[below(std::size(values))];
    }

private:
    std::mt19937_64 engine_;
};

/// A client: opens the node, calls, maps, uses what it got.
void client(Round& round, size_t slot, uint64_t seed) {
    Dice dice(seed);
    UniqueFd fd;
    while (!round.ends) {
        if (!fd || dice.oneIn(20)) {
            fd = round.node->open(dice.oneIn(5) ? O_RDONLY : O_RDWR);
            round.files[slot] = fileOf(fd.get());
        }
        ToyArgument argument{static_cast<int32_t>(dice.oneIn(2) ? 0 : -EDOM), -1};
        switch (dice.below(8)) {
            case 7: {
                // What only the module should say.
                const unsigned commands[] = {DAEDALUS_SHIM_HELLO, DAEDALUS_SHIM_NAME};
                (void)command(fd.get(), commands[dice.below(2)], reinterpret_cast<char*>(dice.odd()));
                break;
            }
            case 0:
            case 1:
                (void)command(fd.get(), kToyHold, &argument);
                if (argument.fd > 2) {
                    const UniqueFd gift(argument.fd);
                    const Mapping mapping(gift.get(), 0, kPage);
                    if (mapping.error() == 0) mapping.words()[0] = 1;
                    roundGiven++;
                }
                break;
            case 2:
            case 3: {
                const Mapping mapping(fd.get(), dice.below(8) * kPage, kPage * (1 + dice.below(3)));
                if (mapping.error() == 0) {
                    mapping.words()[0] = 1;
                    roundMapped++;
                }
                break;
            }
            case 4:
                (void)command(fd.get(), static_cast<unsigned>(dice.odd()), &argument);
                break;
            case 5: {
                pollfd poll{fd.get(), POLLIN, 0};
                ::poll(&poll, 1, 0);
                char byte = 0;
                (void)!::read(fd.get(), &byte, dice.oneIn(2) ? 1 : 0);
                break;
            }
            default:
                (void)command(fd.get(), kToyNothing, dice.oneIn(4) ? nullptr : &argument);
        }
    }
}

/// Lets held calls go on.
void releaser(Round& round) {
    const UniqueFd fd = round.node->open();
    for (int ok = 0; !round.ends; ok = !ok) {
        ToyArgument argument{ok ? 0 : -EDOM, -1};
        if (command(fd.get(), kToyRelease, &argument) != 0) return;
        ::usleep(2000);
    }
}

/// Gives commands, some of them right.
void commander(Round& round, uint64_t seed) {
    Dice dice(seed);
    while (!round.ends) {
        const auto file = dice.oneIn(8) ? dice.odd() : round.files[dice.below(round.files.size())].load();
        const auto offset = dice.oneIn(8) ? dice.odd() : dice.below(8) * kPage;
        const auto fd =
            dice.oneIn(8) ? static_cast<int32_t>(dice.below(64)) - 2 : round.memories[dice.below(round.memories.size())];
        const auto reserved = dice.oneIn(16) ? static_cast<uint32_t>(dice.odd()) : 0;
        const daedalus_shim_bind bind{file, offset, fd, reserved};
        const auto accept = [&](unsigned number, int error) {
            if (error == 0) round.accepted[number]++;
        };
        switch (dice.below(16)) {
            case 0:
            case 1:
                if (dice.oneIn(20)) accept(2, command(round.control, DAEDALUS_SHIM_DETACH, &offset));
                break;
            case 2:
                if (dice.oneIn(4)) accept(1, round.node->attach(round.control));
                break;
            case 3:
            case 4:
            case 5:
                accept(3, command(round.control, DAEDALUS_SHIM_BIND, &bind));
                break;
            case 6:
                accept(4, command(round.control, DAEDALUS_SHIM_UNBIND, &bind));
                break;
            case 7: {
                // Any command with anything for an argument.
                std::array<uint64_t, 8> bytes{};
                for (uint64_t& word : bytes) word = dice.odd();
                (void)command(round.control, _IOC(dice.below(4), DAEDALUS_SHIM_IOC, dice.below(7), dice.below(64)),
                              bytes.data());
                (void)command(round.control, DAEDALUS_SHIM_GIVE, reinterpret_cast<char*>(dice.odd()));
                break;
            }
            default: {
                const daedalus_shim_give give{file, fd, dice.oneIn(8) ? static_cast<uint32_t>(dice.odd()) : 4,
                                              static_cast<uint32_t>(dice.oneIn(2) ? O_CLOEXEC | O_RDWR : O_RDONLY),
                                              static_cast<uint32_t>(dice.below(dice.oneIn(8) ? 4 : 2))};
                accept(5, command(round.control, DAEDALUS_SHIM_GIVE, &give));
            }
        }
    }
}

/// One daemon's life: attached, fuzzed, and ended in one way or another.
void play(Dice& dice, const std::vector<int>& memories) {
    UniqueFd control = openControl();
    ToyNode node;
    Round round{control.get(), &node, memories};
    if (const int error = node.attach(control.get()); error != 0) {
        std::fprintf(stderr, "attach: errno %d\n", error);
        std::exit(1);
    }
    std::vector<std::thread> threads;
    for (size_t i = 0; i < round.files.size(); ++i) threads.emplace_back(client, std::ref(round), i, dice.odd());
    threads.emplace_back(releaser, std::ref(round));
    for (int i = 0; i < 2; ++i) threads.emplace_back(commander, std::ref(round), dice.odd() + static_cast<uint64_t>(i));
    std::this_thread::sleep_for(kRoundTime);
    // Held calls end with the node.
    if (dice.oneIn(2)) node.kill();
    round.ends = true;
    if (dice.oneIn(2)) node.kill();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    node.kill();
    for (std::thread& thread : threads) thread.join();
    for (size_t i = 0; i < total.size(); ++i) total[i] += round.accepted[i];
}

}  // namespace

int main(int count, char** arguments) {
    const auto seconds = std::chrono::seconds(count > 1 ? std::atoi(arguments[1]) : 10);
    const uint64_t seed = count > 2 ? std::strtoull(arguments[2], nullptr, 0) : std::random_device{}();
    std::printf("# seed %llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    Dice dice(seed);
    std::vector<UniqueFd> owned;
    for (const int seals : {kSealed, kSealed, kSealed | F_SEAL_GROW, 0, kSealed | F_SEAL_WRITE})
        owned.push_back(makeMemory(2 * kPage, seals));
    owned.push_back(makeMemory(size_t{1} << 40));
    owned.push_back(makeMemory(DAEDALUS_SHIM_MAX_BYTES));
    std::vector<int> memories;
    for (const UniqueFd& fd : owned) memories.push_back(fd.get());

    int rounds = 0;
    for (const auto end = std::chrono::steady_clock::now() + seconds; std::chrono::steady_clock::now() < end; ++rounds)
        play(dice, memories);
    mapped = roundMapped;
    given = roundGiven;
    std::printf("# %d daemons; succeeded: ", rounds);
    constexpr const char* kNames[] = {"", "attach", "detach", "bind", "unbind", "give"};
    for (size_t i = 1; i < total.size(); ++i) std::printf("%s %llu, ", kNames[i], static_cast<unsigned long long>(total[i]));
    std::printf("mapped %llu, given %llu\n", static_cast<unsigned long long>(mapped), static_cast<unsigned long long>(given));
    // A fuzzer that never gets anywhere proves nothing.
    const bool reached = total[1] && total[2] && total[3] && total[4] && total[5] && mapped && given;
    if (!reached) std::printf("# something never succeeded\n");
    return reached ? 0 : 1;
}
