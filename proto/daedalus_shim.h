/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * What the daemon and the kernel module daedalus-shim say to each other. Plain C; a C program includes
 * <assert.h> before.
 *
 * An open file of /dev/daedalus-shim commands at most one CUSE node, the one that it attached, until it detaches it or is
 * closed. Every command fails with EINVAL where a reserved or unknown bit is set.
 *
 * Thread ids (`tid`) are those that CUSE tells of its callers. The module counts them in the pid namespace of the process that
 * opened /dev/daedalus-shim, which must therefore be the one that opened /dev/cuse. A caller outside of it has no id (0) and
 * can not be served.
 */
#pragma once

#include <linux/ioctl.h>
#include <linux/types.h>

#define DAEDALUS_SHIM_DEVICE "/dev/daedalus-shim"
/* Raised when a struct or a meaning below changes. */
#define DAEDALUS_SHIM_VERSION 1
/* Memory that is bound or exported may not be larger, in bytes. */
#define DAEDALUS_SHIM_MAX_BYTES (1U << 30)
/* One open file of the node has at most so many bindings. */
#define DAEDALUS_SHIM_MAX_BINDINGS 1024

/* NOLINTBEGIN(readability-identifier-naming): named as the kernel names what it shares. */

/* Attaches the node of which `node_fd` is an open file: it has mmap for whoever opens it from now on, until DETACH. */
struct daedalus_shim_attach {
    __s32 node_fd;
    __u32 reserved;
};

/* Proves that who commands is who answers the node's calls; see DAEDALUS_SHIM_HELLO. */
struct daedalus_shim_confirm {
    __u64 nonce;
    __s32 tid;
    __u32 reserved;
};

/* Which open file of the node is the call of thread `tid` about, that CUSE waits to be answered? */
struct daedalus_shim_file {
    __s32 tid;
    __u32 reserved;
    __u64 file; /* out: names the open file until it is closed; never used again */
};

/* An mmap of `file` at `offset` (bytes, a multiple of the page size) maps `memfd`. UNBIND does not look at `memfd`. */
struct daedalus_shim_bind {
    __u64 file;
    __u64 offset;
    __s32 memfd;
    __u32 reserved;
};

/* In daedalus_shim_give: `fd` is memory, and the caller gets it as a dma-buf. */
#define DAEDALUS_SHIM_GIVE_DMABUF (1U << 0)

/* The ioctl of thread `tid` on `file`, if it succeeds, gives its caller a new descriptor for what `fd` is. */
struct daedalus_shim_give {
    __u64 file;
    __s32 tid;
    __s32 fd;
    __u32 at;         /* where in the ioctl's argument the number (__s32) goes: bytes, a multiple of 4 */
    __u32 open_flags; /* O_CLOEXEC; for a dma-buf also O_RDONLY, O_WRONLY or O_RDWR */
    __u32 flags;      /* DAEDALUS_SHIM_GIVE_* */
    __u32 reserved;
};

/* NOLINTEND(readability-identifier-naming) */

static_assert(sizeof(struct daedalus_shim_attach) == 8, "the same for 32 and 64 bit");
static_assert(sizeof(struct daedalus_shim_confirm) == 16, "the same for 32 and 64 bit");
static_assert(sizeof(struct daedalus_shim_file) == 16, "the same for 32 and 64 bit");
static_assert(sizeof(struct daedalus_shim_bind) == 24, "the same for 32 and 64 bit");
static_assert(sizeof(struct daedalus_shim_give) == 32, "the same for 32 and 64 bit");

#define DAEDALUS_SHIM_IOC 0xDA

/* DAEDALUS_SHIM_VERSION of the module. Needs no ATTACH. */
#define DAEDALUS_SHIM_GET_VERSION _IOR(DAEDALUS_SHIM_IOC, 0, __u32)
/*
 * Waits until the node has answered a HELLO, so the thread that calls it cannot be the one that serves the node.
 * EPERM: no CAP_SYS_PTRACE, or the HELLO was not confirmed. ENODEV: no CUSE node. EBUSY: attached already.
 * What the HELLO failed with, if it failed. The caller may close node_fd afterwards.
 */
#define DAEDALUS_SHIM_ATTACH _IOW(DAEDALUS_SHIM_IOC, 1, struct daedalus_shim_attach)
/* EINVAL: not the nonce of an ATTACH under way on this open file. EXDEV: thread ids do not agree. */
#define DAEDALUS_SHIM_CONFIRM _IOW(DAEDALUS_SHIM_IOC, 2, struct daedalus_shim_confirm)
/* ENOTCONN: nothing is attached. Drops all bindings. Mappings and exported dma-bufs stay; open files of the node keep working,
 * without mmap. */
#define DAEDALUS_SHIM_DETACH _IO(DAEDALUS_SHIM_IOC, 3)
/* ESRCH: no such call, or of a file that was opened before ATTACH. */
#define DAEDALUS_SHIM_GET_FILE _IOWR(DAEDALUS_SHIM_IOC, 4, struct daedalus_shim_file)
/* EINVAL: no memfd of 1 to MAX_BYTES bytes that is open for reading and writing and sealed with F_SEAL_SHRINK and F_SEAL_SEAL,
 * but not against writing. ENOENT: no such file. EEXIST: bound already. ENOSPC: MAX_BINDINGS. */
#define DAEDALUS_SHIM_BIND _IOW(DAEDALUS_SHIM_IOC, 5, struct daedalus_shim_bind)
/* ENOENT: no such file, or nothing bound there. Mappings stay. */
#define DAEDALUS_SHIM_UNBIND _IOW(DAEDALUS_SHIM_IOC, 6, struct daedalus_shim_bind)
/* EINVAL: as BIND where it exports, or `at` is not in the argument. ESRCH: no such call. EBUSY: it gives something already. */
#define DAEDALUS_SHIM_GIVE _IOW(DAEDALUS_SHIM_IOC, 7, struct daedalus_shim_give)

/*
 * Not a command: an ioctl that the module makes on the node during ATTACH, in the thread that attaches. Its argument is the
 * nonce (a number, no address). Who serves the node says CONFIRM with the nonce and the caller's thread id, then answers 0.
 */
#define DAEDALUS_SHIM_HELLO _IO(DAEDALUS_SHIM_IOC, 64)
