// SPDX-License-Identifier: MIT
/* The answer of dom1 check, for people and for programs. Pure: strings come out. */
#pragma once

#include "check/finding.h"

enum { PRESENT_COLUMNS = 100 };

/*
 * A line for each finding: state, title, meaning; under it the remedy, if there is one; last the verdict. No line is
 * longer than PRESENT_COLUMNS, unless one word is (a path). To g_free().
 */
char *present_text(const struct findings *findings);

/* One object: the verdict, the findings, and the facts under them as numbers and words. To g_free(). */
char *present_json(const struct findings *findings, const struct host_facts *facts);
