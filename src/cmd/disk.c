// SPDX-License-Identifier: MIT
/*
 * dom1 disk: a running domain's disks. What is attached is opened, locked and checked here, with the rights of who asks; the
 * machine gets the descriptors.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backend/block_file.h"
#include "cmd/cmd.h"
#include "cmd/domain_command.h"
#include "config/disk_option.h"
#include "config/guest_config.h"
#include "config/vm_config.h"
#include "config/xl_cfg.h"
#include "vmm/error.h"

/* How long a guest may take to let go of a disk. */
#define DETACH_STEPS 100
#define STEP_US      (200 * G_TIME_SPAN_MILLISECOND)

struct disk_command {
	const char *action;
	const char *argument; /* of attach: the disk's words; of detach, eject and resize: its vdev; of list NULL */
	const char *size;     /* of resize, or NULL */
};

static json_t *call_with_vdev(struct control_client *client, const char *request, const char *vdev, uint64_t bytes,
			      GError **error)
{
	json_t *arguments = json_object();

	json_add_string(arguments, "vdev", vdev);
	if (bytes > 0)
		json_add_count(arguments, "bytes", bytes);
	return control_client_call(client, request, arguments, error);
}

/* Of what the machine sent; whatever is no list has none. */
static bool has_disk(const json_t *disks, uint32_t number)
{
	const json_t *disk;
	size_t i;

	json_array_foreach(disks, i, disk) {
		g_autofree char *vdev = control_get_text(disk, "vdev", "");
		uint32_t other;

		if (xl_disk_vdev_number(vdev, &other) && other == number)
			return true;
	}
	return false;
}

static bool list(struct control_client *client, GError **error)
{
	g_autoptr(json_t) disks = control_client_call(client, "disks", NULL, error);
	const json_t *disk;
	size_t i;

	json_array_foreach(disks, i, disk) {
		if (!json_is_object(disk))
			continue;
		g_autofree char *vdev = control_get_text(disk, "vdev", "?");
		g_autofree char *path = control_get_text(disk, "path", "?");

		printf("%-6s %12" PRIi64 " %s %s%s%s %s\n", vdev, control_get_int(disk, "bytes", 0),
		       json_is_true(json_object_get(disk, "read_only")) ? "ro" : "rw",
		       json_is_true(json_object_get(disk, "connected")) ? "connected" : "waiting",
		       json_is_true(json_object_get(disk, "snapshot")) ? " snapshot" : "",
		       json_is_true(json_object_get(disk, "leaving")) ? " leaving" : "", path);
	}
	return disks != NULL;
}

static bool name_disk(struct control_client *client, struct disk_config *disk, GError **error)
{
	g_autoptr(json_t) taken = disk->vdev ? NULL : control_client_call(client, "disks", NULL, error);

	if (disk->vdev)
		return true;
	for (guint i = 0; taken && i < 26; i++) {
		g_autofree char *name = g_strdup_printf("xvd%c", 'a' + (int)i);
		uint32_t number;

		if (xl_disk_vdev_number(name, &number) && !has_disk(taken, number)) {
			disk->vdev = g_steal_pointer(&name);
			return true;
		}
	}
	if (taken)
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE, "the domain has xvda to xvdz already: say a vdev");
	return false;
}

static bool attach_file(struct control_client *client, const struct disk_config *disk, GError **error)
{
	struct block_file file;

	if (!block_file_open(&file, disk, error))
		return false;
	const int fds[] = { file.fd, file.overlay_fd };
	const unsigned int n_fds = file.overlay_fd >= 0 ? 2 : 1;
	g_autofree char *text = file.words ? g_strdup(file.words) : xl_disk_to_text(disk);
	json_t *arguments = json_pack("{s:o}", "disk", json_any_string(text));
	g_autoptr(json_t) result = control_client_call_with_fds(client, "disk-attach", arguments, fds, n_fds, error);
	if (result)
		printf("%s\n", disk->vdev);
	block_file_close(&file);
	return result != NULL;
}

static bool attach(struct control_client *client, const char *words, GError **error)
{
	g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func((GDestroyNotify)disk_config_free);
	char *texts[] = { (char *)(uintptr_t)words, NULL };

	if (!disk_options_parse(disks, texts, NULL, error))
		return false;
	struct disk_config *disk = disks->pdata[0];
	if (!g_utf8_validate(disk->target, -1, NULL)) {
		g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE, "the image's name is not UTF-8: give it one that is");
		return false;
	}
	return name_disk(client, disk, error) && disks_settle(disks, error) && attach_file(client, disk, error);
}

static bool detach(struct control_client *client, const char *name, const char *vdev, GError **error)
{
	g_autoptr(json_t) asked = call_with_vdev(client, "disk-detach", vdev, 0, error);
	uint32_t number = 0;

	(void)xl_disk_vdev_number(vdev, &number);
	for (unsigned int step = 0; asked && step < DETACH_STEPS; step++) {
		g_autoptr(json_t) left = control_client_call(client, "disks", NULL, error);

		if (!left)
			return false;
		if (!has_disk(left, number))
			return true;
		g_usleep(STEP_US);
	}
	if (asked)
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_TIMEOUT,
			    "%s: the guest has not let go of %s: unmount it there; it goes as soon as the guest lets it", name, vdev);
	return false;
}

static bool eject(struct control_client *client, const char *vdev, GError **error)
{
	g_autoptr(json_t) done = call_with_vdev(client, "disk-eject", vdev, 0, error);

	return done != NULL;
}

static bool resize(struct control_client *client, const char *vdev, const char *size, GError **error)
{
	uint64_t bytes = 0;

	if (size && (!vm_config_parse_size(size, &bytes) || bytes == 0)) {
		g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "%s: not a size: a number with K, M, G or T behind it", size);
		return false;
	}
	g_autoptr(json_t) result = call_with_vdev(client, "disk-resize", vdev, bytes, error);
	if (json_is_object(result))
		printf("%" PRIi64 "\n", control_get_int(result, "bytes", 0));
	return result != NULL;
}

static bool on_domain(struct control_client *client, const char *name, void *opaque, GError **error)
{
	const struct disk_command *command = opaque;

	if (g_str_equal(command->action, "list"))
		return list(client, error);
	if (g_str_equal(command->action, "attach"))
		return attach(client, command->argument, error);
	if (g_str_equal(command->action, "detach"))
		return detach(client, name, command->argument, error);
	if (g_str_equal(command->action, "eject"))
		return eject(client, command->argument, error);
	return resize(client, command->argument, command->size, error);
}

static bool check_arguments(int argc, char **argv, GError **error)
{
	static const struct {
		const char *action;
		int min, max; /* of arguments behind the name */
	} actions[] = { { "list", 0, 0 }, { "attach", 1, 1 }, { "detach", 1, 1 }, { "eject", 1, 1 }, { "resize", 1, 2 } };

	for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
		if (g_str_equal(argv[1], actions[i].action) && argc - 3 >= actions[i].min && argc - 3 <= actions[i].max)
			return true;
	g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE,
			    "usage: list NAME, attach NAME DISK, detach NAME VDEV, eject NAME VDEV, or resize NAME VDEV [SIZE] "
			    "(dom1 disk --help says more)");
	return false;
}

int cmd_disk(int argc, char **argv, uint64_t exec_ns)
{
	static const struct command_syntax syntax = {
		.parameters = "list NAME | attach NAME DISK | detach NAME VDEV | eject NAME VDEV | resize NAME VDEV [SIZE]",
		.summary = "Shows the disks of a running domain, adds one, takes one away, or tells the guest of a new size.\n"
			   "DISK: as after dom1 run --disk; its name is printed. A guest has to let go of what is taken away: up to 20 s\n"
			   "are waited for that. What is only read can be ejected: the image is free at once, and the guest gets errors until\n"
			   "it lets go. SIZE makes the image larger; without it the size is that which the image has by now.\n"
			   "Status: 0 done, 2 no such domain or disk, 4 the image cannot be used, 124 the guest or dom1 does not answer.",
		.min = 2,
		.max = 4,
	};
	const char *command = argv[0];
	g_autoptr(GError) error = NULL;

	(void)exec_ns;
	if (command_parse(&syntax, &argc, &argv, &error) && check_arguments(argc, argv, &error)) {
		struct disk_command what = { argv[1], argc > 3 ? argv[3] : NULL, argc > 4 ? argv[4] : NULL };
		char *names[] = { argv[2], NULL };

		return command_finish(command, command_on_each(command, names, on_domain, &what));
	}
	return command_error(command, error);
}
