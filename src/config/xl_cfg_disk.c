// SPDX-License-Identifier: MIT
/*
 * A disk's specification, after xl-disk-configuration(5) and Xen's libxlu_disk_l.l, with dom1's own words added.
 *
 * Words stand between commas. KEY=VALUE and the known flags are what they say; a word with neither fills the next
 * of target, format, vdev, access. target=VALUE takes all the rest, commas and blanks included. Before a target that
 * comes first, xend's prefixes (file:, phy:, raw: and so on) are taken off; they also mean that no format follows by
 * position, since they used to be the format.
 *
 * Differences to xl: ro and rw count anywhere, a missing vdev is the caller's to choose, an NBD URI is a target.
 */
#include "config/xl_cfg.h"

#include <string.h>

#include "config/xl_cfg_spec.h"

#define MAX_SERIAL_BYTES 20 /* of an ATA disk: what tools in a guest have room for */

struct disk_reader {
	struct disk_config *disk;
	unsigned int position; /* of target, format, vdev, access: the next without a key */
	gboolean under_dev;    /* phy: was before the target: a relative one lies under /dev */
	gboolean prefixed;
	gboolean has_access;
};

static struct disk_reader *reader_of(struct spec *spec)
{
	return spec->device;
}

static const char *const FORMATS[] = { "", "raw", "qcow2", "nbd", NULL };
static const char *const CACHES[] = { "", "direct", "writeback", "unsafe", NULL };
static const char *const ON_OFF[] = { "", "off", "on", NULL }; /* as enum disk_discard */
static const char *const ON_ERRORS[] = { "", "report", "stop", "enospc-pause", NULL };

/* Virtual device numbers: xen-vbd-interface(7). */

/* "a" to "z", "aa": 0 to 25, 26, as disks are counted. */
static gboolean take_letters(const char **text, unsigned int *disk)
{
	unsigned int n_letters = 0, number = 0;

	for (; g_ascii_islower(**text); ++*text, n_letters++) {
		if (n_letters == 5)
			return FALSE;
		number = number * 26 + (unsigned int)(**text - 'a') + 1;
	}
	*disk = number - 1;
	return n_letters > 0;
}

static gboolean take_decimal(const char **text, unsigned int *number)
{
	unsigned int n_digits = 0;

	if (**text == '0' && g_ascii_isdigit((*text)[1]))
		return FALSE;
	*number = 0;
	for (; g_ascii_isdigit(**text); ++*text, n_digits++) {
		if (n_digits == 8)
			return FALSE;
		*number = *number * 10 + (unsigned int)(**text - '0');
	}
	return n_digits > 0;
}

static gboolean xvd_number(unsigned int disk, unsigned int partition, uint32_t *number)
{
	if (disk >= 1u << 20 || partition >= 1u << 8)
		return FALSE;
	*number = disk < 16 && partition < 16 ? 202u << 8 | disk << 4 | partition : 1u << 28 | disk << 8 | partition;
	return TRUE;
}

static gboolean split_vdev(const char *vdev, const char **kind, unsigned int *disk, unsigned int *partition)
{
	static const char *const kinds[] = { "xvd", "sd", "hd" };

	*partition = 0;
	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
		if (g_str_has_prefix(vdev, kinds[i])) {
			*kind = kinds[i];
			vdev += strlen(kinds[i]);
			if (!take_letters(&vdev, disk))
				return FALSE;
			/* Partition 0 has no digit: sda0 is none. */
			return *vdev == '\0' || (*vdev != '0' && take_decimal(&vdev, partition) && *vdev == '\0');
		}
	*kind = "xvd";
	if (*vdev++ != 'd' || !take_decimal(&vdev, disk))
		return FALSE;
	return *vdev == '\0' || (*vdev++ == 'p' && take_decimal(&vdev, partition) && *vdev == '\0');
}

gboolean xl_disk_vdev_number(const char *vdev, uint32_t *number)
{
	unsigned int disk, partition;
	const char *kind;

	if (!split_vdev(vdev, &kind, &disk, &partition))
		return FALSE;
	if (kind[0] == 'x')
		return xvd_number(disk, partition, number);
	if (kind[0] == 's') {
		*number = 8u << 8 | disk << 4 | partition;
		return disk < 16 && partition < 16;
	}
	*number = disk < 2 ? 3u << 8 | disk << 6 | partition : 22u << 8 | (disk - 2) << 6 | partition;
	return disk < 4 && partition < 64;
}

/* Keys */

static gboolean set_target(struct spec *spec, const char *value)
{
	struct disk_reader *reader = reader_of(spec);

	g_free(reader->disk->target);
	reader->disk->target = reader->under_dev && *value != '/' ? g_strconcat("/dev/", value, NULL) : g_strdup(value);
	return TRUE;
}

static gboolean set_format(struct spec *spec, const char *value)
{
	static const char *const others[] = { "qcow", "vhd", "qed" };
	unsigned int index;

	for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
		if (strcmp(value, others[i]) == 0)
			return spec_fail(spec,
					 "format=%s: dom1 does not read it: convert the image with qemu-img to qcow2 "
					 "or raw",
					 value);
	if (strcmp(value, "empty") == 0)
		return spec_fail(spec, "format=empty: there are no empty drives: give a target, or leave the disk out");
	if (!spec_word(spec, "format", value, FORMATS, &index))
		return FALSE;
	reader_of(spec)->disk->format = (enum disk_format)index;
	return TRUE;
}

static gboolean set_vdev(struct spec *spec, const char *value)
{
	uint32_t number;

	if (!xl_disk_vdev_number(value, &number))
		return spec_fail(spec,
				 "vdev=%.60s: no such device: give xvda, xvdb and so on, perhaps with a partition's "
				 "number",
				 value);
	reader_of(spec)->disk->vdev = g_strdup(value);
	return TRUE;
}

static gboolean set_access(struct spec *spec, const char *value)
{
	static const char *const words[] = { "ro", "rw", "r", "w", NULL };
	unsigned int index;

	if (!spec_word(spec, "access", value, words, &index))
		return FALSE;
	reader_of(spec)->disk->readonly = words[index][0] == 'r' && words[index][1] != 'w';
	reader_of(spec)->has_access = TRUE;
	return TRUE;
}

static gboolean set_devtype(struct spec *spec, const char *value)
{
	static const char *const words[] = { "disk", "cdrom", NULL };
	unsigned int index;

	if (!spec_word(spec, "devtype", value, words, &index))
		return FALSE;
	reader_of(spec)->disk->cdrom = index == 1;
	return TRUE;
}

static gboolean set_snapshot(struct spec *spec, const char *value)
{
	unsigned int index;

	if (!spec_word(spec, "snapshot", value, ON_OFF, &index))
		return FALSE;
	reader_of(spec)->disk->snapshot = index == 2;
	return TRUE;
}

static gboolean set_cache(struct spec *spec, const char *value)
{
	unsigned int index;

	if (!spec_word(spec, "cache", value, CACHES, &index))
		return FALSE;
	reader_of(spec)->disk->cache = (enum disk_cache)index;
	return TRUE;
}

static gboolean set_discard(struct spec *spec, const char *value)
{
	unsigned int index;

	if (!spec_word(spec, "discard", value, ON_OFF, &index))
		return FALSE;
	reader_of(spec)->disk->discard = (enum disk_discard)index;
	return TRUE;
}

static gboolean set_on_error(struct spec *spec, const char *value)
{
	unsigned int index;

	if (!spec_word(spec, "on-error", value, ON_ERRORS, &index))
		return FALSE;
	reader_of(spec)->disk->on_error = (enum disk_on_error)index;
	return TRUE;
}

static gboolean set_serial(struct spec *spec, const char *value)
{
	gboolean ok = strlen(value) <= MAX_SERIAL_BYTES;

	for (const char *c = value; *c; c++)
		ok = ok && g_ascii_isgraph(*c);
	if (!ok)
		return spec_fail(spec,
				 "serial=%.60s: it is too long or has odd characters: give 1 to %d printable ones "
				 "without blanks",
				 value, MAX_SERIAL_BYTES);
	reader_of(spec)->disk->serial = g_strdup(value);
	return TRUE;
}

static gboolean set_specification(struct spec *spec, const char *value)
{
	if (strcmp(value, "xen") == 0)
		return TRUE;
	return spec_fail(spec, "specification=%.60s: the disks are Xen's PV disks: leave it out", value);
}

#define NO_SCRIPT "dom1 runs no block script: attach the device on the host, and give its path"
#define NO_COLO   "dom1 does not replicate disks (COLO): leave it out"

/* The first four are the positions. */
static const struct spec_key KEYS[] = {
	{ "target", set_target },
	{ "format", set_format },
	{ "vdev", set_vdev },
	{ "access", set_access },
	{ "devtype", set_devtype },
	{ "snapshot", set_snapshot },
	{ "cache", set_cache },
	{ "discard", set_discard },
	{ "on-error", set_on_error },
	{ "serial", set_serial },
	{ "backend", spec_backend },
	{ "specification", set_specification },
	{ "backendtype", .ignored = "there is one back end, dom1's own" },
	{ "direct-io-safe", .ignored = "say cache=direct if you want O_DIRECT" },
	{ "trusted", .ignored = "the back end is dom1's own" },
	{ "untrusted", .ignored = "the guest is told nothing of it" },
	{ "grant_usage", .ignored = "the PV disk always uses grants" },
	{ "script", .refused = NO_SCRIPT },
	{ "colo", .refused = NO_COLO },
	{ "no-colo", .ignored = "dom1 never replicates disks" },
	{ "colo-host", .refused = NO_COLO },
	{ "colo-port", .refused = NO_COLO },
	{ "colo-export", .refused = NO_COLO },
	{ "active-disk", .refused = NO_COLO },
	{ "hidden-disk", .refused = NO_COLO },
};

enum { POSITION_TARGET, POSITION_FORMAT, POSITION_VDEV, POSITION_ACCESS, N_POSITIONS };

/* Words without "=" that are not values by position. */
static const struct {
	const char *flag, *key, *value;
} FLAGS[] = {
	{ "ro", "access", "ro" },       { "rw", "access", "rw" },           { "cdrom", "devtype", "cdrom" },
	{ "discard", "discard", "on" }, { "no-discard", "discard", "off" }, { "direct-io-safe", "direct-io-safe", "" },
	{ "trusted", "trusted", "" },   { "untrusted", "untrusted", "" },   { "colo", "colo", "" },
	{ "no-colo", "no-colo", "" },
};

/* xend's prefixes of a target. */
static const struct {
	const char *prefix, *key, *value;
} PREFIXES[] = {
	{ "raw:", "format", "raw" },   { "qcow:", "format", "qcow" },   { "qcow2:", "format", "qcow2" },
	{ "vhd:", "format", "vhd" },   { "iscsi:", "script", "iscsi" }, { "nbd:", "script", "nbd" },
	{ "enbd:", "script", "enbd" }, { "drbd:", "script", "drbd" },   { "tapdisk:", NULL, NULL },
	{ "tap:", NULL, NULL },        { "tap2:", NULL, NULL },         { "aio:", NULL, NULL },
	{ "ioemu:", NULL, NULL },      { "file:", NULL, NULL },         { "phy:", NULL, NULL },
};

static gboolean is_nbd_uri(const char *text)
{
	return g_str_has_prefix(text, "nbd://") || g_str_has_prefix(text, "nbds://") ||
	       g_str_has_prefix(text, "nbd+unix://") || g_str_has_prefix(text, "nbds+unix://");
}

/* Takes known prefixes off *word; TRUE when none is left, FALSE and an error. */
static gboolean take_prefixes(struct spec *spec, const char **word)
{
	struct disk_reader *reader = reader_of(spec);
	size_t i;

	do {
		for (i = 0; i < G_N_ELEMENTS(PREFIXES); i++)
			if (g_str_has_prefix(*word, PREFIXES[i].prefix))
				break;
		if (i < G_N_ELEMENTS(PREFIXES)) {
			*word += strlen(PREFIXES[i].prefix);
			reader->prefixed = TRUE;
			reader->under_dev |= strcmp(PREFIXES[i].prefix, "phy:") == 0;
			if (PREFIXES[i].key && !spec_set(spec, PREFIXES[i].key, PREFIXES[i].value))
				return FALSE;
		}
	} while (i < G_N_ELEMENTS(PREFIXES) && !is_nbd_uri(*word));
	return TRUE;
}

/* "http:/x", but not "a:b": what xl calls an unknown deprecated prefix. */
static gboolean has_unknown_prefix(const char *word)
{
	const char *c = word;

	if (!g_ascii_islower(*c))
		return FALSE;
	while (g_ascii_islower(*c) || g_ascii_isdigit(*c))
		c++;
	return *c == ':' && !g_ascii_islower(c[1]) && !g_ascii_isdigit(c[1]);
}

static gboolean set_positional_target(struct spec *spec, const char *word)
{
	if (!is_nbd_uri(word)) {
		if (!take_prefixes(spec, &word))
			return FALSE;
		if (!is_nbd_uri(word) && has_unknown_prefix(word))
			return spec_fail(spec,
					 "%.60s: no such prefix: give a path, or target=%.60s at the end if that is "
					 "one",
					 word, word);
	}
	return spec_set(spec, "target", word);
}

/* xend's "hdc:cdrom". */
static gboolean set_positional_vdev(struct spec *spec, const char *word)
{
	g_autofree char *vdev = g_strdup(word);
	char *colon = strrchr(vdev, ':');

	if (colon)
		*colon = '\0';
	return spec_set(spec, "vdev", vdev) && (!colon || spec_set(spec, "devtype", colon + 1));
}

/* A position is free until it is passed over, or its key is given by name. */
static gboolean set_by_position(struct spec *spec, const char *word)
{
	struct disk_reader *reader = reader_of(spec);

	while (reader->position < N_POSITIONS && (spec->seen >> reader->position & 1))
		reader->position++;
	if (reader->position == POSITION_FORMAT && reader->prefixed) {
		reader->position++;
		return set_by_position(spec, word);
	}
	switch (reader->position) {
	case N_POSITIONS:
		return *word == '\0' || spec_fail(spec,
						  "%.60s: one word too many: by position there are target, format, "
						  "vdev and access",
						  word);
	case POSITION_TARGET:
		reader->position++;
		return set_positional_target(spec, word);
	case POSITION_VDEV:
		reader->position++;
		return set_positional_vdev(spec, word);
	default:
		return spec_set(spec, KEYS[reader->position++].key, word);
	}
}

static gboolean read_word(struct spec *spec, char *word)
{
	struct disk_reader *reader = reader_of(spec);
	char *equals = strchr(word, '=');

	for (size_t i = 0; i < G_N_ELEMENTS(FLAGS); i++)
		if (strcmp(word, FLAGS[i].flag) == 0)
			return spec_set(spec, FLAGS[i].key, FLAGS[i].value);
	if (!equals || (reader->position == POSITION_TARGET && is_nbd_uri(word)))
		return set_by_position(spec, word);
	*equals = '\0';
	if (strpbrk(word, "/."))
		return spec_fail(spec, "%.60s=: no such word: a path that has a = is given as target= at the end",
				 word);
	return spec_set(spec, word, equals + 1);
}

static gboolean read_spec(struct spec *spec, const char *text)
{
	while (*text) {
		text += strspn(text, " \t\n");
		if (g_str_has_prefix(text, "target="))
			return spec_set(spec, "target", text + strlen("target="));
		size_t len_bytes = strcspn(text, ",");
		gboolean last = text[len_bytes] == '\0';
		g_autofree char *word = g_strchomp(g_strndup(text, len_bytes));

		/* Nothing after the last comma is no word at all. */
		if ((*word || !last) && !read_word(spec, word))
			return FALSE;
		text += len_bytes + !last;
	}
	return TRUE;
}

static gboolean finish(struct spec *spec)
{
	struct disk_reader *reader = reader_of(spec);
	struct disk_config *disk = reader->disk;

	if (!disk->target)
		return spec_fail(spec, "\"%.60s\" has no target: give the path of a device or image", disk->raw);
	if (disk->format == DISK_FORMAT_DEFAULT && is_nbd_uri(disk->target))
		disk->format = DISK_FORMAT_NBD;
	if (disk->cdrom && !disk->readonly && reader->has_access)
		spec_warn(spec, "access=rw: ignored: a cdrom is read only; say access=ro");
	disk->readonly |= disk->cdrom;
	return TRUE;
}

struct disk_config *xl_disk_parse(const char *text, const struct config_origin *origin, GPtrArray *warnings,
				  GError **error)
{
	struct disk_config *disk = g_new0(struct disk_config, 1);
	struct disk_reader reader = { .disk = disk };
	struct spec spec = { .what = "disk",
			     .keys = KEYS,
			     .n_keys = G_N_ELEMENTS(KEYS),
			     .origin = origin,
			     .warnings = warnings,
			     .error = error,
			     .device = &reader };

	disk->origin = *origin;
	disk->raw = g_strdup(text);
	if (read_spec(&spec, text) && finish(&spec))
		return disk;
	disk_config_free(disk);
	return NULL;
}

char *xl_disk_to_text(const struct disk_config *disk)
{
	GString *text = g_string_new(NULL);

	if (disk->format)
		g_string_append_printf(text, "format=%s,", FORMATS[disk->format]);
	if (disk->vdev)
		g_string_append_printf(text, "vdev=%s,", disk->vdev);
	g_string_append_printf(text, "access=%s,", disk->readonly ? "ro" : "rw");
	if (disk->cdrom)
		g_string_append(text, "devtype=cdrom,");
	if (disk->snapshot)
		g_string_append(text, "snapshot=on,");
	if (disk->cache)
		g_string_append_printf(text, "cache=%s,", CACHES[disk->cache]);
	if (disk->discard)
		g_string_append_printf(text, "discard=%s,", ON_OFF[disk->discard]);
	if (disk->on_error)
		g_string_append_printf(text, "on-error=%s,", ON_ERRORS[disk->on_error]);
	if (disk->serial)
		g_string_append_printf(text, "serial=%s,", disk->serial);
	g_string_append_printf(text, "target=%s", disk->target);
	return g_string_free(text, FALSE);
}
