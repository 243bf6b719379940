// SPDX-License-Identifier: MIT
/*
 * The table of fields, the checks that hold whatever the source is, and the shape of messages.
 */
#include "config/guest_config.h"

#include <stddef.h>
#include <string.h>

#include "vmm/error.h"
#include "vmm/one_line.h"
#include "vmm/record.h"

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
#define AT(member)      offsetof(struct guest_config, member)

static const char *const TYPE_WORDS[] = { "pv", "pvh", NULL };
static const char *const ACTION_WORDS[] = { "destroy", "restart", "preserve", NULL };
static const char *const FIRMWARE_WORDS[] = { "pvgrub32", "pvgrub64", NULL };

/* Properties without a prefix are Xen's (docs/misc/arm/device-tree/booting.txt); those of dom1 carry its name. */
static const struct config_field FIELDS[] = {
	{ "name", "dom1,name", CONFIG_TEXT, AT(name) },
	{ "uuid", "domain-uuid", CONFIG_UUID, AT(uuid) },
	{ "type", NULL, CONFIG_WORD, AT(type), .words = TYPE_WORDS },
	{ "kernel", NULL, CONFIG_TEXT, AT(kernel) },
	{ "ramdisk", NULL, CONFIG_TEXT, AT(ramdisk) },
	{ "cmdline", NULL, CONFIG_TEXT, AT(cmdline), .may_be_empty = TRUE },
	{ "memory", "memory", CONFIG_MEMORY, AT(memory_bytes), 1, INT64_MAX },
	{ "maxmem", "dom1,maxmem", CONFIG_MEMORY, AT(maxmem_bytes), 1, INT64_MAX },
	{ "vcpus", "cpus", CONFIG_NUMBER, AT(vcpus), 1, RECORD_MAX_VCPUS },
	{ "maxvcpus", "dom1,maxvcpus", CONFIG_NUMBER, AT(maxvcpus), 1, RECORD_MAX_VCPUS },
	{ "on_poweroff", "dom1,on-poweroff", CONFIG_WORD, AT(on_poweroff), .words = ACTION_WORDS },
	{ "on_reboot", "dom1,on-reboot", CONFIG_WORD, AT(on_reboot), .words = ACTION_WORDS },
	{ "on_crash", "dom1,on-crash", CONFIG_WORD, AT(on_crash), .words = ACTION_WORDS },
	{ "on_watchdog", "dom1,on-watchdog", CONFIG_WORD, AT(on_watchdog), .words = ACTION_WORDS },
	{ "max_grant_frames", "max_grant_frames", CONFIG_NUMBER, AT(max_grant_frames), 1, INT32_MAX },
	{ "max_event_channels", "dom1,max-event-channels", CONFIG_NUMBER, AT(max_event_channels), 1, INT32_MAX },
	{ "pvshim", "dom1,pvshim", CONFIG_BOOLEAN, AT(pvshim), 0, 1 },
	{ "pvshim_path", "dom1,pvshim-path", CONFIG_TEXT, AT(pvshim_path) },
	{ "pvshim_cmdline", "dom1,pvshim-cmdline", CONFIG_TEXT, AT(pvshim_cmdline), .may_be_empty = TRUE },
	{ "pvshim_extra", "dom1,pvshim-extra", CONFIG_TEXT, AT(pvshim_extra), .may_be_empty = TRUE },
	{ "firmware", "dom1,firmware", CONFIG_WORD, AT(firmware), .words = FIRMWARE_WORDS },
};

const struct config_field *guest_config_fields(size_t *n_fields)
{
	*n_fields = G_N_ELEMENTS(FIELDS);
	return FIELDS;
}

static gboolean is_text(const struct config_field *field)
{
	return field->kind == CONFIG_TEXT || field->kind == CONFIG_UUID;
}

struct config_text *guest_config_text(struct guest_config *config, const struct config_field *field)
{
	g_assert(is_text(field));
	return (struct config_text *)(void *)((char *)config + field->offset);
}

struct config_number *guest_config_number(struct guest_config *config, const struct config_field *field)
{
	g_assert(!is_text(field));
	return (struct config_number *)(void *)((char *)config + field->offset);
}

/* Messages */

/* What is quoted comes from a file that may hold anything. */
static char *message_new(const struct config_origin *origin, const char *format, va_list arguments) G_GNUC_PRINTF(2, 0);
static char *message_new(const struct config_origin *origin, const char *format, va_list arguments)
{
	g_autofree char *text = g_strdup_vprintf(format, arguments);
	g_autoptr(GString) message = g_string_new(origin->file);

	if (origin->line)
		g_string_append_printf(message, ":%u:%u", origin->line, origin->column);
	g_string_append(message, ": ");
	g_string_append(message, text);
	return one_line(message->str);
}

gboolean config_is_option(const struct config_origin *origin)
{
	return origin->file && g_str_has_prefix(origin->file, "--");
}

gboolean config_fail(GError **error, const struct config_origin *origin, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *message = message_new(origin, format, arguments);
	va_end(arguments);
	g_set_error_literal(error, DOM1_ERROR, config_is_option(origin) ? DOM1_STATUS_USAGE : DOM1_STATUS_FILE, message);
	return FALSE;
}

void config_warn(GPtrArray *warnings, const struct config_origin *origin, const char *format, ...)
{
	va_list arguments;

	if (!warnings)
		return;
	va_start(arguments, format);
	g_ptr_array_add(warnings, message_new(origin, format, arguments));
	va_end(arguments);
}

/* UUIDs and lists of CPUs */

gboolean guest_config_uuid_bytes(const char *text, uint8_t bytes[CONFIG_UUID_BYTES])
{
	unsigned int n_digits = 0;

	for (; *text; text++) {
		if (*text == '-' && n_digits % 2 == 0)
			continue;
		int digit = g_ascii_xdigit_value(*text);
		if (digit < 0 || n_digits == 2 * CONFIG_UUID_BYTES)
			return FALSE;
		uint8_t *byte = &bytes[n_digits / 2];
		*byte = (uint8_t)(n_digits++ % 2 == 0 ? digit : *byte << 4 | digit);
	}
	return n_digits == 2 * CONFIG_UUID_BYTES;
}

char *guest_config_uuid_text(const uint8_t bytes[CONFIG_UUID_BYTES])
{
	GString *text = g_string_new(NULL);

	for (unsigned int i = 0; i < CONFIG_UUID_BYTES; i++)
		g_string_append_printf(text, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", bytes[i]);
	return g_string_free(text, FALSE);
}

static gboolean take_cpu_number(const char **text, unsigned int *number)
{
	unsigned int n_digits = 0;

	*number = 0;
	for (; g_ascii_isdigit(**text) && n_digits < 6; ++*text, n_digits++)
		*number = *number * 10 + (unsigned int)(**text - '0');
	return n_digits > 0 && n_digits < 6;
}

static gboolean is_cpu_range(const char *text)
{
	unsigned int first, last;

	if (*text == '^')
		text++;
	if (strcmp(text, "all") == 0)
		return TRUE;
	if (g_str_has_prefix(text, "node:") || g_str_has_prefix(text, "nodes:"))
		text = strchr(text, ':') + 1;
	if (strcmp(text, "all") == 0)
		return TRUE;
	if (!take_cpu_number(&text, &first))
		return FALSE;
	if (*text == '\0')
		return TRUE;
	return *text++ == '-' && take_cpu_number(&text, &last) && *text == '\0' && first <= last;
}

gboolean guest_config_is_cpu_list(const char *text)
{
	g_auto(GStrv) ranges = g_strsplit(text, ",", -1);

	for (unsigned int i = 0; ranges[i]; i++)
		if (!is_cpu_range(g_strstrip(ranges[i])))
			return FALSE;
	return ranges[0] != NULL;
}

/* Values */

/* The field's word in the source at hand. */
static const char *field_word(const struct config_field *field, const struct config_origin *origin)
{
	return origin->line || !field->property ? field->key : field->property;
}

static gboolean check_name(const struct config_field *field, const char *value, const struct config_origin *origin,
			   GError **error)
{
	size_t len_bytes = strlen(value);

	if (len_bytes <= GUEST_CONFIG_NAME_MAX && value[strspn(value, NAME_CHARACTERS)] == '\0' &&
	    strcmp(value, ".") != 0 && strcmp(value, "..") != 0)
		return TRUE;
	return config_fail(error, origin,
			   "%s: \"%.60s\" is no name for a domain: give 1 to %d of the characters A-Z a-z 0-9 . _ -",
			   field_word(field, origin), value, GUEST_CONFIG_NAME_MAX);
}

gboolean guest_config_set_text(struct guest_config *config, const struct config_field *field, const char *value,
			       const struct config_origin *origin, GError **error)
{
	struct config_text *text = guest_config_text(config, field);
	uint8_t uuid[CONFIG_UUID_BYTES];
	char *stored;

	if (*value == '\0' && !field->may_be_empty)
		return config_fail(error, origin, "%s: it is empty: give a value, or leave it out",
				   field_word(field, origin));
	if (field->offset == AT(name) && !check_name(field, value, origin, error))
		return FALSE;
	if (field->kind == CONFIG_UUID) {
		if (!guest_config_uuid_bytes(value, uuid))
			return config_fail(error, origin,
					   "%s: \"%.60s\" is no UUID: give 32 hexadecimal digits, as in "
					   "01234567-89ab-cdef-0123-456789abcdef",
					   field_word(field, origin), value);
		stored = guest_config_uuid_text(uuid);
	} else {
		stored = g_strdup(value);
	}
	g_free(text->value);
	*text = (struct config_text){ stored, *origin };
	return TRUE;
}

gboolean guest_config_set_number(struct guest_config *config, const struct config_field *field, uint64_t value,
				 const struct config_origin *origin, GError **error)
{
	uint64_t high = field->high;

	if (field->kind == CONFIG_WORD)
		high = g_strv_length((char **)(void *)(uintptr_t)field->words) - 1;
	if (field->kind == CONFIG_MEMORY && (value < field->low || value > high))
		return config_fail(error, origin,
				   "%s: this is no amount of memory a guest can have: give at least 1 and less than 8 "
				   "EiB",
				   field_word(field, origin));
	if (value < field->low || value > high)
		return config_fail(error, origin,
				   "%s: %" G_GUINT64_FORMAT " is out of range: give a number from %" G_GUINT64_FORMAT
				   " to %" G_GUINT64_FORMAT,
				   field_word(field, origin), value, field->low, high);
	*guest_config_number(config, field) = (struct config_number){ value, *origin };
	return TRUE;
}

enum config_type guest_config_type(const struct guest_config *config)
{
	return config->type.origin.file && config->type.value == CONFIG_TYPE_PVH && !config->pvshim.value ?
		       CONFIG_TYPE_PVH :
		       CONFIG_TYPE_PV;
}

static void warn_of_shim_words(struct guest_config *config, GPtrArray *warnings)
{
	const struct config_number *pvshim = &config->pvshim;

	if (guest_config_type(config) == CONFIG_TYPE_PV) {
		if (pvshim->origin.file && !pvshim->value)
			config_warn(warnings, &pvshim->origin,
				    "pvshim: 0 is ignored: here a PV guest always runs in the shim; for a guest "
				    "without it say type=\"pvh\"");
		return;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(FIELDS); i++)
		if (is_text(&FIELDS[i]) && g_str_has_prefix(FIELDS[i].key, "pvshim_")) {
			const struct config_text *text = guest_config_text(config, &FIELDS[i]);

			if (text->value)
				config_warn(warnings, &text->origin,
					    "%s: ignored: a PVH guest has no shim; say type=\"pv\" for one that has",
					    field_word(&FIELDS[i], &text->origin));
		}
}

gboolean guest_config_check(struct guest_config *config, GPtrArray *warnings, GError **error)
{
	const struct config_number *maxmem = &config->maxmem_bytes, *maxvcpus = &config->maxvcpus;

	if (maxmem->origin.file && maxmem->value < config->memory_bytes.value)
		return config_fail(error, &maxmem->origin, "maxmem: it is less than memory: raise it, or leave it out");
	if (maxvcpus->origin.file && maxvcpus->value < config->vcpus.value)
		return config_fail(error, &maxvcpus->origin,
				   "maxvcpus: it is less than vcpus: raise it, or leave it out");
	if (config->firmware.origin.file && config->kernel.value)
		return config_fail(error, &config->firmware.origin,
				   "firmware: there is a kernel too, and only one of them can start: leave one out");
	if (config->firmware.origin.file && guest_config_type(config) == CONFIG_TYPE_PVH)
		return config_fail(error, &config->firmware.origin,
				   "firmware: pvgrub is a program for PV guests: say type=\"pv\", or give "
				   "grub-i386-xen_pvh.bin as kernel");
	warn_of_shim_words(config, warnings);
	return TRUE;
}

/* Life */

struct guest_config *guest_config_new(const char *file)
{
	struct guest_config *config = g_new0(struct guest_config, 1);

	config->file = g_strdup(file);
	config->cpus.lists = g_ptr_array_new_with_free_func(g_free);
	config->disks = g_ptr_array_new_with_free_func((GDestroyNotify)disk_config_free);
	config->vifs = g_ptr_array_new_with_free_func((GDestroyNotify)vif_config_free);
	config->p9s = g_ptr_array_new_with_free_func((GDestroyNotify)p9_config_free);
	config->channels = g_ptr_array_new_with_free_func((GDestroyNotify)channel_config_free);
	return config;
}

void guest_config_free(struct guest_config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < G_N_ELEMENTS(FIELDS); i++)
		if (is_text(&FIELDS[i]))
			g_free(guest_config_text(config, &FIELDS[i])->value);
	g_ptr_array_unref(config->cpus.lists);
	g_ptr_array_unref(config->disks);
	g_ptr_array_unref(config->vifs);
	g_ptr_array_unref(config->p9s);
	g_ptr_array_unref(config->channels);
	g_free(config->file);
	g_free(config);
}

void disk_config_free(struct disk_config *disk)
{
	if (!disk)
		return;
	g_free(disk->raw);
	g_free(disk->target);
	g_free(disk->vdev);
	g_free(disk->serial);
	g_free(disk->label);
	g_free(disk);
}

void vif_config_free(struct vif_config *vif)
{
	if (!vif)
		return;
	g_free(vif->raw);
	g_free(vif->bridge);
	g_free(vif->socket_path);
	g_free(vif->ifname);
	g_free(vif->script);
	if (vif->hostfwd)
		g_ptr_array_unref(vif->hostfwd);
	g_free(vif);
}

void p9_config_free(struct p9_config *p9)
{
	if (!p9)
		return;
	g_free(p9->raw);
	g_free(p9->tag);
	g_free(p9->path);
	g_free(p9);
}

void channel_config_free(struct channel_config *channel)
{
	if (!channel)
		return;
	g_free(channel->raw);
	g_free(channel->name);
	g_free(channel->path);
	g_free(channel);
}
