// SPDX-License-Identifier: MIT
/* dom1 balloon: how much memory a guest is to have, by memory/target in the xenstore. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "config/vm_config.h"
#include "vmm/error.h"

struct balloon_options {
	bool all; /* as much as it may have: bytes is not known yet */
	uint64_t bytes;
};

static bool find_max(struct control_client *client, const char *name, uint64_t *bytes, GError **error)
{
	g_autoptr(json_t) info = control_client_call(client, "info", NULL, error);

	if (!info)
		return false;
	int64_t kib = control_get_int(info, "memory_max_kib", 0);
	*bytes = (uint64_t)MAX(kib, 0) * 1024;
	if (kib > 0)
		return true;
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: the xenstore does not say how much it may have", name);
	return false;
}

static bool on_domain(struct control_client *client, const char *name, void *opaque, GError **error)
{
	const struct balloon_options *options = opaque;
	uint64_t bytes = options->bytes;

	if (options->all && !find_max(client, name, &bytes, error))
		return false;
	json_t *arguments = json_object();
	json_add_count(arguments, "bytes", bytes);
	return command_request(client, "balloon", arguments, error);
}

int cmd_balloon(int argc, char **argv, uint64_t exec_ns)
{
	static const struct command_syntax syntax = {
		.parameters = "NAME SIZE|max",
		.summary =
			"Sets how much memory a guest is to have; its balloon gives back, or takes, the rest.\n"
			"SIZE: suffix K, M, G or T, a bare number is MiB; at most what the guest began with (max).\n"
			"A PV guest begins with what the shim left it: dom1 info NAME shows it.\n"
			"Status: 0 set, 2 no such domain or size, 124 it does not answer.",
		.min = 2,
		.max = 2,
	};
	struct balloon_options options = { .all = false };
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;

	(void)exec_ns;
	if (command_parse(&syntax, &argc, &argv, &error)) {
		char *names[] = { argv[1], NULL };

		options.all = g_str_equal(argv[2], "max");
		if (options.all || vm_config_parse_size(argv[2], &options.bytes))
			return command_on_each(command, names, on_domain, &options);
		g_set_error(&error, DOM1_ERROR, DOM1_STATUS_USAGE,
			    "%s: not a size: a number with K, M, G or T behind it, or max", argv[2]);
	}
	return command_error(command, error);
}
