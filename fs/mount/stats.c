/* SPDX-License-Identifier: GPL-2.0-or-later */
/* stats.c - what the filesystem says of itself: statfs and the JSON of
 * tagfs.stats. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "tree/freemap.h"
#include "tree/ncache.h"
#include "mount/legs.h"

struct space {
	uint64_t	total, free, pending, reserved, inodes;
	uint64_t	unreachable;
	uint64_t	dirty_nodes, nodes, seq, checkpoint;
	unsigned int	levels;
};

static void look(struct tfs *fs, struct space *s)
{
	pthread_rwlock_rdlock(&fs->tree);
	*s = (struct space){
		.total = fs->super.clusters - tfs_freemap_fixed(fs),
		.free = fs->free + tfs_pool_clusters(fs) + fs->freemap->aside,
		.pending = fs->frees.clusters,
		.unreachable = fs->freemap->unreachable,
		.reserved = fs->reserved,
		.inodes = fs->inodes,
		.dirty_nodes = tfs_ncache_dirty_count(fs),
		.nodes = tfs_ncache_count(fs),
		.seq = fs->seq,
		.checkpoint = fs->slot_number,
		.levels = fs->root_level + 1,
	};
	pthread_rwlock_unlock(&fs->tree);
}

static uint64_t avail(struct tfs *fs, const struct space *s)
{
	uint64_t held = fs->reserve + tfs_reserved_space(fs, s->reserved);
	uint64_t rest = s->free + s->pending;

	return rest > held ? rest - held : 0;
}

struct tfs_room tfs_room(struct tfs *fs)
{
	struct space s;

	look(fs, &s);
	return (struct tfs_room) {
		.all = s.total, .avail = avail(fs, &s),
		.reserved = s.reserved,
	};
}

int tfs_statvfs(struct tfs *fs, struct statvfs *st)
{
	struct space s;

	look(fs, &s);
	memset(st, 0, sizeof(*st));
	st->f_bsize = st->f_frsize = fs->csize;
	st->f_blocks = s.total;
	st->f_bfree = s.free + s.pending;
	st->f_bavail = avail(fs, &s);
	st->f_files = UINT32_MAX;
	st->f_ffree = st->f_favail = UINT32_MAX - s.inodes;
	st->f_namemax = TFS_NAME_MAX;
	st->f_flag = tfs_rdonly(fs) ? ST_RDONLY : 0;
	return 0;
}

static void put_counters(FILE *f, struct tfs_counters *c)
{
	const struct {
		const char	*name;
		atomic_ullong	*value;
	} row[] = {
		{ "reads", &c->reads }, { "read_bytes", &c->read_bytes },
		{ "writes", &c->writes }, { "write_bytes", &c->write_bytes },
		{ "bad_guard", &c->fault_guard }, { "bad_ref", &c->fault_ref },
		{ "bad_app", &c->fault_app },
		{ "bad_escape", &c->fault_escape },
		{ "io_errors", &c->io_errors },
		{ "nodes_healed", &c->healed },
		{ "write_retries", &c->write_retries },
		{ "nodes_near", &c->near_copies },
		{ "regions_lost", &c->regions_lost },
		{ "node_reads", &c->node_reads },
		{ "transactions", &c->txns },
		{ "commits", &c->commits },
		{ "log_blocks", &c->log_clusters },
		{ "log_bytes", &c->log_bytes },
		{ "commits_replayed", &c->replayed },
		{ "commits_dropped", &c->dropped },
		{ "checkpoints", &c->checkpoints },
	};

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		fprintf(f, "  \"%s\": %llu,\n", row[i].name,
			(unsigned long long)atomic_load(row[i].value));
}

static void put_identity(FILE *f, struct tfs *fs)
{
	char label[TFS_LABEL + 1];
	const uint8_t *u = fs->super.uuid;

	fprintf(f, "{\n  \"label\": ");
	tfs_get_label(fs, label);
	eng_text_json(f, label);
	fprintf(f, ",\n  \"uuid\": \"");
	for (int i = 0; i < 16; i++)
		fprintf(f, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ?
			"-" : "", u[i]);
	fprintf(f, "\",\n  \"format\": \"%s\",\n  \"backend\": \"%s\",\n",
		fs->geo->profile->name, fs->geo->backend);
	fprintf(f, "  \"cluster_size\": %u,\n  \"read_only\": %s,\n",
		fs->csize, tfs_rdonly(fs) ? "true" : "false");
}

static void put_legs(FILE *f, struct tfs *fs)
{
	char *text;

	tfs_legs_text(fs, &text);
	fprintf(f, "  \"mirror\": ");
	eng_text_json(f, text ? text : "?");
	fprintf(f, ",\n");
	free(text);
}

static void put_resilver(FILE *f, struct tfs_progress *p)
{
	static const char *const states[] = { "none", "running", "done",
					      "stopped" };
	unsigned int state = atomic_load(&p->state);
	uint64_t seen = atomic_load(&p->seen), all = atomic_load(&p->all);
	uint64_t percent = state == TFS_RESILVER_DONE ? 100 :
		all ? seen * 100 / all : 0;

	/* Files may grow while it runs. */
	if (state != TFS_RESILVER_DONE && percent > 99)
		percent = 99;
	fprintf(f, "  \"resilver\": \"%s\",\n  \"resilver_percent\": %llu,\n"
		"  \"resilver_bytes\": %llu,\n", states[state],
		(unsigned long long)percent,
		(unsigned long long)atomic_load(&p->bytes));
}

static void put_space(FILE *f, const struct space *s)
{
	fprintf(f, "  \"clusters\": %llu,\n  \"clusters_free\": %llu,\n"
		"  \"clusters_pending\": %llu,\n"
		"  \"clusters_unreachable\": %llu,\n"
		"  \"clusters_reserved\": %llu,\n  \"inodes\": %llu,\n",
		(unsigned long long)s->total, (unsigned long long)s->free,
		(unsigned long long)s->pending,
		(unsigned long long)s->unreachable,
		(unsigned long long)s->reserved,
		(unsigned long long)s->inodes);
	fprintf(f, "  \"commit\": %llu,\n  \"checkpoint\": %llu,\n"
		"  \"tree_levels\": %u,\n  \"nodes_cached\": %llu,\n"
		"  \"nodes_dirty\": %llu,\n", (unsigned long long)s->seq,
		(unsigned long long)s->checkpoint, s->levels,
		(unsigned long long)s->nodes,
		(unsigned long long)s->dirty_nodes);
}

int tfs_stats(struct tfs *fs, const char *requests, char **out)
{
	char device[2048] = "{}";
	struct space s;
	size_t size = 0;
	FILE *f = open_memstream(out, &size);

	if (!f)
		return -ENOMEM;
	look(fs, &s);
	eng_dev_stats(fs->dev, device, sizeof(device));
	put_identity(f, fs);
	if (fs->legs) {
		put_legs(f, fs);
		put_resilver(f, &fs->resilver);
	}
	put_space(f, &s);
	put_counters(f, &fs->count);
	if (requests)
		fprintf(f, "  \"requests\": {%s},\n", requests);
	if (fs->legs) {
		fprintf(f, "  \"legs\": [\n");
		tfs_legs_stats(fs, f);
		fprintf(f, "  ],\n");
	}
	fprintf(f, "  \"device\": %s\n}\n", device);
	if (fclose(f)) {
		free(*out);
		*out = NULL;
		return -ENOMEM;
	}
	return size;
}
