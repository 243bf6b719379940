// SPDX-License-Identifier: MIT
#include "config/vhost_option.h"

#include <string.h>

#include <linux/virtio_ids.h>

#include "virtio/common.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

#define MAX_VIRTIO_ID  63u /* PCI has numbers for so many: virtio 1.2, 4.1.2 */
#define CLASS_OTHER    0xff0000u
#define VIRTIO_MEDIA   48u /* younger than the headers of some hosts */

/* class_code: what lspci calls it. Queues: what a driver expects at least. */
static const struct {
	const char *name;
	uint16_t virtio_id;
	uint32_t class_code;
	unsigned int n_queues;
} TYPES[] = {
	{ "net", VIRTIO_ID_NET, 0x020000, 2 },      { "block", VIRTIO_ID_BLOCK, 0x010000, 1 },
	{ "console", VIRTIO_ID_CONSOLE, 0x078000, 2 }, { "rng", VIRTIO_ID_RNG, CLASS_OTHER, 1 },
	{ "scsi", VIRTIO_ID_SCSI, 0x010000, 3 },    { "gpu", VIRTIO_ID_GPU, 0x038000, 2 },
	{ "input", VIRTIO_ID_INPUT, 0x098000, 2 },  { "vsock", VIRTIO_ID_VSOCK, 0x028000, 3 },
	{ "fs", VIRTIO_ID_FS, 0x018000, 2 },        { "media", VIRTIO_MEDIA, 0x048000, 2 },
};

void vhost_option_free(struct vhost_option *option)
{
	if (!option)
		return;
	g_free(option->path);
	g_free(option->type);
	g_free(option);
}

static bool parse_number(const char *text, unsigned int from, unsigned int to, unsigned int *number)
{
	guint64 value;

	if (!g_ascii_string_to_unsigned(text, 10, from, to, &value, NULL))
		return false;
	*number = (unsigned int)value;
	return true;
}

static bool parse_type(struct vhost_option *option, const char *text)
{
	unsigned int number;

	for (size_t i = 0; i < G_N_ELEMENTS(TYPES); i++) {
		if (strcmp(text, TYPES[i].name) != 0)
			continue;
		option->virtio_id = TYPES[i].virtio_id;
		option->class_code = TYPES[i].class_code;
		option->n_queues = TYPES[i].n_queues;
		return true;
	}
	if (!parse_number(text, 1, MAX_VIRTIO_ID, &number))
		return false;
	option->virtio_id = (uint16_t)number;
	option->class_code = CLASS_OTHER;
	option->n_queues = 1;
	return true;
}

static bool refuse(GError **error, const char *text, const char *why)
{
	g_autofree char *line = one_line(text);

	g_set_error(error, DOM1_ERROR, DOM1_STATUS_USAGE, "--vhost-user=%s: %s", line, why);
	return false;
}

static bool parse_one(struct vhost_option *option, const char *text, GError **error)
{
	g_auto(GStrv) words = g_strsplit(text, ",", -1);
	unsigned int n_queues = 0;

	option->path = g_strdup(words[0] ? words[0] : "");
	for (char **word = words[0] ? words + 1 : words; *word; word++) {
		if (g_str_has_prefix(*word, "type=")) {
			g_free(option->type);
			option->type = g_strdup(*word + strlen("type="));
			if (!parse_type(option, option->type))
				return refuse(error, text, "type: must be net, block, console, rng, scsi, gpu, input, vsock, fs, media, or a "
							   "number of virtio's from 1 to 63");
		} else if (g_str_has_prefix(*word, "queues=")) {
			if (!parse_number(*word + strlen("queues="), 1, VIRTIO_MAX_QUEUES, &n_queues))
				return refuse(error, text, "queues: must be a number from 1 to 4");
		} else {
			return refuse(error, text, "must be SOCKET,type=WORD[,queues=N]");
		}
	}
	if (option->path[0] == '\0' || !option->type)
		return refuse(error, text, "must be SOCKET,type=WORD[,queues=N]");
	if (n_queues > 0)
		option->n_queues = n_queues;
	return true;
}

bool vhost_options_parse(GPtrArray *options, char **words, GError **error)
{
	for (char **word = words; word && *word; word++) {
		struct vhost_option *option = g_new0(struct vhost_option, 1);

		g_ptr_array_add(options, option);
		if (options->len > VHOST_MAX_DEVICES)
			return refuse(error, *word, "a domain has at most 4 such devices");
		if (!parse_one(option, *word, error))
			return false;
	}
	return true;
}
