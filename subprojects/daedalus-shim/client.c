// SPDX-License-Identifier: GPL-2.0
/* The clients of an attached node: what they call passes through here on its way to CUSE. */
#include <linux/cdev.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/hashtable.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/version.h>

#include "shim.h"

DEFINE_SPINLOCK(shim_lock);
LIST_HEAD(shim_nodes);

static DEFINE_HASHTABLE(clients, 8);
static LIST_HEAD(calls);
static u64 last_id;

/* CUSE's own, and ours that are made of them when the first node is attached. */
static const struct file_operations *cuse_fops;
static struct file_operations open_fops;
static struct file_operations client_fops;

static struct shim_client *client_of(struct file *file)
{
	struct shim_client *client;

	hash_for_each_possible(clients, client, entry, (unsigned long)file)
		if (client->file == file)
			return client;
	return NULL;
}

struct shim_client *shim_client_by_id(struct shim_node *node, u64 id)
{
	struct shim_client *client;
	int bucket;

	hash_for_each(clients, bucket, client, entry)
		if (client->node == node && client->id == id)
			return client;
	return NULL;
}

struct shim_binding *shim_binding_at(struct shim_client *client, pgoff_t offset)
{
	struct shim_binding *binding;

	list_for_each_entry(binding, &client->bindings, entry)
		if (binding->offset == offset)
			return binding;
	return NULL;
}

struct shim_call *shim_call_of(struct shim_node *node, pid_t tid)
{
	struct shim_call *call;

	list_for_each_entry(call, &calls, entry)
		if (tid > 0 && call->client->node == node && pid_nr_ns(call->thread, node->pids) == tid)
			return call;
	return NULL;
}

void shim_orphan_clients(struct shim_node *node, struct list_head *bindings)
{
	struct shim_client *client;
	int bucket;

	hash_for_each(clients, bucket, client, entry) {
		if (client->node != node)
			continue;
		client->node = NULL;
		list_splice_init(&client->bindings, bindings);
	}
}

void shim_drop_bindings(struct list_head *bindings)
{
	struct shim_binding *binding, *next;

	list_for_each_entry_safe(binding, next, bindings, entry) {
		fput(binding->memory);
		kfree(binding);
	}
}

/* False if the node is not attached any more. */
static bool remember(struct shim_client *client, struct cdev *cdev)
{
	struct shim_node *node;

	spin_lock(&shim_lock);
	list_for_each_entry(node, &shim_nodes, entry)
		if (node->cdev == cdev)
			client->node = node;
	if (client->node) {
		client->id = ++last_id;
		hash_add(clients, &client->entry, (unsigned long)client->file);
	}
	spin_unlock(&shim_lock);
	return client->id;
}

static void forget(struct file *file)
{
	struct shim_client *client;

	spin_lock(&shim_lock);
	client = client_of(file);
	hash_del(&client->entry);
	spin_unlock(&shim_lock);
	shim_drop_bindings(&client->bindings);
	kfree(client);
}

static void begin_call(struct shim_call *call, struct file *file, unsigned int cmd)
{
	*call = (struct shim_call){ .thread = task_pid(current), .cmd = cmd };
	spin_lock(&shim_lock);
	call->client = client_of(file);
	list_add(&call->entry, &calls);
	spin_unlock(&shim_lock);
}

static void end_call(struct shim_call *call)
{
	spin_lock(&shim_lock);
	list_del(&call->entry);
	spin_unlock(&shim_lock);
}

/*
 * chrdev_open() comes here by a cdev's ops, having looked at them more than once: they may have changed in between, so all ops of a
 * cdev need one owner, which is CUSE. Thus nothing holds this module before the first line does; see shim_exit(). Who comes when the
 * node has been detached is sent back, to open it again by CUSE's own ops.
 */
static int client_open(struct inode *inode, struct file *file)
{
	struct shim_client *client;
	struct shim_call call;
	int ret = -ENOMEM;

	if (!try_module_get(THIS_MODULE))
		return -EOPENSTALE;
	client = kzalloc(sizeof(*client), GFP_KERNEL_ACCOUNT);
	if (!client)
		goto put_module;
	client->file = file;
	INIT_LIST_HEAD(&client->bindings);
	ret = -EOPENSTALE;
	if (!remember(client, inode->i_cdev))
		goto free_client;
	/* The reference to the module is the file's now. */
	replace_fops(file, &client_fops);
	begin_call(&call, file, 0);
	ret = cuse_fops->open(inode, file);
	end_call(&call);
	if (ret)
		forget(file);
	return ret;

free_client:
	kfree(client);
put_module:
	module_put(THIS_MODULE);
	return ret;
}

static int client_release(struct inode *inode, struct file *file)
{
	forget(file);
	return cuse_fops->release(inode, file);
}

/* Installs a descriptor and tells its number. As in V4L2, one whose number cannot be told stays open. */
static int give_fd(struct file *file, int __user *number, u32 flags)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0)
	int fd = receive_fd(file, flags);

	return fd >= 0 && put_user(fd, number) ? -EFAULT : fd;
#else
	return receive_fd(file, number, flags);
#endif
}

static long finish_ioctl(struct shim_call *call, void __user *argument, long ret)
{
	int fd;

	end_call(call);
	if (!call->given)
		return ret;
	if (ret >= 0) {
		fd = give_fd(call->given, argument + call->given_at, call->given_flags);
		if (fd < 0)
			ret = fd;
	}
	fput(call->given);
	return ret;
}

static long client_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct shim_call call;

	begin_call(&call, file, cmd);
	return finish_ioctl(&call, (void __user *)arg, cuse_fops->unlocked_ioctl(file, cmd, arg));
}

#ifdef CONFIG_COMPAT
static long client_compat_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct shim_call call;

	begin_call(&call, file, cmd);
	return finish_ioctl(&call, compat_ptr(arg), cuse_fops->compat_ioctl(file, cmd, arg));
}
#endif

/* As videobuf2 has it: shared, at the very offset of a plane, and not beyond its end. */
static int client_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct file *memory = NULL;
	struct shim_binding *binding;
	struct shim_client *client;
	int ret = -EINVAL;

	spin_lock(&shim_lock);
	client = client_of(file);
	binding = shim_binding_at(client, vma->vm_pgoff);
	if (binding)
		memory = get_file(binding->memory);
	else if (!client->node)
		ret = -ENODEV;
	spin_unlock(&shim_lock);
	if (!memory)
		return ret;
	if ((vma->vm_flags & VM_SHARED) && vma_pages(vma) <= shim_memory_pages(memory)) {
		vma->vm_pgoff = 0;
		ret = shim_map(memory, vma);
	}
	fput(memory);
	return ret;
}

static void make_fops(const struct file_operations *fops)
{
	/* If CUSE was loaded anew, then no file of the old one is open. */
	if (cuse_fops == fops)
		return;
	cuse_fops = fops;
	client_fops = *fops;
	client_fops.open = client_open;
	client_fops.release = client_release;
	client_fops.unlocked_ioctl = client_ioctl;
#ifdef CONFIG_COMPAT
	client_fops.compat_ioctl = client_compat_ioctl;
#endif
	client_fops.mmap = client_mmap;
	open_fops = client_fops;
	client_fops.owner = THIS_MODULE;
}

void shim_intercept(struct cdev *cdev, const struct file_operations *fops)
{
	make_fops(fops);
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
