// SPDX-License-Identifier: MIT
/*
 * From settings (xl_cfg_syntax.h) to a configuration: scalars by the table of fields in guest_config.h, a few keys by
 * functions here, and the rest by the table in xl_cfg_keys.h, which knows what is harmless and what is impossible.
 *
 * As in xl a number may stand in quotes, and a string may be a bare number.
 */
#include "config/xl_cfg.h"

#include <errno.h>
#include <string.h>

#include "config/xl_cfg_keys.h"
#include "config/xl_cfg_syntax.h"

struct reader {
	struct guest_config *config;
	GPtrArray *warnings;
	GError **error;
	/* Keys that mean something only beside others. */
	const struct xl_setting *root, *extra;
};

/* Values */

/* The text of a string or number; NULL and an error. */
static const char *value_text(struct reader *reader, const struct xl_setting *setting)
{
	if (setting->value->kind != XL_LIST)
		return setting->value->text->str;
	config_fail(reader->error, &setting->value->origin, "%s: it is a list: give one value, without brackets",
		    setting->key);
	return NULL;
}

static gboolean text_number(const char *text, uint64_t *number)
{
	char *end;

	if (!g_ascii_isdigit(*text))
		return FALSE;
	errno = 0;
	*number = g_ascii_strtoull(text, &end, 0);
	return *end == '\0' && errno == 0;
}

/* A list, or with one_too a single value in its place. */
static gboolean value_items(struct reader *reader, const struct xl_setting *setting, struct xl_value ***items,
			    unsigned int *n_items)
{
	if (setting->value->kind != XL_LIST)
		return config_fail(reader->error, &setting->value->origin,
				   "%s: it is a list of strings: put brackets around it", setting->key);
	*items = (struct xl_value **)setting->value->items->pdata;
	*n_items = setting->value->items->len;
	for (unsigned int i = 0; i < *n_items; i++)
		if ((*items)[i]->kind == XL_LIST)
			return config_fail(reader->error, &(*items)[i]->origin,
					   "%s: a list inside the list: remove the inner brackets", setting->key);
	return TRUE;
}

/* 0, "" and [] switch a thing off, which it is. */
static gboolean asks_for_nothing(const struct xl_value *value)
{
	uint64_t number;

	if (value->kind == XL_LIST)
		return value->items->len == 0;
	return value->text->len == 0 || (text_number(value->text->str, &number) && number == 0);
}

/* Words */

/* xl's actions that dom1 does not have become the nearest one. */
static const char *nearest_action(struct reader *reader, const struct xl_setting *setting, const char *word)
{
	static const struct {
		const char *word, *instead, *why;
	} actions[] = {
		{ "coredump-destroy", "destroy", "there are no core dumps" },
		{ "coredump-restart", "restart", "there are no core dumps" },
		{ "rename-restart", "restart", "the domain that ended is gone" },
		{ "soft-reset", "restart", "the machine starts anew" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
		if (strcmp(word, actions[i].word) == 0) {
			config_warn(reader->warnings, &setting->value->origin, "%s: %s is taken as %s: %s",
				    setting->key, word, actions[i].instead, actions[i].why);
			return actions[i].instead;
		}
	return word;
}

static gboolean refuse_hvm(struct reader *reader, const struct xl_setting *setting)
{
	return config_fail(reader->error, &setting->value->origin,
			   "%s: dom1 runs no HVM guests: say type=\"pv\" or type=\"pvh\", with a kernel",
			   setting->key);
}

/* A reason that is better than "give one of". */
static gboolean refuse_word(struct reader *reader, const struct xl_setting *setting, const struct config_field *field,
			    const char *word)
{
	static const char *const hvm_firmware[] = { "bios", "uefi", "seabios", "rombios", "ovmf", NULL };
	const struct config_origin *origin = &setting->value->origin;

	if (strcmp(setting->key, "type") == 0 && strcmp(word, "hvm") == 0)
		return refuse_hvm(reader, setting);
	if (strcmp(setting->key, "firmware") == 0 && g_strv_contains(hvm_firmware, word))
		return config_fail(reader->error, origin,
				   "firmware: %s is for HVM guests: give pvgrub32 or pvgrub64, or a kernel", word);
	if (strcmp(setting->key, "bootloader") == 0)
		return config_fail(reader->error, origin,
				   "bootloader: \"%.60s\" would read the guest's disks on the host, which dom1 never "
				   "does: give firmware=\"pvgrub64\", or a kernel",
				   word);
	g_autofree char *words = g_strjoinv(", ", (char **)(void *)(uintptr_t)field->words);
	return config_fail(reader->error, origin, "%s: \"%.60s\" is no such word: give one of %s", setting->key, word,
			   words);
}

static gboolean set_word(struct reader *reader, const struct xl_setting *setting, const struct config_field *field,
			 const char *word)
{
	if (g_str_has_prefix(setting->key, "on_"))
		word = nearest_action(reader, setting, word);
	for (unsigned int i = 0; field->words[i]; i++)
		if (strcmp(field->words[i], word) == 0)
			return guest_config_set_number(reader->config, field, i, &setting->value->origin,
						       reader->error);
	return refuse_word(reader, setting, field, word);
}

static gboolean set_field(struct reader *reader, const struct xl_setting *setting, const struct config_field *field)
{
	const struct config_origin *origin = &setting->value->origin;
	const char *text = value_text(reader, setting);
	uint64_t number;

	if (!text)
		return FALSE;
	if (field->kind == CONFIG_TEXT || field->kind == CONFIG_UUID)
		return guest_config_set_text(reader->config, field, text, origin, reader->error);
	if (field->kind == CONFIG_WORD)
		return set_word(reader, setting, field, text);
	if (!text_number(text, &number))
		return config_fail(reader->error, origin,
				   "%s: \"%.60s\" is no number: give a decimal, 0x hexadecimal or 0 octal one%s",
				   setting->key, text, field->kind == CONFIG_MEMORY ? " of MiB" : "");
	if (field->kind == CONFIG_BOOLEAN)
		number = number != 0;
	if (field->kind == CONFIG_MEMORY)
		number = number > UINT64_MAX >> 20 ? UINT64_MAX : number << 20;
	return guest_config_set_number(reader->config, field, number, origin, reader->error);
}

/* Keys that are no fields */

static const struct config_field *find_field(const char *key)
{
	size_t n_fields;
	const struct config_field *fields = guest_config_fields(&n_fields);

	for (size_t i = 0; i < n_fields; i++)
		if (strcmp(fields[i].key, key) == 0)
			return &fields[i];
	return NULL;
}

static gboolean set_bootloader(struct reader *reader, const struct xl_setting *setting)
{
	const struct config_field *field = find_field("firmware");
	struct config_number before = reader->config->firmware;

	if (!set_field(reader, setting, field))
		return FALSE;
	if (before.origin.file && before.value != reader->config->firmware.value)
		return config_fail(reader->error, &setting->value->origin,
				   "%s: in line %u the other pvgrub is asked for: leave one out", setting->key,
				   before.origin.line);
	return TRUE;
}

static gboolean set_builder(struct reader *reader, const struct xl_setting *setting)
{
	const char *text = value_text(reader, setting);

	if (!text)
		return FALSE;
	if (strcmp(text, "hvm") == 0)
		return refuse_hvm(reader, setting);
	config_warn(reader->warnings, &setting->origin, "builder: ignored: say type=\"pv\" or type=\"pvh\"");
	return TRUE;
}

static gboolean set_root(struct reader *reader, const struct xl_setting *setting)
{
	reader->root = setting;
	return value_text(reader, setting) != NULL;
}

static gboolean set_extra(struct reader *reader, const struct xl_setting *setting)
{
	reader->extra = setting;
	return value_text(reader, setting) != NULL;
}

static gboolean add_cpu_list(struct reader *reader, const struct xl_value *value)
{
	const char *text = value->text->str;

	if (!guest_config_is_cpu_list(text))
		return config_fail(reader->error, &value->origin,
				   "cpus: \"%.60s\" is no list of CPUs: give one such as 0-3,^1 or all", text);
	g_ptr_array_add(reader->config->cpus.lists, g_strdup(text));
	return TRUE;
}

static gboolean set_cpus(struct reader *reader, const struct xl_setting *setting)
{
	struct xl_value **items;
	unsigned int n_items;

	reader->config->cpus.origin = setting->value->origin;
	if (setting->value->kind != XL_LIST)
		return add_cpu_list(reader, setting->value);
	if (!value_items(reader, setting, &items, &n_items))
		return FALSE;
	reader->config->cpus.each_vcpu = n_items > 0;
	if (n_items == 0)
		reader->config->cpus.origin = (struct config_origin){ 0 };
	for (unsigned int i = 0; i < n_items; i++)
		if (!add_cpu_list(reader, items[i]))
			return FALSE;
	return TRUE;
}

typedef void *(*device_parser)(const char *text, const struct config_origin *origin, GPtrArray *warnings,
			       GError **error);

static void *parse_disk(const char *text, const struct config_origin *origin, GPtrArray *warnings, GError **error)
{
	return xl_disk_parse(text, origin, warnings, error);
}

static void *parse_vif(const char *text, const struct config_origin *origin, GPtrArray *warnings, GError **error)
{
	return xl_vif_parse(text, origin, warnings, error);
}

static void *parse_p9(const char *text, const struct config_origin *origin, GPtrArray *warnings, GError **error)
{
	return xl_p9_parse(text, origin, warnings, error);
}

static void *parse_channel(const char *text, const struct config_origin *origin, GPtrArray *warnings, GError **error)
{
	return xl_channel_parse(text, origin, warnings, error);
}

static gboolean set_devices(struct reader *reader, const struct xl_setting *setting, GPtrArray *devices,
			    device_parser parse)
{
	struct xl_value **items;
	unsigned int n_items;

	if (!value_items(reader, setting, &items, &n_items))
		return FALSE;
	for (unsigned int i = 0; i < n_items; i++) {
		void *device = parse(items[i]->text->str, &items[i]->origin, reader->warnings, reader->error);

		if (!device)
			return FALSE;
		g_ptr_array_add(devices, device);
	}
	return TRUE;
}

static gboolean set_disk(struct reader *reader, const struct xl_setting *setting)
{
	return set_devices(reader, setting, reader->config->disks, parse_disk);
}

static gboolean set_vif(struct reader *reader, const struct xl_setting *setting)
{
	return set_devices(reader, setting, reader->config->vifs, parse_vif);
}

static gboolean set_p9(struct reader *reader, const struct xl_setting *setting)
{
	return set_devices(reader, setting, reader->config->p9s, parse_p9);
}

static gboolean set_channel(struct reader *reader, const struct xl_setting *setting)
{
	return set_devices(reader, setting, reader->config->channels, parse_channel);
}

static const struct special_key {
	const char *key;
	gboolean (*set)(struct reader *reader, const struct xl_setting *setting);
} SPECIAL_KEYS[] = {
	{ "root", set_root },           { "extra", set_extra },     { "cpus", set_cpus },
	{ "disk", set_disk },           { "vif", set_vif },         { "p9", set_p9 },
	{ "channel", set_channel },     { "builder", set_builder }, { "bootloader", set_bootloader },
	{ "firmware", set_bootloader },
};

/* Keys that are not understood */

static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[33], len_b = (unsigned int)strlen(b);

	for (unsigned int j = 0; j <= len_b; j++)
		row[j] = j;
	for (unsigned int i = 0; a[i]; i++) {
		unsigned int diagonal = row[0];

		row[0] = i + 1;
		for (unsigned int j = 0; j < len_b; j++) {
			unsigned int change = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			row[j + 1] = MIN(change, MIN(row[j], row[j + 1]) + 1);
		}
	}
	return row[len_b];
}

static void keep_nearest(const char *key, const char *candidate, unsigned int *best, const char **nearest)
{
	unsigned int d = distance(key, candidate);

	if (d < *best) {
		*best = d;
		*nearest = candidate;
	}
}

/* The key that was meant, when at most two letters are wrong; NULL: who knows. */
static const char *nearest_key(const char *key)
{
	g_autofree char *lower = g_ascii_strdown(key, -1);
	size_t n_fields, len_bytes = strlen(key);
	const struct config_field *fields = guest_config_fields(&n_fields);
	unsigned int best = MIN(3, (unsigned int)len_bytes / 2 + 1);
	const char *nearest = NULL;

	if (len_bytes > 32)
		return NULL;
	for (size_t i = 0; i < n_fields; i++)
		keep_nearest(lower, fields[i].key, &best, &nearest);
	for (size_t i = 0; i < G_N_ELEMENTS(SPECIAL_KEYS); i++)
		keep_nearest(lower, SPECIAL_KEYS[i].key, &best, &nearest);
	return nearest;
}

static gboolean pass_over(struct reader *reader, const struct xl_setting *setting)
{
	const struct xl_key *key = xl_key_find(setting->key);

	if (!key) {
		const char *nearest = nearest_key(setting->key);

		if (nearest)
			return config_fail(reader->error, &setting->origin,
					   "%.60s: xl.cfg has no such key: did you mean %s?", setting->key, nearest);
		return config_fail(reader->error, &setting->origin,
				   "%.60s: xl.cfg has no such key: correct it, or leave it out", setting->key);
	}
	if (key->verdict == XL_IGNORED)
		config_warn(reader->warnings, &setting->origin, "%s: ignored: %s", setting->key, key->why);
	else if (asks_for_nothing(setting->value))
		config_warn(reader->warnings, &setting->origin, "%s: ignored: it asks for nothing here; leave it out",
			    setting->key);
	else
		return config_fail(reader->error, &setting->origin, "%s: %s", setting->key, key->why);
	return TRUE;
}

static gboolean set_key(struct reader *reader, const struct xl_setting *setting)
{
	for (size_t i = 0; i < G_N_ELEMENTS(SPECIAL_KEYS); i++)
		if (strcmp(setting->key, SPECIAL_KEYS[i].key) == 0)
			return SPECIAL_KEYS[i].set(reader, setting);

	const struct config_field *field = find_field(setting->key);
	return field ? set_field(reader, setting, field) : pass_over(reader, setting);
}

/* xl's parse_cmdline(): cmdline counts alone, else root= and extra= are joined. */
static gboolean join_cmdline(struct reader *reader)
{
	const struct xl_setting *root = reader->root, *extra = reader->extra;
	const struct xl_setting *ignored[] = { root, extra };

	if (reader->config->cmdline.value) {
		for (unsigned int i = 0; i < G_N_ELEMENTS(ignored); i++)
			if (ignored[i])
				config_warn(reader->warnings, &ignored[i]->origin,
					    "%s: ignored: cmdline, in line %u, says all", ignored[i]->key,
					    reader->config->cmdline.origin.line);
		return TRUE;
	}
	if (!root && !extra)
		return TRUE;
	g_autofree char *joined = !root ? g_strdup(extra->value->text->str) :
					  g_strconcat("root=", root->value->text->str, extra ? " " : NULL,
						      extra ? extra->value->text->str : NULL, NULL);
	return guest_config_set_text(reader->config, find_field("cmdline"), joined,
				     &(root ? root : extra)->value->origin, reader->error);
}

gboolean xl_cfg_parse(const char *text, size_t len_bytes, const char *name, struct guest_config **out,
		      GPtrArray *warnings, GError **error)
{
	struct reader reader = { .config = guest_config_new(name), .warnings = warnings, .error = error };
	g_autoptr(GPtrArray) settings = xl_syntax_read(text, len_bytes, reader.config->file, warnings, error);
	gboolean ok = settings != NULL;

	for (unsigned int i = 0; ok && i < settings->len; i++)
		ok = set_key(&reader, settings->pdata[i]);
	ok = ok && join_cmdline(&reader) && guest_config_check(reader.config, warnings, error);
	if (ok)
		*out = reader.config;
	else
		guest_config_free(reader.config);
	return ok;
}
