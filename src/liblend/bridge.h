// SPDX-License-Identifier: MIT
/* The lender's own mappings, watched: between lend.c, which has the connection, and bridge.c. */
#pragma once

#include "dom1/lend.h"

struct bridges;

/* NULL: no memory, or no thread. Borrows the connection. */
struct bridges *bridges_new(struct lend *lend);
/* Who waits in a system call on a watched range goes on. NULL is fine. */
void bridges_free(struct bridges *bridges);

/* lend.c: those of a connection, made at the first call; NULL as above. */
struct bridges *bridges_of(struct lend *lend);
