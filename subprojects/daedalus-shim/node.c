// SPDX-License-Identifier: GPL-2.0
/* /dev/daedalus-shim: what a daemon may ask, as daedalus_shim.h says. */
#include <linux/capability.h>
#include <linux/cdev.h>
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
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

/* Asks whoever serves the node to confirm, by the same control file, a number that nobody else knows. */
static long attach_file(struct shim_node *node, struct file *file, struct cdev *cdev)
{
	unsigned long nonce = get_random_long() | 1;
	const struct file_operations *fops;
	bool free;
	long ret;

	spin_lock(&shim_lock);
	fops = cdev->ops;
	free = !node->cdev && !node->attacher && !shim_intercepts(fops);
	if (free) {
		node->attacher = task_pid(current);
		node->nonce = nonce;
		node->confirmed = false;
	}
	spin_unlock(&shim_lock);
	if (!free)
		return -EBUSY;
	ret = is_cuse(fops) ? fops->unlocked_ioctl(file, DAEDALUS_SHIM_HELLO, nonce) : -ENODEV;
	spin_lock(&shim_lock);
	node->attacher = NULL;
	node->nonce = 0;
	if (ret >= 0)
		ret = !node->confirmed ? -EPERM : cdev->ops != fops ? -EBUSY : 0;
	if (!ret) {
		kobject_get(&cdev->kobj);
		node->cdev = cdev;
		list_add(&node->entry, &shim_nodes);
		shim_intercept(cdev, fops);
	}
	spin_unlock(&shim_lock);
	return ret;
}

/* The reference to the node's file ends with the command: to close it takes the daemon, which may be gone by then. */
static long attach(struct shim_node *node, struct daedalus_shim_attach *ask)
{
	struct inode *inode;
	struct file *file;
	long ret = -ENODEV;

	if (ask->reserved)
		return -EINVAL;
	/* Who puts memory and descriptors into others could as well write to them. */
	if (!capable(CAP_SYS_PTRACE))
		return -EPERM;
	file = fget(ask->node_fd);
	if (!file)
		return -EBADF;
	inode = file_inode(file);
	if (S_ISCHR(inode->i_mode) && inode->i_cdev)
		ret = attach_file(node, file, inode->i_cdev);
	fput(file);
	return ret;
}

static long confirm(struct shim_node *node, struct daedalus_shim_confirm *ask)
{
	long ret = -EINVAL;

	spin_lock(&shim_lock);
	if (!ask->reserved && node->nonce && node->nonce == ask->nonce) {
		node->confirmed = pid_nr_ns(node->attacher, node->pids) == ask->tid;
		ret = node->confirmed ? 0 : -EXDEV;
	}
	/* One try for each, so that it cannot be guessed. */
	node->nonce = 0;
	spin_unlock(&shim_lock);
	return ret;
}

static long detach(struct shim_node *node)
{
	struct cdev *cdev;
	LIST_HEAD(bindings);

	spin_lock(&shim_lock);
	cdev = node->cdev;
	if (cdev) {
		shim_restore(cdev);
		list_del(&node->entry);
		node->cdev = NULL;
		shim_orphan_clients(node, &bindings);
	}
	spin_unlock(&shim_lock);
	if (!cdev)
		return -ENOTCONN;
	shim_drop_bindings(&bindings);
	kobject_put(&cdev->kobj);
	return 0;
}

static long get_file_id(struct shim_node *node, struct daedalus_shim_file *ask)
{
	struct shim_call *call;

	if (ask->reserved)
		return -EINVAL;
	spin_lock(&shim_lock);
	call = shim_call_of(node, ask->tid);
	if (call)
		ask->file = call->client->id;
	spin_unlock(&shim_lock);
	return call ? 0 : -ESRCH;
}

static long add_binding(struct shim_node *node, u64 file, struct shim_binding *binding)
{
	struct shim_client *client = shim_client_by_id(node, file);

	if (!client)
		return -ENOENT;
	if (shim_binding_at(client, binding->offset))
		return -EEXIST;
	if (client->binding_count == DAEDALUS_SHIM_MAX_BINDINGS)
		return -ENOSPC;
	client->binding_count++;
	list_add(&binding->entry, &client->bindings);
	return 0;
}

static long bind(struct shim_node *node, struct daedalus_shim_bind *ask)
{
	struct shim_binding *binding;
	LIST_HEAD(dropped);
	long ret;

	if (ask->reserved || offset_in_page(ask->offset))
		return -EINVAL;
	binding = kmalloc(sizeof(*binding), GFP_KERNEL_ACCOUNT);
	if (!binding)
		return -ENOMEM;
	binding->offset = ask->offset >> PAGE_SHIFT;
	binding->memory = shim_get_memory(ask->memfd);
	if (IS_ERR(binding->memory)) {
		ret = PTR_ERR(binding->memory);
		kfree(binding);
		return ret;
	}
	spin_lock(&shim_lock);
	ret = add_binding(node, ask->file, binding);
	spin_unlock(&shim_lock);
	if (ret) {
		list_add(&binding->entry, &dropped);
		shim_drop_bindings(&dropped);
	}
	return ret;
}

static long unbind(struct shim_node *node, struct daedalus_shim_bind *ask)
{
	struct shim_binding *binding;
	struct shim_client *client;
	LIST_HEAD(dropped);

	if (ask->reserved || offset_in_page(ask->offset))
		return -EINVAL;
	spin_lock(&shim_lock);
	client = shim_client_by_id(node, ask->file);
	binding = client ? shim_binding_at(client, ask->offset >> PAGE_SHIFT) : NULL;
	if (binding) {
		client->binding_count--;
		list_move(&binding->entry, &dropped);
	}
	spin_unlock(&shim_lock);
	shim_drop_bindings(&dropped);
	return binding ? 0 : -ENOENT;
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
	struct shim_call *call = shim_call_of(node, ask->tid);

	if (!call || call->client->id != ask->file)
		return -ESRCH;
	if (ask->at % sizeof(int) || ask->at >= _IOC_SIZE(call->cmd))
		return -EINVAL;
	if (_IOC_SIZE(call->cmd) - ask->at < sizeof(int))
		return -EINVAL;
	if (call->given)
		return -EBUSY;
	call->given = file;
	call->given_at = ask->at;
	call->given_flags = ask->open_flags & O_CLOEXEC;
	return 0;
}

static long give(struct shim_node *node, struct daedalus_shim_give *ask)
{
	struct file *file;
	long ret;

	if (ask->reserved || (ask->flags & ~DAEDALUS_SHIM_GIVE_DMABUF) || (ask->open_flags & ~(O_CLOEXEC | O_ACCMODE)))
		return -EINVAL;
	file = file_to_give(ask);
	if (IS_ERR(file))
		return PTR_ERR(file);
	spin_lock(&shim_lock);
	ret = add_given(node, ask, file);
	spin_unlock(&shim_lock);
	if (ret)
		fput(file);
	return ret;
}

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct shim_node *node = file->private_data;
	void __user *argument = (void __user *)arg;
	union {
		u32 version;
		struct daedalus_shim_attach attach;
		struct daedalus_shim_confirm confirm;
		struct daedalus_shim_file file;
		struct daedalus_shim_bind bind;
		struct daedalus_shim_give give;
	} ask = { };
	long ret;

	if (_IOC_TYPE(cmd) != DAEDALUS_SHIM_IOC || _IOC_SIZE(cmd) > sizeof(ask))
		return -ENOTTY;
	if ((_IOC_DIR(cmd) & _IOC_WRITE) && copy_from_user(&ask, argument, _IOC_SIZE(cmd)))
		return -EFAULT;
	switch (cmd) {
	case DAEDALUS_SHIM_GET_VERSION:
		ask.version = DAEDALUS_SHIM_VERSION;
		ret = 0;
		break;
	case DAEDALUS_SHIM_ATTACH:
		ret = attach(node, &ask.attach);
		break;
	case DAEDALUS_SHIM_CONFIRM:
		ret = confirm(node, &ask.confirm);
		break;
	case DAEDALUS_SHIM_DETACH:
		ret = detach(node);
		break;
	case DAEDALUS_SHIM_GET_FILE:
		ret = get_file_id(node, &ask.file);
		break;
	case DAEDALUS_SHIM_BIND:
		ret = bind(node, &ask.bind);
		break;
	case DAEDALUS_SHIM_UNBIND:
		ret = unbind(node, &ask.bind);
		break;
	case DAEDALUS_SHIM_GIVE:
		ret = give(node, &ask.give);
		break;
	default:
		return -ENOTTY;
	}
	if (!ret && (_IOC_DIR(cmd) & _IOC_READ) && copy_to_user(argument, &ask, _IOC_SIZE(cmd)))
		return -EFAULT;
	return ret;
}

static int control_open(struct inode *inode, struct file *file)
{
	struct shim_node *node = kzalloc(sizeof(*node), GFP_KERNEL_ACCOUNT);

	if (!node)
		return -ENOMEM;
	node->pids = get_pid_ns(task_active_pid_ns(current));
	file->private_data = node;
	return 0;
}

static int control_release(struct inode *inode, struct file *file)
{
	struct shim_node *node = file->private_data;

	detach(node);
	put_pid_ns(node->pids);
	kfree(node);
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
