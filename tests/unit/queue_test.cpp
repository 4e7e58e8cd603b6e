// The rules of videobuf2, on a queue with an owner that does what each test says.
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "daedalus/queue/queue.h"

using namespace daedalus;
using queue::BufferRequest;
using queue::BufferState;
using queue::Queue;

namespace {

constexpr uint32_t kCapture = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
constexpr uint32_t kOutput = V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE;

struct TestOwner final : queue::Owner {
    queue::PlaneSizes sizes{2, {4096, 2048}};
    int startError = 0;
    int starts = 0;
    int stops = 0;
    int changes = 0;

    queue::PlaneSizes planeSizes(const Queue&) const override { return sizes; }
    Result<> startStreaming(Queue&) override {
        ++starts;
        return startError ? Result<>(fail(startError)) : Result<>{};
    }
    void bufferQueued(Queue&) override {}
    void stopStreaming(Queue&) override { ++stops; }
    void bufferDequeued(Queue&) override {}
    void queueChanged(Queue&) override { ++changes; }
};

BufferRequest request(uint32_t index, uint32_t planes = 2, uint32_t memory = V4L2_MEMORY_MMAP) {
    BufferRequest r;
    r.index = index;
    r.memory = memory;
    r.planeCount = planes;
    return r;
}

/// The loop is not run: what other threads return is delivered when it is.
struct Fixture {
    EventLoop loop;
    TestOwner owner;
    std::shared_ptr<memory::Budget> budget = std::make_shared<memory::Budget>(1U << 30);
    Queue capture{loop, owner, kCapture, 1U << 30, budget};
    Queue output{loop, owner, kOutput, 0, budget};

    void deliver() {
        loop.post([this] { loop.stop(); });
        loop.run();
    }
};

template <class T>
int errnoOf(const Result<T>& result) {
    return result ? 0 : result.error().value;
}

}  // namespace

TEST_CASE("every transition that videobuf2 has, and no other") {
    using enum BufferState;
    const std::vector<std::pair<BufferState, BufferState>> allowed = {
        {Dequeued, Preparing}, {Preparing, InRequest}, {InRequest, Queued}, {InRequest, Dequeued}, {Preparing, Dequeued},
        {Preparing, Queued},   {Queued, Active},       {Queued, Dequeued},  {Active, Done},        {Active, Error},
        {Active, Queued},      {Active, Dequeued},     {Done, Dequeued},    {Error, Dequeued}};
    for (size_t from = 0; from < queue::kBufferStates; ++from) {
        for (size_t to = 0; to < queue::kBufferStates; ++to) {
            const std::pair arrow(static_cast<BufferState>(from), static_cast<BufferState>(to));
            const bool expected = std::find(allowed.begin(), allowed.end(), arrow) != allowed.end();
            CHECK(queue::mayGo(arrow.first, arrow.second) == expected);
        }
    }
}

TEST_CASE_METHOD(Fixture, "REQBUFS allocates, replaces and frees") {
    CHECK(*capture.request(4, V4L2_MEMORY_MMAP) == 4);
    CHECK(capture.bufferCount() == 4);
    CHECK(*capture.request(2, V4L2_MEMORY_USERPTR) == 2);
    CHECK(capture.query(1)->memory == V4L2_MEMORY_USERPTR);
    CHECK(errnoOf(capture.query(2)) == EINVAL);
    CHECK(*capture.request(1000, V4L2_MEMORY_MMAP) == queue::kMaxBuffers);
    CHECK(*capture.request(0, V4L2_MEMORY_MMAP) == 0);
    CHECK_FALSE(capture.isBusy());
    CHECK(errnoOf(capture.request(1, V4L2_MEMORY_OVERLAY)) == EINVAL);
    CHECK(errnoOf(capture.request(1, 99)) == EINVAL);
}

TEST_CASE_METHOD(Fixture, "REQBUFS is refused while streaming") {
    REQUIRE(capture.request(2, V4L2_MEMORY_MMAP));
    REQUIRE(capture.streamOn());
    CHECK(errnoOf(capture.request(0, V4L2_MEMORY_MMAP)) == EBUSY);
    CHECK(errnoOf(capture.request(4, V4L2_MEMORY_MMAP)) == EBUSY);
}

TEST_CASE_METHOD(Fixture, "CREATE_BUFS appends, checks sizes and ends at 64") {
    const queue::PlaneSizes exact{2, {4096, 2048}};
    CHECK(capture.create(3, V4L2_MEMORY_MMAP, exact)->index == 0);
    const queue::PlaneSizes larger{2, {4096 + (1 << 20), 2048}};
    CHECK(capture.create(1, V4L2_MEMORY_MMAP, larger)->index == 3);
    CHECK(capture.query(3)->planes[0].length == 4096 + (1 << 20));
    CHECK(errnoOf(capture.create(1, V4L2_MEMORY_USERPTR, exact)) == EINVAL);
    CHECK(errnoOf(capture.create(1, V4L2_MEMORY_MMAP, {1, {4096}})) == EINVAL);
    CHECK(errnoOf(capture.create(1, V4L2_MEMORY_MMAP, {3, {4096, 2048, 1}})) == EINVAL);
    CHECK(errnoOf(capture.create(1, V4L2_MEMORY_MMAP, {2, {4095, 2048}})) == EINVAL);
    CHECK(capture.create(100, V4L2_MEMORY_MMAP, exact)->count == 60);
    CHECK(errnoOf(capture.create(1, V4L2_MEMORY_MMAP, exact)) == ENOBUFS);
}

TEST_CASE_METHOD(Fixture, "REMOVE_BUFS makes holes that CREATE_BUFS fills") {
    REQUIRE(capture.request(8, V4L2_MEMORY_MMAP));
    CHECK(errnoOf(capture.remove(7, 2)) == EINVAL);
    CHECK(errnoOf(capture.remove(UINT32_MAX, 2)) == EINVAL);
    REQUIRE(capture.enqueue(request(3), nullptr));
    CHECK(errnoOf(capture.remove(2, 2)) == EBUSY);
    REQUIRE(capture.remove(4, 2));
    CHECK(errnoOf(capture.query(4)) == EINVAL);
    CHECK(errnoOf(capture.remove(4, 1)) == EINVAL);
    CHECK(capture.create(2, V4L2_MEMORY_MMAP, owner.sizes)->index == 4);
    CHECK(capture.remove(0, 0));
}

TEST_CASE_METHOD(Fixture, "a queue that streams is busy, also without buffers") {
    REQUIRE(capture.request(2, V4L2_MEMORY_MMAP));
    REQUIRE(capture.streamOn());
    REQUIRE(capture.remove(0, 2));
    CHECK(capture.isBusy());
    REQUIRE(capture.streamOff());
    CHECK_FALSE(capture.isBusy());
    CHECK(errnoOf(capture.streamOn()) == EINVAL);
}

TEST_CASE_METHOD(Fixture, "QBUF and DQBUF move a buffer through its states") {
    REQUIRE(capture.request(2, V4L2_MEMORY_MMAP));
    CHECK(errnoOf(capture.dequeue(2)) == EINVAL);  // not streaming
    CHECK((capture.query(0)->flags & V4L2_BUF_FLAG_TIMESTAMP_MASK) == V4L2_BUF_FLAG_TIMESTAMP_COPY);
    const auto queued = capture.enqueue(request(0), nullptr);
    REQUIRE(queued);
    CHECK(queued->flags & V4L2_BUF_FLAG_QUEUED);
    CHECK(errnoOf(capture.enqueue(request(0), nullptr)) == EINVAL);
    CHECK_FALSE(capture.take());
    REQUIRE(capture.streamOn());
    CHECK(errnoOf(capture.dequeue(2)) == EAGAIN);

    auto active = capture.take();
    REQUIRE(active);
    CHECK(capture.query(0)->flags & V4L2_BUF_FLAG_QUEUED);
    active->done({.error = false, .last = false, .bytesUsed = {10, 20}, .metadata = {.timestamp = {-1, -5}}});
    deliver();
    CHECK(capture.query(0)->flags & V4L2_BUF_FLAG_DONE);
    CHECK(errnoOf(capture.dequeue(1)) == EINVAL);  // too few planes: the buffer stays
    const auto done = capture.dequeue(2);
    REQUIRE(done);
    CHECK_FALSE(done->flags & (V4L2_BUF_FLAG_DONE | V4L2_BUF_FLAG_QUEUED));
    CHECK(done->planes[1].bytesUsed == 20);
    CHECK(done->metadata.timestamp.tv_sec == -1);
    CHECK(done->metadata.timestamp.tv_usec == -5);
    CHECK(done->sequence == 0);
}

TEST_CASE_METHOD(Fixture, "OUTPUT payloads are checked") {
    REQUIRE(output.request(1, V4L2_MEMORY_MMAP));
    auto r = request(0);
    r.planes[0].bytesUsed = 4097;
    CHECK(errnoOf(output.enqueue(r, nullptr)) == EINVAL);
    r.planes[0] = {.bytesUsed = 100, .length = 0, .dataOffset = 100};
    CHECK(errnoOf(output.enqueue(r, nullptr)) == EINVAL);
    r.planes[0] = {};
    r.field = V4L2_FIELD_ALTERNATE;
    CHECK(errnoOf(output.enqueue(r, nullptr)) == EINVAL);
    r.field = V4L2_FIELD_ANY;
    const auto queued = output.enqueue(r, nullptr);
    REQUIRE(queued);
    CHECK(queued->planes[0].bytesUsed == 4096);  // 0 means all
    CHECK(queued->field == V4L2_FIELD_NONE);
}

TEST_CASE_METHOD(Fixture, "a buffer that a worker drops comes back with the ERROR flag") {
    REQUIRE(capture.request(1, V4L2_MEMORY_MMAP));
    REQUIRE(capture.enqueue(request(0), nullptr));
    REQUIRE(capture.streamOn());
    { const auto dropped = capture.take(); }
    deliver();
    const auto back = capture.dequeue(2);
    REQUIRE(back);
    CHECK(back->flags & V4L2_BUF_FLAG_ERROR);
}

TEST_CASE_METHOD(Fixture, "STREAMOFF waits for the worker and then frees everything") {
    REQUIRE(capture.request(3, V4L2_MEMORY_MMAP));
    for (uint32_t i = 0; i < 3; ++i) REQUIRE(capture.enqueue(request(i), nullptr));
    REQUIRE(capture.streamOn());
    auto active = capture.take();
    CHECK(errnoOf(capture.streamOff()) == EAGAIN);
    CHECK(owner.stops == 1);
    CHECK(errnoOf(capture.request(0, V4L2_MEMORY_MMAP)) == EBUSY);
    std::thread([&] { active->giveBack(); }).join();
    deliver();
    CHECK(capture.streamOff());
    CHECK(owner.stops == 1);
    for (uint32_t i = 0; i < 3; ++i) CHECK_FALSE(capture.query(i)->flags & V4L2_BUF_FLAG_QUEUED);
    CHECK(capture.streamOff());  // again: nothing to do
}

TEST_CASE_METHOD(Fixture, "LAST makes DQBUF answer EPIPE until it is cleared") {
    REQUIRE(capture.request(2, V4L2_MEMORY_MMAP));
    REQUIRE(capture.enqueue(request(0), nullptr));
    REQUIRE(capture.streamOn());
    capture.take()->done({.error = false, .last = true, .bytesUsed = {}, .metadata = {}});
    deliver();
    CHECK(capture.dequeue(2)->flags & V4L2_BUF_FLAG_LAST);
    CHECK(errnoOf(capture.dequeue(2)) == EPIPE);
    CHECK(capture.lastDequeued());
    capture.clearLast();
    CHECK(errnoOf(capture.dequeue(2)) == EAGAIN);
}

TEST_CASE_METHOD(Fixture, "PREPARE_BUF is kept until QBUF") {
    REQUIRE(output.request(1, V4L2_MEMORY_MMAP));
    auto r = request(0);
    r.planes[0].bytesUsed = 7;
    CHECK(output.prepare(r, nullptr)->flags & V4L2_BUF_FLAG_PREPARED);
    CHECK(errnoOf(output.prepare(r, nullptr)) == EINVAL);
    r.planes[0].bytesUsed = 9;
    const auto queued = output.enqueue(r, nullptr);
    REQUIRE(queued);
    CHECK(queued->planes[0].bytesUsed == 7);
    CHECK_FALSE(queued->flags & V4L2_BUF_FLAG_PREPARED);
}

TEST_CASE_METHOD(Fixture, "a failed queue answers EIO until STREAMOFF") {
    REQUIRE(output.request(1, V4L2_MEMORY_MMAP));
    REQUIRE(output.streamOn());
    output.fail();
    CHECK(errnoOf(output.enqueue(request(0), nullptr)) == EIO);
    CHECK(errnoOf(output.dequeue(2)) == EIO);
    CHECK(output.isIdle());
    CHECK(output.streamOff());
    CHECK(output.enqueue(request(0), nullptr));
}

TEST_CASE_METHOD(Fixture, "mem_offsets are unique, exact and outlive the buffers") {
    REQUIRE(capture.request(2, V4L2_MEMORY_MMAP));
    const auto second = capture.query(1)->planes[1].offset;
    const auto memory = capture.memoryAt(second, 2048);
    REQUIRE(memory);
    CHECK_FALSE(capture.memoryAt(second + 1, 1));
    CHECK_FALSE(capture.memoryAt(second, 4097));
    CHECK_FALSE(capture.memoryAt(0, 1));
    CHECK_FALSE(capture.memoryAt(UINT64_MAX, 1));
    REQUIRE(capture.request(0, V4L2_MEMORY_MMAP));
    CHECK_FALSE(capture.memoryAt(second, 2048));
    CHECK(memory->bytes().size() == 2048);  // orphaned, still there
}

TEST_CASE_METHOD(Fixture,
                 "a buffer is mapped once a client maps or exports one of its planes, not when its memory is looked up") {
    REQUIRE(capture.request(3, V4L2_MEMORY_MMAP));
    const auto isMapped = [&](uint32_t index) { return (capture.query(index)->flags & V4L2_BUF_FLAG_MAPPED) != 0; };
    const auto offset = capture.query(1)->planes[1].offset;
    REQUIRE(capture.memoryAt(offset, 2048));
    CHECK_FALSE(capture.map(offset, 4097));
    CHECK_FALSE(isMapped(1));
    CHECK(capture.map(offset, 2048) == capture.memoryAt(offset, 2048));
    REQUIRE(capture.exportPlane(2, 0));
    CHECK_FALSE(isMapped(0));
    CHECK(isMapped(1));
    CHECK(isMapped(2));
    REQUIRE(capture.request(3, V4L2_MEMORY_MMAP));
    CHECK_FALSE(isMapped(1));
}

TEST_CASE_METHOD(Fixture, "EXPBUF gives files of MMAP planes only") {
    REQUIRE(capture.request(1, V4L2_MEMORY_MMAP));
    CHECK(capture.exportPlane(0, 1));
    CHECK(errnoOf(capture.exportPlane(0, 2)) == EINVAL);
    CHECK(errnoOf(capture.exportPlane(1, 0)) == EINVAL);
    REQUIRE(capture.request(1, V4L2_MEMORY_USERPTR));
    CHECK(errnoOf(capture.exportPlane(0, 0)) == EINVAL);
}

TEST_CASE_METHOD(Fixture, "REQBUFS and CREATE_BUFS give what the session's memory allows, and ENOMEM if that is nothing") {
    owner.sizes = {1, {400 << 10}};
    const auto small = std::make_shared<memory::Budget>(1U << 20);
    Queue frames(loop, owner, kCapture, 1U << 30, small);
    Queue bits(loop, owner, kOutput, 0, small);
    CHECK(frames.request(8, V4L2_MEMORY_MMAP).value() == 2);
    CHECK(frames.bufferCount() == 2);
    CHECK(errnoOf(bits.request(1, V4L2_MEMORY_MMAP)) == ENOMEM);
    CHECK(errnoOf(frames.create(1, V4L2_MEMORY_MMAP, owner.sizes)) == ENOMEM);
    CHECK(frames.bufferCount() == 2);
    REQUIRE(frames.remove(0, 1));
    const auto created = frames.create(5, V4L2_MEMORY_MMAP, owner.sizes);
    REQUIRE(created);
    CHECK(created->count == 1);
    // The client's own memory is not counted.
    CHECK(bits.request(5, V4L2_MEMORY_USERPTR).value() == 5);
    REQUIRE(frames.request(0, V4L2_MEMORY_MMAP));
    CHECK(small->used() == 0);
    CHECK(bits.request(2, V4L2_MEMORY_MMAP).value() == 2);
}

namespace {

/// Gives memory of its own for what a client brings.
struct Lender : memory::ClientMemory {
    Result<memory::MemoryRef> importUserptr(const memory::PlaneSlot&, uint64_t, size_t length, memory::Access,
                                            const memory::MemoryRef& previous) override {
        ++imports;
        if (refuses) return fail(EFAULT);
        return previous && previous->size() == length ? previous : *memory::allocate(length, "test");
    }
    Result<memory::MemoryRef> importDmabuf(const memory::PlaneSlot& slot, int, size_t length, memory::Access access,
                                           const memory::MemoryRef& previous) override {
        return importUserptr(slot, 0, length == 0 ? 8192 : length, access, previous);
    }
    int imports = 0;
    bool refuses = false;
};

}  // namespace

TEST_CASE_METHOD(Fixture, "what a client brings is paid for before it is touched, and once") {
    owner.sizes = {1, {4096}};
    const auto small = std::make_shared<memory::Budget>(1U << 20);
    Queue frames(loop, owner, kCapture, 1U << 30, small);
    Lender lender;
    REQUIRE(frames.request(2, V4L2_MEMORY_USERPTR));
    auto wanted = request(0, 1, V4L2_MEMORY_USERPTR);
    wanted.planes[0].length = 600 << 10;
    REQUIRE(frames.enqueue(wanted, &lender));
    CHECK(small->used() == 600 << 10);
    auto more = request(1, 1, V4L2_MEMORY_USERPTR);
    more.planes[0].length = 600 << 10;
    CHECK(errnoOf(frames.enqueue(more, &lender)) == ENOMEM);
    CHECK(lender.imports == 1);
    more.planes[0].length = 8192;
    lender.refuses = true;
    CHECK(errnoOf(frames.enqueue(more, &lender)) == EFAULT);
    CHECK(small->used() == 600 << 10);
    // The same again costs nothing more, though there is no room for it twice.
    lender.refuses = false;
    REQUIRE(frames.streamOff());
    REQUIRE(frames.enqueue(wanted, &lender));
    CHECK(small->used() == 600 << 10);
    REQUIRE(frames.request(1, V4L2_MEMORY_DMABUF));
    CHECK(small->used() == 0);
    REQUIRE(frames.enqueue(request(0, 1, V4L2_MEMORY_DMABUF), &lender));
    CHECK(small->used() == 8192);
    REQUIRE(frames.request(0, V4L2_MEMORY_DMABUF));
    CHECK(small->used() == 0);
}

TEST_CASE_METHOD(Fixture, "what is written off is the client's after STREAMOFF, and is not heard of any more") {
    REQUIRE(capture.request(2, V4L2_MEMORY_MMAP));
    REQUIRE(capture.enqueue(request(0), nullptr));
    REQUIRE(capture.streamOn());
    auto held = capture.take();
    REQUIRE(held);
    CHECK(errnoOf(capture.streamOff()) == EAGAIN);
    capture.writeOff();
    CHECK(capture.streamOff());
    REQUIRE(capture.enqueue(request(0), nullptr));
    REQUIRE(capture.streamOn());
    const auto again = capture.take();
    REQUIRE(again);
    held->done({});
    deliver();
    CHECK_FALSE(capture.hasDone());
    CHECK(capture.query(0)->flags & V4L2_BUF_FLAG_QUEUED);
}
