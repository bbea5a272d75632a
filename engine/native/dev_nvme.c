/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dev_nvme.c - an NVMe namespace, past the block layer.
 *  (1) For kernels without io_uring's attribute for tuples: from Linux 5.19
 *      on commands can be sent to the generic device, /dev/ngXnY, which goes
 *      with the block device /dev/nvmeXnY.
 *  (2) What is opened, locked and measured is the block device, or a partition
 *      of it; commands name blocks of the namespace, so the partition's start
 *      is added, and nothing else keeps them inside: io.c checks each request
 *      against the size.
 *  (3) Tuples go to the medium as they are.  Their reference tags must be what
 *      the kernel would have made of them, the block's number in the namespace
 *      (eng_dev.ref_base), so that dev_block.c reads what was written here,
 *      and the other way round.
 *  (4) The kernel does not check write protection for commands, so a
 *      write-protected block device is refused when it is opened. */
#include <errno.h>
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <unistd.h>

#include "native/dev_nvme.h"
#include "native/native.h"
#include "native/nvme.h"

enum {
	NVME_WRITE	= 0x01,
	NVME_READ	= 0x02,
};

#define PRCHK_GUARD	(1u << 28)
#define PRCHK_REF	(1u << 26)
#define MAX_BLOCKS	65536u

_Static_assert(sizeof(struct nvme_uring_cmd) <= 80, "fits a large entry");

static uint32_t checks_of(const struct eng_profile *p)
{
	return PRCHK_GUARD | (p->type == 3 ? 0 : PRCHK_REF);
}

static void nvme_prep(struct native *n, struct io_uring_sqe *sqe,
		      const struct native_xfer *x, struct native_attr *attr)
{
	const struct eng_profile *p = n->dev.geo.profile;
	uint64_t lba = n->lba + x->start;
	struct nvme_uring_cmd *cmd = (void *)sqe->cmd;

	(void)attr;
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = n->ng;
	sqe->cmd_op = NVME_URING_CMD_IO_VEC;
	*cmd = (struct nvme_uring_cmd) {
		.opcode = x->write ? NVME_WRITE : NVME_READ, .nsid = n->nsid,
		.metadata = (uintptr_t)x->tuples,
		.metadata_len = x->count * p->meta_size,
		.addr = (uintptr_t)x->iov, .data_len = x->niov,
		.cdw10 = (uint32_t)lba, .cdw11 = (uint32_t)(lba >> 32),
		.cdw12 = x->count - 1,
	};
	if (x->check)
		cmd->cdw12 |= checks_of(p);
	if (p->type == 3)
		return;
	cmd->cdw14 = (uint32_t)lba;	/* (3) */
	if (p->pi_size == 16)
		cmd->cdw3 = (uint32_t)(lba >> 32) & 0xffff;
}

static int nvme_result(int res, uint64_t *bytes, enum eng_fault_kind *kind)
{
	(void)bytes;	/* all or nothing */
	return res <= 0 ? res : eng_nvme_error((unsigned int)res, kind);
}

static int nvme_flush(struct native *n)
{
	return eng_nvme_flush(n->ng, n->nsid);
}

static int nvme_discard(struct native *n, uint64_t start, uint64_t count)
{
	return eng_nvme_deallocate(n->ng, n->nsid, n->lba + start, count);
}

static const struct native_ops nvme_ops = {
	.name = "nvme",
	.ring_flags = IORING_SETUP_SQE128 | IORING_SETUP_CQE32,
	.prep = nvme_prep,
	.result = nvme_result,
	.flush = nvme_flush,
	.discard = nvme_discard,
};

/* ---- open ------------------------------------------------------------- */

static bool rings_know_commands(void)
{
	struct io_uring_params p = { .flags = nvme_ops.ring_flags };
	struct io_uring ring;

	if (io_uring_queue_init_params(2, &ring, &p))
		return false;
	io_uring_queue_exit(&ring);
	return true;
}

bool eng_nvme_generic(const struct eng_bdev *bdev, char *path, size_t size,
		      const char **why)
{
	struct stat st;

	if (!eng_bdev_is_nvme(bdev)) {
		*why = "it is no NVMe";
		return false;
	}
	snprintf(path, size, "/dev/ng%s", bdev->disk + strlen("nvme"));
	*why = "there is no generic device for it";
	if (stat(path, &st) || !S_ISCHR(st.st_mode))
		return false;
	*why = "io_uring takes no commands for it";
	return rings_know_commands();
}

static int ng_failed(const struct native *n, const char *path, int err,
		     const char *what)
{
	eng_log(LOG_ERR, "%s: %s: %s: %s", n->path, path, what,
		strerror(-err));
	return err;
}

/* Is it the same namespace, and as it was when we asked? */
static int check_same(struct native *n, const char *path)
{
	struct eng_nvme_ns here, there;
	int err = eng_nvme_identify(n->bdev.fd, &here);

	if (!err)
		err = eng_nvme_identify(n->ng, &there);
	if (err)
		return ng_failed(n, path, err, "cannot identify");
	if (here.nsid != there.nsid || !there.native ||
	    !eng_profile_equal(&there.found, n->dev.geo.profile))
		return ng_failed(n, path, -EBUSY, "is another namespace");
	n->nsid = here.nsid;
	return 0;
}

static int open_generic(struct native *n)
{
	const struct eng_profile *p = n->dev.geo.profile;
	int how = O_CLOEXEC | (n->bdev.rdonly ? O_RDONLY : O_RDWR);
	const char *why;
	char path[48];

	if (!eng_nvme_generic(&n->bdev, path, sizeof(path), &why))
		return ng_failed(n, path, -ENODEV, why);
	n->ng = open(path, how);
	if (n->ng < 0)
		return ng_failed(n, path, -errno, "cannot open");
	n->lba = n->bdev.start / p->interval;	/* (2) */
	n->dev.ref_base = n->lba;		/* (3) */
	if (n->dev.geo.max_io > MAX_BLOCKS)
		n->dev.geo.max_io = MAX_BLOCKS;
	return check_same(n, path);
}

int eng_nvme_open(struct eng_dev **out, struct eng_bdev *bdev,
		  const struct eng_profile *p, const struct eng_open *how)
{
	struct native *n;
	int err = native_create(&n, &nvme_ops, bdev, p, how);

	if (err)
		return err;
	err = open_generic(n);
	if (!err)
		return native_start(n, out);
	native_destroy(n);
	return err;
}
