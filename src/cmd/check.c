// SPDX-License-Identifier: MIT
/*
 * dom1 check: probes, then judges, then tells.
 *
 *      command line --> probes --> facts --> findings --> text or JSON, and the exit status
 *
 * The answer goes to standard output, whatever it is: only what kept dom1 from answering goes to standard error.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "check/finding.h"
#include "check/present.h"
#include "check/probe.h"
#include "cmd/cmd.h"
#include "vmm/error.h"

struct check_options {
	gboolean json;
	char *kernel, *shim;
};

static bool parse(struct check_options *options, int argc, char **argv, GError **error)
{
	const GOptionEntry entries[] = {
		{ "json", 0, 0, G_OPTION_ARG_NONE, &options->json, "The answer as one JSON object", NULL },
		{ "kernel", 0, 0, G_OPTION_ARG_FILENAME, &options->kernel, "Also say what kind of kernel this is",
		  "FILE" },
		{ "shim", 0, 0, G_OPTION_ARG_FILENAME, &options->shim,
		  "The shim; default: $DOM1_SHIM, then the newest /usr/lib/xen-*/boot/xen-shim", "FILE" },
		{ .long_name = NULL },
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);

	g_option_context_set_summary(
		context, "Says whether this host can run PV domains, and what to do about what is missing.\n"
			 "Status: 0 it can, 3 it cannot, 4 a named file cannot be used, 2 bad usage.");
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, &argc, &argv, error))
		return false;
	if (argc > 1)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: not expected: a kernel is named by --kernel %s",
			    argv[1], argv[1]);
	else if (options->kernel && !options->kernel[0])
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--kernel: give the name of a file");
	else if (options->shim && !options->shim[0])
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--shim: give the name of a file");
	else
		return true;
	return false;
}

static int answer(const struct check_options *options)
{
	struct host_facts facts;

	host_facts_gather(&facts, &HOST_PROBES, options->shim, options->kernel);
	struct findings *findings = findings_new(&facts);
	g_autofree char *text = options->json ? present_json(findings, &facts) : present_text(findings);
	int status = findings->status;

	findings_free(findings);
	host_facts_clear(&facts);
	if (fputs(text, stdout) == EOF || fflush(stdout) != 0) {
		fprintf(stderr, "dom1: check: cannot write the answer: %s\n", g_strerror(errno));
		return DOM1_STATUS_USAGE;
	}
	return status;
}

int cmd_check(int argc, char **argv, uint64_t exec_ns)
{
	struct check_options options = { .json = FALSE };
	g_autoptr(GError) error = NULL;
	int status = DOM1_STATUS_USAGE;

	(void)exec_ns;
	if (parse(&options, argc, argv, &error))
		status = answer(&options);
	else
		fprintf(stderr, "dom1: check: %s\n", error->message);
	g_free(options.kernel);
	g_free(options.shim);
	return status;
}
