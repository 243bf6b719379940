// SPDX-License-Identifier: MIT
/* The command line of dom1 test, checked and with its defaults filled in. */
#pragma once

#include <stdbool.h>

#include "harness/present.h"
#include "harness/settings.h"
#include "harness/targets.h"

struct test_options {
	char *help; /* --help was given: the text */
	char **targets;
	char **run_options; /* what stood behind --, for each dom1 run */
	char *from;  /* a saved domain, of which each test is a clone; NULL: each boots */
	char *boot_once; /* when a domain is saved of which tests of the same machine are clones; NULL: each boots */
	char **filters;
	struct test_settings common;
	unsigned int jobs;   /* 0: by CPUs */
	unsigned int rounds; /* 0: until one fails */
	bool until_fail, fail_fast, list;
	struct shard shard;
	enum test_format format;
	char *output_dir;
};

/* argv[0] is the name of the command. FALSE: DOM1_STATUS_USAGE. */
bool test_options_parse(struct test_options *options, int argc, char **argv, GError **error);
void test_options_clear(struct test_options *options);
