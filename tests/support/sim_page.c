/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_page.c - see sim_page.h. */
#include <stdlib.h>
#include <string.h>

#include "support/sim_page.h"

struct page {
	unsigned int	refs;
	uint8_t		bytes[SIM_PAGE];
};

static struct page *page_of(uint8_t *bytes)
{
	return (struct page *)(bytes - offsetof(struct page, bytes));
}

uint8_t *sim_page_ref(uint8_t *page)
{
	if (page)
		__atomic_add_fetch(&page_of(page)->refs, 1, __ATOMIC_RELAXED);
	return page;
}

void sim_page_put(uint8_t **page)
{
	if (*page && !__atomic_sub_fetch(&page_of(*page)->refs, 1,
					 __ATOMIC_ACQ_REL))
		free(page_of(*page));
	*page = NULL;
}

void sim_page_own(uint8_t **page)
{
	struct page *own;

	if (*page && __atomic_load_n(&page_of(*page)->refs,
				     __ATOMIC_ACQUIRE) == 1)
		return;
	own = malloc(sizeof(*own));
	if (!own)
		abort();
	own->refs = 1;
	if (*page)
		memcpy(own->bytes, *page, SIM_PAGE);
	else
		memset(own->bytes, 0, SIM_PAGE);
	sim_page_put(page);
	*page = own->bytes;
}
