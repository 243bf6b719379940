// SPDX-License-Identifier: MIT
/* dom1 saved: what is in the file of a saved domain. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "saved/image.h"
#include "saved/memory.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

#define BLOCK_BYTES 512

static unsigned int count_ports(const struct evtchn_table *events)
{
	unsigned int n = 0;

	for (uint32_t port = 1; port < EVTCHN_N_PORTS; port++)
		n += events->ports[port].kind != EVTCHN_FREE;
	return n;
}

static void print_text(const char *key, const char *text)
{
	g_autofree char *line = one_line(text);

	printf("%s: %s\n", key, line);
}

static void print_image(const struct saved_image *image)
{
	const struct saved_domain *domain = &image->domain;
	g_autoptr(GDateTime) when = g_date_time_new_from_unix_utc((gint64)domain->saved_s);
	g_autofree char *date = when ? g_date_time_format(when, "%Y-%m-%dT%H:%M:%SZ") : g_strdup("?");
	struct stat status;

	print_text("name", domain->name);
	print_text("uuid", domain->uuid);
	printf("type: %s\n", domain->has_shim ? "pv" : "pvh");
	print_text("kernel", domain->kernel);
	printf("saved: %s%s\n", date, domain->is_paused ? ", paused" : "");
	printf("vcpus: %" PRIu32, domain->n_vcpus);
	if (domain->max_vcpus > domain->n_vcpus)
		printf(", up to %" PRIu32, domain->max_vcpus);
	printf("\nmemory: %" PRIu64 " MiB", domain->memory_bytes >> 20);
	if (fstat(image->file.fd, &status) == 0)
		printf(", in %" PRIu64 " MiB of the disk", ((uint64_t)status.st_blocks * BLOCK_BYTES) >> 20);
	printf("\nsystem time: %" PRIu64 ".%09" PRIu64 " s\n", image->clock.clock_ns / 1000000000, image->clock.clock_ns % 1000000000);
	printf("event channels: %u\n", count_ports(&image->hypervisor->events));
	for (guint i = 0; i < image->disks->len; i++)
		print_text("disk", ((const struct saved_disk *)image->disks->pdata[i])->words);
	for (guint i = 0; i < image->file.sections->len; i++) {
		const struct saved_section *section = &g_array_index(image->file.sections, struct saved_section, i);

		printf("section %s: %zu bytes\n", SAVED_KIND_NAMES[section->kind], section->bytes.left_bytes);
	}
}

int cmd_saved(int argc, char **argv, uint64_t exec_ns)
{
	gboolean check = FALSE;
	const GOptionEntry entries[] = {
		{ "check", 0, 0, G_OPTION_ARG_NONE, &check, "read all of its memory and of its disks too, and compare sums", NULL },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	const struct command_syntax syntax = {
		.parameters = "FILE",
		.summary = "Shows what is in a file that dom1 save wrote.\n"
			   "Status: 0 done, 4 it is no such file, or damaged.",
		.entries = entries,
		.min = 1,
		.max = 1,
	};
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;
	struct saved_image image;

	(void)exec_ns;
	if (!command_parse(&syntax, &argc, &argv, &error) || !saved_image_open(&image, argv[1], &error))
		return command_error(command, error);
	bool whole = !check || (saved_memory_check(&image.file, image.sums, &error) && saved_image_check_disks(&image, &error));
	if (whole)
		print_image(&image);
	saved_image_close(&image);
	return whole ? command_finish(command, DOM1_STATUS_OK) : command_error(command, error);
}
