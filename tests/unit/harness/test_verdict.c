// SPDX-License-Identifier: MIT
/*
 * Verdicts: each one from a console and an end that mean it; that no good word covers a bad one; that the verdict does
 * not depend on how the bytes were cut; and that a guest that prints without end costs nothing.
 */
#include <string.h>

#include <glib.h>

#include "harness/patterns.h"
#include "harness/verdict.h"
#include "vmm/error.h"

#define ROUNDS 20000

struct rules {
	GPtrArray *expect, *fail_on;
	struct verdict_rules rules;
};

static void rules_init(struct rules *r, const char *expect, const char *fail_on)
{
	r->expect = patterns_new();
	r->fail_on = patterns_new();
	r->rules = (struct verdict_rules){ r->expect, r->fail_on, false, OUTCOME_POWEROFF };
	if (expect)
		g_assert_true(patterns_add(r->expect, "--expect", expect, NULL));
	if (fail_on)
		g_assert_true(patterns_add(r->fail_on, "--fail-on", fail_on, NULL));
}

static void rules_clear(struct rules *r)
{
	g_ptr_array_unref(r->expect);
	g_ptr_array_unref(r->fail_on);
}

static struct verdict_end end_of(enum outcome outcome)
{
	return (struct verdict_end){ .outcome = outcome, .status = DOM1_STATUS_DEFECT, .guest_status = -1 };
}

static enum verdict judge(const struct rules *r, const char *text, const struct verdict_end *end)
{
	struct verdict_engine *engine = verdict_engine_new(&r->rules);
	struct verdict_result result;

	(void)verdict_engine_feed(engine, text, strlen(text));
	verdict_engine_conclude(engine, end, &result);
	g_assert_nonnull(result.detail);
	g_assert_null(strpbrk(result.detail, "\n\r\033"));
	g_free(result.detail);
	verdict_engine_free(engine);
	return result.verdict;
}

static const enum verdict BY_END[N_OUTCOMES] = {
	[OUTCOME_NONE] = VERDICT_HOST_ERROR,	  [OUTCOME_POWEROFF] = VERDICT_PASSED,
	[OUTCOME_REBOOT] = VERDICT_REBOOT,	  [OUTCOME_CRASH] = VERDICT_CRASH,
	[OUTCOME_SHIM_CRASH] = VERDICT_SHIM_CRASH, [OUTCOME_TIMEOUT] = VERDICT_TIMEOUT,
	[OUTCOME_DESTROYED] = VERDICT_DESTROYED,  [OUTCOME_SAVED] = VERDICT_DESTROYED,
	[OUTCOME_HOST_ERROR] = VERDICT_HOST_ERROR,
};

/*
 * What a console says, and the verdict when the guest then powers off. good: it counts only after such an end, any other
 * end is the verdict; else it stands whatever follows.
 */
static const struct {
	const char *text;
	enum verdict verdict;
	bool good;
} CONSOLES[] = {
	{ "", VERDICT_PASSED, true },
	{ "hello\n", VERDICT_PASSED, true },
	{ "Test result: SUCCESS\n", VERDICT_PASSED, true },
	{ "Test result: SUCCESS", VERDICT_PASSED, true },
	{ "Test result: SUCCESS with warnings\r\n", VERDICT_PASSED, true },
	{ "[    1.234567] Test result: SKIP\n", VERDICT_SKIPPED, true },
	{ "Test result: SKIP\nTest result: SUCCESS\n", VERDICT_PASSED, true },
	{ "Test result: ERROR\n", VERDICT_ERROR, false },
	{ "Test result: FAILURE\n", VERDICT_FAILED, false },
	{ "Test result: FAILURE\nTest result: SUCCESS\n", VERDICT_FAILED, false },
	{ "Test result: FAILURE with warnings\n", VERDICT_FAILED, false },
	{ "Test result: \033[31mFAILURE\033[0m\r\n", VERDICT_FAILED, false },
	/* Half a line. */
	{ "Test res", VERDICT_ERROR, true },
	{ "Test result: SUCC", VERDICT_ERROR, true },
	{ "Test result: SUCCESS with warn", VERDICT_ERROR, true },
	{ "Test result: FAIL", VERDICT_ERROR, true },
	{ "Test result: \n", VERDICT_ERROR, true },
	{ "Test result: SUCCESSFUL\n", VERDICT_ERROR, true },
	/* No result lines. */
	{ "+ echo Test result: FAILURE\n", VERDICT_PASSED, true },
	{ "Test\n", VERDICT_PASSED, true },
	/* TAP and KTAP. */
	{ "TAP version 13\n1..2\nok 1 - a\nok 2 - b\n", VERDICT_PASSED, true },
	{ "noise\nTAP version 14\nok 1\nnoise\nok 2\n1..2\n", VERDICT_PASSED, true },
	{ "1..1\nok 1\n", VERDICT_PASSED, true },
	{ "1..0 # SKIP no device\n", VERDICT_SKIPPED, true },
	{ "1..2\nok 1 # SKIP a\nok 2 # skip b\n", VERDICT_SKIPPED, true },
	{ "1..2\nok 1 # SKIP a\nok 2\n", VERDICT_PASSED, true },
	{ "1..1\nnot ok 1 # TODO later\n", VERDICT_PASSED, true },
	{ "1..1\nnot ok 1 - a \\# TODO in its name\n", VERDICT_FAILED, false },
	{ "1..2\nok 1\nnot ok 2 - b\n", VERDICT_FAILED, false },
	{ "1..2\nok 1\nBail out! no disk\n", VERDICT_FAILED, false },
	{ "1..2\nok 1\n", VERDICT_ERROR, true },
	{ "1..1\nok 1\nok 2\n", VERDICT_ERROR, true },
	{ "TAP version 13\nok 1\n", VERDICT_ERROR, true },
	{ "TAP version 13\nok 1\n1..1\nTAP version 13\nok 1\n", VERDICT_ERROR, true },
	{ "TAP version 13\nnot ok 1\n1..1\nTAP version 13\nok 1\n1..1\n", VERDICT_FAILED, false },
	{ "[    1.000000] KTAP version 1\n[    1.000000] 1..1\n[    1.000000]     KTAP version 1\n"
	  "[    1.000000]     1..2\n[    1.000000]     not ok 1 a # TODO\n[    1.000000]     ok 2 b\n[    1.000000] ok 1 suite\n",
	  VERDICT_PASSED, true },
	{ "KTAP version 1\n1..1\n    not ok 1 a\nnot ok 1 suite\n", VERDICT_FAILED, false },
	{ "KTAP version 1\nok 1 without a plan\n", VERDICT_PASSED, true },
	{ "KTAP version 1\n", VERDICT_ERROR, true },
	{ "ok 1\nnot ok 2\nok then\n", VERDICT_PASSED, true },
	{ "1..99999999999999999999\n", VERDICT_PASSED, true },
	/* The result line speaks before TAP, where both are bad; else a bad word stands. */
	{ "1..1\nnot ok 1\nTest result: ERROR\n", VERDICT_ERROR, false },
	{ "1..1\nnot ok 1\nTest result: SUCCESS\n", VERDICT_FAILED, false },
};

static void test_ends(void)
{
	struct rules r;

	rules_init(&r, NULL, NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(CONSOLES); i++)
		for (enum outcome outcome = OUTCOME_NONE; outcome < N_OUTCOMES; outcome++) {
			struct verdict_end end = end_of(outcome);
			enum verdict expected = CONSOLES[i].verdict;

			if (BY_END[outcome] == VERDICT_HOST_ERROR || (CONSOLES[i].good && outcome != OUTCOME_POWEROFF))
				expected = BY_END[outcome];
			enum verdict verdict = judge(&r, CONSOLES[i].text, &end);
			if (verdict != expected)
				g_error("'%s' and %s: %s, not %s", CONSOLES[i].text, OUTCOME_NAMES[outcome], VERDICT_NAMES[verdict],
					VERDICT_NAMES[expected]);
		}
	rules_clear(&r);
}

static void test_expected_end(void)
{
	struct rules r;
	struct verdict_end off = end_of(OUTCOME_POWEROFF), crash = end_of(OUTCOME_CRASH), reboot = end_of(OUTCOME_REBOOT);

	rules_init(&r, "bye", NULL);
	r.rules.expected_end = OUTCOME_CRASH;
	g_assert_cmpint(judge(&r, "bye\n", &crash), ==, VERDICT_PASSED);
	g_assert_cmpint(judge(&r, "", &crash), ==, VERDICT_FAILED);
	g_assert_cmpint(judge(&r, "bye\n", &off), ==, VERDICT_FAILED);
	g_assert_cmpint(judge(&r, "bye\n", &reboot), ==, VERDICT_REBOOT);
	g_assert_cmpint(judge(&r, "bye\nTest result: FAILURE\n", &crash), ==, VERDICT_FAILED);
	rules_clear(&r);
}

static void test_patterns(void)
{
	struct rules r;
	struct verdict_end off = end_of(OUTCOME_POWEROFF), crash = end_of(OUTCOME_CRASH), ours = end_of(OUTCOME_DESTROYED);

	rules_init(&r, "^login:", "BUG|Oops");
	g_assert_true(patterns_add(r.expect, "--expect", "[0-9]+ disks", NULL));
	g_assert_cmpint(judge(&r, "2 disks\nlogin: \n", &ours), ==, VERDICT_PASSED);
	g_assert_cmpint(judge(&r, "login: \n2 disks", &off), ==, VERDICT_PASSED);
	g_assert_cmpint(judge(&r, "login: \n", &off), ==, VERDICT_FAILED);
	g_assert_cmpint(judge(&r, "login: \n", &crash), ==, VERDICT_CRASH);
	g_assert_cmpint(judge(&r, "BUG here\nlogin: \n2 disks\n", &ours), ==, VERDICT_FAILED);
	/* What comes when all is decided is not looked at. */
	g_assert_cmpint(judge(&r, "login: \n2 disks\nBUG\n", &ours), ==, VERDICT_PASSED);
	g_assert_cmpint(judge(&r, "login: \n2 disks\nTest result: FAILURE\n", &ours), ==, VERDICT_PASSED);
	/* A guest that reports is heard to its end. */
	g_assert_cmpint(judge(&r, "1..1\nlogin: \n2 disks\nnot ok 1\n", &off), ==, VERDICT_FAILED);
	g_assert_cmpint(judge(&r, "1..1\nlogin: \n2 disks\n", &off), ==, VERDICT_ERROR);
	g_assert_cmpint(judge(&r, "1..1\nok 1\n2 disks\n", &off), ==, VERDICT_FAILED);
	rules_clear(&r);

	g_autoptr(GError) error = NULL;
	rules_init(&r, NULL, NULL);
	g_assert_false(patterns_add(r.expect, "--expect", "(", &error));
	g_assert_cmpint(error->code, ==, DOM1_STATUS_USAGE);
	rules_clear(&r);
}

/* A prompt has no line break: it is looked at when the console is quiet, and not before. */
static void test_quiet(void)
{
	struct rules r;
	struct verdict_end end = end_of(OUTCOME_DESTROYED);
	struct verdict_result result;

	rules_init(&r, "login: $", NULL);
	struct verdict_engine *engine = verdict_engine_new(&r.rules);
	g_assert_false(verdict_engine_quiet(engine));
	g_assert_false(verdict_engine_feed(engine, "host login: ", strlen("host login: ")));
	g_assert_true(verdict_engine_quiet(engine));
	verdict_engine_conclude(engine, &end, &result);
	g_assert_cmpint(result.verdict, ==, VERDICT_PASSED);
	g_free(result.detail);
	verdict_engine_free(engine);
	rules_clear(&r);
}

static void test_guest_status(void)
{
	struct rules r;
	struct verdict_end end = end_of(OUTCOME_POWEROFF);

	rules_init(&r, NULL, NULL);
	end.guest_status = 0;
	g_assert_cmpint(judge(&r, "", &end), ==, VERDICT_PASSED);
	end.guest_status = 3;
	g_assert_cmpint(judge(&r, "Test result: SUCCESS\n", &end), ==, VERDICT_FAILED);
	end.outcome = OUTCOME_CRASH;
	g_assert_cmpint(judge(&r, "", &end), ==, VERDICT_CRASH);
	rules_clear(&r);
}

/* Pieces of what consoles print, whole lines and parts of them. */
static const char *const PIECES[] = {
	"Test result: SUCCESS", "Test result: FAILURE", "Test result: SKIP",	"Test ", "result: ", "SUCCESS", "\n", "\n", "\n", "\r\n", "\r",
	"TAP version 13\n",	"KTAP version 1\n",	"1..2\n", "ok 1 - a\n", "ok 2 # SKIP\n", "not ok 1 b\n", "Bail out!\n", "    ",
	"[    0.123456] ",	"\033[1m",	"\033]0;x\007",	"\033", "login: ", "2 disks", "BUG", "x", "\001", "\xff", "not ok",
};

static GString *random_console(GRand *random)
{
	GString *text = g_string_new(NULL);
	guint n = (guint)g_rand_int_range(random, 0, 24);

	for (guint i = 0; i < n; i++)
		if (g_rand_int_range(random, 0, 20) == 0)
			g_string_append_c(text, (char)g_rand_int_range(random, 0, 256));
		else
			g_string_append(text, PIECES[g_rand_int_range(random, 0, G_N_ELEMENTS(PIECES))]);
	return text;
}

/* Fed in pieces of at most so many bytes; 0: of any size. */
static void judge_cut(const struct rules *r, const GString *text, GRand *random, gsize most, const struct verdict_end *end,
		      bool *decided, struct verdict_result *result)
{
	struct verdict_engine *engine = verdict_engine_new(&r->rules);

	*decided = false;
	for (gsize at = 0; at < text->len;) {
		gsize piece = most ? most : (gsize)g_rand_int_range(random, 1, (gint32)text->len + 1);

		piece = MIN(piece, text->len - at);
		*decided = verdict_engine_feed(engine, text->str + at, piece);
		at += piece;
	}
	verdict_engine_conclude(engine, end, result);
	verdict_engine_free(engine);
}

static void test_cuts(void)
{
	GRand *random = g_rand_new_with_seed(7);
	unsigned int seen[N_VERDICTS] = { 0 };
	struct rules rules[2];

	rules_init(&rules[0], NULL, NULL);
	rules_init(&rules[1], "login:", "BUG$");
	g_assert_true(patterns_add(rules[1].expect, "--expect", "^2 disks", NULL));
	for (unsigned int round = 0; round < ROUNDS; round++) {
		const struct rules *r = &rules[round % 2];
		GString *text = random_console(random);
		struct verdict_end end = end_of((enum outcome)g_rand_int_range(random, 0, N_OUTCOMES));
		struct verdict_result results[3];
		bool decided[3];
		const gsize most[3] = { text->len, 1, 0 };

		if (g_rand_boolean(random))
			end.outcome = OUTCOME_POWEROFF;
		for (size_t i = 0; i < G_N_ELEMENTS(results); i++) {
			judge_cut(r, text, random, most[i], &end, &decided[i], &results[i]);
			g_assert_cmpint(results[i].verdict, ==, results[0].verdict);
			g_assert_cmpstr(results[i].detail, ==, results[0].detail);
			g_assert_cmpuint(results[i].n_passed, ==, results[0].n_passed);
			g_assert_true(decided[i] == decided[0]);
		}
		seen[results[0].verdict]++;
		for (size_t i = 0; i < G_N_ELEMENTS(results); i++)
			g_free(results[i].detail);
		g_string_free(text, TRUE);
	}
	for (size_t i = 0; i < N_VERDICTS; i++)
		g_assert_cmpuint(seen[i], >, 20);
	rules_clear(&rules[0]);
	rules_clear(&rules[1]);
	g_rand_free(random);
}

/* A gigabyte: lines, one line without an end, and bytes of all kinds; the result line after it is still seen. */
static void test_flood(void)
{
	enum { PIECE_BYTES = 1 << 20, PIECES_OF_EACH = 1024 / 3 };
	struct rules r;
	g_autofree char *piece = g_malloc(PIECE_BYTES);
	struct verdict_end end = end_of(OUTCOME_POWEROFF);
	struct verdict_result result;

	rules_init(&r, NULL, NULL);
	struct verdict_engine *engine = verdict_engine_new(&r.rules);
	for (unsigned int kind = 0; kind < 3; kind++) {
		for (unsigned int i = 0; i < PIECE_BYTES; i++)
			piece[i] = kind == 0 ? (i % 80 ? 'a' : '\n') : kind == 1 ? 'x' : (char)(i * 2654435761u >> 13);
		for (unsigned int i = 0; i < PIECES_OF_EACH; i++)
			g_assert_false(verdict_engine_feed(engine, piece, PIECE_BYTES));
	}
	static const char last[] = "\nTest result: FAILURE\n";
	(void)verdict_engine_feed(engine, last, strlen(last));
	verdict_engine_conclude(engine, &end, &result);
	g_assert_cmpint(result.verdict, ==, VERDICT_FAILED);
	g_free(result.detail);
	verdict_engine_free(engine);
	rules_clear(&r);
}

/* The order that interfaces.md gives, and those it leaves out at their places. */
static void test_worst(void)
{
	static const int order[] = { 125, 3, 2, 4, 5, 35, 34, 124, 143, 32, 1, 0 };

	for (size_t i = 0; i < G_N_ELEMENTS(order); i++)
		for (size_t j = 0; j < G_N_ELEMENTS(order); j++)
			g_assert_cmpint(verdict_worse_status(order[i], order[j]), ==, order[MIN(i, j)]);
}

static void test_statuses(void)
{
	static const int statuses[N_OUTCOMES] = { 125, 0, 32, 34, 35, 124, 143, 143, 125 };
	static const int host[] = { 2, 3, 4, 5, 125 };
	struct rules r;
	struct verdict_result result;

	rules_init(&r, NULL, NULL);
	for (enum outcome outcome = OUTCOME_NONE; outcome < N_OUTCOMES; outcome++)
		for (size_t i = 0; i < G_N_ELEMENTS(host); i++) {
			struct verdict_engine *engine = verdict_engine_new(&r.rules);
			struct verdict_end end = { .outcome = outcome, .status = host[i], .guest_status = -1 };

			verdict_engine_conclude(engine, &end, &result);
			g_assert_cmpint(result.status, ==, BY_END[outcome] == VERDICT_HOST_ERROR ? host[i] : statuses[outcome]);
			g_free(result.detail);
			verdict_engine_free(engine);
		}
	rules_clear(&r);
}

/* A script with and without an expectation, and a guest that reports by itself or ends too early. */
static void test_script(void)
{
	static const struct {
		const char *text, *expect, *problem;
		bool over;         /* the script has told how it went */
		bool decided;      /* by that */
		enum outcome outcome;
		enum verdict verdict;
	} cases[] = {
		{ "x\n", NULL, NULL, true, true, OUTCOME_DESTROYED, VERDICT_PASSED },
		{ "x\n", NULL, "s:1: expect y: did not come in 1 s", true, true, OUTCOME_DESTROYED, VERDICT_FAILED },
		{ "x\n", "x", NULL, true, true, OUTCOME_DESTROYED, VERDICT_PASSED },
		{ "x\n", "x", NULL, false, false, OUTCOME_POWEROFF, VERDICT_FAILED },
		{ "x\n", "y", NULL, true, false, OUTCOME_POWEROFF, VERDICT_FAILED },
		{ "x\n", NULL, NULL, false, false, OUTCOME_POWEROFF, VERDICT_FAILED },
		{ "x\n", NULL, NULL, false, false, OUTCOME_CRASH, VERDICT_CRASH },
		{ "Test result: SUCCESS\n", NULL, NULL, true, false, OUTCOME_POWEROFF, VERDICT_PASSED },
		{ "Test result: SUCCESS\n", NULL, NULL, true, false, OUTCOME_CRASH, VERDICT_CRASH },
		{ "Test result: FAILURE\n", NULL, NULL, true, false, OUTCOME_POWEROFF, VERDICT_FAILED },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
		struct verdict_end end = end_of(cases[i].outcome);
		struct verdict_result result;
		struct rules rules;

		rules_init(&rules, cases[i].expect, NULL);
		rules.rules.has_script = true;
		end.script_waited = cases[i].over ? NULL : "s:1: expect z: had not come when the guest ended";
		struct verdict_engine *engine = verdict_engine_new(&rules.rules);
		g_assert_false(verdict_engine_feed(engine, cases[i].text, strlen(cases[i].text)));
		if (cases[i].over)
			g_assert_true(verdict_engine_script(engine, cases[i].problem) == cases[i].decided);
		verdict_engine_conclude(engine, &end, &result);
		g_assert_cmpint(result.verdict, ==, cases[i].verdict);
		if (cases[i].problem)
			g_assert_cmpstr(result.detail, ==, cases[i].problem);
		g_free(result.detail);
		verdict_engine_free(engine);
		rules_clear(&rules);
	}
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/harness/verdict/ends", test_ends);
	g_test_add_func("/harness/verdict/expected_end", test_expected_end);
	g_test_add_func("/harness/verdict/patterns", test_patterns);
	g_test_add_func("/harness/verdict/quiet", test_quiet);
	g_test_add_func("/harness/verdict/script", test_script);
	g_test_add_func("/harness/verdict/guest_status", test_guest_status);
	g_test_add_func("/harness/verdict/cuts", test_cuts);
	g_test_add_func("/harness/verdict/flood", test_flood);
	g_test_add_func("/harness/verdict/worst", test_worst);
	g_test_add_func("/harness/verdict/statuses", test_statuses);
	return g_test_run();
}
