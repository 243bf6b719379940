// SPDX-License-Identifier: MIT
/*
 * dom1 shutdown, dom1 reboot: asks the guest, by control/shutdown in the xenstore. It decides.
 *
 * With --wait the end is seen twice: an event SHUTDOWN says how the domain ended, the end of the connection that it
 * has. Where the policy is to restart, an event RESTART comes instead of the latter.
 */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "control/json_text.h"
#include "vmm/error.h"

struct shutdown_options {
	const char *command;
	gboolean wait;
	int status; /* the worst of those waited for */
};

static bool ask(struct control_client *client, const char *name, void *opaque, GError **error)
{
	const struct shutdown_options *options = opaque;
	g_autoptr(json_t) result = control_client_call(client, options->command, NULL, error);

	if (!result)
		return false;
	if (json_is_false(json_object_get(result, "heeded")))
		fprintf(stderr,
			"dom1: %s: %s: asked, but the guest has not said that it listens (dom1 destroy %s ends it)\n",
			options->command, name, name);
	return true;
}

/* What an event SHUTDOWN says. */
static int status_of_outcome(const char *outcome)
{
	static const struct {
		const char *outcome;
		int status;
	} statuses[] = {
		{ "reboot", DOM1_STATUS_REBOOT },         { "crash", DOM1_STATUS_CRASH },
		{ "shim-crash", DOM1_STATUS_SHIM_CRASH }, { "timeout", DOM1_STATUS_TIMEOUT },
		{ "destroyed", DOM1_STATUS_DESTROYED },   { "host-error", DOM1_STATUS_DEFECT },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(statuses); i++)
		if (g_str_equal(outcome, statuses[i].outcome))
			return statuses[i].status;
	return DOM1_STATUS_OK;
}

/* TRUE: the domain begins anew. */
static bool note_event(const char *line, int *status)
{
	g_autoptr(json_t) event = json_text_parse(line, strlen(line), NULL);
	g_autofree char *name = control_get_text(event, "event", "");
	g_autofree char *outcome = control_get_text(json_object_get(event, "data"), "outcome", "");

	if (g_str_equal(name, "SHUTDOWN"))
		*status = status_of_outcome(outcome);
	return g_str_equal(name, "RESTART");
}

/* *restarted: it ended, and its name is still taken. */
static bool wait_for_end(struct control_client *client, struct shutdown_options *options, bool *restarted,
			 GError **error)
{
	GError *problem = NULL;
	int status = DOM1_STATUS_OK;
	char *line;

	*restarted = false;
	while (!*restarted && (line = control_client_event(client, &problem))) {
		*restarted = note_event(line, &status);
		g_free(line);
	}
	if (problem)
		g_propagate_error(error, problem);
	else if (status != DOM1_STATUS_OK)
		options->status = status;
	return !problem;
}

/* The connection ends when the machine does; a moment later its name is free. */
static void wait_for_name(const char *name)
{
	struct domain_folder folder;

	for (unsigned int i = 0; i < 250 && domain_folder_open(&folder, name, NULL); i++) {
		domain_folder_close(&folder);
		g_usleep(20 * G_TIME_SPAN_MILLISECOND);
	}
}

/* Those that were asked, so that they end at the same time, and then one after the other is waited for. */
static int ask_and_wait(struct shutdown_options *options, char **names)
{
	guint n = g_strv_length(names);
	g_autofree struct control_client **clients = g_new0(struct control_client *, n);
	int status = DOM1_STATUS_OK;

	for (guint i = 0; i < n; i++) {
		g_autoptr(GError) error = NULL;

		clients[i] = command_connect(names[i], ANSWER_MS, &error);
		if (clients[i] && ask(clients[i], names[i], options, &error))
			continue;
		g_clear_pointer(&clients[i], control_client_free);
		status = command_error(options->command, error);
	}
	for (guint i = 0; i < n; i++) {
		g_autoptr(GError) error = NULL;
		bool restarted;

		if (!clients[i])
			continue;
		if (!wait_for_end(clients[i], options, &restarted, &error))
			status = command_error(options->command, error);
		else if (!restarted)
			wait_for_name(names[i]);
		control_client_free(clients[i]);
	}
	return status != DOM1_STATUS_OK ? status : options->status;
}

int cmd_shutdown(int argc, char **argv, uint64_t exec_ns)
{
	struct shutdown_options options = { .command = argv[0] };
	const GOptionEntry entries[] = {
		{ "wait", 'w', 0, G_OPTION_ARG_NONE, &options.wait, "Until the domains have ended", NULL },
		{ .long_name = NULL },
	};
	const struct command_syntax syntax = {
		.parameters = "NAME...",
		.summary =
			"Asks guests to power off. A guest may ignore that: dom1 destroy does not ask.\n"
			"Status: 0 asked, and with --wait powered off; with --wait also as dom1 run: 32 it rebooted,\n"
			"34 it crashed, 143 destroyed; 2 no such domain, 124 it does not answer.",
		.entries = entries,
		.min = 1,
		.max = G_MAXINT,
	};
	g_autoptr(GError) error = NULL;

	(void)exec_ns;
	if (!command_parse(&syntax, &argc, &argv, &error))
		return command_error(options.command, error);
	return options.wait ? ask_and_wait(&options, argv + 1) :
			      command_on_each(options.command, argv + 1, ask, &options);
}

int cmd_reboot(int argc, char **argv, uint64_t exec_ns)
{
	struct shutdown_options options = { .command = argv[0] };
	static const struct command_syntax syntax = {
		.parameters = "NAME...",
		.summary =
			"Asks guests to reboot. What follows is what dom1 run --on-reboot says: by default the domain\n"
			"restarts in the same process.\n"
			"Status: 0 asked, 2 no such domain, 124 it does not answer.",
		.min = 1,
		.max = G_MAXINT,
	};
	g_autoptr(GError) error = NULL;

	(void)exec_ns;
	if (!command_parse(&syntax, &argc, &argv, &error))
		return command_error(options.command, error);
	return command_on_each(options.command, argv + 1, ask, &options);
}
