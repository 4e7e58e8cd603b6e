// SPDX-License-Identifier: GPL-2.0
/* The clients of an attached node: what they call passes through here on its way to CUSE. */
#include <linux/cdev.h>
#include <linux/file.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#include "shim.h"

DEFINE_MUTEX(shim_lock);
LIST_HEAD(shim_nodes);

/* CUSE's own, and those that open a client. */
static const struct file_operations *cuse_fops;
static struct file_operations open_fops;
/* What a file has left when its client is gone. */
static const struct file_operations no_fops = { .owner = THIS_MODULE };

static struct shim_client *client_of(struct file *file)
{
	return container_of(file->f_op, struct shim_client, fops);
}

struct shim_client *shim_client_by_id(struct shim_node *node, u64 id)
{
	struct shim_client *client;

	list_for_each_entry(client, &node->clients, entry)
		if (client->id == id)
			return client;
	return NULL;
}

void shim_orphan(struct shim_client *client)
{
	struct file *memory;
	unsigned long offset;

	if (client->node)
		list_del(&client->entry);
	client->node = NULL;
	xa_for_each(&client->bindings, offset, memory)
		fput(memory);
	xa_destroy(&client->bindings);
}

static void forget(struct file *file)
{
	struct shim_client *client = client_of(file);

	mutex_lock(&shim_lock);
	shim_orphan(client);
	mutex_unlock(&shim_lock);
	file->f_op = &no_fops;
	kfree(client);
}

static int client_release(struct inode *inode, struct file *file)
{
	forget(file);
	return cuse_fops->release(inode, file);
}

/* Installs a descriptor and tells its number. Before 6.8 one whose number cannot be told stays open, as in V4L2. */
static int give_fd(struct file *file, int __user *number, u32 flags)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	int fd = receive_fd(file, flags);

	return fd >= 0 && put_user(fd, number) ? -EFAULT : fd;
#else
	return receive_fd(file, number, flags);
#endif
}

/* 32-bit programs call CUSE directly: they are given nothing. */
static long client_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct shim_client *client = client_of(file);
	struct file *given;
	long ret;
	int fd;

	if (cmd != client->giving)
		return cuse_fops->unlocked_ioctl(file, cmd, arg);
	if (mutex_lock_interruptible(&client->turn))
		return -ERESTARTSYS;
	/* Before CUSE, and thus the daemon, hears of it. */
	client->gives = true;
	ret = cuse_fops->unlocked_ioctl(file, cmd, arg);
	mutex_lock(&shim_lock);
	given = client->given;
	client->given = NULL;
	client->gives = false;
	mutex_unlock(&shim_lock);
	if (given && ret >= 0) {
		fd = give_fd(given, (void __user *)arg + client->given_at, client->given_flags);
		ret = fd < 0 ? fd : ret;
	}
	mutex_unlock(&client->turn);
	if (given)
		fput(given);
	return ret;
}

/* As videobuf2 has it: shared, at the very offset of a plane, and not beyond its end. */
static int client_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct shim_client *client = client_of(file);
	struct file *memory;
	int ret = -EINVAL;

	mutex_lock(&shim_lock);
	memory = xa_load(&client->bindings, vma->vm_pgoff);
	if (memory)
		get_file(memory);
	else if (!client->node)
		ret = -ENODEV;
	mutex_unlock(&shim_lock);
	if (!memory)
		return ret;
	if ((vma->vm_flags & VM_SHARED) && vma_pages(vma) <= shim_memory_pages(memory)) {
		vma->vm_pgoff = 0;
		ret = shim_map(memory, vma);
	}
	fput(memory);
	return ret;
}

/* A client of the node that is attached by this cdev; NULL if none is any more, or an ERR_PTR. */
static struct shim_client *make_client(struct cdev *cdev)
{
	struct shim_client *client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);
	struct shim_node *node;

	if (!client)
		return ERR_PTR(-ENOMEM);
	client->fops = *cuse_fops;
	client->fops.owner = THIS_MODULE;
	client->fops.release = client_release;
	client->fops.unlocked_ioctl = client_ioctl;
	client->fops.mmap = client_mmap;
	client->id = get_random_u64();
	xa_init_flags(&client->bindings, XA_FLAGS_ACCOUNT);
	mutex_init(&client->turn);
	mutex_lock(&shim_lock);
	list_for_each_entry(node, &shim_nodes, entry) {
		if (node->cdev != cdev)
			continue;
		client->node = node;
		client->giving = node->giving;
		list_add(&client->entry, &node->clients);
	}
	mutex_unlock(&shim_lock);
	if (client->node)
		return client;
	kfree(client);
	return NULL;
}

/*
 * chrdev_open() comes here by a cdev's ops, having looked at them more than once: they may have changed in between, so all ops of a
 * cdev need one owner, which is CUSE. Thus nothing holds this module before the first line does; see shim_exit(). Who comes when the
 * node has been detached is sent back, to open it again by CUSE's own ops.
 */
static int client_open(struct inode *inode, struct file *file)
{
	struct shim_client *client;
	int ret;

	if (!try_module_get(THIS_MODULE))
		return -EOPENSTALE;
	client = make_client(inode->i_cdev);
	if (IS_ERR_OR_NULL(client)) {
		module_put(THIS_MODULE);
		return client ? PTR_ERR(client) : -EOPENSTALE;
	}
	/* The reference to the module is the file's now. */
	replace_fops(file, &client->fops);
	ret = cuse_fops->open(inode, file);
	if (ret)
		forget(file);
	else
		/* Who does not hear of it gets no mmap. */
		cuse_fops->unlocked_ioctl(file, DAEDALUS_SHIM_NAME, client->id);
	return ret;
}

void shim_intercept(struct cdev *cdev, const struct file_operations *fops)
{
	/* If CUSE was loaded anew, then no file of the old one is open. */
	if (cuse_fops != fops) {
		cuse_fops = fops;
		open_fops = *fops;
		open_fops.open = client_open;
	}
	smp_store_release(&cdev->ops, &open_fops);
}

void shim_restore(struct cdev *cdev)
{
	smp_store_release(&cdev->ops, cuse_fops);
}

bool shim_intercepts(const struct file_operations *fops)
{
	return fops == &open_fops;
}
