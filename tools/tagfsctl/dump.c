/* SPDX-License-Identifier: GPL-2.0-or-later */
/* dump.c - what is on the medium, as the decoders of the filesystem see it. */
#include "config.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cluster.h"
#include "check/treewalk.h"
#include "commit/super.h"
#include "ctl.h"
#include "file/extent.h"
#include "mount/logscan.h"
#include "name/dir.h"
#include "out.h"
#include "tree/ncache.h"
#include "uuid.h"

static const char *const kinds[] = {
	"none", "superblock", "slot", "node", "log", "data", "fence",
	"leg",
};

static const char *kind_name(unsigned int kind)
{
	return kind < sizeof(kinds) / sizeof(kinds[0]) ? kinds[kind] :
		"unknown";
}

/* ---- superblock and slots ----------------------------------------------- */

static int dump_super(struct medium *im, uint64_t addr)
{
	char uuid[UUID_TEXT];
	int res = EXIT_OK;

	(void)addr;
	for (unsigned int copy = 0; copy < 2; copy++) {
		struct tfs_super s;
		const char *why = tfs_super_look(im->fs, copy, &s);

		out_begin("superblock");
		out_number("copy", copy);
		out_text("state", why ? why : "good");
		if (why)
			res = EXIT_COULD_NOT;
		uuid_format(s.uuid, uuid);
		out_text("uuid", uuid);
		out_text("label", s.label);
		out_hex("nonce", s.nonce, sizeof(s.nonce));
		out_number("compat", s.compat);
		out_number("ro_compat", s.ro_compat);
		out_number("incompat", s.incompat);
		out_number("sequence", s.seq);
		out_number("clusters", s.clusters);
		out_number("cluster_size", s.cluster_size);
		out_number("interval", s.interval);
		out_number("log_start", s.log_start);
		out_number("log_clusters", s.log_clusters);
		out_number("created", s.created);
		out_end();
	}
	return res;
}

static int dump_slot(struct medium *im, uint64_t addr)
{
	int res = EXIT_OK;

	(void)addr;
	for (unsigned int i = 0; i < 4; i++) {
		struct tfs_slot s;
		const char *why = tfs_slot_look(im->fs, i / 2, i % 2, &s);

		out_begin("slot");
		out_number("slot", i / 2);
		out_number("copy", i % 2);
		out_text("state", why ? why : "good");
		if (why)
			res = EXIT_COULD_NOT;
		out_number("number", s.number);
		out_number("commit", s.seq);
		out_number("root0", s.root.addr[0]);
		out_number("root1", s.root.addr[1]);
		out_number("root_commit", s.root.seq);
		out_number("root_level", s.root_level);
		out_number("free", s.free);
		out_number("reserved", s.reserved);
		out_number("inodes", s.inodes);
		out_number("next_inode", s.next_ino);
		out_number("log_position", s.log_pos);
		out_true("clean", s.flags & TFS_SLOT_CLEAN);
		out_number("used", s.used);
		out_end();
	}
	return res;
}

/* ---- clusters ----------------------------------------------------------- */

/* Whatever can be read of it. */
static int read_cluster(struct medium *im, uint64_t addr, uint8_t **buf,
			uint16_t tags[TFS_LANES], struct eng_fault *fault)
{
	int err;

	*buf = NULL;
	if (addr >= im->fs->super.clusters)
		return -ERANGE;
	*buf = eng_buf_get(im->dev, im->fs->csize);
	if (!*buf)
		return -ENOMEM;
	memset(*buf, 0, im->fs->csize);
	err = tfs_cluster_tags(im->fs, addr, 1, ENG_IO_MEDIUM, *buf, tags,
			       fault);
	if (err == -EBADMSG)	/* what it says all the same */
		tfs_cluster_claim(im->fs, addr, *buf, tags);
	return err;
}

static void out_state(int err, const struct eng_fault *fault)
{
	char text[160];

	out_text("state", !err ? "verified" :
		 tfs_fault_text(err, fault, text, sizeof(text)));
}

static void out_record(const struct tfs_record *rec)
{
	out_text("kind", kind_name(rec->kind));
	out_number("owner", rec->owner);
	out_number("index", rec->index);
	out_number("commit", rec->seq);
}

static int dump_record(struct medium *im, uint64_t addr)
{
	uint16_t tags[TFS_LANES];
	struct eng_fault fault;
	struct tfs_record rec;
	char text[8 * TFS_LANES] = "";
	uint8_t *buf;
	int err = read_cluster(im, addr, &buf, tags, &fault);
	bool known;

	eng_buf_put(im->dev, buf, im->fs->csize);
	if (err == -ENOMEM || err == -ERANGE)
		return fail("that cluster", err);
	known = tfs_record_decode(&im->fs->key, tags, addr, &rec);
	out_begin("record");
	out_number("cluster", addr);
	out_state(err, &fault);
	for (unsigned int i = 0; i < TFS_LANES; i++)
		sprintf(text + strlen(text), "%s%04x", i ? " " : "", tags[i]);
	out_text("tags", text);
	out_true("known", known);
	if (known)
		out_record(&rec);
	out_end();
	return err || !known ? EXIT_COULD_NOT : EXIT_OK;
}

static void out_log(uint64_t pos, const struct tfs_disk_log *h)
{
	out_begin("log");
	out_number("position", pos);
	out_number("commit", le64toh(h->seq));
	out_number("block", le32toh(h->block));
	out_number("blocks", le32toh(h->blocks));
	out_number("bytes", le32toh(h->bytes));
	out_number("checkpoint", le64toh(h->checkpoint));
	out_number("durable", le64toh(h->durable));
	out_number("inodes", le64toh(h->inodes));
	out_number("next_inode", le32toh(h->next_ino));
	out_end();
}

/* What is sound in it, whether it would be replayed or not. */
static int dump_log(struct medium *im, uint64_t addr)
{
	struct tfs *fs = im->fs;
	uint16_t tags[TFS_LANES];
	struct eng_fault fault;
	uint8_t *buf;

	(void)addr;
	for (uint64_t pos = 0; pos < fs->super.log_clusters; pos++) {
		int err = read_cluster(im, fs->super.log_start + pos, &buf,
				       tags, &fault);

		if (!err && tfs_log_check(fs, buf, tags, pos))
			out_log(pos, (const struct tfs_disk_log *)buf);
		eng_buf_put(im->dev, buf, fs->csize);
		if (err == -ENOMEM)
			return fail("the log", err);
	}
	return EXIT_OK;
}

/* ---- the tree ----------------------------------------------------------- */

static const char *type_name(uint8_t type)
{
	switch (type) {
	case TFS_T_REGION:
		return "region";
	case TFS_T_SUMMARY:
		return "summary";
	case TFS_T_ORPHAN:
		return "orphan";
	case TFS_T_FLAW:
		return "file-error";
	case TFS_T_SPOT:
		return "error";
	case TFS_T_UNLISTED:
		return "unlisted-errors";
	case TFS_T_SCRUB:
		return "scrub";
	case TFS_T_SUSPECT:
		return "scrub-suspects";
	case TFS_T_RESILVER:
		return "resilver";
	case TFS_T_INODE:
		return "inode";
	case TFS_T_XATTR:
		return "attribute";
	case TFS_T_DIRENT:
		return "entry";
	case TFS_T_INLINE:
		return "inline";
	case TFS_T_EXTENT:
		return "extent";
	default:
		return "unknown";
	}
}

static void out_inode(const struct tfs_inode *in)
{
	char mode[16];

	snprintf(mode, sizeof(mode), "%o", in->mode);
	out_text("mode", mode);
	out_number("uid", in->uid);
	out_number("gid", in->gid);
	out_number("links", in->nlink);
	out_number("size", in->size);
	out_number("clusters", in->clusters);
	out_number("parent", in->parent);
	out_number("birth", in->birth);
	out_number("mtime", (uint64_t)in->mtime.tv_sec);
}

static void out_item(struct tfs *fs, const struct tfs_item *item)
{
	struct tfs_inode in = { .ino = item->key.obj };
	struct tfs_extent ext;
	struct tfs_entry e;

	out_begin("item");
	out_number("object", item->key.obj);
	out_text("type", type_name(item->key.type));
	out_number("offset", item->key.off);
	out_number("bytes", item->len);
	if (item->key.type == TFS_T_INODE && !tfs_inode_decode(fs, item, &in)) {
		out_inode(&in);
	} else if (item->key.type == TFS_T_DIRENT &&
		   !tfs_entry_decode(item, &e)) {
		out_bytes("name", e.name, e.len);
		out_number("inode", e.ino);
	} else if (item->key.type == TFS_T_EXTENT &&
		   !tfs_extent_decode(fs, item, &ext)) {
		out_number("cluster", ext.addr);
		out_number("length", ext.len);
		out_number("commit", ext.seq);
	}
	out_end();
}

static void out_key(const char *name, const struct tfs_key *key)
{
	char text[48];

	snprintf(text, sizeof(text), "%u/%u/%llu", key->obj, key->type,
		 (unsigned long long)key->off);
	out_text(name, text);
}

static const char *copy_state(const struct tfs_treewalk_copy *c, char *text,
			      size_t size)
{
	if (!c->err)
		return "good";
	return c->why ? c->why : tfs_fault_text(c->err, &c->fault, text, size);
}

static int see_node(struct tfs_treewalk *w, const struct tfs_treewalk_node *n)
{
	char text[160];

	(void)w;
	out_begin("node");
	out_number("level", n->at.level);
	out_number("cluster0", n->at.ptr.addr[0]);
	out_number("cluster1", n->at.ptr.addr[1]);
	out_number("commit", n->at.ptr.seq);
	out_key("low", &n->at.low);
	out_key("high", &n->at.high);
	out_text("copy0", copy_state(&n->copy[0], text, sizeof(text)));
	out_text("copy1", copy_state(&n->copy[1], text, sizeof(text)));
	out_true("differ", n->differ);
	out_end();
	return 0;
}

static int see_item(struct tfs_treewalk *w, const struct tfs_item *item)
{
	out_item(w->fs, item);
	return 0;
}

static int see_lost(struct tfs_treewalk *w, const struct tfs_miss *at, int err)
{
	bool *lost = w->arg;

	*lost = true;
	out_begin("lost");
	out_number("level", at->level);
	out_number("cluster0", at->ptr.addr[0]);
	out_number("cluster1", at->ptr.addr[1]);
	out_key("low", &at->low);
	out_key("high", &at->high);
	out_text("why", strerror(-err));
	out_end();
	return 0;
}

static int dump_tree(struct medium *im, uint64_t addr)
{
	bool lost = false;
	struct tfs_treewalk w = { .fs = im->fs, .arg = &lost, .node = see_node,
				  .item = see_item, .lost = see_lost };
	int err = tfs_treewalk_begin(&w);

	(void)addr;
	if (!err)
		err = tfs_treewalk_run(&w);
	tfs_treewalk_end(&w);
	if (err)
		return fail("the tree", err);
	return lost ? EXIT_COULD_NOT : EXIT_OK;
}

/* Bounds are the node's own: its parent is not known here. */
static const char *decode_alone(struct tfs *fs, struct tfs_node *node,
				uint64_t addr, const uint16_t *tags)
{
	const struct tfs_disk_node *d = (const void *)node->buf;
	struct tfs_key low = tfs_key_decode(&d->low);
	struct tfs_key high = tfs_key_decode(&d->high);
	struct tfs_record rec;

	if (!tfs_record_decode(&fs->key, tags, addr, &rec) ||
	    rec.kind != TFS_K_NODE)
		return "tags: they are not a node's";
	node->ptr.addr[rec.index & 1] = addr;
	node->ptr.seq = rec.seq;
	return tfs_node_decode(fs, node, rec.owner, &low, &high);
}

static void out_child(const struct tfs_node *node, unsigned int i)
{
	struct tfs_key key = tfs_node_key(node, i);
	struct tfs_ptr ptr = tfs_node_ptr(node, i);

	out_begin("child");
	out_key("low", &key);
	out_number("cluster0", ptr.addr[0]);
	out_number("cluster1", ptr.addr[1]);
	out_number("commit", ptr.seq);
	out_end();
}

static int out_node(struct tfs *fs, struct tfs_node *node, uint64_t addr,
		    const char *why)
{
	struct tfs_key low, high;

	out_begin("node");
	out_number("cluster", addr);
	out_text("state", why ? why : "good");
	if (!why) {
		low = tfs_node_low(node);
		high = tfs_node_high(node);
		out_number("level", node->level);
		out_number("commit", node->ptr.seq);
		out_number("items", tfs_node_items(node));
		out_key("low", &low);
		out_key("high", &high);
	}
	out_end();
	for (unsigned int i = 0; !why && i < tfs_node_items(node); i++) {
		struct tfs_item item = tfs_node_item(node, i);

		if (node->level)
			out_child(node, i);
		else
			out_item(fs, &item);
	}
	return why ? EXIT_COULD_NOT : EXIT_OK;
}

static int dump_node(struct medium *im, uint64_t addr)
{
	struct tfs_node *node = tfs_node_alloc(im->fs);
	uint16_t tags[TFS_LANES];
	struct eng_fault fault;
	char text[160];
	const char *why;
	uint8_t *buf;
	int err, res;

	if (!node)
		return fail("that node", -ENOMEM);
	err = read_cluster(im, addr, &buf, tags, &fault);
	if (buf)
		memcpy(node->buf, buf, im->fs->csize);
	eng_buf_put(im->dev, buf, im->fs->csize);
	if (err == -ENOMEM || err == -ERANGE) {
		res = fail("that cluster", err);
	} else {
		why = err ? tfs_fault_text(err, &fault, text, sizeof(text)) :
			decode_alone(im->fs, node, addr, tags);
		res = out_node(im->fs, node, addr, why);
	}
	tfs_node_free(node);
	return res;
}

static const struct part {
	const char	*name;
	bool		tree, addr;
	int		(*run)(struct medium *im, uint64_t addr);
} parts[] = {
	{ "super", false, false, dump_super },
	{ "slot", false, false, dump_slot },
	{ "log", false, false, dump_log },
	{ "tree", true, false, dump_tree },
	{ "node", false, true, dump_node },
	{ "record", false, true, dump_record },
};

static const struct part *find_part(const char *name)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strcmp(parts[i].name, name))
			return &parts[i];
	return NULL;
}

int verb_dump(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' }, { NULL, 0, NULL, 0 }
	};
	const struct part *part;
	uint64_t addr = 0;
	struct medium im;
	bool json = false;
	int c, err, res;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
		if (c != 'j')
			return bad_usage(argv[0], "unknown option");
		json = true;
	}
	argv += optind;
	argc -= optind;
	part = argc ? find_part(argv[0]) : NULL;
	if (!part || argc != 2 + part->addr)
		return bad_usage("dump", "it takes super, slot, log, tree, "
				 "node ADDRESS or record ADDRESS, and a path");
	if (part->addr && !parse_number(argv[1], &addr))
		return bad_usage("dump", "ADDRESS is a number of a cluster");
	out_setup(json);
	err = medium_open(&im, argv[argc - 1], part->tree);
	res = err ? fail(argv[argc - 1], err) : part->run(&im, addr);
	medium_close(&im);
	return res;
}
