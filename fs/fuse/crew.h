/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crew.h - threads for what may wait. */
#ifndef TFS_CREW_H
#define TFS_CREW_H

struct tfs_crew;

/* A member of what is to be done. */
struct tfs_task {
	void	(*run)(struct tfs_task *task);
	struct tfs_task *next;		/* the crew's */
};

/* max threads at most; one is there on return. */
int tfs_crew_create(struct tfs_crew **out, unsigned int max);
/* In the order of calls, as threads come free.  Never fails, never waits. */
void tfs_crew_do(struct tfs_crew *crew, struct tfs_task *task);
/* When all is done.  NULL is fine. */
void tfs_crew_destroy(struct tfs_crew *crew);

#endif
