/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* soft_audit.h - headers and tuple pages, both copies of each. */
#ifndef ENG_SOFT_AUDIT_H
#define ENG_SOFT_AUDIT_H

#include "soft/soft_priv.h"

/* See eng_dev_audit(). */
int soft_audit(struct eng_dev *dev, struct eng_audit *a);

#endif
