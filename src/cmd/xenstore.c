// SPDX-License-Identifier: MIT
/*
 * dom1 xenstore: a domain's xenstore without Debian's tools. What a guest wrote is shown with escapes, as they do: a
 * value must not reach the terminal as what it would obey.
 *
 * A relative path is the guest's own, below /local/domain/1. (For the tools it is below domain 0, whose rights they and
 * we have; but nobody means that.)
 */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "control/xs_client.h"
#include "vmm/error.h"

#define HOME "/local/domain/1"
/* The store itself has no limit of depth but the length of a path. */
#define DEPTH_MAX   1024u
#define VALUE_WIDTH 76u

struct xenstore_options {
	gboolean full, raw;
	int events; /* to watch for; 0: without end */
};

static char *absolute(const char *path)
{
	if (path[0] == '/' || path[0] == '@')
		return g_strdup(path);
	return path[0] ? g_strconcat(HOME "/", path, NULL) : g_strdup(HOME);
}

/* As xenstore-utils: printable ASCII as it is, the rest as \t, \n, \r, \\ or three digits of octal. */
static void print_value(const char *value, size_t len_bytes)
{
	for (size_t i = 0; i < len_bytes; i++) {
		unsigned char c = (unsigned char)value[i];

		if (g_ascii_isprint((char)c) && c != '\\')
			putchar(c);
		else if (c == '\t')
			fputs("\\t", stdout);
		else if (c == '\n')
			fputs("\\n", stdout);
		else if (c == '\r')
			fputs("\\r", stdout);
		else if (c == '\\')
			fputs("\\\\", stdout);
		else
			printf("\\%03o", c);
	}
}

static bool print_tree(struct xs_client *client, const struct xenstore_options *options, const char *path,
		       unsigned int depth, GError **error);

/* A node may go while we look: that is no error. */
static bool gone(GError **problem, GError **error)
{
	if ((*problem)->code == DOM1_STATUS_TEST_FAILED && strstr((*problem)->message, "ENOENT")) {
		g_clear_error(problem);
		return true;
	}
	g_propagate_error(error, *problem);
	return false;
}

static bool print_child(struct xs_client *client, const struct xenstore_options *options, const char *parent,
			const char *name, unsigned int depth, GError **error)
{
	g_autofree char *path = g_strconcat(g_str_equal(parent, "/") ? "" : parent, "/", name, NULL);
	GError *problem = NULL;
	g_autoptr(GBytes) value = xs_client_read(client, path, &problem);

	if (!value)
		return gone(&problem, error);
	size_t len_bytes = g_bytes_get_size(value);
	size_t shown_bytes = options->full ? len_bytes : MIN(len_bytes, VALUE_WIDTH);
	if (!options->full)
		printf("%*s", (int)depth, "");
	print_value(options->full ? path : name, strlen(options->full ? path : name));
	fputs(" = \"", stdout);
	print_value(g_bytes_get_data(value, NULL), shown_bytes);
	puts(shown_bytes < len_bytes ? "...\"" : "\"");
	return print_tree(client, options, path, depth + 1, error);
}

static bool print_tree(struct xs_client *client, const struct xenstore_options *options, const char *path,
		       unsigned int depth, GError **error)
{
	GError *problem = NULL;
	g_auto(GStrv) names = depth < DEPTH_MAX ? xs_client_list(client, path, &problem) : g_new0(char *, 1);

	/* Where it begins, a node that is not there is an error. */
	if (!names && depth > 0)
		return gone(&problem, error);
	if (!names) {
		g_propagate_error(error, problem);
		return false;
	}
	for (char **name = names; *name; name++)
		if (!print_child(client, options, path, *name, depth, error))
			return false;
	return true;
}

static bool do_ls(struct xs_client *client, const struct xenstore_options *options, char **words, GError **error)
{
	g_autofree char *path = words[0] ? absolute(words[0]) : g_strdup("/");

	return print_tree(client, options, path, 0, error);
}

static bool do_list(struct xs_client *client, const struct xenstore_options *options, char **words, GError **error)
{
	g_autofree char *path = absolute(words[0]);
	g_auto(GStrv) names = xs_client_list(client, path, error);

	(void)options;
	for (char **name = names; name && *name; name++) {
		print_value(*name, strlen(*name));
		putchar('\n');
	}
	return names != NULL;
}

static bool do_read(struct xs_client *client, const struct xenstore_options *options, char **words, GError **error)
{
	for (; *words; words++) {
		g_autofree char *path = absolute(*words);
		g_autoptr(GBytes) value = xs_client_read(client, path, error);

		if (!value)
			return false;
		if (options->raw)
			(void)fwrite(g_bytes_get_data(value, NULL), 1, g_bytes_get_size(value), stdout);
		else
			print_value(g_bytes_get_data(value, NULL), g_bytes_get_size(value));
		putchar('\n');
	}
	return true;
}

static bool do_write(struct xs_client *client, const struct xenstore_options *options, char **words, GError **error)
{
	(void)options;
	for (; words[0]; words += 2) {
		g_autofree char *path = absolute(words[0]);

		if (!words[1]) {
			g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: a value is missing", path);
			return false;
		}
		if (!xs_client_write(client, path, words[1], error))
			return false;
	}
	return true;
}

static bool do_rm(struct xs_client *client, const struct xenstore_options *options, char **words, GError **error)
{
	(void)options;
	for (; *words; words++) {
		g_autofree char *path = absolute(*words);

		if (!xs_client_remove(client, path, error))
			return false;
	}
	return true;
}

static bool do_watch(struct xs_client *client, const struct xenstore_options *options, char **words, GError **error)
{
	for (; *words; words++) {
		g_autofree char *path = absolute(*words);

		if (!xs_client_watch(client, path, error))
			return false;
	}
	for (int n = 0; options->events == 0 || n < options->events; n++) {
		GError *problem = NULL;
		g_autofree char *path = xs_client_event(client, &problem);

		if (problem)
			g_propagate_error(error, problem);
		if (!path)
			return !problem;
		print_value(path, strlen(path));
		/* A reader of a pipe wants each one when it happens; and who reads no more wants none. */
		if (putchar('\n') == EOF || fflush(stdout) != 0)
			return true;
	}
	return true;
}

static const struct verb {
	const char *name;
	bool (*run)(struct xs_client *client, const struct xenstore_options *options, char **words, GError **error);
	unsigned int min_words;
} VERBS[] = {
	{ "ls", do_ls, 0 },       { "list", do_list, 1 }, { "read", do_read, 1 },
	{ "write", do_write, 2 }, { "rm", do_rm, 1 },     { "watch", do_watch, 1 },
};

/* words: NAME VERB ... */
static bool run(const struct xenstore_options *options, char **words, GError **error)
{
	const struct verb *verb = NULL;
	struct domain_folder folder;
	struct xs_client *client;

	for (size_t i = 0; i < G_N_ELEMENTS(VERBS); i++)
		if (g_str_equal(words[1], VERBS[i].name))
			verb = &VERBS[i];
	if (!verb || g_strv_length(words) - 2 < verb->min_words) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: %s", words[1],
			    verb ? "a path, or a value, is missing" : "must be ls, list, read, write, rm or watch");
		return false;
	}
	if (!domain_folder_open(&folder, words[0], error))
		return false;
	client = xs_client_new(&folder, ANSWER_MS, error);
	domain_folder_close(&folder);
	bool done = client && verb->run(client, options, words + 2, error);
	xs_client_free(client);
	return done;
}

int cmd_xenstore(int argc, char **argv, uint64_t exec_ns)
{
	struct xenstore_options options = { .events = 0 };
	const GOptionEntry entries[] = {
		{ "full", 'f', 0, G_OPTION_ARG_NONE, &options.full, "ls: whole paths and values, a line each", NULL },
		{ "raw", 'R', 0, G_OPTION_ARG_NONE, &options.raw, "read: bytes as they are, without escapes", NULL },
		{ "events", 'n', 0, G_OPTION_ARG_INT, &options.events, "watch: end after N events", "N" },
		{ .long_name = NULL },
	};
	const struct command_syntax syntax = {
		.parameters = "NAME VERB [PATH [VALUE]]...",
		.summary = "Looks into a domain's xenstore, and changes it. Options stand before NAME. VERB is one of\n"
			   "  ls [PATH]              the tree\n"
			   "  list PATH              the names of the children\n"
			   "  read PATH...           values\n"
			   "  write PATH VALUE...    pairs\n"
			   "  rm PATH...             nodes and what is below\n"
			   "  watch PATH...          prints what changes: one event at once, then each change\n"
			   "A relative path is below " HOME ". Debian's xenstore-utils work too: their socket is\n"
			   "XENSTORED_PATH=$XDG_RUNTIME_DIR/dom1/NAME/xenstore.sock.\n"
			   "Status: 0 done, 1 the store refused, 2 no such domain, 124 it does not answer.",
		.entries = entries,
		.min = 2,
		.max = G_MAXINT,
		.options_first = true,
	};
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;

	(void)exec_ns;
	if (!command_parse(&syntax, &argc, &argv, &error))
		return command_error(command, error);
	if (options.events < 0) {
		g_set_error(&error, DOM1_ERROR, DOM1_STATUS_USAGE, "--events=%d: must not be negative", options.events);
		return command_error(command, error);
	}
	int status = run(&options, argv + 1, &error) ? DOM1_STATUS_OK : command_error(command, error);
	return command_finish(command, status);
}
