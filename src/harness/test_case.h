// SPDX-License-Identifier: MIT
/* One test: a guest, and how it is run and judged. */
#pragma once

#include <stdint.h>

#include <glib.h>

#include "harness/settings.h"

struct test_case {
	char *name; /* of the target as it was given; in a folder: its path from there */
	char *path;
	struct test_settings settings;
	GPtrArray *arguments; /* char *: of dom1 run, without what the harness adds for itself */
	/* What the domain will be, once test_case_read_needs() was called. */
	uint64_t memory_bytes;
	unsigned int n_vcpus;
	bool has_shim;
	GError *error; /* it cannot be run: why */
};

void test_case_free(struct test_case *test);

/*
 * Reads what is to be known of the target before it runs. common: for all tests; run_options: for each dom1 run, NULL at
 * the end. Always a test: if something is wrong with the file, it has an error.
 */
struct test_case *test_case_new(const char *path, const struct test_settings *common, char **run_options);

/*
 * The same where each test is a clone of the saved domain, saved_path. path: a configuration, of which only the test's settings count; or a
 * dialogue, as of --script; NULL: there is one test, of the saved domain's path.
 */
struct test_case *test_case_from(const char *saved_path, const char *path, const struct test_settings *common, char **run_options);

/* For who runs several side by side, or keeps their files. Where it cannot be said, dom1 run says why, and takes nothing. */
void test_case_read_needs(struct test_case *test);
/* Of a domain saved in that file. It takes what it writes to, besides: as a guess, at most as much as the file has. */
void test_case_is_clone(struct test_case *test, int saved_fd);

enum image_kind { IMAGE_NONE, IMAGE_PV, IMAGE_PVH };
/* What dom1 run --type starts it as; NONE: it is no kernel. */
enum image_kind test_case_image_kind(const char *path);
