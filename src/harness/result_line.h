// SPDX-License-Identifier: MIT
/*
 * The result line of the Xen Test Framework: "Test result: SUCCESS", SKIP, ERROR or FAILURE, perhaps followed by
 * " with warnings". Source: XTF's docs and common/report.c's words as its runner reads them. Pure.
 */
#pragma once

#include <stdbool.h>

/* In the order of their badness. */
enum result_line { RESULT_NONE, RESULT_SUCCESS, RESULT_SKIP, RESULT_MALFORMED, RESULT_ERROR, RESULT_FAILURE };

/* ended: a line break followed it. MALFORMED: it begins like one, and is none, or only half of one. */
enum result_line result_line_parse(const char *line, bool ended);
