/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module's parts share.
 *
 * What holds what:
 * - An attached node holds its cdev, whose ops are open_fops meanwhile. It goes with the control file that attached it.
 * - A client's file has client_fops and by their owner this module; its cdev holds CUSE. A client may outlive its node.
 * - A mapping holds its memfd alone, an exported dma-buf its memfd and this module.
 */
#ifndef SHIM_H
#define SHIM_H

#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/spinlock.h>

#include "daedalus_shim.h"

/* One open file of /dev/daedalus-shim, and the CUSE node that it attached. */
struct shim_node {
	struct list_head entry;		/* in shim_nodes, while attached */
	struct cdev *cdev;		/* while attached, else NULL */
	struct pid_namespace *pids;	/* of whoever opened the control file */
	struct pid *attacher;		/* the thread that is in ATTACH, or NULL */
	unsigned long nonce;		/* of its HELLO; 0 once a CONFIRM has come */
	bool confirmed;
};

/* One open file of a node. */
struct shim_client {
	struct hlist_node entry;
	struct file *file;		/* holds us, not the other way round */
	struct shim_node *node;		/* NULL once it is detached */
	u64 id;
	struct list_head bindings;
	unsigned int binding_count;
};

struct shim_binding {
	struct list_head entry;
	pgoff_t offset;
	struct file *memory;
};

/* An open or ioctl that CUSE waits to be answered; on the stack of the thread that makes it. */
struct shim_call {
	struct list_head entry;
	struct shim_client *client;
	struct pid *thread;
	unsigned int cmd;
	struct file *given;		/* what the caller gets if the call succeeds, or NULL */
	u32 given_at;
	u32 given_flags;
};

/* client.c */

/* Guards all of the above, shim_nodes, and the change of a cdev's ops. */
extern spinlock_t shim_lock;
extern struct list_head shim_nodes;

/* Under shim_lock; NULL if there is none. */
struct shim_client *shim_client_by_id(struct shim_node *node, u64 id);
struct shim_binding *shim_binding_at(struct shim_client *client, pgoff_t offset);
struct shim_call *shim_call_of(struct shim_node *node, pid_t tid);
/* Under shim_lock: clients of the node have none from now on, and the bindings of all of them are in `bindings`. */
void shim_orphan_clients(struct shim_node *node, struct list_head *bindings);
/* Under shim_lock: between these, opening the cdev makes clients. `fops` are what it has by itself. */
void shim_intercept(struct cdev *cdev, const struct file_operations *fops);
void shim_restore(struct cdev *cdev);
bool shim_intercepts(const struct file_operations *fops);

void shim_drop_bindings(struct list_head *bindings);

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
