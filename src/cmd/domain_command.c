// SPDX-License-Identifier: MIT
#include "cmd/domain_command.h"

#include <errno.h>
#include <stdio.h>

#include "vmm/error.h"
#include "vmm/one_line.h"

bool command_parse(const struct command_syntax *syntax, int *argc, char ***argv, GError **error)
{
	const char *command = (*argv)[0];
	g_autoptr(GOptionContext) context = g_option_context_new(syntax->parameters);
	int n;

	g_option_context_set_summary(context, syntax->summary);
	g_option_context_set_strict_posix(context, syntax->options_first);
	if (syntax->entries)
		g_option_context_add_main_entries(context, syntax->entries, NULL);
	if (!g_option_context_parse(context, argc, argv, error)) {
		if (error && *error)
			(*error)->code = DOM1_STATUS_USAGE;
		return false;
	}
	if (*argc > 1 && g_str_equal((*argv)[1], "--")) {
		(*argv)++;
		(*argc)--;
	}
	n = *argc - 1;
	if (n >= syntax->min && n <= syntax->max)
		return true;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "usage: dom1 %s %s (dom1 %s --help says more)", command,
		    syntax->parameters ? syntax->parameters : "[OPTIONS]", command);
	return false;
}

int command_error(const char *command, const GError *error)
{
	g_autofree char *line = one_line(error->message);

	fprintf(stderr, "dom1: %s: %s\n", command, line);
	return error->code;
}

int command_finish(const char *command, int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "dom1: %s: cannot write to standard output: %s\n", command, g_strerror(errno));
	return DOM1_STATUS_USAGE;
}

struct control_client *command_connect(const char *name, unsigned int timeout_ms, GError **error)
{
	struct domain_folder folder;
	struct control_client *client;

	if (!domain_folder_open(&folder, name, error))
		return NULL;
	client = control_client_new(&folder, timeout_ms, error);
	domain_folder_close(&folder);
	return client;
}

int command_on_each(const char *command, char **names, command_on_domain fn, void *opaque)
{
	int status = DOM1_STATUS_OK;

	for (; *names; names++) {
		g_autoptr(GError) error = NULL;
		struct control_client *client = command_connect(*names, ANSWER_MS, &error);

		if (!client || !fn(client, *names, opaque, &error))
			status = command_error(command, error);
		control_client_free(client);
	}
	return status;
}

bool command_request(struct control_client *client, const char *request, json_t *arguments, GError **error)
{
	g_autoptr(json_t) result = control_client_call(client, request, arguments, error);

	return result != NULL;
}

bool command_parse_number(const char *what, const char *text, unsigned int *number, GError **error)
{
	guint64 parsed;

	if (!g_ascii_string_to_unsigned(text, 10, 0, G_MAXINT32, &parsed, NULL)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: %s must be a number", text, what);
		return false;
	}
	*number = (unsigned int)parsed;
	return true;
}
