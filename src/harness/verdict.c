// SPDX-License-Identifier: MIT
#include "harness/verdict.h"

#include <inttypes.h>
#include <string.h>

#include "harness/console_lines.h"
#include "harness/patterns.h"
#include "harness/result_line.h"
#include "harness/tap.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

const char *const VERDICT_NAMES[N_VERDICTS] = {
	[VERDICT_PASSED] = "passed",
	[VERDICT_SKIPPED] = "skipped",
	[VERDICT_FAILED] = "failed",
	[VERDICT_ERROR] = "error",
	[VERDICT_REBOOT] = "reboot",
	[VERDICT_TIMEOUT] = "timeout",
	[VERDICT_DESTROYED] = "destroyed",
	[VERDICT_CRASH] = "crash",
	[VERDICT_SHIM_CRASH] = "shim-crash",
	[VERDICT_HOST_ERROR] = "host-error",
};

struct verdict_engine {
	const struct verdict_rules *rules;
	struct console_lines lines;
	struct tap tap;
	enum result_line result;
	bool *expected; /* of rules->expect: seen */
	guint n_missing;
	int forbidden; /* of rules->fail_on: the first that matched; -1 */
	bool script_done;
	char *script_problem; /* NULL: none yet */
	bool satisfied; /* everything expected came, and nothing else can say more */
	char forbidden_line[TAP_NAME_BYTES];
};

struct verdict_engine *verdict_engine_new(const struct verdict_rules *rules)
{
	struct verdict_engine *engine = g_new0(struct verdict_engine, 1);

	engine->rules = rules;
	engine->expected = g_new0(bool, rules->expect->len + 1);
	engine->n_missing = rules->expect->len;
	engine->forbidden = -1;
	return engine;
}

void verdict_engine_free(struct verdict_engine *engine)
{
	if (!engine)
		return;
	g_free(engine->expected);
	g_free(engine->script_problem);
	g_free(engine);
}

static bool is_decided(const struct verdict_engine *engine)
{
	return engine->satisfied || engine->forbidden >= 0 || engine->script_problem;
}

/* A guest that reports by itself is heard to its end; so is one whose end is what is tested. */
static void weigh(struct verdict_engine *engine)
{
	const struct verdict_rules *rules = engine->rules;

	engine->satisfied = (rules->expect->len > 0 || rules->has_script) && engine->n_missing == 0 &&
			    engine->script_done == rules->has_script && engine->result == RESULT_NONE && !engine->tap.open &&
			    rules->expected_end == OUTCOME_POWEROFF;
}

static void match_patterns(struct verdict_engine *engine, const char *line)
{
	engine->forbidden = patterns_find(engine->rules->fail_on, 0, line);
	if (engine->forbidden >= 0) {
		g_strlcpy(engine->forbidden_line, line, sizeof(engine->forbidden_line));
		return;
	}
	for (int i = -1; engine->n_missing > 0 && (i = patterns_find(engine->rules->expect, (guint)(i + 1), line)) >= 0;)
		if (!engine->expected[i]) {
			engine->expected[i] = true;
			engine->n_missing--;
		}
	weigh(engine);
}

/* A guest may print several: the worst counts. SKIP is what is left when no other has more to say. */
static enum result_line worse_result(enum result_line a, enum result_line b)
{
	if (MIN(a, b) == RESULT_SUCCESS && MAX(a, b) == RESULT_SKIP)
		return RESULT_SUCCESS;
	return MAX(a, b);
}

static void take_line(struct verdict_engine *engine, const char *line, bool ended)
{
	if (is_decided(engine))
		return;
	enum result_line result = result_line_parse(line, ended);
	if (result == RESULT_NONE)
		(void)tap_line(&engine->tap, line);
	else
		engine->result = worse_result(engine->result, result);
	match_patterns(engine, line);
}

static void on_line(void *opaque, const char *line)
{
	take_line(opaque, line, true);
}

bool verdict_engine_feed(struct verdict_engine *engine, const void *bytes, size_t len_bytes)
{
	if (!is_decided(engine))
		console_lines_feed(&engine->lines, bytes, len_bytes, on_line, engine);
	return is_decided(engine);
}

bool verdict_engine_quiet(struct verdict_engine *engine)
{
	const char *line = console_lines_unfinished(&engine->lines);

	if (!is_decided(engine) && line[0] != '\0')
		match_patterns(engine, line);
	return is_decided(engine);
}

bool verdict_engine_script(struct verdict_engine *engine, const char *problem)
{
	if (is_decided(engine))
		return true;
	engine->script_problem = g_strdup(problem);
	engine->script_done = !problem;
	weigh(engine);
	return is_decided(engine);
}

static char *missing_text(const struct verdict_engine *engine)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < engine->rules->expect->len; i++)
		if (!engine->expected[i])
			g_string_append_printf(text, "%s%s", text->len ? ", " : "", patterns_text(engine->rules->expect, i));
	return g_string_free(text, FALSE);
}

/* What the guest itself, or a pattern, calls a failure. */
static bool is_reported_failure(const struct verdict_engine *engine, enum tap_result tap, enum verdict *verdict, char **detail)
{
	*verdict = VERDICT_FAILED;
	if (engine->result == RESULT_FAILURE)
		*detail = g_strdup("Test result: FAILURE");
	else if (engine->result == RESULT_ERROR) {
		*verdict = VERDICT_ERROR;
		*detail = g_strdup("Test result: ERROR");
	} else if (tap == TAP_FAILED)
		*detail = g_strdup_printf("not ok: %s%s", engine->tap.first_failed, engine->tap.total_failed > 1 ? " and others" : "");
	else if (engine->forbidden >= 0)
		*detail = g_strdup_printf("--fail-on %s: %s", patterns_text(engine->rules->fail_on, (guint)engine->forbidden),
					  engine->forbidden_line);
	else if (engine->script_problem)
		*detail = g_strdup(engine->script_problem);
	else
		return false;
	return true;
}

static const char *said_before(const struct verdict_engine *engine, enum tap_result tap)
{
	if (engine->result == RESULT_SUCCESS)
		return "it had said SUCCESS before";
	if (engine->result == RESULT_MALFORMED)
		return "in the middle of its result line";
	if (tap == TAP_PASSED)
		return "all its tests had passed before";
	return tap == TAP_BROKEN ? engine->tap.problem : NULL;
}

/* An end that is not what it should be is the verdict. */
static bool is_bad_end(const struct verdict_engine *engine, enum tap_result tap, const struct verdict_end *end,
		       enum verdict *verdict, char **detail)
{
	static const enum verdict verdicts[N_OUTCOMES] = {
		[OUTCOME_POWEROFF] = VERDICT_FAILED,   [OUTCOME_REBOOT] = VERDICT_REBOOT,
		[OUTCOME_CRASH] = VERDICT_CRASH,       [OUTCOME_SHIM_CRASH] = VERDICT_SHIM_CRASH,
		[OUTCOME_TIMEOUT] = VERDICT_TIMEOUT,   [OUTCOME_DESTROYED] = VERDICT_DESTROYED,
		[OUTCOME_SAVED] = VERDICT_DESTROYED,
	};

	if (end->outcome == engine->rules->expected_end)
		return false;
	*verdict = verdicts[end->outcome];
	if (end->outcome == OUTCOME_POWEROFF) {
		*detail = g_strdup_printf("it powered off, and %s was expected", OUTCOME_NAMES[engine->rules->expected_end]);
		return true;
	}
	g_autofree char *missing = missing_text(engine);
	g_autofree char *waited = missing[0] ? g_strdup_printf("never came: %s", missing) : NULL;
	const char *parts[] = { end->detail, said_before(engine, tap), waited, end->script_waited };
	GString *text = g_string_new(NULL);
	for (size_t i = 0; i < G_N_ELEMENTS(parts); i++)
		if (parts[i] && parts[i][0])
			g_string_append_printf(text, "%s%s", text->len ? "; " : "", parts[i]);
	*detail = g_string_free(text, FALSE);
	return true;
}

static enum verdict of_orderly_end(const struct verdict_engine *engine, enum tap_result tap, const struct verdict_end *end,
				   char **detail)
{
	if (engine->result == RESULT_MALFORMED) {
		*detail = g_strdup("its result line is none that the Xen Test Framework knows, or half of one");
		return VERDICT_ERROR;
	}
	if (tap == TAP_BROKEN) {
		*detail = g_strdup(engine->tap.problem);
		return VERDICT_ERROR;
	}
	if (engine->n_missing > 0) {
		g_autofree char *missing = missing_text(engine);

		*detail = g_strdup_printf("never came: %s", missing);
		return VERDICT_FAILED;
	}
	if (end->script_waited) {
		*detail = g_strdup(end->script_waited);
		return VERDICT_FAILED;
	}
	if (end->guest_status > 0) {
		*detail = g_strdup_printf("the guest's status is %d", end->guest_status);
		return VERDICT_FAILED;
	}
	bool skipped = engine->result == RESULT_SKIP ? tap != TAP_PASSED : tap == TAP_SKIPPED && engine->result == RESULT_NONE;
	return skipped ? VERDICT_SKIPPED : VERDICT_PASSED;
}

static int status_of(enum verdict verdict, const struct verdict_end *end)
{
	switch (verdict) {
	case VERDICT_PASSED:
	case VERDICT_SKIPPED:
		return DOM1_STATUS_OK;
	case VERDICT_FAILED:
	case VERDICT_ERROR:
		return DOM1_STATUS_TEST_FAILED;
	case VERDICT_REBOOT:
		return DOM1_STATUS_REBOOT;
	case VERDICT_TIMEOUT:
		return DOM1_STATUS_TIMEOUT;
	case VERDICT_DESTROYED:
		return DOM1_STATUS_DESTROYED;
	case VERDICT_CRASH:
		return DOM1_STATUS_CRASH;
	case VERDICT_SHIM_CRASH:
		return DOM1_STATUS_SHIM_CRASH;
	default:
		return end->status > 0 && end->status <= DOM1_STATUS_BACKEND ? end->status : DOM1_STATUS_DEFECT;
	}
}

void verdict_engine_conclude(struct verdict_engine *engine, const struct verdict_end *end, struct verdict_result *result)
{
	const char *unfinished = console_lines_unfinished(&engine->lines);
	char *detail = NULL;

	if (unfinished[0] != '\0')
		take_line(engine, unfinished, false);
	enum tap_result tap = tap_result(&engine->tap);
	enum verdict verdict = VERDICT_PASSED;
	if (end->outcome <= OUTCOME_NONE || end->outcome >= OUTCOME_HOST_ERROR) {
		verdict = VERDICT_HOST_ERROR;
		detail = g_strdup(end->detail);
	} else if (!engine->satisfied && !is_reported_failure(engine, tap, &verdict, &detail) &&
		   !is_bad_end(engine, tap, end, &verdict, &detail))
		verdict = of_orderly_end(engine, tap, end, &detail);
	*result = (struct verdict_result){
		.verdict = verdict,
		.status = status_of(verdict, end),
		.detail = one_line(detail ? detail : ""),
		.n_passed = engine->tap.total_passed,
		.n_failed = engine->tap.total_failed,
		.n_skipped = engine->tap.total_skipped,
		.n_todo = engine->tap.total_todo,
	};
	g_free(detail);
}

int verdict_worse_status(int a, int b)
{
	/* docs/harness.md; what is not in it (a signal's status, a reboot) stands where its kind does. */
	static const int from_worst[] = {
		DOM1_STATUS_DEFECT, DOM1_STATUS_HOST,  DOM1_STATUS_USAGE,   DOM1_STATUS_FILE,      DOM1_STATUS_BACKEND,     DOM1_STATUS_SHIM_CRASH,
		DOM1_STATUS_CRASH,  DOM1_STATUS_TIMEOUT, DOM1_STATUS_DESTROYED, DOM1_STATUS_REBOOT, DOM1_STATUS_TEST_FAILED,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(from_worst); i++)
		if (a == from_worst[i] || b == from_worst[i])
			return from_worst[i];
	return MAX(a, b);
}
