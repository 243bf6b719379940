// SPDX-License-Identifier: MIT
/* What the harness makes of the record of a run: of an honest machine, and of one that its guest has taken over. */
#include <string.h>

#include <glib.h>

#include "harness/run_record.h"

static void test_end(void)
{
	struct record *record = record_new(0);
	struct run_record run;

	record_end(record, OUTCOME_CRASH, 0, "it said %s", "no");
	run_record_read(&run, record);
	/* The launcher has not come to its end: nothing is known. */
	g_assert_cmpint(run.outcome, ==, OUTCOME_NONE);
	g_assert_null(run.detail);
	run_record_clear(&run);

	record_phase(record, PHASE_EXIT, NULL);
	run_record_read(&run, record);
	g_assert_cmpint(run.outcome, ==, OUTCOME_CRASH);
	g_assert_cmpstr(run.detail, ==, "it said no");
	g_assert_cmpint(run.guest_status, ==, -1);
	run_record_clear(&run);
	record_free(record);
}

static void test_status(void)
{
	static const struct {
		const char *mark;
		int status;
	} marks[] = { { "status=7", 7 }, { "status=x", 7 }, { "status=256", 7 }, { "hello", 7 }, { "status=0", 0 }, { "status=255", 255 } };
	struct record *record = record_new(0);
	struct run_record run;

	record_phase(record, PHASE_EXIT, NULL);
	/* Another phase's text is no mark. */
	record_phase(record, PHASE_DEVICE_CONNECTED, "status=3");
	for (size_t i = 0; i < G_N_ELEMENTS(marks); i++) {
		record_phase(record, PHASE_MARK, marks[i].mark);
		run_record_read(&run, record);
		g_assert_cmpint(run.guest_status, ==, marks[i].status);
		run_record_clear(&run);
	}
	record_free(record);
}

static void test_hostile(void)
{
	struct record *record = record_new(0);
	struct run_record run;

	memset(record, 0xff, sizeof(*record));
	run_record_read(&run, record);
	g_assert_cmpint(run.outcome, ==, OUTCOME_HOST_ERROR);
	g_assert_cmpint(run.guest_status, ==, -1);
	g_assert_cmpuint(strlen(run.detail), ==, sizeof(record->detail) - 1);
	run_record_clear(&run);
	record_free(record);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/run-record/end", test_end);
	g_test_add_func("/run-record/status", test_status);
	g_test_add_func("/run-record/hostile", test_hostile);
	return g_test_run();
}
