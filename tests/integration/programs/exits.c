/* A 32-bit program without a C library of its class: its dynamic linker is what matters. */
void _start(void) { __asm__ volatile("int $0x80" : : "a"(1), "b"(0)); }
