// SPDX-License-Identifier: MIT
/*
 * Transactions: isolation, and which change by others makes which operation end in EAGAIN. The matrix has every
 * operation that a transaction can do on a path against every change that another client can make meanwhile.
 */
#include <stdio.h>

#include "client.h"

struct step {
	const char *name;
	uint32_t type;
	const char *payload;
	size_t len;
	const char *outcome;
};

/* What the transaction does. /n exists with children a and b (with b/deep), and so does its sibling /other. */
static const struct step ours[] = {
	{ "read", XS_READ, P("/n\0"), "OK" },
	{ "read-missing", XS_READ, P("/n/x\0"), "ENOENT" },
	{ "read-child", XS_READ, P("/n/a\0"), "OK" },
	{ "directory", XS_DIRECTORY, P("/n\0"), "OK" },
	{ "get-perms", XS_GET_PERMS, P("/n\0"), "OK" },
	{ "write", XS_WRITE, P("/n\0ours"), "OK" },
	{ "write-child", XS_WRITE, P("/n/a\0ours"), "OK" },
	{ "create", XS_WRITE, P("/n/x\0ours"), "OK" },
	{ "create-deep", XS_WRITE, P("/n/x/y\0ours"), "OK" },
	{ "mkdir-existing", XS_MKDIR, P("/n\0"), "OK" },
	{ "set-perms", XS_SET_PERMS, P("/n\0r0\0"), "OK" },
	{ "rm", XS_RM, P("/n\0"), "OK" },
	{ "rm-child", XS_RM, P("/n/b\0"), "OK" },
	{ "rm-missing", XS_RM, P("/n/x\0"), "OK" },
};

/* What another client does meanwhile; a letter for each of ours, in that order: '!' conflicts, '.' does not. */
static const struct {
	struct step step;
	const char *verdicts;
} theirs[] = {
	{ { "write", XS_WRITE, P("/n\0theirs"), "OK" },                    "!....!.....!.." },
	{ { "set-perms", XS_SET_PERMS, P("/n\0b0\0"), "OK" },              "!!.!!!.!!!!!.!" },
	{ { "write-child", XS_WRITE, P("/n/a\0theirs"), "OK" },            "..!...!....!.." },
	{ { "create-same", XS_WRITE, P("/n/x\0theirs"), "OK" },            ".!.!...!!..!.!" },
	{ { "create-sibling", XS_WRITE, P("/n/z\0theirs"), "OK" },         "...!.......!.." },
	{ { "create-below-x", XS_WRITE, P("/n/x/z\0theirs"), "OK" },       ".!.!...!!..!.!" },
	{ { "rm", XS_RM, P("/n\0"), "OK" },                                "!!!!!!!!!!!!!!" },
	{ { "rm-child-a", XS_RM, P("/n/a\0"), "OK" },                      "..!!..!....!.." },
	{ { "write-deep", XS_WRITE, P("/n/b/deep\0theirs"), "OK" },        "...........!!." },
	{ { "other", XS_WRITE, P("/other\0theirs"), "OK" },                ".............." },
	{ { "rm-other", XS_RM, P("/other\0"), "OK" },                      ".............." },
	{ { "mkdir-existing", XS_MKDIR, P("/n\0"), "OK" },                 ".............." },
	{ { "rm-nothing", XS_RM, P("/n/x\0"), "OK" },                      ".............." },
	{ { "read", XS_READ, P("/n\0"), "OK" },                            ".............." },
};

static void build_tree(struct xenstore *store)
{
	must_write(store, "/n", "value");
	must_write(store, "/n/a", "a");
	must_write(store, "/n/b/deep", "deep");
	must_write(store, "/other", "o");
}

static void run_step(struct client *client, uint32_t tx_id, const struct step *step)
{
	expect_outcome(client, step->type, tx_id, step->payload, step->len, step->outcome);
}

/* The whole tree as text, to compare. */
static void dump(struct client *client, const char *path, GString *text)
{
	static const uint32_t types[] = { XS_READ, XS_GET_PERMS };
	struct message *names;

	g_string_append_printf(text, "%s", path);
	for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
		struct message *part = client_call(client, types[i], 0, path, strlen(path) + 1);

		for (uint32_t k = 0; k < part->header.len; k++)
			g_string_append_c(text, part->payload[k] ? part->payload[k] : ' ');
		g_string_append_c(text, '|');
		g_free(part);
	}
	g_string_append_c(text, '\n');
	names = client_call(client, XS_DIRECTORY, 0, path, strlen(path) + 1);
	for (const char *name = names->payload; name < names->payload + names->header.len; name += strlen(name) + 1) {
		char *child = g_strconcat(strcmp(path, "/") == 0 ? "" : path, "/", name, NULL);

		dump(client, child, text);
		g_free(child);
	}
	g_free(names);
}

static char *dump_of(struct client *client)
{
	GString *text = g_string_new(NULL);

	dump(client, "/", text);
	return g_string_free(text, FALSE);
}

static void run_cell(const struct step *our, const struct step *their, bool conflict)
{
	struct xenstore *store = xenstore_new(NULL), *serial = xenstore_new(NULL);
	struct client *a = client_new(store, 0), *b = client_new(store, 0), *c = client_new(serial, 0);
	char *actual, *expected;
	uint32_t tx_id;
	const char *outcome;

	build_tree(store);
	build_tree(serial);
	tx_id = client_start(a);
	run_step(a, tx_id, our);
	run_step(b, 0, their);
	run_step(c, 0, their);
	outcome = client_end(a, tx_id, true);
	if (strcmp(outcome, conflict ? "EAGAIN" : "OK") != 0)
		g_error("%s against %s: %s", our->name, their->name, outcome);
	/* Without a conflict the result is that of one after the other; with one, the transaction left no trace. */
	if (!conflict)
		run_step(c, 0, our);
	actual = dump_of(a);
	expected = dump_of(c);
	g_assert_cmpstr(actual, ==, expected);
	g_free(actual);
	g_free(expected);
	client_free(a);
	client_free(b);
	client_free(c);
	xenstore_free(store);
	xenstore_free(serial);
}

static void test_conflict_matrix(void)
{
	for (size_t t = 0; t < G_N_ELEMENTS(theirs); t++) {
		g_assert_cmpuint(strlen(theirs[t].verdicts), ==, G_N_ELEMENTS(ours));
		for (size_t o = 0; o < G_N_ELEMENTS(ours); o++)
			run_cell(&ours[o], &theirs[t].step, theirs[t].verdicts[o] == '!');
	}
}

/* The same, with "their" change made by a second transaction: the first to end wins. */
static void test_two_transactions(void)
{
	struct xenstore *store = xenstore_new(NULL);
	struct client *c = client_new(store, 0);
	uint32_t first, second;

	build_tree(store);
	first = client_start(c);
	second = client_start(c);
	expect_ok(c, XS_WRITE, first, P("/n/a\0001"));
	expect_ok(c, XS_WRITE, second, P("/n/a\0002"));
	expect_reply(c, XS_READ, first, P("/n/a\0"), P("1"));
	expect_reply(c, XS_READ, second, P("/n/a\0"), P("2"));
	expect_reply(c, XS_READ, 0, P("/n/a\0"), P("a"));
	g_assert_cmpstr(client_end(c, second, true), ==, "OK");
	expect_reply(c, XS_READ, 0, P("/n/a\0"), P("2"));
	expect_reply(c, XS_READ, first, P("/n/a\0"), P("1"));
	g_assert_cmpstr(client_end(c, first, true), ==, "EAGAIN");
	expect_reply(c, XS_READ, 0, P("/n/a\0"), P("2"));
	/* Siblings do not disturb each other, and nothing is lost. */
	first = client_start(c);
	second = client_start(c);
	expect_ok(c, XS_WRITE, first, P("/n/one\0001"));
	expect_ok(c, XS_WRITE, second, P("/n/two/deep\0002"));
	g_assert_cmpstr(client_end(c, first, true), ==, "OK");
	g_assert_cmpstr(client_end(c, second, true), ==, "OK");
	expect_reply(c, XS_DIRECTORY, 0, P("/n\0"), P("a\0b\0one\0two\0"));
	/* Both make the same parent: the second one saw that it was missing. */
	first = client_start(c);
	second = client_start(c);
	expect_ok(c, XS_WRITE, first, P("/p/one\0001"));
	expect_ok(c, XS_WRITE, second, P("/p/two\0002"));
	g_assert_cmpstr(client_end(c, first, true), ==, "OK");
	g_assert_cmpstr(client_end(c, second, true), ==, "EAGAIN");
	/* Discarded: no trace. */
	first = client_start(c);
	expect_ok(c, XS_RM, first, P("/n\0"));
	expect_error(c, XS_READ, first, P("/n/a\0"), "ENOENT");
	g_assert_cmpstr(client_end(c, first, false), ==, "OK");
	expect_reply(c, XS_READ, 0, P("/n/a\0"), P("2"));
	client_free(c);
	xenstore_free(store);
}

/* What was removed and made again in one transaction has nothing of what was there. */
static void test_replaced_subtree(void)
{
	struct xenstore *store = xenstore_new(NULL);
	struct client *c = client_new(store, 0);
	uint32_t tx_id;

	build_tree(store);
	expect_ok(c, XS_WATCH, 0, P("/n\0w\0"));
	expect_ok(c, XS_WATCH, 0, P("/n/b/deep\0deep\0"));
	client_forget_events(c);
	tx_id = client_start(c);
	expect_ok(c, XS_RM, tx_id, P("/n\0"));
	expect_ok(c, XS_WRITE, tx_id, P("/n/c\0new"));
	must_write(store, "/other", "meanwhile");
	expect_no_event(c);
	g_assert_cmpstr(client_end(c, tx_id, true), ==, "OK");
	expect_reply(c, XS_DIRECTORY, 0, P("/n\0"), P("c\0"));
	expect_reply(c, XS_READ, 0, P("/n\0"), P(""));
	expect_reply(c, XS_READ, 0, P("/other\0"), P("meanwhile"));
	expect_event(c, "/n", "w");
	expect_event(c, "/n/c", "w");
	expect_event(c, "/n/b/deep", "deep");
	expect_no_event(c);
	client_free(c);
	xenstore_free(store);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/xenstore/transaction/conflict-matrix", test_conflict_matrix);
	g_test_add_func("/xenstore/transaction/two-transactions", test_two_transactions);
	g_test_add_func("/xenstore/transaction/replaced-subtree", test_replaced_subtree);
	return g_test_run();
}
