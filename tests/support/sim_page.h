/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_page.h - bytes of a simulated disk, shared by its copies until one of
 * them is written.  Any thread; a page belongs to whoever writes it alone. */
#ifndef SIM_PAGE_H
#define SIM_PAGE_H

#include <stddef.h>
#include <stdint.h>

#define SIM_PAGE	4096u	/* bytes */

/* One more reference; NULL is fine, and returned. */
uint8_t *sim_page_ref(uint8_t *page);
/* One less, and none in *page. */
void sim_page_put(uint8_t **page);
/* The same bytes, or zeros where there was none, for the caller alone. */
void sim_page_own(uint8_t **page);

#endif
