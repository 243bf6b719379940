// SPDX-License-Identifier: MIT
/*
 * --boot-once: tests that start the same kernel in the same machine have it booted once. It is saved where they are to begin, and each
 * test is a clone of that. What is the same is told by what is in the files, not by their names.
 */
#pragma once

#include <glib.h>

#include "harness/job.h"
#include "harness/test_case.h"

struct boot_once;

/*
 * For all tests of cases that share a machine with another one, or that run more than once (again): their arguments are then those
 * of a clone. when: as of --save-at. What cannot be saved, or does not come so far, is told on standard error, and boots for each test.
 * main: of job_start(). The caller keeps what is returned while they run; boot_once_free().
 */
struct boot_once *boot_once_prepare(const GPtrArray *cases, const char *when, bool again, job_main *main);
void boot_once_free(struct boot_once *once);

/*
 * What the test's machine is and what is booted in it, as a text to g_free(): the same for tests that may share one. NULL: it has
 * something that is not saved, or its options cannot be read. Files are read.
 */
char *boot_once_key(const struct test_case *test);
