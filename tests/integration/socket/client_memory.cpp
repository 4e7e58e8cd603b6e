// mmap, EXPBUF, USERPTR and DMABUF.
#include <linux/dma-buf.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <numeric>
#include <thread>
#include <vector>

#include "tests/integration/socket/client.h"

namespace daedalus::test {
namespace {

void mapped() {
    const int fd = openNode();
    auto* const bytes = static_cast<unsigned char*>(::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, kMapOffset));
    EXPECT(bytes != MAP_FAILED);
    EXPECT(bytes[0] == 0x5A && bytes[8191] == 0x5A);
    bytes[17] = 1;
    auto* const again = static_cast<unsigned char*>(::mmap64(nullptr, 4096, PROT_READ, MAP_SHARED, fd, kMapOffset));
    EXPECT(again != MAP_FAILED && again[17] == 1);
    for (const off_t offset : {0, 0x1000, 0x2000, 0x4000, 0x7FFFF000, 1}) {
        EXPECT(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, offset) == MAP_FAILED && errno == EINVAL);
    }
    EXPECT(::mmap(nullptr, 8193, PROT_READ, MAP_SHARED, fd, kMapOffset) == MAP_FAILED && errno == EINVAL);
    EXPECT(::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, kMapOffset) == MAP_FAILED && errno == EINVAL);
    EXPECT(::mmap(nullptr, 4096, PROT_NONE, MAP_SHARED, fd, kMapOffset) == MAP_FAILED && errno == EINVAL);
    // The mapping outlives the file.
    ::close(fd);
    EXPECT(bytes[17] == 1);
    EXPECT(::munmap(bytes, 8192) == 0);
}

/// Eight threads map and unmap while each of them gets signals, whose handlers call the node, too.
void mapSignals() {
    constexpr int kThreads = 8;
    constexpr int kRounds = 100;
    static int fd = -1;
    static std::atomic<int> handled{0};
    fd = openNode();
    auto* const shared = static_cast<unsigned char*>(::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, kMapOffset));
    EXPECT(shared != MAP_FAILED);
    struct sigaction action {};
    action.sa_flags = SA_RESTART;
    action.sa_handler = [](int) {
        const int before = errno;
        v4l2_capability capability{};
        EXPECT(::ioctl(fd, VIDIOC_QUERYCAP, &capability) == 0);
        ++handled;
        errno = before;
    };
    EXPECT(::sigaction(SIGUSR1, &action, nullptr) == 0);
    std::atomic<int> left{kThreads};
    std::vector<std::thread> threads;
    for (int number = 0; number < kThreads; ++number) {
        threads.emplace_back([&, number] {
            for (int round = 0; round < kRounds; ++round) {
                auto* const bytes =
                    static_cast<unsigned char*>(::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, kMapOffset));
                EXPECT(bytes != MAP_FAILED);
                // What is mapped is the buffer: what this thread writes is there for all.
                bytes[100 + number] = static_cast<unsigned char>(round);
                EXPECT(shared[100 + number] == static_cast<unsigned char>(round));
                EXPECT(::munmap(bytes, 8192) == 0);
            }
            --left;
        });
    }
    std::vector<pthread_t> handles;
    for (auto& thread : threads) handles.push_back(thread.native_handle());
    while (left > 0) {
        // A thread that has ended is still there to be joined.
        for (const pthread_t handle : handles) ::pthread_kill(handle, SIGUSR1);
        ::usleep(500);
    }
    for (auto& thread : threads) thread.join();
    EXPECT(handled > 0);
    // No descriptor that a mapping took is left: the next one is the file's neighbour.
    const int next = ::dup(fd);
    EXPECT(next == fd + 1);
}

int exportBuffer(int fd, uint32_t flags) {
    v4l2_exportbuffer request{};
    request.type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    request.flags = flags;
    request.fd = -7;
    EXPECT(::ioctl(fd, VIDIOC_EXPBUF, &request) == 0);
    EXPECT(request.fd >= 0);
    return request.fd;
}

void exported() {
    const int fd = openNode();
    const int buffer = exportBuffer(fd, O_RDWR | O_CLOEXEC);
    EXPECT((::fcntl(buffer, F_GETFD) & FD_CLOEXEC) != 0);
    const int inherited = exportBuffer(fd, O_RDWR);
    EXPECT((::fcntl(inherited, F_GETFD) & FD_CLOEXEC) == 0);
    EXPECT(::lseek(buffer, 0, SEEK_END) == 8192);
    dma_buf_sync sync{DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW};
    EXPECT(::ioctl(buffer, DMA_BUF_IOCTL_SYNC, &sync) == 0);
    auto* const bytes = static_cast<unsigned char*>(::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, buffer, 0));
    EXPECT(bytes != MAP_FAILED && bytes[5] == 0x5A);
    // A bad place for the number gives EFAULT, and leaves no descriptor behind.
    const auto count = [] {
        int open = 0;
        for (int candidate = 0; candidate < 1024; ++candidate) open += ::fcntl(candidate, F_GETFD) >= 0 ? 1 : 0;
        return open;
    };
    void* const readOnly = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const int before = count();
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_EXPBUF, readOnly), EFAULT);
    EXPECT(count() == before);
    // No room for it.
    rlimit limit{};
    EXPECT(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    const rlimit tight{static_cast<rlim_t>(inherited + 1), limit.rlim_max};
    v4l2_exportbuffer request{};
    EXPECT(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_EXPBUF, &request), EMFILE);
    EXPECT(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

struct Buffer {
    v4l2_plane plane{};
    v4l2_buffer buffer{};
    Buffer(uint32_t type, uint32_t memory, uint32_t index) {
        buffer.type = type;
        buffer.memory = memory;
        buffer.index = index;
        buffer.length = 1;
        buffer.m.planes = &plane;
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
};

constexpr uint32_t kOutput = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;
constexpr uint32_t kCapture = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;

uint32_t sumOf(const std::vector<unsigned char>& bytes) { return std::accumulate(bytes.begin(), bytes.end(), 0U); }

size_t residentBytes() {
    long pages = 0;
    long shared = 0;
    FILE* const file = std::fopen("/proc/self/statm", "r");
    EXPECT(file != nullptr && std::fscanf(file, "%*d %ld %ld", &pages, &shared) == 2);
    std::fclose(file);
    return static_cast<size_t>(pages) * 4096;
}

void userptr() {
    const int fd = openNode();
    // To the device: the same buffer with other bytes, other memory, another size.
    for (const size_t size : {100U, 100U, 5000U, 300'000U, 100U}) {
        std::vector<unsigned char> bytes(size);
        for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(std::rand());
        Buffer output(kOutput, V4L2_MEMORY_USERPTR, 3);
        output.plane.m.userptr = reinterpret_cast<unsigned long>(bytes.data());
        output.plane.length = static_cast<uint32_t>(size);
        output.plane.bytesused = static_cast<uint32_t>(size);
        EXPECT(::ioctl(fd, VIDIOC_QBUF, &output.buffer) == 0);
        EXPECT(output.plane.m.userptr == reinterpret_cast<unsigned long>(bytes.data()));
        steer(fd, kSlots, 1);
        Buffer done(kOutput, V4L2_MEMORY_MMAP, 0);
        EXPECT(::ioctl(fd, VIDIOC_DQBUF, &done.buffer) == 0);
        EXPECT(done.buffer.index == sumOf(bytes));
    }
    // From the device.
    for (int round = 0; round < 3; ++round) {
        for (uint32_t index = 0; index < 4; ++index) {
            std::vector<unsigned char> bytes(10'000 + index, 0xEE);
            Buffer capture(kCapture, V4L2_MEMORY_USERPTR, index);
            capture.plane.m.userptr = reinterpret_cast<unsigned long>(bytes.data());
            capture.plane.length = 9'000;
            EXPECT(::ioctl(fd, VIDIOC_QBUF, &capture.buffer) == 0);
            steer(fd, kFrames, 1);
            Buffer done(kCapture, V4L2_MEMORY_USERPTR, 99);
            EXPECT(::ioctl(fd, VIDIOC_DQBUF, &done.buffer) == 0);
            EXPECT(done.buffer.index == index && done.plane.bytesused == 9'000);
            for (size_t i = 0; i < bytes.size(); ++i) {
                EXPECT(bytes[i] == (i < 9'000 ? static_cast<unsigned char>(i * 7 + index) : 0xEE));
            }
        }
    }
    // Bad memory.
    Buffer bad(kOutput, V4L2_MEMORY_USERPTR, 0);
    bad.plane.length = bad.plane.bytesused = 4096;
    // Initializing the union sets its first member only, which is shorter.
    bad.plane.m.userptr = 0;
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_QBUF, &bad.buffer), EINVAL);
    bad.plane.m.userptr = 4096;
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_QBUF, &bad.buffer), EFAULT);
    auto* const pages = static_cast<char*>(::mmap(nullptr, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    EXPECT(::mprotect(pages + 4096, 4096, PROT_NONE) == 0);
    bad.plane.m.userptr = reinterpret_cast<unsigned long>(pages);
    EXPECT(::ioctl(fd, VIDIOC_QBUF, &bad.buffer) == 0);
    bad.plane.length = 4097;
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_QBUF, &bad.buffer), EFAULT);
    Buffer readOnly(kCapture, V4L2_MEMORY_USERPTR, 0);
    readOnly.plane.length = 4096;
    readOnly.plane.m.userptr = reinterpret_cast<unsigned long>(pages);
    EXPECT_ERRNO(::ioctl(fd, VIDIOC_QBUF, &readOnly.buffer), EFAULT);
}

/// Buffers of the size that 8192x8192 needs, many of them: memory comes with use only, and goes with the session.
void userptrLarge() {
    constexpr size_t kSize = 100U << 20;
    void* const memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(memory != MAP_FAILED);
    std::memset(memory, 1, 4096);
    for (int round = 0; round < 200; ++round) {
        const int fd = openNode();
        for (uint32_t index = 0; index < (round == 0 ? 64U : 4U); ++index) {
            Buffer output(kOutput, V4L2_MEMORY_USERPTR, index);
            output.plane.m.userptr = reinterpret_cast<unsigned long>(memory);
            output.plane.length = round == 0 ? kSize : 1U << 20;
            output.plane.bytesused = 4096;
            EXPECT(::ioctl(fd, VIDIOC_QBUF, &output.buffer) == 0);
        }
        ::close(fd);
    }
    EXPECT(residentBytes() < 3 * kSize);
    size_t mappings = 0;
    FILE* const maps = std::fopen("/proc/self/maps", "r");
    char line[512];
    while (std::fgets(line, sizeof line, maps) != nullptr) mappings += std::strstr(line, "daedalus-userptr") != nullptr ? 1 : 0;
    std::fclose(maps);
    EXPECT(mappings == 0);
}

void userptrReleased() {
    const int fd = openNode();
    std::vector<unsigned char> bytes(4096);
    for (uint32_t index = 0; index < 32; ++index) {
        Buffer output(kOutput, V4L2_MEMORY_USERPTR, index);
        output.plane.m.userptr = reinterpret_cast<unsigned long>(bytes.data());
        output.plane.length = output.plane.bytesused = 4096;
        EXPECT(::ioctl(fd, VIDIOC_QBUF, &output.buffer) == 0);
    }
    const auto mappings = [] {
        size_t count = 0;
        FILE* const maps = std::fopen("/proc/self/maps", "r");
        char line[512];
        while (std::fgets(line, sizeof line, maps) != nullptr)
            count += std::strstr(line, "daedalus-userptr") != nullptr ? 1 : 0;
        std::fclose(maps);
        return count;
    };
    EXPECT(mappings() == 32);
    int type = kOutput;
    EXPECT(::ioctl(fd, VIDIOC_STREAMOFF, &type) == 0);
    EXPECT(mappings() == 0);
    // And all over again.
    Buffer output(kOutput, V4L2_MEMORY_USERPTR, 3);
    output.plane.m.userptr = reinterpret_cast<unsigned long>(bytes.data());
    output.plane.length = output.plane.bytesused = 4096;
    EXPECT(::ioctl(fd, VIDIOC_QBUF, &output.buffer) == 0);
    EXPECT(mappings() == 1);
}

void dmabuf() {
    const int fd = openNode();
    const int memfd = ::memfd_create("client", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    EXPECT(::ftruncate(memfd, 4096) == 0);
    EXPECT(::fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    EXPECT(::pwrite(memfd, "\x01\x02\x03", 3, 0) == 3);
    Buffer output(kOutput, V4L2_MEMORY_DMABUF, 0);
    output.plane.m.fd = memfd;
    output.plane.length = 4096;
    output.plane.bytesused = 3;
    for (int round = 0; round < 3; ++round) {
        EXPECT(::ioctl(fd, VIDIOC_QBUF, &output.buffer) == 0);
        EXPECT(output.plane.m.fd == memfd);
        steer(fd, kSlots, 1);
        Buffer done(kOutput, V4L2_MEMORY_MMAP, 0);
        EXPECT(::ioctl(fd, VIDIOC_DQBUF, &done.buffer) == 0);
        EXPECT(done.buffer.index == 6);
    }
    // What EXPBUF gave out comes in again.
    Buffer capture(kCapture, V4L2_MEMORY_DMABUF, 1);
    capture.plane.m.fd = exportBuffer(fd, O_RDWR);
    capture.plane.length = 4096;
    EXPECT(::ioctl(fd, VIDIOC_QBUF, &capture.buffer) == 0);
    steer(fd, kFrames, 1);
    Buffer done(kCapture, V4L2_MEMORY_DMABUF, 0);
    EXPECT(::ioctl(fd, VIDIOC_DQBUF, &done.buffer) == 0);
    auto* const bytes = static_cast<unsigned char*>(::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, capture.plane.m.fd, 0));
    EXPECT(bytes != MAP_FAILED && bytes[100] == static_cast<unsigned char>(701));
    // Descriptors that are none, or no memory.
    for (const int bad : {-1, 999, 0, fd}) {
        output.plane.m.fd = bad;
        EXPECT_ERRNO(::ioctl(fd, VIDIOC_QBUF, &output.buffer), EINVAL);
    }
}

}  // namespace

void addMemoryCases(Cases& cases) {
    cases["mmap"] = mapped;
    cases["map_signals"] = mapSignals;
    cases["expbuf"] = exported;
    cases["userptr"] = userptr;
    cases["userptr_large"] = userptrLarge;
    cases["userptr_released"] = userptrReleased;
    cases["dmabuf"] = dmabuf;
}

}  // namespace daedalus::test
