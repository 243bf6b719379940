// SPDX-License-Identifier: MIT
/*
 * From facts to what a person is told: a list of findings, from needed to optional, and a verdict. Pure functions of
 * struct host_facts; presentation is another matter (present.h).
 */
#pragma once

#include <glib.h>

#include "check/facts.h"

enum finding_state {
	FINDING_OK,
	FINDING_MISSING, /* a domain needs it, and it is not there */
	FINDING_BAD,     /* a file that was named cannot be used */
	FINDING_WARNING, /* dom1 does without, for a price */
	FINDING_INFO,    /* neither good nor bad */
	FINDING_UNKNOWN, /* cannot be asked because something else is missing */
};

/* "ok", "missing", ... : in the text and in JSON. */
const char *finding_state_name(enum finding_state state);

struct finding {
	char key[40];      /* for programs: snake_case, never changed */
	char title[24]; /* for people; two spaces in front: a detail of the line above */
	enum finding_state state;
	char *meaning;
	char *remedy; /* NULL: nothing to do, or nothing known */
	int status;   /* what this makes of dom1's exit status: DOM1_STATUS_OK, _HOST or _FILE */
};

struct findings {
	GArray *list; /* struct finding */
	int status;   /* of all: the host counts before the files */
	char *verdict;
};

struct findings *findings_new(const struct host_facts *facts);
void findings_free(struct findings *findings);

/* By key, or NULL; of several (shims) the first. */
const struct finding *findings_find(const struct findings *findings, const char *key);

/* The parts of the list, in this order. */
void findings_add_kvm(struct findings *findings, const struct host_facts *facts);
void findings_add_images(struct findings *findings, const struct host_facts *facts);
void findings_add_optional(struct findings *findings, const struct host_facts *facts);

/* For these parts. Takes meaning and remedy; remedy may be NULL. */
void findings_add(struct findings *findings, const char *key, const char *title, enum finding_state state,
		  char *meaning, char *remedy);

/* One bit of a word that the kernel answers with. */
struct flag_name {
	uint64_t flag;
	const char *name;
};
extern const struct flag_name GUEST_MEMFD_FLAGS[];
extern const size_t N_GUEST_MEMFD_FLAGS;
