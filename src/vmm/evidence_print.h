// SPDX-License-Identifier: MIT
/* Evidence for a person (lines on a stream) and for a program (an object of the report). */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

struct record;
struct symbols;

/* with_console: the console's last lines too, for who has not seen them. Nothing is printed that a terminal obeys. */
void evidence_print(FILE *stream, const struct record *record, const struct symbols *symbols, bool with_console);

/* Adds the member "evidence". */
void evidence_add_json(json_t *report, const struct record *record, const struct symbols *symbols);
