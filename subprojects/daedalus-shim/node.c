// SPDX-License-Identifier: GPL-2.0
/* /dev/daedalus-shim: what a daemon may ask, as daedalus_shim.h says. */
#include <linux/capability.h>
#include <linux/cdev.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "shim.h"

/* CUSE exports nothing to know it by but its name. */
static bool is_cuse(const struct file_operations *fops)
{
	char name[sizeof("cuse_file_ioctl")];

	snprintf(name, sizeof(name), "%ps", fops->unlocked_ioctl);
	return !strcmp(name, "cuse_file_ioctl") && !fops->mmap;
}

/* Asks whoever serves the node. */
static long attach_file(struct shim_node *node, struct file *file, struct cdev *cdev, u32 giving)
{
	const struct file_operations *fops = READ_ONCE(cdev->ops);
	u64 nonce = get_random_u64();
	long ret;

	if (shim_intercepts(fops))
		return -EBUSY;
	if (!is_cuse(fops))
		return -ENODEV;
	ret = fops->unlocked_ioctl(file, DAEDALUS_SHIM_HELLO, nonce);
	if (ret < 0)
		return ret;
	if (ret != DAEDALUS_SHIM_YES(nonce))
		return -EPERM;
	ret = -EBUSY;
	mutex_lock(&shim_lock);
	if (!node->cdev && cdev->ops == fops) {
		kobject_get(&cdev->kobj);
		node->cdev = cdev;
		node->giving = giving;
		list_add(&node->entry, &shim_nodes);
		shim_intercept(cdev, fops);
		ret = 0;
	}
	mutex_unlock(&shim_lock);
	return ret;
}

/* The reference to the node's file ends with the command: to close it takes the daemon, which may be gone by then. */
static long attach(struct shim_node *node, struct daedalus_shim_attach *ask)
{
	struct inode *inode;
	struct file *file;
	long ret = -ENODEV;

	/* Who puts memory and descriptors into others could as well write to them. */
	if (!capable(CAP_SYS_PTRACE))
		return -EPERM;
	file = fget(ask->node_fd);
	if (!file)
		return -EBADF;
	inode = file_inode(file);
	if (S_ISCHR(inode->i_mode) && inode->i_cdev)
		ret = attach_file(node, file, inode->i_cdev, ask->giving);
	fput(file);
	return ret;
}

static long detach(struct shim_node *node)
{
	struct shim_client *client, *next;
	struct cdev *cdev;

	mutex_lock(&shim_lock);
	cdev = node->cdev;
	if (cdev) {
		shim_restore(cdev);
		list_del(&node->entry);
		node->cdev = NULL;
		list_for_each_entry_safe(client, next, &node->clients, entry)
			shim_orphan(client);
		kobject_put(&cdev->kobj);
	}
	mutex_unlock(&shim_lock);
	return cdev ? 0 : -ENOTCONN;
}

static long bind(struct shim_node *node, struct daedalus_shim_bind *ask)
{
	struct shim_client *client;
	struct file *memory;
	long ret;

	if (ask->reserved || offset_in_page(ask->offset))
		return -EINVAL;
	memory = shim_get_memory(ask->memfd);
	if (IS_ERR(memory))
		return PTR_ERR(memory);
	mutex_lock(&shim_lock);
	client = shim_client_by_id(node, ask->file);
	if (!client)
		ret = -ENOENT;
	else if (xa_load(&client->bindings, ask->offset >> PAGE_SHIFT))
		ret = -EEXIST;
	else if (client->binding_count == DAEDALUS_SHIM_MAX_BINDINGS)
		ret = -ENOSPC;
	else
		ret = xa_insert(&client->bindings, ask->offset >> PAGE_SHIFT, memory, GFP_KERNEL);
	if (!ret)
		client->binding_count++;
	mutex_unlock(&shim_lock);
	if (ret)
		fput(memory);
	return ret;
}

static long unbind(struct shim_node *node, struct daedalus_shim_bind *ask)
{
	struct shim_client *client;
	struct file *memory = NULL;

	if (ask->reserved || offset_in_page(ask->offset))
		return -EINVAL;
	mutex_lock(&shim_lock);
	client = shim_client_by_id(node, ask->file);
	if (client)
		memory = xa_erase(&client->bindings, ask->offset >> PAGE_SHIFT);
	if (memory)
		client->binding_count--;
	mutex_unlock(&shim_lock);
	if (!memory)
		return -ENOENT;
	fput(memory);
	return 0;
}

static struct file *file_to_give(struct daedalus_shim_give *ask)
{
	struct file *file, *memory;

	if (!(ask->flags & DAEDALUS_SHIM_GIVE_DMABUF)) {
		file = fget(ask->fd);
		return file ?: ERR_PTR(-EBADF);
	}
	memory = shim_get_memory(ask->fd);
	if (IS_ERR(memory))
		return memory;
	file = shim_export(memory, ask->open_flags);
	fput(memory);
	return file;
}

static long add_given(struct shim_node *node, struct daedalus_shim_give *ask, struct file *file)
{
	struct shim_client *client = shim_client_by_id(node, ask->file);

	if (!client)
		return -ENOENT;
	if (!client->gives)
		return -ESRCH;
	if (ask->at % sizeof(int) || ask->at >= _IOC_SIZE(client->giving) || _IOC_SIZE(client->giving) - ask->at < sizeof(int))
		return -EINVAL;
	if (client->given)
		return -EBUSY;
	client->given = file;
	client->given_at = ask->at;
	client->given_flags = ask->open_flags & O_CLOEXEC;
	return 0;
}

static long give(struct shim_node *node, struct daedalus_shim_give *ask)
{
	struct file *file;
	long ret;

	if ((ask->flags & ~DAEDALUS_SHIM_GIVE_DMABUF) || (ask->open_flags & ~(O_CLOEXEC | O_ACCMODE)))
		return -EINVAL;
	file = file_to_give(ask);
	if (IS_ERR(file))
		return PTR_ERR(file);
	mutex_lock(&shim_lock);
	ret = add_given(node, ask, file);
	mutex_unlock(&shim_lock);
	if (ret)
		fput(file);
	return ret;
}

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct shim_node *node = file->private_data;
	union {
		struct daedalus_shim_attach attach;
		struct daedalus_shim_bind bind;
		struct daedalus_shim_give give;
	} ask;

	if (_IOC_TYPE(cmd) != DAEDALUS_SHIM_IOC || _IOC_SIZE(cmd) > sizeof(ask))
		return -ENOTTY;
	if (_IOC_DIR(cmd) == _IOC_WRITE && copy_from_user(&ask, (void __user *)arg, _IOC_SIZE(cmd)))
		return -EFAULT;
	switch (cmd) {
	case DAEDALUS_SHIM_GET_VERSION:
		return put_user(DAEDALUS_SHIM_VERSION, (u32 __user *)arg);
	case DAEDALUS_SHIM_ATTACH:
		return attach(node, &ask.attach);
	case DAEDALUS_SHIM_DETACH:
		return detach(node);
	case DAEDALUS_SHIM_BIND:
		return bind(node, &ask.bind);
	case DAEDALUS_SHIM_UNBIND:
		return unbind(node, &ask.bind);
	case DAEDALUS_SHIM_GIVE:
		return give(node, &ask.give);
	default:
		return -ENOTTY;
	}
}

static int control_open(struct inode *inode, struct file *file)
{
	struct shim_node *node = kzalloc(sizeof(*node), GFP_KERNEL_ACCOUNT);

	if (!node)
		return -ENOMEM;
	INIT_LIST_HEAD(&node->clients);
	file->private_data = node;
	return 0;
}

static int control_release(struct inode *inode, struct file *file)
{
	detach(file->private_data);
	kfree(file->private_data);
	return 0;
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice control = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "daedalus-shim",
	.fops = &control_fops,
	.mode = 0600,
};

static int __init shim_init(void)
{
	return misc_register(&control);
}

static void __exit shim_exit(void)
{
	misc_deregister(&control);
	/*
	 * Nothing is attached, and no client has its file. But who began to open a node before it was detached may still be on the way
	 * to or from client_open()'s reference to this module. It does not sleep on that way.
	 */
	synchronize_rcu_tasks();
}

module_init(shim_init);
module_exit(shim_exit);
MODULE_DESCRIPTION("mmap and dma-bufs for Daedalus' CUSE nodes");
MODULE_LICENSE("GPL");
MODULE_SOFTDEP("pre: cuse");
