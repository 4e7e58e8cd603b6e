// A 32-bit program without a C library: calls the kernel itself (int 0x80), with the structs of i386 laid out by hand, so that it
// builds where no 32-bit headers are. Prints nothing; its exit status is the step that failed. Usage: narrow_client NODE
typedef unsigned int u32;

enum { kOpen = 5, kExit = 1, kIoctl = 54, kMmap2 = 192 };
enum { kOutput = 10, kMmap = 1 };

static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
    return result;
}

/// Not on the stack, whose pointer changes before it is read.
static u32 mappedPage;

/// mmap2 has six arguments, the last in a register that the compiler keeps for itself.
static unsigned char* map(u32 length, int fd, u32 page) {
    long result;
    mappedPage = page;
    __asm__ volatile(
        "push %%ebp\n\tmov %6, %%ebp\n\tint $0x80\n\tpop %%ebp"
        : "=a"(result)
        : "a"(kMmap2), "b"(0), "c"(length), "d"(3 /* PROT_READ | PROT_WRITE */), "S"(1 /* MAP_SHARED */), "m"(mappedPage), "D"(fd)
        : "memory");
    return (unsigned char*)result;
}

/// _IOWR('V', number, a struct of so many bytes)
static u32 wr(u32 number, u32 bytes) { return 3U << 30 | bytes << 16 | 'V' << 8 | number; }

static u32 words[64];
static u32 plane[15];

static void clear(void) {
    for (int i = 0; i < 64; ++i) words[i] = 0;
    for (int i = 0; i < 15; ++i) plane[i] = 0;
}

/// v4l2_buffer of an OUTPUT buffer with one plane, times of 32 bits.
static void describe(u32 index) {
    clear();
    words[0] = index;
    words[1] = kOutput;
    words[12] = kMmap;
    words[13] = (u32)plane;
    words[14] = 1;
}

static int steps(const char* node) {
    const int fd = (int)call(kOpen, (long)node, 2 /* O_RDWR */, 0);
    if (fd < 0) return 1;

    // The same struct in both worlds.
    clear();
    if (call(kIoctl, fd, 2U << 30 | 104U << 16 | 'V' << 8, (long)words) != 0) return 2;
    if (words[0] != ('d' | 'a' << 8 | 'e' << 16 | (u32)'d' << 24)) return 3;

    // S_FMT: v4l2_format of 204 bytes.
    clear();
    words[0] = kOutput;
    words[1] = 640;
    words[2] = 480;
    words[3] = 'H' | '2' << 8 | '6' << 16 | (u32)'4' << 24;
    words[6] = 65536;  // plane_fmt[0].sizeimage
    ((unsigned char*)words)[4 + 180] = 1;
    if (call(kIoctl, fd, wr(5, 204), (long)words) != 0) return 4;
    if (words[1] != 640 || words[2] != 480 || words[6] < 65536) return 5;

    clear();
    words[0] = 2;
    words[1] = kOutput;
    words[2] = kMmap;
    if (call(kIoctl, fd, wr(8, 20), (long)words) != 0) return 6;

    // QUERYBUF of 68 bytes, with planes of 60; then a mapping by pages of 4096.
    describe(1);
    if (call(kIoctl, fd, wr(9, 68), (long)words) != 0) return 7;
    if (words[0] != 1 || words[14] != 1 || words[13] != (u32)plane || plane[1] < 65536) return 8;
    const u32 offset = plane[2];
    unsigned char* const first = map(plane[1], fd, offset >> 12);
    unsigned char* const again = map(4096, fd, offset >> 12);
    if ((u32)first >= (u32)-4096 || (u32)again >= (u32)-4096) return 9;
    first[17] = 42;
    if (again[17] != 42) return 10;

    // A time below zero comes back as it went in.
    describe(1);
    words[5] = (u32)-3;
    words[6] = 250;
    plane[0] = 4;
    plane[1] = 65536;
    if (call(kIoctl, fd, wr(15, 68), (long)words) != 0) return 11;
    describe(1);
    if (call(kIoctl, fd, wr(9, 68), (long)words) != 0) return 12;
    if (words[5] != (u32)-3 || words[6] != 250) return 13;

    // G_EXT_CTRLS of 24 bytes: MIN_BUFFERS_FOR_CAPTURE; and what is not there.
    clear();
    words[1] = 1;
    words[5] = (u32)(words + 32);
    words[32] = 0x00980927;
    if (call(kIoctl, fd, wr(71, 24), (long)words) != 0 || words[35] == 0) return 14;
    words[5] = 16;
    if (call(kIoctl, fd, wr(71, 24), (long)words) != -14 /* EFAULT */) return 15;
    if (call(kIoctl, fd, wr(77, 68), (long)words) != -25 /* ENOTTY */) return 16;
    return 0;
}

__attribute__((used)) void begin(const u32* stack) {
    const char* const node = (const char*)stack[2];
    call(kExit, steps(node), 0, 0);
}

__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tpush %eax\n\tcall begin\n");
