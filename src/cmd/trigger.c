// SPDX-License-Identifier: MIT
/* dom1 trigger: an NMI, or Xen's debug interrupt, for a guest that does not say what it does. */
#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "vmm/error.h"

struct trigger_options {
	const char *type;
	bool has_vcpu;
	unsigned int vcpu;
};

static bool on_domain(struct control_client *client, const char *name, void *opaque, GError **error)
{
	const struct trigger_options *options = opaque;
	json_t *arguments = json_object();

	(void)name;
	json_add_string(arguments, "type", options->type);
	if (options->has_vcpu)
		json_add_number(arguments, "vcpu", options->vcpu);
	return command_request(client, "trigger", arguments, error);
}

int cmd_trigger(int argc, char **argv, uint64_t exec_ns)
{
	static const struct command_syntax syntax = {
		.parameters = "NAME nmi|debug [VCPU]",
		.summary =
			"Sends an NMI (to vCPU 0), or raises VIRQ_DEBUG (on all vCPUs): Linux prints registers.\n"
			"Status: 0 done, 2 no such domain or vCPU, 124 it does not answer.",
		.min = 2,
		.max = 3,
	};
	struct trigger_options options = { .type = NULL };
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;

	(void)exec_ns;
	if (command_parse(&syntax, &argc, &argv, &error)) {
		char *names[] = { argv[1], NULL };

		options.type = argv[2];
		options.has_vcpu = argc == 4;
		if (!g_str_equal(options.type, "nmi") && !g_str_equal(options.type, "debug"))
			g_set_error(&error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: must be nmi or debug", options.type);
		else if (!options.has_vcpu || command_parse_number("the vCPU", argv[3], &options.vcpu, &error))
			return command_on_each(command, names, on_domain, &options);
	}
	return command_error(command, error);
}
