// SPDX-License-Identifier: MIT
/* dom1 vcpu-set: how many vCPUs of a guest are online, by cpu/N/availability in the xenstore. */
#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "vmm/error.h"

static bool on_domain(struct control_client *client, const char *name, void *opaque, GError **error)
{
	const unsigned int *vcpus = opaque;

	(void)name;
	return command_request(client, "vcpu-set", json_pack("{s:I}", "vcpus", (json_int_t)*vcpus), error);
}

int cmd_vcpu_set(int argc, char **argv, uint64_t exec_ns)
{
	static const struct command_syntax syntax = {
		.parameters = "NAME N",
		.summary = "Asks a guest to have N vCPUs online, from 1 to as many as it was started with.\n"
			   "Status: 0 asked, 2 no such domain or number, 124 it does not answer.",
		.min = 2,
		.max = 2,
	};
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;
	unsigned int vcpus;

	(void)exec_ns;
	if (command_parse(&syntax, &argc, &argv, &error) &&
	    command_parse_number("the number of vCPUs", argv[2], &vcpus, &error)) {
		char *names[] = { argv[1], NULL };

		return command_on_each(command, names, on_domain, &vcpus);
	}
	return command_error(command, error);
}
