/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module's parts share.
 *
 * What holds what:
 * - An attached node holds its cdev, whose ops are open_fops meanwhile. It goes with the control file that attached it.
 * - A client's file has the client's fops and by their owner this module; its cdev holds CUSE. A client may outlive its node.
 * - A mapping holds its memfd alone, an exported dma-buf its memfd and this module.
 */
#ifndef SHIM_H
#define SHIM_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/xarray.h>

#include "daedalus_shim.h"

#ifndef CONFIG_64BIT
#error "daedalus-shim is for 64-bit kernels: it passes 64-bit numbers as arguments of ioctls"
#endif

/* One open file of /dev/daedalus-shim, and the CUSE node that it attached. */
struct shim_node {
	struct list_head entry;		/* in shim_nodes, while attached */
	struct cdev *cdev;		/* while attached, else NULL */
	u32 giving;
	struct list_head clients;
};

/* One open file of a node. */
struct shim_client {
	struct file_operations fops;	/* the file's, which find us by them */
	struct list_head entry;
	struct shim_node *node;		/* NULL once it is detached */
	u64 id;
	struct xarray bindings;		/* memfds by page offset */
	unsigned int binding_count;
	u32 giving;
	struct mutex turn;		/* whose call can give something */
	bool gives;			/* such a call is under way */
	struct file *given;		/* what its caller gets if it succeeds, or NULL */
	u32 given_at;
	u32 given_flags;
};

/* client.c */

/* Guards all of the above but `turn`, shim_nodes, and the change of a cdev's ops. Taken within mmap_lock. */
extern struct mutex shim_lock;
extern struct list_head shim_nodes;

/* These under shim_lock. NULL if there is none: */
struct shim_client *shim_client_by_id(struct shim_node *node, u64 id);
/* The client is its node's no more, and nothing is bound for it. */
void shim_orphan(struct shim_client *client);
/* Between these, opening the cdev makes clients. `fops` are what it has by itself. */
void shim_intercept(struct cdev *cdev, const struct file_operations *fops);
void shim_restore(struct cdev *cdev);

bool shim_intercepts(const struct file_operations *fops);

/* memory.c */

/* The memfd behind a descriptor of the current process, if it is as daedalus_shim.h asks; a reference, or an ERR_PTR. */
struct file *shim_get_memory(int fd);
/* The memfd's length in pages; it never shrinks. */
unsigned long shim_memory_pages(struct file *memory);
/* Makes the mapping that is being set up one of the memfd; takes references of its own. */
int shim_map(struct file *memory, struct vm_area_struct *vma);
/* A new dma-buf over the memfd, with a reference of its own: its file, or an ERR_PTR. */
struct file *shim_export(struct file *memory, u32 open_flags);

#endif
