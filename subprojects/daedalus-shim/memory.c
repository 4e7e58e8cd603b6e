// SPDX-License-Identifier: GPL-2.0
/*
 * Memfds as the memory of mappings and dma-bufs.
 *
 * A dma-buf pins its pages by references when a device or the kernel first uses them, as long as it is there. A memfd that can
 * get no more seals and has none against writing keeps its pages in place meanwhile: it cannot shrink, and what is punched out
 * of it stays with the pin.
 */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/version.h>
#include <linux/vmalloc.h>

#include "daedalus_shim.h"
#include "shim.h"

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
MODULE_IMPORT_NS(DMA_BUF);
#else
MODULE_IMPORT_NS("DMA_BUF");
#endif

/* The private half of a dma-buf. */
struct exported {
	struct file *memory;
	unsigned long page_count;
	struct mutex lock;		/* of what follows */
	struct page **pages;		/* pinned; NULL before anything uses them */
	struct list_head mappings;	/* by devices */
};

/* What one device sees of it. */
struct mapping {
	struct list_head entry;
	struct device *device;
	struct sg_table table;
	enum dma_data_direction direction;
};

static bool is_memory(struct file *file)
{
	const unsigned int wanted = F_SEAL_SHRINK | F_SEAL_SEAL;
	const unsigned int refused = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
	struct inode *inode = file_inode(file);

	return shmem_mapping(file->f_mapping) && (file->f_mode & FMODE_READ) && (file->f_mode & FMODE_WRITE) &&
	       (SHMEM_I(inode)->seals & (wanted | refused)) == wanted &&
	       i_size_read(inode) > 0 && i_size_read(inode) <= DAEDALUS_SHIM_MAX_BYTES;
}

struct file *shim_get_memory(int fd)
{
	struct file *file = fget(fd);

	if (!file)
		return ERR_PTR(-EBADF);
	if (is_memory(file))
		return file;
	fput(file);
	return ERR_PTR(-EINVAL);
}

unsigned long shim_memory_pages(struct file *memory)
{
	/* One that may grow has grown for its own users only. */
	return DIV_ROUND_UP(min_t(loff_t, i_size_read(file_inode(memory)), DAEDALUS_SHIM_MAX_BYTES), PAGE_SIZE);
}

int shim_map(struct file *memory, struct vm_area_struct *vma)
{
	vma_set_file(vma, memory);
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 17, 0)
	return call_mmap(memory, vma);
#else
	return vfs_mmap(memory, vma);
#endif
}

static void unpin(struct page **pages, unsigned long count)
{
	while (count--) {
		put_page(pages[count]);
		cond_resched();
	}
	kvfree(pages);
}

/* Under the lock: the memfd's pages stay where they are from now on. */
static int pin(struct exported *exported)
{
	struct address_space *mapping = exported->memory->f_mapping;
	struct page **pages, *page;
	unsigned long i;

	if (exported->pages)
		return 0;
	pages = kvmalloc_array(exported->page_count, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;
	for (i = 0; i < exported->page_count; i++) {
		page = fatal_signal_pending(current) ? ERR_PTR(-EINTR) :
		       shmem_read_mapping_page_gfp(mapping, i, mapping_gfp_mask(mapping));
		if (IS_ERR(page)) {
			unpin(pages, i);
			return PTR_ERR(page);
		}
		/* Or reclaim would one day take what a device wrote for unchanged. */
		folio_mark_dirty(page_folio(page));
		pages[i] = page;
		cond_resched();
	}
	exported->pages = pages;
	return 0;
}

/* Under the lock: the pages as the device sees them. */
static int map_pages(struct exported *exported, struct mapping *mapping)
{
	unsigned long count = exported->page_count;
	int ret = pin(exported);

	if (!ret)
		ret = sg_alloc_table_from_pages_segment(&mapping->table, exported->pages, count, 0, count << PAGE_SHIFT,
							dma_get_max_seg_size(mapping->device), GFP_KERNEL_ACCOUNT);
	if (ret)
		return ret;
	ret = dma_map_sgtable(mapping->device, &mapping->table, mapping->direction, 0);
	if (ret)
		sg_free_table(&mapping->table);
	else
		list_add(&mapping->entry, &exported->mappings);
	return ret;
}

static struct sg_table *exported_map(struct dma_buf_attachment *attachment, enum dma_data_direction direction)
{
	struct exported *exported = attachment->dmabuf->priv;
	struct mapping *mapping = kzalloc(sizeof(*mapping), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!mapping)
		return ERR_PTR(-ENOMEM);
	mapping->device = attachment->dev;
	mapping->direction = direction;
	mutex_lock(&exported->lock);
	ret = map_pages(exported, mapping);
	mutex_unlock(&exported->lock);
	if (!ret)
		return &mapping->table;
	kfree(mapping);
	return ERR_PTR(ret);
}

static void exported_unmap(struct dma_buf_attachment *attachment, struct sg_table *table, enum dma_data_direction direction)
{
	struct mapping *mapping = container_of(table, struct mapping, table);
	struct exported *exported = attachment->dmabuf->priv;

	mutex_lock(&exported->lock);
	list_del(&mapping->entry);
	mutex_unlock(&exported->lock);
	dma_unmap_sgtable(mapping->device, table, direction, 0);
	sg_free_table(table);
	kfree(mapping);
}

static int sync(struct exported *exported, void (*one)(struct device *, struct sg_table *, enum dma_data_direction))
{
	struct mapping *mapping;

	mutex_lock(&exported->lock);
	list_for_each_entry(mapping, &exported->mappings, entry)
		one(mapping->device, &mapping->table, mapping->direction);
	mutex_unlock(&exported->lock);
	return 0;
}

static int exported_begin_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	return sync(dmabuf->priv, dma_sync_sgtable_for_cpu);
}

static int exported_end_cpu_access(struct dma_buf *dmabuf, enum dma_data_direction direction)
{
	return sync(dmabuf->priv, dma_sync_sgtable_for_device);
}

static int exported_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct exported *exported = dmabuf->priv;

	return shim_map(exported->memory, vma);
}

static int exported_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct exported *exported = dmabuf->priv;
	void *address;
	int ret;

	mutex_lock(&exported->lock);
	ret = pin(exported);
	mutex_unlock(&exported->lock);
	if (ret)
		return ret;
	address = vmap(exported->pages, exported->page_count, VM_MAP, PAGE_KERNEL);
	if (!address)
		return -ENOMEM;
	iosys_map_set_vaddr(map, address);
	return 0;
}

static void exported_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	vunmap(map->vaddr);
}

static void drop(struct exported *exported)
{
	if (exported->pages)
		unpin(exported->pages, exported->page_count);
	fput(exported->memory);
	kfree(exported);
}

static void exported_release(struct dma_buf *dmabuf)
{
	drop(dmabuf->priv);
}

static const struct dma_buf_ops exported_ops = {
	.map_dma_buf = exported_map,
	.unmap_dma_buf = exported_unmap,
	.begin_cpu_access = exported_begin_cpu_access,
	.end_cpu_access = exported_end_cpu_access,
	.mmap = exported_mmap,
	.vmap = exported_vmap,
	.vunmap = exported_vunmap,
	.release = exported_release,
};

struct file *shim_export(struct file *memory, u32 open_flags)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct exported *exported = kzalloc(sizeof(*exported), GFP_KERNEL_ACCOUNT);
	struct dma_buf *dmabuf;

	if (!exported)
		return ERR_PTR(-ENOMEM);
	exported->page_count = shim_memory_pages(memory);
	exported->memory = get_file(memory);
	mutex_init(&exported->lock);
	INIT_LIST_HEAD(&exported->mappings);
	info.ops = &exported_ops;
	info.size = exported->page_count << PAGE_SHIFT;
	info.flags = open_flags & O_ACCMODE;
	info.priv = exported;
	dmabuf = dma_buf_export(&info);
	if (!IS_ERR(dmabuf))
		return dmabuf->file;
	drop(exported);
	return ERR_CAST(dmabuf);
}
