// Fuzzes the dispatcher and all below it: sequences of calls of two hostile clients on nodes in this process.
#include <sys/mman.h>
#include <unistd.h>

#include <deque>
#include <list>
#include <memory>
#include <string>

#include "client.h"
#include "src/ioctl/pointers.h"
#include "src/ioctl/table.h"
#include "src/transport/gather.h"
#include "stage.h"
#include "target.h"

namespace daedalus::fuzz {
namespace {

constexpr int kWaits = -1;
constexpr size_t kMaxCalls = 96;

/// What lives across inputs.
struct World {
    Stage stage;
    Arena arena;
    size_t inputs = 0;
};

/// One open of the node.
class OpenFile final : public Path {
public:
    OpenFile(World& world, Stage::Codecs codecs, bool prints) : world_(world), codecs_(codecs), prints_(prints) { open(); }
    ~OpenFile() override { close(); }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;

    int call(uint32_t cmd, uint64_t address) override;
    void put(uint64_t offset, std::span<const std::byte> content) override;
    int memoryFd(Input& input) override;
    void settle(unsigned steps) override { world_.stage.settle(steps); }

    void reopen() {
        close();
        open();
    }
    void setNonblocking(bool nonblocking) { nonblocking_ = nonblocking; }
    void interrupt(Input& input);
    void map(Input& input);
    void poll();

private:
    struct Waiting {
        ioctl::File::Ticket ticket = 0;
        bool answered = false;
        int error = 0;
    };

    void open();
    void close();
    void print(uint32_t cmd, const ioctl::Payload& payload) const;
    void install(ioctl::Answer& answer);

    World& world_;
    Stage::Codecs codecs_;
    bool prints_;
    bool nonblocking_ = true;
    std::unique_ptr<ioctl::File> file_;
    std::list<std::shared_ptr<Waiting>> waiting_;
    std::deque<UniqueFd> fds_;
};

void OpenFile::open() {
    world_.stage.run([this] {
        auto file = world_.stage.node(codecs_).open("fuzz", 0);
        require(file.has_value(), "the node cannot be opened");
        file_ = *std::move(file);
        // A listener looks at once, as the transports' do.
        file_->onReadiness([this] { std::ignore = file_ ? file_->readiness() : 0; });
    });
}

void OpenFile::close() {
    world_.stage.run([this] { file_.reset(); });
    for (const auto& call : waiting_) require(call->answered, "a call was not answered by the end of its file");
    waiting_.clear();
    fds_.clear();
    nonblocking_ = true;
}

void OpenFile::print(uint32_t cmd, const ioctl::Payload& payload) const {
    const auto* const row = ioctl::findRow(ioctl::FileKind::Stateful, cmd);
    if (!prints_ || row == nullptr || payload.argument.size() != _IOC_SIZE(cmd)) return;
    auto copy = payload;
    if (!ioctl::checkNested(row->traits.follow, copy)) return;
    const ioctl::LocalPointers pointers(row->traits.follow, copy);
    std::string text;
    row->print(text, copy.argument.data());
}

void OpenFile::install(ioctl::Answer& answer) {
    for (auto& passed : answer.fds) {
        require(passed.offset + sizeof(int32_t) <= answer.payload.argument.size(), "a descriptor without a place");
        const int32_t number = passed.fd.get();
        std::memcpy(answer.payload.argument.data() + passed.offset, &number, sizeof number);
        fds_.push_back(std::move(passed.fd));
    }
}

int OpenFile::call(uint32_t cmd, uint64_t address) {
    auto payload = transport::gather(::getpid(), cmd, address);
    ioctl::Call call;
    call.cmd = cmd;
    call.nonblocking = nonblocking_;
    call.clientMemory = transport::ownMemory();
    if (payload) {
        print(cmd, *payload);
        call.payload = *std::move(payload);
    } else {
        call.faulted = true;
    }
    const auto waiting = std::make_shared<Waiting>();
    world_.stage.run([&] {
        const auto sink = [this, cmd, address, waiting](ioctl::Answer&& answer) {
            require(!waiting->answered, "a call was answered twice");
            waiting->answered = true;
            waiting->error = answer.error;
            if (answer.error == 0) install(answer);
            if (!answer.copyBack) return;
            print(cmd, answer.payload);
            if (auto ok = transport::scatter(::getpid(), address, answer.payload); !ok) waiting->error = ok.error().value;
        };
        waiting->ticket = file_->ioctl(std::move(call), ioctl::Reply(sink));
        require(waiting->answered || waiting->ticket != 0, "a call was neither answered nor parked");
    });
    if (waiting->answered) return waiting->error;
    waiting_.push_back(waiting);
    return kWaits;
}

void OpenFile::put(uint64_t offset, std::span<const std::byte> content) {
    world_.stage.run([&] {
        if (auto memory = file_->mmap(offset, 1); memory && content.size() <= (*memory)->size())
            std::ignore = (*memory)->write(0, content);
    });
}

int OpenFile::memoryFd(Input& input) {
    const uint8_t choice = input.byte();
    if (choice >= 250) return static_cast<int>(input.number());
    if (choice >= 128 && !fds_.empty()) return fds_[choice % fds_.size()].get();
    constexpr size_t kMostFds = 64;
    if (fds_.size() >= kMostFds) fds_.pop_front();
    return fds_.emplace_back(makeFd(input)).get();
}

void OpenFile::interrupt(Input& input) {
    if (waiting_.empty()) return;
    const auto chosen = *std::next(waiting_.begin(), static_cast<ptrdiff_t>(input.byte() % waiting_.size()));
    world_.stage.run([&] { file_->interrupt(chosen->ticket); });
    std::erase_if(waiting_, [](const auto& call) { return call->answered; });
}

void OpenFile::map(Input& input) {
    const uint64_t offset =
        uint64_t{input.below(8)} * 4096 + (input.rarely(4) ? uint64_t{input.number()} << input.below(33) : 0);
    const size_t length = input.rarely(4) ? size_t{input.number()} << input.below(33) : 4096;
    Result<memory::MemoryRef> memory = fail(EINVAL);
    world_.stage.run([&] { memory = file_->mmap(offset, length); });
    if (!memory || (*memory)->fd() < 0 || length == 0) return;
    void* const mapped = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, (*memory)->fd(), 0);
    if (mapped == MAP_FAILED) return;
    // The last byte that was granted must be there.
    static_cast<volatile std::byte*>(mapped)[length - 1] = std::byte{1};
    ::munmap(mapped, length);
}

void OpenFile::poll() {
    world_.stage.run([this] { std::ignore = file_->readiness(); });
}

struct Opened {
    Opened(World& world, Stage::Codecs codecs, bool prints) : file(world, codecs, prints), client(file, world.arena, codecs) {}
    OpenFile file;
    Client client;
};

void act(World& world, std::unique_ptr<Opened>& opened, const std::function<std::unique_ptr<Opened>()>& reopen, Input& input,
         uint32_t action) {
    switch (action) {
        case 0:
        case 1:
        case 2:
        case 3:
        case 4:
            return opened->client.tableIoctl(input);
        case 5:
            return opened->client.wildIoctl(input);
        case 6:
        case 7:
            return opened->client.feed(input);
        case 8:
            return opened->client.refill(input);
        case 9:
            return opened->client.take(input);
        case 10:
            return opened->client.setUp(input);
        case 11:
            return opened->file.map(input);
        case 12:
            opened->file.setNonblocking(input.rarely(2));
            return opened->file.poll();
        case 13:
            return opened->file.interrupt(input);
        case 14:
            return world.stage.settle(1 + input.below(4));
        default:
            if (!input.rarely(4)) return world.stage.turn();
            opened.reset();
            opened = reopen();
    }
}

void run(World& world, Input& input) {
    const uint8_t mode = input.byte();
    const auto codecs = mode % 4 == 3 ? Stage::Codecs::Ffmpeg : Stage::Codecs::Fake;
    const bool prints = (mode & 4) != 0;
    silenceLog((mode & 8) != 0);
    world.arena.clear();

    const auto open = [&] { return std::make_unique<Opened>(world, codecs, prints); };
    std::array<std::unique_ptr<Opened>, 2> opened{open(), (mode & 16) != 0 ? open() : nullptr};
    if ((mode & 32) != 0) opened[0]->client.setUp(input);
    for (size_t calls = 0; calls < kMaxCalls && !input.empty(); ++calls) {
        const uint8_t choice = input.byte();
        act(world, opened[1] != nullptr && choice >= 192 ? opened[1] : opened[0], open, input, choice % 16);
    }
    opened = {};
    world.stage.awaitEnd();
    // Reading a folder costs as much as many calls.
    if (world.inputs++ % 32 == 0) world.stage.checkFds();
}

}  // namespace

void runTarget(Input& input) {
    static World world;
    run(world, input);
}

}  // namespace daedalus::fuzz
