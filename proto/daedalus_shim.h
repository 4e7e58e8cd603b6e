/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR MIT */
/*
 * What the daemon and the kernel module daedalus-shim say to each other. Plain C; a C program includes
 * <assert.h> before.
 *
 * An open file of /dev/daedalus-shim commands at most one CUSE node, the one that it attached, until it detaches it or is
 * closed. Every command fails with EINVAL where a reserved or unknown bit is set.
 *
 * The module tells who serves the node of each open file, by an ioctl (DAEDALUS_SHIM_NAME) that it makes on that file. No
 * command speaks of processes or threads, so that it does not matter in which pid namespaces these live.
 */
#pragma once

#include <linux/ioctl.h>
#include <linux/types.h>

#define DAEDALUS_SHIM_DEVICE "/dev/daedalus-shim"
/* Raised when a struct or a meaning below changes. */
#define DAEDALUS_SHIM_VERSION 2
/* Memory that is bound or exported may not be larger, in bytes. */
#define DAEDALUS_SHIM_MAX_BYTES (1U << 30)
/* One open file of the node has at most so many bindings. */
#define DAEDALUS_SHIM_MAX_BINDINGS 1024

/* NOLINTBEGIN(readability-identifier-naming): named as the kernel names what it shares. */

/*
 * Attaches the node of which `node_fd` is an open file: it has mmap for whoever opens it from now on, until DETACH. `giving` is
 * the number of the node's ioctl that can give descriptors (GIVE); of these, one at a time is under way on an open file.
 */
struct daedalus_shim_attach {
    __s32 node_fd;
    __u32 giving;
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

/* The `giving` ioctl that is under way on `file`, if it succeeds, gives its caller a new descriptor for what `fd` is. */
struct daedalus_shim_give {
    __u64 file;
    __s32 fd;
    __u32 at;         /* where in the ioctl's argument the number (__s32) goes: bytes, a multiple of 4 */
    __u32 open_flags; /* O_CLOEXEC; for a dma-buf also O_RDONLY, O_WRONLY or O_RDWR */
    __u32 flags;      /* DAEDALUS_SHIM_GIVE_* */
};

/* NOLINTEND(readability-identifier-naming) */

static_assert(sizeof(struct daedalus_shim_attach) == 8, "the same for 32 and 64 bit");
static_assert(sizeof(struct daedalus_shim_bind) == 24, "the same for 32 and 64 bit");
static_assert(sizeof(struct daedalus_shim_give) == 24, "the same for 32 and 64 bit");

#define DAEDALUS_SHIM_IOC 0xDA

/* DAEDALUS_SHIM_VERSION of the module. Needs no ATTACH. */
#define DAEDALUS_SHIM_GET_VERSION _IOR(DAEDALUS_SHIM_IOC, 0, __u32)
/*
 * Waits until the node has answered a HELLO: who calls it should share no descriptors with who serves the node, since a call
 * that is read and not answered ends with the last descriptor of /dev/cuse only. EPERM: no CAP_SYS_PTRACE, or the node does not
 * answer as who serves it would. ENODEV: no CUSE node. EBUSY: attached already. What the HELLO failed with, if it failed. The
 * caller may close node_fd afterwards.
 */
#define DAEDALUS_SHIM_ATTACH _IOW(DAEDALUS_SHIM_IOC, 1, struct daedalus_shim_attach)
/* ENOTCONN: nothing is attached. Drops all bindings. Mappings and exported dma-bufs stay; open files of the node keep working,
 * without mmap. */
#define DAEDALUS_SHIM_DETACH _IO(DAEDALUS_SHIM_IOC, 2)
/* EINVAL: no memfd of 1 to MAX_BYTES bytes that is open for reading and writing and sealed with F_SEAL_SHRINK and F_SEAL_SEAL,
 * but not against writing. ENOENT: no such file. EEXIST: bound already. ENOSPC: MAX_BINDINGS. */
#define DAEDALUS_SHIM_BIND _IOW(DAEDALUS_SHIM_IOC, 3, struct daedalus_shim_bind)
/* ENOENT: no such file, or nothing bound there. Mappings stay. */
#define DAEDALUS_SHIM_UNBIND _IOW(DAEDALUS_SHIM_IOC, 4, struct daedalus_shim_bind)
/* EINVAL: as BIND where it exports, or `at` is not in the argument. ENOENT: no such file. ESRCH: no such call. EBUSY: it gives
 * something already. */
#define DAEDALUS_SHIM_GIVE _IOW(DAEDALUS_SHIM_IOC, 5, struct daedalus_shim_give)

/*
 * Not commands, but ioctls that the module makes on the node. Their arguments are numbers, no addresses, that nobody else
 * knows.
 *
 * HELLO, in the thread that attaches: may it? Who serves the node answers yes with DAEDALUS_SHIM_YES(argument), to a process
 * that it has sent itself, and to everybody else with an error. NAME, before open() returns: the argument names this open file
 * in commands until it is closed, and never another. Whatever else says NAME on a file that has a name is no concern of the
 * module's. The answer does not matter.
 */
#define DAEDALUS_SHIM_HELLO _IO(DAEDALUS_SHIM_IOC, 64)
#define DAEDALUS_SHIM_YES(nonce) ((int)(((nonce) ^ ((nonce) >> 32)) & 0x7fffffff))
#define DAEDALUS_SHIM_NAME _IO(DAEDALUS_SHIM_IOC, 65)
