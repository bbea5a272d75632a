/* SPDX-License-Identifier: GPL-2.0-or-later */
/* runs.c - lists of cluster runs, and arrays that grow. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/runs.h"

int tfs_array_grow(void *array, size_t *room, size_t n, size_t size)
{
	size_t want = *room ? *room : 16;
	void *p;

	if (n <= *room)
		return 0;
	while (want < n)
		want *= 2;
	memcpy(&p, array, sizeof(p));
	p = realloc(p, want * size);
	if (!p)
		return -ENOMEM;
	memcpy(array, &p, sizeof(p));
	*room = want;
	return 0;
}

int tfs_runs_reserve(struct tfs_runs *list, size_t runs)
{
	return tfs_array_grow(&list->run, &list->room, list->n + runs,
			      sizeof(list->run[0]));
}

int tfs_runs_add(struct tfs_runs *list, uint64_t addr, uint64_t len)
{
	struct tfs_run *last = list->n ? &list->run[list->n - 1] : NULL;
	int err = 0;

	if (last && last->addr + last->len == addr) {
		last->len += len;
	} else {
		err = tfs_runs_reserve(list, 1);
		if (!err)
			list->run[list->n++] = (struct tfs_run){ addr, len };
	}
	if (!err)
		list->clusters += len;
	return err;
}

void tfs_runs_clear(struct tfs_runs *list)
{
	free(list->run);
	*list = (struct tfs_runs){ 0 };
}

static int by_addr(const void *a, const void *b)
{
	const struct tfs_run *x = a, *y = b;

	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

bool tfs_runs_sort(struct tfs_runs *list)
{
	size_t n = 0;

	if (list->n)
		qsort(list->run, list->n, sizeof(list->run[0]), by_addr);
	for (size_t i = 0; i < list->n; i++) {
		struct tfs_run *last = n ? &list->run[n - 1] : NULL;

		if (last && last->addr + last->len > list->run[i].addr)
			return false;
		if (last && last->addr + last->len == list->run[i].addr)
			last->len += list->run[i].len;
		else
			list->run[n++] = list->run[i];
	}
	list->n = n;
	return true;
}
