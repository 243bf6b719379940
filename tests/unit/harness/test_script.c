// SPDX-License-Identifier: MIT
/* Scripts: what their lines mean, and a dialogue with a console that is a pipe. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "harness/script_play.h"
#include "vmm/error.h"

static struct script *parse(const char *text)
{
	g_autoptr(GError) error = NULL;
	struct script *script = script_parse("s", text, &error);

	g_assert_no_error(error);
	return script;
}

static void test_lines(void)
{
	struct script *script = parse("# nothing\n\n  expect ^a b$ \nsend x\\n\\x41\\\\ y\ntimeout 7\nmark\nmark done now\n"
				      "xenstore /a/b\nxenstore /a/b  c d\nwrite /a 1\nevent PAUSED\n");
	static const struct {
		enum script_kind kind;
		unsigned int line, timeout_s;
		const char *name, *value;
	} steps[] = {
		{ SCRIPT_EXPECT, 3, 30, NULL, NULL },
		{ SCRIPT_SEND, 4, 30, NULL, "x\nA\\ y" },
		{ SCRIPT_MARK, 6, 7, "/local/domain/1/data/mark", NULL },
		{ SCRIPT_MARK, 7, 7, "/local/domain/1/data/mark", "done now" },
		{ SCRIPT_XENSTORE, 8, 7, "/a/b", NULL },
		{ SCRIPT_XENSTORE, 9, 7, "/a/b", "c d" },
		{ SCRIPT_WRITE, 10, 7, "/a", "1" },
		{ SCRIPT_EVENT, 11, 7, "PAUSED", NULL },
	};

	g_assert_cmpuint(script->steps->len, ==, G_N_ELEMENTS(steps));
	for (guint i = 0; i < script->steps->len; i++) {
		const struct script_step *step = script->steps->pdata[i];

		g_assert_cmpint(step->kind, ==, steps[i].kind);
		g_assert_cmpuint(step->line, ==, steps[i].line);
		g_assert_cmpuint(step->timeout_s, ==, steps[i].timeout_s);
		g_assert_cmpstr(step->name, ==, steps[i].name);
		g_assert_cmpstr(step->value ? step->value->str : NULL, ==, steps[i].value);
	}
	script_unref(script);
}

static void test_bad_lines(void)
{
	static const char *const bad[] = { "expect (", "send \\q", "send \\x1", "timeout 0", "timeout", "xenstore", "write /a", "event",
					   "event A B", "shout x", "expects x" };

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autofree char *text = g_strconcat("expect good\n", bad[i], "\n", NULL);
		g_autoptr(GError) error = NULL;

		g_assert_null(script_parse("dir/s", text, &error));
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_FILE);
		g_assert_true(g_str_has_prefix(error->message, "dir/s:2: "));
	}
}

static void on_over(void *opaque)
{
	(*(unsigned int *)opaque)++;
}

struct dialogue {
	struct script *script;
	struct script_play *play;
	int fds[2];
	unsigned int n_over;
};

static void begin(struct dialogue *dialogue, const char *text)
{
	*dialogue = (struct dialogue){ .script = parse(text) };
	g_assert_cmpint(pipe2(dialogue->fds, O_NONBLOCK | O_CLOEXEC), ==, 0);
	dialogue->play = script_play_new(dialogue->script, NULL, "no-such-domain", dialogue->fds[1], on_over, &dialogue->n_over);
	while (g_main_context_iteration(NULL, FALSE))
		;
}

static void end(struct dialogue *dialogue)
{
	script_play_free(dialogue->play);
	script_unref(dialogue->script);
	close(dialogue->fds[0]);
	close(dialogue->fds[1]);
}

static void say(struct dialogue *dialogue, const char *text)
{
	script_play_feed(dialogue->play, text, strlen(text));
}

static void expect_typed(struct dialogue *dialogue, const char *text)
{
	char typed[64] = "";
	ssize_t len_bytes = read(dialogue->fds[0], typed, sizeof(typed) - 1);

	g_assert_cmpint(MAX(len_bytes, 0), ==, (ssize_t)strlen(text));
	g_assert_cmpstr(typed, ==, text);
}

static void test_dialogue(void)
{
	struct dialogue dialogue;

	begin(&dialogue, "expect login:\nsend root\\n\nexpect ^# \nsend echo # 42\\n\nexpect 42\nexpect later\n");
	expect_typed(&dialogue, "");
	say(&dialogue, "hello\r\nhost login: ");
	expect_typed(&dialogue, "");
	script_play_quiet(dialogue.play);
	expect_typed(&dialogue, "root\n");
	say(&dialogue, "root\r\n# ");
	script_play_quiet(dialogue.play);
	expect_typed(&dialogue, "echo # 42\n");
	/* The echo of what was typed is no answer; what comes in one piece with it is, and what is behind that stays. */
	say(&dialogue, "echo # 42\r\n");
	g_assert_cmpint(script_play_state(dialogue.play), ==, SCRIPT_RUNNING);
	say(&dialogue, "4");
	say(&dialogue, "2\r\nlater\r\n");
	g_assert_cmpint(script_play_state(dialogue.play), ==, SCRIPT_DONE);
	g_assert_cmpstr(script_play_detail(dialogue.play), ==, "");
	g_assert_cmpuint(dialogue.n_over, ==, 1);
	end(&dialogue);
}

static void test_limit(void)
{
	struct dialogue dialogue;

	begin(&dialogue, "expect now\ntimeout 1\nexpect never\n");
	say(&dialogue, "now\n");
	while (dialogue.n_over == 0)
		g_main_context_iteration(NULL, TRUE);
	g_assert_cmpint(script_play_state(dialogue.play), ==, SCRIPT_FAILED);
	g_assert_cmpstr(script_play_detail(dialogue.play), ==, "s:3: expect never: did not come in 1 s");
	end(&dialogue);
}

/* Who does not read his input is waited for. */
static void test_long_input(void)
{
	g_autoptr(GString) text = g_string_new("send ");
	struct dialogue dialogue;
	char bytes[4096];
	size_t total_bytes = 0;

	for (unsigned int i = 0; i < 200000; i++)
		g_string_append_c(text, 'x');
	begin(&dialogue, text->str);
	while (dialogue.n_over == 0) {
		ssize_t len_bytes = read(dialogue.fds[0], bytes, sizeof(bytes));

		total_bytes += (size_t)MAX(len_bytes, 0);
		g_main_context_iteration(NULL, FALSE);
	}
	for (ssize_t len_bytes; (len_bytes = read(dialogue.fds[0], bytes, sizeof(bytes))) > 0;)
		total_bytes += (size_t)len_bytes;
	g_assert_cmpuint(total_bytes, ==, 200000);
	end(&dialogue);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/harness/script/lines", test_lines);
	g_test_add_func("/harness/script/bad-lines", test_bad_lines);
	g_test_add_func("/harness/script/dialogue", test_dialogue);
	g_test_add_func("/harness/script/limit", test_limit);
	g_test_add_func("/harness/script/long-input", test_long_input);
	return g_test_run();
}
