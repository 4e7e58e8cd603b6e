#include "stage.h"

#include <spdlog/sinks/null_sink.h>
#include <sys/resource.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "bounded_codec.h"
#include "daedalus/base/log.h"
#include "input.h"
#include "src/device/shared.h"

namespace daedalus::fuzz {
namespace {

/// What the open descriptors lead to, except for what a sanitizer's or libFuzzer's symbolizer has.
std::vector<std::string> openFiles() {
    std::vector<std::string> files;
    for (const auto& fd : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        const std::string target = std::filesystem::read_symlink(fd.path(), gone);
        if (!gone && !target.starts_with("pipe:") && target != "/dev/null") files.push_back(target);
    }
    return files;
}

/// So that no client's descriptors are missing to others: the sessions of an input may have hundreds of buffers.
void raiseFdLimit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Stage::Side::Side(EventLoop& loop, WorkerPool& pool, std::unique_ptr<codec::Factory> made, device::DeviceOptions options)
    : codecs(std::move(made)), device(loop, pool, *codecs, std::move(options)), node(device) {}

Stage::Stage()
    : pool_(1), barrier_(pool_, [this] {
          const std::lock_guard lock(mutex_);
          passed_ = true;
          reached_.notify_all();
          return Strand::Step::Idle;
      }) {
    raiseFdLimit();
    sides_ = {std::make_unique<Side>(loop_, pool_, makeBoundedFakeFactory(), device::DeviceOptions{}),
              std::make_unique<Side>(loop_, pool_, makeBoundedFfmpegFactory(), device::DeviceOptions{.threads = 1})};
}

Stage::~Stage() = default;

void Stage::run(const std::function<void()>& task) {
    loop_.post(task);
    turn();
}

void Stage::turn(unsigned times) {
    for (unsigned i = 0; i < times; ++i) {
        loop_.post([this] { loop_.stop(); });
        loop_.run();
    }
}

void Stage::barrier() {
    std::unique_lock lock(mutex_);
    passed_ = false;
    lock.unlock();
    barrier_.wake();
    lock.lock();
    reached_.wait(lock, [this] { return passed_; });
}

void Stage::settle(unsigned steps) {
    for (unsigned i = 0; i < steps; ++i) {
        barrier();
        turn();
    }
}

bool Stage::ended() {
    bool all = true;
    run([&] {
        for (const auto& side : sides_)
            all = all && side->device.shared().sessions == 0 && side->device.shared().graveyard->empty();
    });
    return all;
}

bool Stage::await(const std::function<bool()>& condition) {
    const auto began = std::chrono::steady_clock::now();
    while (!condition()) {
        const auto waited = std::chrono::steady_clock::now() - began;
        if (waited > std::chrono::seconds(10)) return false;
        settle(1);
        if (waited > std::chrono::milliseconds(5)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

void Stage::awaitEnd() {
    require(await([this] { return ended(); }), "a closed session never ends");
    // The handles of watches that are over are closed in the next turn.
    turn(2);
}

void Stage::checkFds() {
    if (fds_ == 0) fds_ = openFiles().size();
    // A server reads all that a client has sent before it sees that the client is gone.
    if (await([this] { return openFiles().size() <= fds_; })) return;
    for (const auto& file : openFiles()) std::fprintf(stderr, "open: %s\n", file.c_str());
    require(false, "descriptors leak");
}

void silenceLog(bool debug) {
    static const auto kNowhere = std::make_shared<spdlog::sinks::null_sink_mt>();
    spdlog::default_logger()->sinks() = {kNowhere};
    spdlog::set_level(debug ? spdlog::level::debug : spdlog::level::off);
}

}  // namespace daedalus::fuzz
