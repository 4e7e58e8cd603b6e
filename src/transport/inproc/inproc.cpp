#include "daedalus/transport/inproc.h"

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <future>
#include <list>
#include <map>
#include <set>

#include "../gather.h"

namespace daedalus::transport {

/// Loop thread. The numbers are this process's, so that no other descriptor has them.
class InprocDescriptors final : public ioctl::ClientFiles {
public:
    ioctl::File* find(int number) override;
    /// Makes descriptors of the files that an answer brings; false if there are none left.
    [[nodiscard]] bool install(ioctl::Answer& answer);
    /// The file of that number, for who will close it; null if there is none.
    [[nodiscard]] std::unique_ptr<ioctl::File> take(int number);
    void close(int number) { entries_.erase(number); }

private:
    struct Entry {
        UniqueFd number;
        ioctl::File* file = nullptr;
        std::unique_ptr<ioctl::File> untaken;
    };
    std::map<int, Entry> entries_;
};

namespace {

/// One file. Calls come from any thread; what they do is done on the loop thread, where all members below `loop_` live.
class LoopFile final : public InprocFile {
public:
    LoopFile(EventLoop& loop, std::unique_ptr<ioctl::File> file, bool nonblocking,
             std::shared_ptr<InprocDescriptors> descriptors, int number = -1)
        : nonblocking_(nonblocking),
          loop_(loop),
          descriptors_(std::move(descriptors)),
          file_(std::move(file)),
          number_(number) {
        file_->onReadiness([this] { wakeSoon(); });
    }
    ~LoopFile() override {
        onLoop([this] {
            if (number_ >= 0) descriptors_->close(number_);
            file_.reset();
            descriptors_.reset();
        });
    }

    int ioctl(unsigned long cmd, void* argument) override;
    void* mmap(size_t length, int protection, uint64_t offset) override;
    int poll(short events, short* revents, int timeoutMs) override;
    void setNonblocking(bool nonblocking) override { nonblocking_ = nonblocking; }
    void interrupt() override {
        onLoop([this] {
            const auto waiting = waiting_;
            for (const auto ticket : waiting) file_->interrupt(ticket);
        });
    }
    std::unique_ptr<InprocFile> take(int number) override {
        std::unique_ptr<LoopFile> taken;
        onLoop([&] {
            if (auto file = descriptors_->take(number))
                taken = std::make_unique<LoopFile>(loop_, std::move(file), false, descriptors_, number);
        });
        return taken;
    }

private:
    struct Poller {
        uint32_t events;
        std::promise<uint32_t> ready;
    };

    template <class Task>
    void onLoop(Task task) {
        // Shared: the waiter may be gone before set_value() returns.
        const auto done = std::make_shared<std::promise<void>>();
        auto future = done->get_future();
        loop_.post([&task, done] {
            task();
            done->set_value();
        });
        future.wait();
    }
    /// Pollers are woken after the step, and then look at the readiness: as in the kernel they see all that the step has
    /// changed.
    void wakeSoon();
    void wakePollers();
    [[nodiscard]] static bool installFds(ioctl::Answer& answer);

    std::atomic<bool> nonblocking_;
    EventLoop& loop_;
    std::shared_ptr<InprocDescriptors> descriptors_;
    std::unique_ptr<ioctl::File> file_;
    const int number_;  ///< its descriptor, if an answer brought it
    std::set<ioctl::File::Ticket> waiting_;
    std::list<Poller> pollers_;
    std::shared_ptr<bool> wakeUnderWay_ = std::make_shared<bool>(false);  ///< outlives us in the posts
};

int LoopFile::ioctl(unsigned long cmd, void* argument) {
    const auto address = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(argument));
    auto payload = gather(kOwnProcess, static_cast<uint32_t>(cmd), address);
    ioctl::Call call;
    call.cmd = static_cast<uint32_t>(cmd);
    call.nonblocking = nonblocking_.load();
    call.clientMemory = ownMemory();
    call.clientFiles = descriptors_;
    const int gatherError = payload ? 0 : payload.error().value;
    if (payload) {
        call.payload = *std::move(payload);
    } else {
        call.faulted = true;
    }

    const auto answered = std::make_shared<std::promise<ioctl::Answer>>();
    auto future = answered->get_future();
    loop_.post([this, &call, answered] {
        auto ticket = std::make_shared<ioctl::File::Ticket>(0);
        *ticket = file_->ioctl(std::move(call), ioctl::Reply([this, answered, ticket](ioctl::Answer&& answer) {
                                   waiting_.erase(*ticket);
                                   if (answer.error == 0 && !descriptors_->install(answer)) answer.error = EMFILE;
                                   answered->set_value(std::move(answer));
                               }));
        if (*ticket != 0) waiting_.insert(*ticket);
    });
    ioctl::Answer answer = future.get();
    if (answer.error == EFAULT && gatherError != 0) answer.error = gatherError;
    if (answer.error == 0 && !installFds(answer)) answer.error = EMFILE;
    if (answer.copyBack)
        if (auto ok = scatter(kOwnProcess, address, answer.payload); !ok) answer.error = ok.error().value;
    if (answer.error == 0) return 0;
    errno = answer.error;
    return -1;
}

bool LoopFile::installFds(ioctl::Answer& answer) {
    for (auto& passed : answer.fds) {
        const int command = passed.flags & O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD;
        const int32_t number = ::fcntl(passed.fd.get(), command, 0);
        if (number < 0) return false;
        std::memcpy(answer.payload.argument.data() + passed.offset, &number, sizeof number);
    }
    return true;
}

void* LoopFile::mmap(size_t length, int protection, uint64_t offset) {
    Result<memory::MemoryRef> memory = fail(EINVAL);
    onLoop([&] { memory = file_->mmap(offset, length); });
    if (!memory) {
        errno = memory.error().value;
        return MAP_FAILED;
    }
    return ::mmap(nullptr, length, protection, MAP_SHARED, (*memory)->fd(), 0);
}

void LoopFile::wakeSoon() {
    if (pollers_.empty() || std::exchange(*wakeUnderWay_, true)) return;
    loop_.post([this, alive = std::weak_ptr(wakeUnderWay_)] {
        const auto underWay = alive.lock();
        if (!underWay) return;
        *underWay = false;
        wakePollers();
    });
}

void LoopFile::wakePollers() {
    if (!file_) return;
    const uint32_t readiness = file_->readiness();
    for (auto poller = pollers_.begin(); poller != pollers_.end();) {
        const uint32_t answer = ioctl::answerToPoll(readiness, poller->events);
        if (answer == 0) {
            ++poller;
            continue;
        }
        poller->ready.set_value(answer);
        poller = pollers_.erase(poller);
    }
}

int LoopFile::poll(short events, short* revents, int timeoutMs) {
    std::future<uint32_t> ready;
    std::list<Poller>::iterator mine;
    onLoop([&] {
        pollers_.push_back({static_cast<uint32_t>(events), {}});
        mine = std::prev(pollers_.end());
        ready = mine->ready.get_future();
        wakePollers();
    });
    *revents = 0;
    if (timeoutMs >= 0 && ready.wait_for(std::chrono::milliseconds(timeoutMs)) != std::future_status::ready) {
        bool late = false;
        onLoop([&] {
            late = ready.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
            if (!late) pollers_.erase(mine);
        });
        if (!late) return 0;
    }
    *revents = static_cast<short>(ready.get());
    return 1;
}

}  // namespace

ioctl::File* InprocDescriptors::find(int number) {
    const auto found = entries_.find(number);
    return found == entries_.end() ? nullptr : found->second.file;
}

bool InprocDescriptors::install(ioctl::Answer& answer) {
    for (auto& passed : answer.files) {
        UniqueFd number(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (!number) return false;
        const int32_t value = number.get();
        ioctl::File* const file = passed.file.get();
        entries_.emplace(value, Entry{std::move(number), file, std::move(passed.file)});
        std::memcpy(answer.payload.argument.data() + passed.offset, &value, sizeof value);
    }
    answer.files.clear();
    return true;
}

std::unique_ptr<ioctl::File> InprocDescriptors::take(int number) {
    const auto found = entries_.find(number);
    return found == entries_.end() ? nullptr : std::move(found->second.untaken);
}

std::shared_ptr<InprocDescriptors> makeInprocDescriptors() { return std::make_shared<InprocDescriptors>(); }

Result<std::unique_ptr<InprocFile>> openInproc(EventLoop& loop,
                                               const std::function<Result<std::unique_ptr<ioctl::File>>()>& open, int flags,
                                               std::shared_ptr<InprocDescriptors> descriptors) {
    if (!descriptors) descriptors = makeInprocDescriptors();
    const auto opened = std::make_shared<std::promise<Result<std::unique_ptr<InprocFile>>>>();
    auto future = opened->get_future();
    loop.post([&loop, &open, flags, &descriptors, opened] {
        auto file = open();
        if (!file) return opened->set_value(fail(file.error()));
        opened->set_value(std::make_unique<LoopFile>(loop, *std::move(file), (flags & O_NONBLOCK) != 0, descriptors));
    });
    return future.get();
}

Result<std::unique_ptr<InprocFile>> openInproc(EventLoop& loop, ioctl::Node& node, int flags,
                                               std::shared_ptr<InprocDescriptors> descriptors) {
    return openInproc(
        loop, [&node] { return node.open("in-process", ::getuid()); }, flags, std::move(descriptors));
}

}  // namespace daedalus::transport
