// SPDX-License-Identifier: MIT
#include "config/config_builders.h"

#include <stddef.h>
#include <string.h>

#include "config/xl_cfg.h"

static const struct config_origin SOMEWHERE = { "random", 1, 1 };

static unsigned int below(unsigned int n)
{
	return (unsigned int)g_test_rand_int_range(0, (gint32)n);
}

static gboolean coin(void)
{
	return g_test_rand_bit();
}

/* Of characters, min to max of them. */
static char *random_word(const char *characters, unsigned int min, unsigned int max)
{
	unsigned int n = min + below(max - min + 1);
	char *word = g_malloc(n + 1);

	for (unsigned int i = 0; i < n; i++)
		word[i] = characters[below((unsigned int)strlen(characters))];
	word[n] = '\0';
	return word;
}

/* Any bytes but NUL. */
static char *random_bytes(unsigned int min, unsigned int max)
{
	char *text = random_word("x", min, max);

	for (char *c = text; *c; c++)
		*c = below(8) == 0 ? (char)(1 + below(255)) : "abcz /=,'\"\\#;[]0x.-"[below(19)];
	return text;
}

static char *random_plain(unsigned int max)
{
	return random_word("abcdefghijklmnopqrstuvwxyz0123456789", 1, max);
}

struct disk_config *random_disk(void)
{
	static const char *const vdevs[] = { "xvda", "xvdb1", "sda", "hdc", "xvdaa", "d3p1", "xvdq" };
	struct disk_config *disk = g_new0(struct disk_config, 1);

	disk->target = below(4) ? g_strdup_printf("/images/%d.img", (int)below(100)) : random_bytes(1, 40);
	disk->vdev = coin() ? g_strdup(vdevs[below(G_N_ELEMENTS(vdevs))]) : NULL;
	disk->serial = below(3) ? NULL : random_word("ABC012-_.:", 1, 20);
	disk->format = (enum disk_format)below(4);
	disk->cache = (enum disk_cache)below(4);
	disk->discard = (enum disk_discard)below(3);
	disk->on_error = (enum disk_on_error)below(4);
	disk->cdrom = below(4) == 0;
	disk->readonly = disk->cdrom || coin();
	disk->snapshot = coin();
	return disk;
}

static void random_vif_end(struct vif_config *vif)
{
	vif->kind = (enum vif_kind)below(6);
	switch (vif->kind) {
	case VIF_BRIDGE:
		vif->bridge = random_plain(15);
		break;
	case VIF_SOCKET:
		vif->socket_path = g_strdup_printf("/run/a=%d b", (int)below(100));
		break;
	case VIF_USER:
		if (coin())
			vif->hostfwd = g_ptr_array_new_with_free_func(g_free);
		for (unsigned int n = vif->hostfwd ? 1 + below(3) : 0; n > 0; n--)
			g_ptr_array_add(vif->hostfwd, g_strdup_printf("tcp::%d-:22", (int)below(65536)));
		break;
	default:
		break;
	}
}

struct vif_config *random_vif(void)
{
	struct vif_config *vif = g_new0(struct vif_config, 1);

	random_vif_end(vif);
	if (coin() && (vif->kind == VIF_DEFAULT || vif->kind == VIF_TAP || vif->kind == VIF_BRIDGE))
		vif->ifname = random_plain(15);
	if (below(4) == 0)
		vif->script = g_strdup("vif-route");
	vif->has_mac = coin();
	for (unsigned int i = 0; vif->has_mac && i < 6; i++)
		vif->mac[i] = (uint8_t)(i == 0 ? below(128) * 2 : below(256));
	if (below(3) == 0) {
		vif->rate_bytes_per_s = 1 + below(1000000000);
		vif->rate_interval_us = 1 + below(1000000000);
	}
	return vif;
}

struct p9_config *random_p9(void)
{
	struct p9_config *p9 = g_new0(struct p9_config, 1);

	p9->tag = random_plain(10);
	p9->path = g_strdup_printf("/srv/%d = x", (int)below(100));
	return p9;
}

struct channel_config *random_channel(void)
{
	struct channel_config *channel = g_new0(struct channel_config, 1);

	channel->name = g_strdup_printf("org.example.%d", (int)below(100));
	channel->connection = coin() ? CHANNEL_PTY : CHANNEL_SOCKET;
	if (channel->connection == CHANNEL_SOCKET)
		channel->path = g_strdup("/run/a b.sock");
	return channel;
}

static void random_cpus(struct config_cpus *cpus)
{
	static const char *const lists[] = { "all", "0", "0-3,^1", "node:1", "nodes:0-1,^5", "all,^7", "2-2" };
	unsigned int n = below(4);

	if (n == 0)
		return;
	cpus->origin = SOMEWHERE;
	cpus->each_vcpu = n > 1 || coin();
	for (; n > 0; n--)
		g_ptr_array_add(cpus->lists, g_strdup(lists[below(G_N_ELEMENTS(lists))]));
}

static void random_field(struct guest_config *config, const struct config_field *field, uint64_t memory_unit_bytes)
{
	uint8_t uuid[CONFIG_UUID_BYTES];

	switch (field->kind) {
	case CONFIG_UUID:
		for (unsigned int i = 0; i < sizeof(uuid); i++)
			uuid[i] = (uint8_t)below(256);
		*guest_config_text(config, field) = (struct config_text){ guest_config_uuid_text(uuid), SOMEWHERE };
		break;
	case CONFIG_TEXT:
		*guest_config_text(config, field) = (struct config_text){
			field->offset == offsetof(struct guest_config, name) ? random_plain(GUEST_CONFIG_NAME_MAX) :
									       random_bytes(!field->may_be_empty, 60),
			SOMEWHERE,
		};
		break;
	case CONFIG_MEMORY:
		*guest_config_number(config, field) =
			(struct config_number){ (1 + below(1u << 20)) * memory_unit_bytes, SOMEWHERE };
		break;
	case CONFIG_WORD:
		*guest_config_number(config, field) = (struct config_number){
			below(g_strv_length((char **)(void *)(uintptr_t)field->words)),
			SOMEWHERE,
		};
		break;
	default:
		*guest_config_number(config, field) = (struct config_number){
			field->low + below((unsigned int)MIN(field->high - field->low, G_MAXINT32 - 1)) + below(2),
			SOMEWHERE,
		};
		break;
	}
}

static const struct config_number UNSET;

/* What guest_config_check() wants. */
static void make_valid(struct guest_config *config)
{
	struct config_number *maxmem = &config->maxmem_bytes, *maxvcpus = &config->maxvcpus;

	if (maxmem->origin.file)
		maxmem->value = MAX(maxmem->value, config->memory_bytes.value);
	if (maxvcpus->origin.file)
		maxvcpus->value = MAX(maxvcpus->value, config->vcpus.value);
	if (config->kernel.value || guest_config_type(config) == CONFIG_TYPE_PVH)
		config->firmware = UNSET;
}

struct guest_config *random_config(uint64_t memory_unit_bytes)
{
	struct guest_config *config = guest_config_new("random");
	size_t n_fields;
	const struct config_field *fields = guest_config_fields(&n_fields);

	for (size_t i = 0; i < n_fields; i++)
		if (coin())
			random_field(config, &fields[i], memory_unit_bytes);
	make_valid(config);
	if (config->cmdline.value && below(3) == 0) {
		g_free(config->cmdline.value);
		config->cmdline.value = g_strdup("root=/dev/xvda1 ro quiet");
	}
	random_cpus(&config->cpus);
	for (unsigned int n = below(4); n > 0; n--)
		g_ptr_array_add(config->disks, random_disk());
	for (unsigned int n = below(4); n > 0; n--)
		g_ptr_array_add(config->vifs, random_vif());
	for (unsigned int n = below(3); n > 0; n--)
		g_ptr_array_add(config->p9s, random_p9());
	for (unsigned int n = below(3); n > 0; n--)
		g_ptr_array_add(config->channels, random_channel());
	return config;
}

/* Text */

static void shuffle(GPtrArray *items)
{
	for (unsigned int i = items->len; i > 1; i--) {
		unsigned int j = below(i);
		void *item = items->pdata[j];

		items->pdata[j] = items->pdata[i - 1];
		items->pdata[i - 1] = item;
	}
}

static GPtrArray *texts_new(void)
{
	return g_ptr_array_new_with_free_func(g_free);
}

static const char *access_word(const struct disk_config *disk)
{
	static const char *const ro[] = { "ro", "r" }, *const rw[] = { "rw", "w" };

	return disk->readonly ? ro[below(2)] : rw[below(2)];
}

static void add_disk_words(GPtrArray *words, const struct disk_config *disk)
{
	static const char *const caches[] = { NULL, "direct", "writeback", "unsafe" };
	static const char *const on_errors[] = { NULL, "report", "stop", "enospc-pause" };
	static const char *const discards[] = { NULL, "no-discard", "discard" };
	static const char *const discard_keys[] = { NULL, "discard=off", "discard=on" };

	if (disk->cdrom)
		g_ptr_array_add(words, g_strdup(coin() ? "cdrom" : "devtype=cdrom"));
	else if (below(4) == 0)
		g_ptr_array_add(words, g_strdup("devtype=disk"));
	if (disk->snapshot || below(4) == 0)
		g_ptr_array_add(words, g_strdup(disk->snapshot ? "snapshot=on" : "snapshot=off"));
	if (disk->cache)
		g_ptr_array_add(words, g_strdup_printf("cache=%s", caches[disk->cache]));
	if (disk->on_error)
		g_ptr_array_add(words, g_strdup_printf("on-error=%s", on_errors[disk->on_error]));
	if (disk->discard)
		g_ptr_array_add(words, g_strdup(coin() ? discards[disk->discard] : discard_keys[disk->discard]));
	if (disk->serial)
		g_ptr_array_add(words, g_strdup_printf("serial=%s", disk->serial));
}

char *print_disk(const struct disk_config *disk)
{
	static const char *const formats[] = { "", "raw", "qcow2", "nbd" };
	static const char *const blanks[] = { ",", ", ", ",\t " };
	gboolean plain = g_str_has_prefix(disk->target, "/images/");
	g_autoptr(GPtrArray) words = texts_new();
	g_autoptr(GString) text = g_string_new(NULL);

	add_disk_words(words, disk);
	if (plain && coin()) {
		/* By position, all in one piece so that the order stays. */
		g_ptr_array_add(words, g_strdup_printf("%s,%s,%s,%s", disk->target, formats[disk->format],
						       disk->vdev ? disk->vdev : "", access_word(disk)));
		plain = FALSE;
	} else {
		if (disk->format || coin())
			g_ptr_array_add(words, g_strdup_printf("format=%s", formats[disk->format]));
		if (disk->vdev)
			g_ptr_array_add(words, g_strdup_printf("vdev=%s", disk->vdev));
		if (!disk->readonly && coin())
			g_ptr_array_add(words, g_strdup_printf("access=%s", access_word(disk)));
		else if (disk->readonly && !disk->cdrom)
			g_ptr_array_add(words,
					coin() ? g_strdup("ro") : g_strdup_printf("access=%s", access_word(disk)));
		g_ptr_array_add(words, NULL);
	}
	gboolean named = words->len > 0 && words->pdata[words->len - 1] == NULL;
	if (named)
		g_ptr_array_set_size(words, (gint)words->len - 1);
	shuffle(words);
	for (unsigned int i = 0; i < words->len; i++)
		g_string_append_printf(text, "%s%s", i ? blanks[below(3)] : "", (const char *)words->pdata[i]);
	if (named)
		g_string_append_printf(text, "%starget=%s", text->len ? "," : "", disk->target);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static void append_blank(GString *text, gboolean newlines)
{
	static const char *const blanks[] = { "", "", " ", "\t", "  ", "\n", " # a comment ]' \"\n", "\r\n" };

	g_string_append(text, blanks[below(newlines ? 8 : 5)]);
}

static void append_quoted(GString *text, const char *value)
{
	char quote = coin() ? '\'' : '"';

	g_string_append_c(text, quote);
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '\n')
			g_string_append(text, "\\n");
		else if (c == '\\' || *value == quote || (below(10) == 0 && strchr("'\"", c)))
			g_string_append_printf(text, "\\%c", c);
		else if (below(10) == 0)
			g_string_append_printf(text, coin() ? "\\x%02x" : "\\%03o", c);
		else
			g_string_append_c(text, *value);
	}
	g_string_append_c(text, quote);
}

static void append_number(GString *text, uint64_t value)
{
	static const char *const quotes[] = { "", "'", "\"" };
	const char *quote = quotes[below(3)];
	unsigned int base = below(3);

	g_string_append(text, quote);
	if (base == 0)
		g_string_append_printf(text, "%" G_GUINT64_FORMAT, value);
	else
		g_string_append_printf(text, base == 1 ? "0x%" G_GINT64_MODIFIER "x" : "0%" G_GINT64_MODIFIER "o",
				       value);
	g_string_append(text, quote);
}

static void append_list(GString *text, const GPtrArray *items)
{
	g_string_append_c(text, '[');
	append_blank(text, TRUE);
	for (unsigned int i = 0; i < items->len; i++) {
		append_quoted(text, items->pdata[i]);
		append_blank(text, TRUE);
		if (i + 1 < items->len || coin())
			g_string_append_c(text, ',');
		append_blank(text, TRUE);
	}
	g_string_append_c(text, ']');
}

static GString *assignment_new(const char *key, const char *operator)
{
	GString *text = g_string_new(key);

	append_blank(text, FALSE);
	g_string_append(text, operator);
	append_blank(text, FALSE);
	return text;
}

/* Assignments of one key belong together, for their order counts; so an entry may be several. */
static void add_assignment(GPtrArray *entries, GString *text)
{
	append_blank(text, FALSE);
	g_string_append(text, coin() ? ";" : "\n");
	g_ptr_array_add(entries, g_string_free(text, FALSE));
}

static void add_text(GPtrArray *entries, const char *key, const char *value)
{
	size_t len_bytes = strlen(value), split = below((unsigned int)len_bytes + 1);
	GString *text = assignment_new(key, "=");

	if (below(3) == 0) {
		g_autofree char *head = g_strndup(value, split);

		append_quoted(text, head);
		g_string_append_c(text, '\n');
		g_string_append_printf(text, "%s +=", key);
		append_quoted(text, value + split);
	} else {
		append_quoted(text, value);
	}
	add_assignment(entries, text);
}

static void add_list(GPtrArray *entries, const char *key, const GPtrArray *items)
{
	GString *text = assignment_new(key, "=");

	append_list(text, items);
	add_assignment(entries, text);
}

static void add_field(GPtrArray *entries, struct guest_config *config, const struct config_field *field)
{
	if (field->kind == CONFIG_TEXT || field->kind == CONFIG_UUID) {
		const struct config_text *value = guest_config_text(config, field);

		if (value->value && value != &config->cmdline)
			add_text(entries, field->key, value->value);
		return;
	}
	const struct config_number *number = guest_config_number(config, field);
	if (!number->origin.file)
		return;
	if (field->kind == CONFIG_WORD) {
		add_text(entries, coin() && number == &config->firmware ? "bootloader" : field->key,
			 field->words[number->value]);
		return;
	}
	GString *text = assignment_new(field->key, "=");
	append_number(text, field->kind == CONFIG_MEMORY ? number->value >> 20 : number->value);
	add_assignment(entries, text);
}

static void add_cmdline(GPtrArray *entries, const char *cmdline)
{
	static const char root[] = "root=/dev/xvda1 ";

	if (g_str_has_prefix(cmdline, root) && coin()) {
		add_text(entries, "root", "/dev/xvda1");
		add_text(entries, "extra", cmdline + strlen(root));
	} else {
		add_text(entries, coin() ? "cmdline" : "extra", cmdline);
	}
}

static void add_cpus(GPtrArray *entries, const struct config_cpus *cpus)
{
	if (cpus->each_vcpu)
		add_list(entries, "cpus", cpus->lists);
	else if (cpus->lists->len)
		add_text(entries, "cpus", cpus->lists->pdata[0]);
}

char *print_xl(const struct guest_config *config)
{
	g_autoptr(GPtrArray) entries = texts_new(), disks = texts_new(), vifs = texts_new(), p9s = texts_new(),
			     channels = texts_new();
	struct guest_config *readable = (struct guest_config *)(uintptr_t)config;
	size_t n_fields;
	const struct config_field *fields = guest_config_fields(&n_fields);
	g_autoptr(GString) text = g_string_new(NULL);

	for (size_t i = 0; i < n_fields; i++)
		add_field(entries, readable, &fields[i]);
	if (config->cmdline.value)
		add_cmdline(entries, config->cmdline.value);
	add_cpus(entries, &config->cpus);
	for (unsigned int i = 0; i < config->disks->len; i++)
		g_ptr_array_add(disks, print_disk(config->disks->pdata[i]));
	for (unsigned int i = 0; i < config->vifs->len; i++)
		g_ptr_array_add(vifs, xl_vif_to_text(config->vifs->pdata[i]));
	for (unsigned int i = 0; i < config->p9s->len; i++)
		g_ptr_array_add(p9s, xl_p9_to_text(config->p9s->pdata[i]));
	for (unsigned int i = 0; i < config->channels->len; i++)
		g_ptr_array_add(channels, xl_channel_to_text(config->channels->pdata[i]));
	add_list(entries, "disk", disks);
	add_list(entries, "vif", vifs);
	add_list(entries, "p9", p9s);
	add_list(entries, "channel", channels);
	shuffle(entries);
	for (unsigned int i = 0; i < entries->len; i++) {
		append_blank(text, TRUE);
		g_string_append(text, entries->pdata[i]);
	}
	append_blank(text, TRUE);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

/* Equality */

void assert_same_disk(const struct disk_config *a, const struct disk_config *b)
{
	g_assert_cmpstr(a->target, ==, b->target);
	g_assert_cmpstr(a->vdev, ==, b->vdev);
	g_assert_cmpstr(a->serial, ==, b->serial);
	g_assert_cmpint(a->format, ==, b->format);
	g_assert_cmpint(a->cache, ==, b->cache);
	g_assert_cmpint(a->discard, ==, b->discard);
	g_assert_cmpint(a->on_error, ==, b->on_error);
	g_assert_cmpint(a->readonly, ==, b->readonly);
	g_assert_cmpint(a->snapshot, ==, b->snapshot);
	g_assert_cmpint(a->cdrom, ==, b->cdrom);
}

void assert_same_vif(const struct vif_config *a, const struct vif_config *b)
{
	unsigned int n_hostfwd = a->hostfwd ? a->hostfwd->len : 0;

	g_assert_cmpint(a->kind, ==, b->kind);
	g_assert_cmpstr(a->bridge, ==, b->bridge);
	g_assert_cmpstr(a->socket_path, ==, b->socket_path);
	g_assert_cmpstr(a->ifname, ==, b->ifname);
	g_assert_cmpstr(a->script, ==, b->script);
	g_assert_cmpuint(n_hostfwd, ==, b->hostfwd ? b->hostfwd->len : 0);
	for (unsigned int i = 0; i < n_hostfwd; i++)
		g_assert_cmpstr(a->hostfwd->pdata[i], ==, b->hostfwd->pdata[i]);
	g_assert_cmpint(a->has_mac, ==, b->has_mac);
	g_assert_true(memcmp(a->mac, b->mac, sizeof(a->mac)) == 0);
	g_assert_cmpuint(a->rate_bytes_per_s, ==, b->rate_bytes_per_s);
	g_assert_cmpuint(a->rate_interval_us, ==, b->rate_interval_us);
}

static void assert_same_p9(const struct p9_config *a, const struct p9_config *b)
{
	g_assert_cmpstr(a->tag, ==, b->tag);
	g_assert_cmpstr(a->path, ==, b->path);
}

static void assert_same_channel(const struct channel_config *a, const struct channel_config *b)
{
	g_assert_cmpstr(a->name, ==, b->name);
	g_assert_cmpint(a->connection, ==, b->connection);
	g_assert_cmpstr(a->path, ==, b->path);
}

static void assert_same_field(struct guest_config *a, struct guest_config *b, const struct config_field *field)
{
	if (field->kind == CONFIG_TEXT || field->kind == CONFIG_UUID) {
		const struct config_text *x = guest_config_text(a, field), *y = guest_config_text(b, field);

		if (g_strcmp0(x->value, y->value) != 0)
			g_error("%s: \"%s\" and \"%s\"", field->key, x->value, y->value);
		g_assert_true((x->value != NULL) == (x->origin.file != NULL));
		g_assert_true((y->value != NULL) == (y->origin.file != NULL));
		return;
	}
	const struct config_number *x = guest_config_number(a, field), *y = guest_config_number(b, field);
	if (x->value != y->value || (x->origin.file != NULL) != (y->origin.file != NULL))
		g_error("%s: %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT, field->key, x->value, y->value);
}

void assert_same_config(struct guest_config *a, struct guest_config *b)
{
	size_t n_fields;
	const struct config_field *fields = guest_config_fields(&n_fields);

	for (size_t i = 0; i < n_fields; i++)
		assert_same_field(a, b, &fields[i]);
	g_assert_cmpint(a->cpus.each_vcpu, ==, b->cpus.each_vcpu);
	g_assert_true((a->cpus.origin.file != NULL) == (b->cpus.origin.file != NULL));
	g_assert_cmpuint(a->cpus.lists->len, ==, b->cpus.lists->len);
	for (unsigned int i = 0; i < a->cpus.lists->len; i++)
		g_assert_cmpstr(a->cpus.lists->pdata[i], ==, b->cpus.lists->pdata[i]);
	g_assert_cmpuint(a->disks->len, ==, b->disks->len);
	for (unsigned int i = 0; i < a->disks->len; i++)
		assert_same_disk(a->disks->pdata[i], b->disks->pdata[i]);
	g_assert_cmpuint(a->vifs->len, ==, b->vifs->len);
	for (unsigned int i = 0; i < a->vifs->len; i++)
		assert_same_vif(a->vifs->pdata[i], b->vifs->pdata[i]);
	g_assert_cmpuint(a->p9s->len, ==, b->p9s->len);
	for (unsigned int i = 0; i < a->p9s->len; i++)
		assert_same_p9(a->p9s->pdata[i], b->p9s->pdata[i]);
	g_assert_cmpuint(a->channels->len, ==, b->channels->len);
	for (unsigned int i = 0; i < a->channels->len; i++)
		assert_same_channel(a->channels->pdata[i], b->channels->pdata[i]);
}

void assert_is_message(const char *message, const char *file)
{
	g_autofree char *prefix = g_strconcat(file, ":", NULL);

	if (!g_str_has_prefix(message, prefix) || strlen(message) > 1000 || !g_utf8_validate(message, -1, NULL))
		g_error("not a message: %s", message);
	for (const char *c = message; *c; c = g_utf8_next_char(c))
		g_assert_false(g_unichar_iscntrl(g_utf8_get_char(c)));
}

GByteArray *mutate(const void *bytes, size_t len_bytes, const char *const *words)
{
	GByteArray *copy = g_byte_array_new();

	g_byte_array_append(copy, bytes, (unsigned int)len_bytes);
	for (unsigned int n = 1 + below(6); n > 0 && copy->len > 0; n--) {
		unsigned int at = below(copy->len), length = 1 + below(MIN(copy->len - at, 16));
		const char *word = words[below(g_strv_length((char **)(void *)(uintptr_t)words))];

		switch (below(5)) {
		case 0:
			copy->data[at] = (uint8_t)below(256);
			break;
		case 1:
			copy->data[at] ^= (uint8_t)(1u << below(8));
			break;
		case 2:
			g_byte_array_remove_range(copy, at, length);
			break;
		case 3: {
			g_autofree uint8_t *piece = g_memdup2(copy->data + at, length);
			g_byte_array_append(copy, piece, length);
			break;
		}
		default:
			memcpy(copy->data + at, word, MIN(strlen(word), copy->len - at));
			break;
		}
	}
	return copy;
}
