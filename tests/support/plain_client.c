// A client in plain C: decodes an IVF file of VP8 through a node by MMAP buffers and writes the frames (YU12, tightly packed)
// to a file. Usage: plain_client NODE IVF OUTPUT. The exit status is the line at which it failed, as far as that fits.
//
// It is built several ways, for what a preloaded library does not reach:
//   for musl, statically linked;
//   RAW: without a C library, by system calls of its own, as pure Go programs make them; in 64 and in 32 bits;
//   LIBRARY: as a library, which is loaded with a libc that is not the program's.
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/mman.h>

#ifdef RAW
#if defined(__x86_64__)
enum { kRead = 0, kWrite = 1, kOpen = 2, kPoll = 7, kMmap = 9, kIoctl = 16, kExit = 60 };
static long sys(long number, long a, long b, long c, long d, long e, long f) {
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#define MAP_OFFSET(offset) ((long)(offset))
#else
enum { kExit = 1, kRead = 3, kWrite = 4, kOpen = 5, kIoctl = 54, kPoll = 168, kMmap = 192 /* mmap2 */ };
static long sys(long number, long a, long b, long c, long d, long e, long f) {
    // The sixth argument travels in a register that the compiler keeps for itself.
    static long sixth;
    long result;
    sixth = f;
    __asm__ volatile("push %%ebp\n\tmov %7, %%ebp\n\tint $0x80\n\tpop %%ebp"
                     : "=a"(result)
                     : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "m"(sixth)
                     : "memory");
    return result;
}
#define MAP_OFFSET(offset) ((long)((offset) >> 12))
#endif
#define OPEN(path, flags) ((int)sys(kOpen, (long)(path), (flags), 0666, 0, 0, 0))
#define READ(fd, into, size) sys(kRead, (fd), (long)(into), (long)(size), 0, 0, 0)
#define WRITE(fd, from, size) sys(kWrite, (fd), (long)(from), (long)(size), 0, 0, 0)
#define POLL(entry, ms) ((int)sys(kPoll, (long)(entry), 1, (ms), 0, 0, 0))
#define IOCTL(fd, cmd, argument) ((int)sys(kIoctl, (fd), (long)(cmd), (long)(argument), 0, 0, 0))
#define MMAP(size, fd, offset) \
    ((void*)sys(kMmap, 0, (long)(size), PROT_READ | PROT_WRITE, MAP_SHARED, (fd), MAP_OFFSET(offset)))

// What the compiler calls by itself.
void* memset(void* to, int value, __SIZE_TYPE__ size) {
    volatile char* bytes = to;
    while (size-- > 0) *bytes++ = (char)value;
    return to;
}
void* memcpy(void* to, const void* from, __SIZE_TYPE__ size) {
    volatile char* bytes = to;
    const char* other = from;
    while (size-- > 0) *bytes++ = *other++;
    return to;
}
#else
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#define OPEN(path, flags) open((path), (flags), 0666)
#define READ(fd, into, size) read((fd), (into), (size))
#define WRITE(fd, from, size) write((fd), (from), (size))
#define POLL(entry, ms) poll((entry), 1, (ms))
#define IOCTL(fd, cmd, argument) ioctl((fd), (cmd), (argument))
#define MMAP(size, fd, offset) mmap(0, (size), PROT_READ | PROT_WRITE, MAP_SHARED, (fd), (off_t)(offset))
#endif

enum { kBuffers = 4, kWaitMs = 20000, kIvfHeader = 32, kFrameHeader = 12 };

#define CHECK(condition)                             \
    do {                                             \
        if (!(condition)) return __LINE__ % 250 + 1; \
    } while (0)

static unsigned char stream[1 << 22];
static unsigned streamBytes;
static unsigned position = kIvfHeader;

struct Queue {
    unsigned type;
    void* memory[kBuffers];
};

/// Copies the next frame; 0 after the last.
static unsigned nextFrame(void* into) {
    unsigned size = 0;
    if (position + kFrameHeader > streamBytes) return 0;
    memcpy(&size, stream + position, sizeof size);
    memcpy(into, stream + position + kFrameHeader, size);
    position += kFrameHeader + size;
    return size;
}

static struct v4l2_buffer describe(const struct Queue* queue, struct v4l2_plane* plane, unsigned index) {
    struct v4l2_buffer buffer;
    memset(&buffer, 0, sizeof buffer);
    memset(plane, 0, sizeof *plane);
    buffer.type = queue->type;
    buffer.memory = V4L2_MEMORY_MMAP;
    buffer.index = index;
    buffer.m.planes = plane;
    buffer.length = 1;
    return buffer;
}

static int setUp(int fd, struct Queue* queue) {
    struct v4l2_requestbuffers request;
    memset(&request, 0, sizeof request);
    request.count = kBuffers;
    request.type = queue->type;
    request.memory = V4L2_MEMORY_MMAP;
    CHECK(IOCTL(fd, VIDIOC_REQBUFS, &request) == 0 && request.count == kBuffers);
    for (unsigned i = 0; i < kBuffers; ++i) {
        struct v4l2_plane plane;
        struct v4l2_buffer buffer = describe(queue, &plane, i);
        CHECK(IOCTL(fd, VIDIOC_QUERYBUF, &buffer) == 0);
        queue->memory[i] = MMAP(plane.length, fd, plane.m.mem_offset);
        CHECK((unsigned long)queue->memory[i] < -4096UL);
    }
    return 0;
}

static int put(int fd, const struct Queue* queue, unsigned index, unsigned used) {
    struct v4l2_plane plane;
    struct v4l2_buffer buffer = describe(queue, &plane, index);
    plane.bytesused = used;
    CHECK(IOCTL(fd, VIDIOC_QBUF, &buffer) == 0);
    return 0;
}

static int start(int fd, const struct Queue* queue) {
    CHECK(IOCTL(fd, VIDIOC_STREAMON, &queue->type) == 0);
    return 0;
}

static int awaitFormat(int fd) {
    struct pollfd waiting = {fd, POLLPRI, 0};
    struct v4l2_event event;
    struct v4l2_format format;
    memset(&event, 0, sizeof event);
    memset(&format, 0, sizeof format);
    CHECK(POLL(&waiting, kWaitMs) == 1);
    CHECK(IOCTL(fd, VIDIOC_DQEVENT, &event) == 0 && event.type == V4L2_EVENT_SOURCE_CHANGE);
    format.type = V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE;
    CHECK(IOCTL(fd, VIDIOC_G_FMT, &format) == 0);
    format.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_YUV420;
    CHECK(IOCTL(fd, VIDIOC_S_FMT, &format) == 0);
    return 0;
}

static int feed(int fd, const struct Queue* output, int* fed) {
    struct v4l2_plane plane;
    struct v4l2_buffer buffer = describe(output, &plane, 0);
    CHECK(IOCTL(fd, VIDIOC_DQBUF, &buffer) == 0);
    const unsigned size = nextFrame(output->memory[buffer.index]);
    if (size > 0) return put(fd, output, buffer.index, size);
    struct v4l2_decoder_cmd stop;
    memset(&stop, 0, sizeof stop);
    stop.cmd = V4L2_DEC_CMD_STOP;
    *fed = 1;
    CHECK(IOCTL(fd, VIDIOC_DECODER_CMD, &stop) == 0);
    return 0;
}

/// Until the last frame.
static int decode(int fd, const struct Queue* output, const struct Queue* capture, int to) {
    for (int fed = 0;;) {
        struct pollfd ready = {fd, (short)(POLLIN | (fed ? 0 : POLLOUT)), 0};
        struct v4l2_plane plane;
        int failed = 0;
        CHECK(POLL(&ready, kWaitMs) == 1);
        if (!fed && (ready.revents & POLLOUT) && (failed = feed(fd, output, &fed)) != 0) return failed;
        if (!(ready.revents & POLLIN)) continue;
        struct v4l2_buffer buffer = describe(capture, &plane, 0);
        CHECK(IOCTL(fd, VIDIOC_DQBUF, &buffer) == 0);
        CHECK(WRITE(to, capture->memory[buffer.index], plane.bytesused) == (long)plane.bytesused);
        if (buffer.flags & V4L2_BUF_FLAG_LAST) return 0;
        if ((failed = put(fd, capture, buffer.index, 0)) != 0) return failed;
    }
}

int plainClient(int count, char** arguments) {
    struct Queue output = {V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE, {0}};
    struct Queue capture = {V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE, {0}};
    struct v4l2_event_subscription change;
    struct v4l2_format format;
    int failed = 0;
    CHECK(count == 4);
    const int from = OPEN(arguments[2], O_RDONLY);
    const int to = OPEN(arguments[3], O_WRONLY | O_CREAT | O_TRUNC);
    CHECK(from >= 0 && to >= 0);
    for (long got = 0; (got = READ(from, stream + streamBytes, sizeof stream - streamBytes)) > 0;) streamBytes += (unsigned)got;

    const int fd = OPEN(arguments[1], O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0);
    memset(&change, 0, sizeof change);
    change.type = V4L2_EVENT_SOURCE_CHANGE;
    CHECK(IOCTL(fd, VIDIOC_SUBSCRIBE_EVENT, &change) == 0);
    memset(&format, 0, sizeof format);
    format.type = output.type;
    format.fmt.pix_mp.pixelformat = V4L2_PIX_FMT_VP8;
    CHECK(IOCTL(fd, VIDIOC_S_FMT, &format) == 0);
    if ((failed = setUp(fd, &output)) != 0 || (failed = start(fd, &output)) != 0) return failed;
    for (unsigned i = 0; i < kBuffers; ++i) {
        const unsigned size = nextFrame(output.memory[i]);
        if (size > 0 && (failed = put(fd, &output, i, size)) != 0) return failed;
    }
    if ((failed = awaitFormat(fd)) != 0 || (failed = setUp(fd, &capture)) != 0) return failed;
    for (unsigned i = 0; i < kBuffers; ++i)
        if ((failed = put(fd, &capture, i, 0)) != 0) return failed;
    if ((failed = start(fd, &capture)) != 0) return failed;
    return decode(fd, &output, &capture, to);
}

#ifdef RAW
__attribute__((used)) void begin(long* stack) { sys(kExit, plainClient((int)stack[0], (char**)(stack + 1)), 0, 0, 0, 0, 0); }
#ifdef __x86_64__
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");
#else
__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall begin\n");
#endif
#elif !defined(LIBRARY)
int main(int count, char** arguments) { return plainClient(count, arguments); }
#endif
