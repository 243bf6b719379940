// SPDX-License-Identifier: MIT
/*
 * Reading. libfdt trusts the structure of a tree and checks little, so the bytes are copied (aligned, and to an
 * allocation that ends where they end), and nothing but check_tree() sees them until that has walked the whole tree.
 * What follows checks only what a valid tree may still get wrong: the length and kind of each property.
 */
#include "config/device_tree.h"

#include <string.h>

#include <libfdt.h>

#include "config/device_tree_keys.h"
#include "config/xl_cfg.h"

#define TREE_VERSION 17

struct reader {
	const void *fdt;
	struct guest_config *config;
	struct config_origin origin; /* of everything: the file */
	GPtrArray *warnings;
	GError **error;
	gboolean has_kernel, has_ramdisk;
	char *domain_bootargs;
};

struct property {
	const char *name;
	const char *data;
	size_t len_bytes;
};

/* Kinds of properties: FALSE and an error that says what it should be. */

static gboolean property_cells(struct reader *reader, const struct property *property, unsigned int n_cells,
			       uint64_t *value)
{
	if (property->len_bytes != n_cells * sizeof(fdt32_t))
		return config_fail(reader->error, &reader->origin, "%.60s: it has %zu bytes: give %u 32-bit cell%s",
				   property->name, property->len_bytes, n_cells, n_cells == 1 ? "" : "s");
	*value = n_cells == 1 ? fdt32_ld((const void *)property->data) : fdt64_ld((const void *)property->data);
	return TRUE;
}

static gboolean property_string(struct reader *reader, const struct property *property, const char **text)
{
	const char *end = property->len_bytes ? memchr(property->data, '\0', property->len_bytes) : NULL;

	if (!end || (size_t)(end - property->data) != property->len_bytes - 1)
		return config_fail(reader->error, &reader->origin, "%.60s: it is not one string: give one, in quotes",
				   property->name);
	*text = property->data;
	return TRUE;
}

/* Calls use for each string of a list. */
static gboolean property_strings(struct reader *reader, const struct property *property,
				 gboolean (*use)(struct reader *reader, const char *name, const char *text))
{
	size_t at = 0;

	if (property->len_bytes == 0 || property->data[property->len_bytes - 1] != '\0')
		return config_fail(reader->error, &reader->origin,
				   "%.60s: it is no list of strings: give strings in quotes, with commas between",
				   property->name);
	while (at < property->len_bytes) {
		if (!use(reader, property->name, property->data + at))
			return FALSE;
		at += strlen(property->data + at) + 1;
	}
	return TRUE;
}

/* Fields */

static gboolean set_word(struct reader *reader, const struct config_field *field, const char *word)
{
	for (unsigned int i = 0; field->words[i]; i++)
		if (strcmp(field->words[i], word) == 0)
			return guest_config_set_number(reader->config, field, i, &reader->origin, reader->error);
	g_autofree char *words = g_strjoinv(", ", (char **)(void *)(uintptr_t)field->words);
	return config_fail(reader->error, &reader->origin, "%s: \"%.60s\" is no such word: give one of %s",
			   field->property, word, words);
}

static gboolean set_uuid(struct reader *reader, const struct config_field *field, const struct property *property)
{
	uint8_t uuid[CONFIG_UUID_BYTES];

	if (property->len_bytes != sizeof(uuid))
		return config_fail(reader->error, &reader->origin, "%s: it has %zu bytes: give %zu", field->property,
				   property->len_bytes, sizeof(uuid));
	memcpy(uuid, property->data, sizeof(uuid));
	g_autofree char *text = guest_config_uuid_text(uuid);
	return guest_config_set_text(reader->config, field, text, &reader->origin, reader->error);
}

static gboolean set_field(struct reader *reader, const struct config_field *field, const struct property *property)
{
	const char *text;
	uint64_t value = 0;

	switch (field->kind) {
	case CONFIG_UUID:
		return set_uuid(reader, field, property);
	case CONFIG_TEXT:
		return property_string(reader, property, &text) &&
		       guest_config_set_text(reader->config, field, text, &reader->origin, reader->error);
	case CONFIG_WORD:
		return property_string(reader, property, &text) && set_word(reader, field, text);
	case CONFIG_MEMORY:
		if (!property_cells(reader, property, 2, &value))
			return FALSE;
		value = value > UINT64_MAX >> 10 ? UINT64_MAX : value << 10;
		return guest_config_set_number(reader->config, field, value, &reader->origin, reader->error);
	default:
		return property_cells(reader, property, 1, &value) &&
		       guest_config_set_number(reader->config, field, value, &reader->origin, reader->error);
	}
}

static const struct config_field *find_field(const char *key, const char *property)
{
	size_t n_fields;
	const struct config_field *fields = guest_config_fields(&n_fields);

	for (size_t i = 0; i < n_fields; i++)
		if (key ? strcmp(fields[i].key, key) == 0 : g_strcmp0(fields[i].property, property) == 0)
			return &fields[i];
	return NULL;
}

static gboolean set_text(struct reader *reader, const char *key, const char *text)
{
	return guest_config_set_text(reader->config, find_field(key, NULL), text, &reader->origin, reader->error);
}

/* Properties of the domain that are no fields */

static gboolean read_mode(struct reader *reader, const struct property *property)
{
	uint64_t mode = 0;

	if (!property_cells(reader, property, 1, &mode))
		return FALSE;
	if (mode & DEVICE_TREE_MODE_DEVICE_MODEL)
		return config_fail(reader->error, &reader->origin,
				   "mode: bit 1 asks for a device model, an HVM guest: dom1 runs PV and PVH guests, "
				   "clear it");
	if (mode >> 3)
		return config_fail(reader->error, &reader->origin,
				   "mode: 0x%x has bits that mean nothing: give 5 for PV or 4 for PVH",
				   (unsigned int)mode);
	return guest_config_set_number(reader->config, find_field("type", NULL),
				       mode & DEVICE_TREE_MODE_PV ? CONFIG_TYPE_PV : CONFIG_TYPE_PVH, &reader->origin,
				       reader->error);
}

static gboolean read_domid(struct reader *reader, const struct property *property)
{
	uint64_t domid = 0;

	if (!property_cells(reader, property, 1, &domid))
		return FALSE;
	/* 0: any. */
	if (domid > 1)
		config_warn(reader->warnings, &reader->origin, "domid: ignored: the guest is domain 1");
	return TRUE;
}

/* functions and permissions: a domain that serves others, or controls Xen. */
static gboolean read_privilege(struct reader *reader, const struct property *property)
{
	uint64_t bits = 0;

	if (!property_cells(reader, property, 1, &bits))
		return FALSE;
	return bits == 0 || config_fail(reader->error, &reader->origin,
					"%s: dom1's guest is an ordinary domain, alone: give 0, or leave it out",
					property->name);
}

static gboolean read_bootargs(struct reader *reader, const struct property *property)
{
	const char *text;

	if (!property_string(reader, property, &text))
		return FALSE;
	reader->domain_bootargs = g_strdup(text);
	return TRUE;
}

static gboolean add_cpu_list(struct reader *reader, const char *name, const char *text)
{
	struct config_cpus *cpus = &reader->config->cpus;

	if (!guest_config_is_cpu_list(text))
		return config_fail(reader->error, &reader->origin,
				   "%s: \"%.60s\" is no list of CPUs: give one such as 0-3,^1 or all", name, text);
	g_ptr_array_add(cpus->lists, g_strdup(text));
	return TRUE;
}

static gboolean read_cpus(struct reader *reader, const struct property *property)
{
	struct config_cpus *cpus = &reader->config->cpus;
	const char *text;

	if (cpus->origin.file)
		return config_fail(reader->error, &reader->origin,
				   "dom1,cpus and dom1,vcpu-cpus: both pin vCPUs: leave one out");
	cpus->origin = reader->origin;
	cpus->each_vcpu = strcmp(property->name, "dom1,vcpu-cpus") == 0;
	if (cpus->each_vcpu)
		return property_strings(reader, property, add_cpu_list);
	return property_string(reader, property, &text) && add_cpu_list(reader, property->name, text);
}

static gboolean add_disk(struct reader *reader, const char *name G_GNUC_UNUSED, const char *text)
{
	struct disk_config *disk = xl_disk_parse(text, &reader->origin, reader->warnings, reader->error);

	if (disk)
		g_ptr_array_add(reader->config->disks, disk);
	return disk != NULL;
}

static gboolean add_vif(struct reader *reader, const char *name G_GNUC_UNUSED, const char *text)
{
	struct vif_config *vif = xl_vif_parse(text, &reader->origin, reader->warnings, reader->error);

	if (vif)
		g_ptr_array_add(reader->config->vifs, vif);
	return vif != NULL;
}

static gboolean add_p9(struct reader *reader, const char *name G_GNUC_UNUSED, const char *text)
{
	struct p9_config *p9 = xl_p9_parse(text, &reader->origin, reader->warnings, reader->error);

	if (p9)
		g_ptr_array_add(reader->config->p9s, p9);
	return p9 != NULL;
}

static gboolean add_channel(struct reader *reader, const char *name G_GNUC_UNUSED, const char *text)
{
	struct channel_config *channel = xl_channel_parse(text, &reader->origin, reader->warnings, reader->error);

	if (channel)
		g_ptr_array_add(reader->config->channels, channel);
	return channel != NULL;
}

static gboolean read_nothing(struct reader *reader G_GNUC_UNUSED, const struct property *property G_GNUC_UNUSED)
{
	return TRUE;
}

static const struct {
	const char *name;
	gboolean (*read)(struct reader *reader, const struct property *property);
	gboolean (*add)(struct reader *reader, const char *name, const char *text);
} DOMAIN_PROPERTIES[] = {
	{ "compatible", read_nothing },
	{ "#address-cells", read_nothing },
	{ "#size-cells", read_nothing },
	{ "phandle", read_nothing },
	{ "mode", read_mode },
	{ "domid", read_domid },
	{ "functions", read_privilege },
	{ "permissions", read_privilege },
	{ "bootargs", read_bootargs },
	{ "dom1,cpus", read_cpus },
	{ "dom1,vcpu-cpus", read_cpus },
	{ "dom1,disk", .add = add_disk },
	{ "dom1,vif", .add = add_vif },
	{ "dom1,p9", .add = add_p9 },
	{ "dom1,channel", .add = add_channel },
};

static gboolean pass_over(struct reader *reader, const struct property *property)
{
	const struct device_tree_key *key = device_tree_key_find(property->name);

	if (key && key->refused)
		return config_fail(reader->error, &reader->origin, "%s: %s", property->name, key->why);
	config_warn(reader->warnings, &reader->origin, "%.60s: ignored: %s", property->name,
		    key ? key->why : "no such property is known in a domain's node");
	return TRUE;
}

static gboolean read_domain_property(struct reader *reader, const struct property *property)
{
	const struct config_field *field = find_field(NULL, property->name);

	if (field)
		return set_field(reader, field, property);
	for (size_t i = 0; i < G_N_ELEMENTS(DOMAIN_PROPERTIES); i++)
		if (strcmp(DOMAIN_PROPERTIES[i].name, property->name) == 0)
			return DOMAIN_PROPERTIES[i].add ? property_strings(reader, property, DOMAIN_PROPERTIES[i].add) :
							  DOMAIN_PROPERTIES[i].read(reader, property);
	return pass_over(reader, property);
}

/* A valid tree may hold a property twice in a node; then it is not clear what it says. */
static gboolean each_property(struct reader *reader, int node,
			      gboolean (*use)(struct reader *reader, const struct property *property, void *data),
			      void *data)
{
	g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
	int offset, len;

	fdt_for_each_property_offset(offset, reader->fdt, node) {
		struct property property = { 0 };

		property.data = fdt_getprop_by_offset(reader->fdt, offset, &property.name, &len);
		if (!property.data || len < 0)
			return config_fail(reader->error, &reader->origin,
					   "device tree: a property is damaged: compile it again");
		property.len_bytes = (size_t)len;
		if (!g_hash_table_add(seen, (void *)(uintptr_t)property.name))
			return config_fail(reader->error, &reader->origin,
					   "%.60s: it is given twice in one node: leave one out", property.name);
		if (!use(reader, &property, data))
			return FALSE;
	}
	return TRUE;
}

static gboolean use_domain_property(struct reader *reader, const struct property *property, void *data G_GNUC_UNUSED)
{
	return read_domain_property(reader, property);
}

/* Modules */

struct module {
	const char *key; /* the field of its path: "kernel", "ramdisk" */
	const char *path, *uefi_binary, *bootargs;
};

static gboolean use_module_property(struct reader *reader, const struct property *property, void *data)
{
	/* Where Xen would find it; a tree may serve both. */
	static const char *const silent[] = { "compatible",   "reg",     "module-addr", "mb-index",
					      "module-index", "phandle", NULL };
	struct module *module = data;

	if (g_strv_contains(silent, property->name))
		return TRUE;
	if (strcmp(property->name, "dom1,path") == 0)
		return property_string(reader, property, &module->path);
	if (strcmp(property->name, "xen,uefi-binary") == 0)
		return property_string(reader, property, &module->uefi_binary);
	if (strcmp(property->name, "bootargs") == 0 && strcmp(module->key, "kernel") == 0)
		return property_string(reader, property, &module->bootargs);
	config_warn(reader->warnings, &reader->origin, "%.60s: ignored: no such property is known in the node of a %s",
		    property->name, module->key);
	return TRUE;
}

static gboolean read_module(struct reader *reader, int node, const char *key, gboolean *before)
{
	struct module module = { .key = key };

	if (*before)
		return config_fail(reader->error, &reader->origin, "%s: there are two such modules: leave one out",
				   key);
	*before = TRUE;
	if (!each_property(reader, node, use_module_property, &module))
		return FALSE;
	const char *path = module.path ? module.path : module.uefi_binary;
	if (!path)
		return config_fail(reader->error, &reader->origin,
				   "%s: the module's node has no dom1,path: dom1 reads a file, give its name there",
				   key);
	return set_text(reader, key, path) && (!module.bootargs || set_text(reader, "cmdline", module.bootargs));
}

static gboolean is_compatible(const struct reader *reader, int node, const char *word)
{
	int len;
	const char *list = fdt_getprop(reader->fdt, node, "compatible", &len);

	return list && len > 0 && fdt_stringlist_contains(list, len, word);
}

static gboolean is_one_of(const struct reader *reader, int node, const char *const *words)
{
	for (; *words; words++)
		if (is_compatible(reader, node, *words))
			return TRUE;
	return FALSE;
}

static gboolean read_child(struct reader *reader, int node)
{
	static const char *const kernels[] = { "multiboot,kernel", "module,kernel", "xen,linux-zimage", NULL };
	static const char *const ramdisks[] = { "multiboot,ramdisk", "module,ramdisk", "xen,linux-initrd", NULL };
	static const char *const trees[] = { "multiboot,device-tree", "module,device-tree", NULL };
	static const char *const generic[] = { "multiboot,module", "xen,multiboot-module", NULL };
	const char *name = fdt_get_name(reader->fdt, node, NULL);

	if (is_one_of(reader, node, kernels))
		return read_module(reader, node, "kernel", &reader->has_kernel);
	if (is_one_of(reader, node, ramdisks))
		return read_module(reader, node, "ramdisk", &reader->has_ramdisk);
	if (is_one_of(reader, node, trees))
		return config_fail(reader->error, &reader->origin,
				   "%.60s: a device tree for the guest gives it devices of the host, which dom1 does "
				   "not: leave the module out",
				   name);
	if (is_one_of(reader, node, generic))
		return config_fail(reader->error, &reader->origin,
				   "%.60s: this module is neither kernel nor ramdisk: say \"multiboot,kernel\" or "
				   "\"multiboot,ramdisk\" in its compatible property",
				   name);
	config_warn(reader->warnings, &reader->origin, "%.60s: ignored: no such node is known below a domain's", name);
	return TRUE;
}

static gboolean read_domain(struct reader *reader, int node)
{
	int child;

	if (!each_property(reader, node, use_domain_property, NULL))
		return FALSE;
	fdt_for_each_subnode(child, reader->fdt, node)
		if (!read_child(reader, child))
			return FALSE;
	if (!reader->domain_bootargs)
		return TRUE;
	if (reader->config->cmdline.value)
		return config_fail(reader->error, &reader->origin,
				   "bootargs: they are in the domain's node and in its kernel's: leave one out");
	return set_text(reader, "cmdline", reader->domain_bootargs);
}

/* The tree */

static gboolean count_domains(const struct reader *reader, int parent, int *found, unsigned int *n_found)
{
	int node;

	fdt_for_each_subnode(node, reader->fdt, parent)
		if (is_compatible(reader, node, "xen,domain")) {
			*found = node;
			++*n_found;
		}
	return *n_found > 0;
}

static gboolean find_domain(struct reader *reader, int *domain)
{
	int chosen = fdt_path_offset(reader->fdt, "/chosen"), node;
	unsigned int n_found = 0;

	if (chosen >= 0) {
		count_domains(reader, chosen, domain, &n_found);
		fdt_for_each_subnode(node, reader->fdt, chosen)
			if (is_compatible(reader, node, "hypervisor,xen"))
				count_domains(reader, node, domain, &n_found);
	}
	if (n_found == 1)
		return TRUE;
	if (n_found == 0)
		return config_fail(reader->error, &reader->origin,
				   "device tree: there is no domain in it: give /chosen a node compatible with "
				   "\"xen,domain\"");
	return config_fail(reader->error, &reader->origin,
			   "device tree: there are %u domains in it: dom1 runs one, leave one there", n_found);
}

/*
 * Whether each property ends before the structure does: fdt_next_tag() of libfdt 1.6.1 adds a length to an offset and does not
 * look whether that wraps, so one near 4 GiB leads back, and the same properties come for ever. What else may be wrong it finds.
 */
static bool properties_fit(const void *fdt, size_t len_bytes)
{
	const uint8_t *structure = (const uint8_t *)fdt + fdt_off_dt_struct(fdt);
	const size_t size = fdt_size_dt_struct(fdt);
	size_t at = 0;

	/* Truncated. */
	if (fdt_off_dt_struct(fdt) > len_bytes || size > len_bytes - fdt_off_dt_struct(fdt))
		return true;
	while (size - at >= FDT_TAGSIZE) {
		const uint32_t tag = fdt32_ld((const fdt32_t *)(const void *)(structure + at));
		size_t bytes = FDT_TAGSIZE;

		if (tag == FDT_BEGIN_NODE) {
			bytes += strnlen((const char *)structure + at + bytes, size - at - bytes) + 1;
		} else if (tag == FDT_PROP) {
			if (size - at < sizeof(struct fdt_property))
				return false;
			bytes = sizeof(struct fdt_property) + (size_t)fdt32_ld((const fdt32_t *)(const void *)(structure + at + FDT_TAGSIZE));
		} else if (tag != FDT_END_NODE && tag != FDT_NOP) {
			return true;
		}
		if (bytes > size - at)
			return false;
		at = MIN(at + (bytes + FDT_TAGSIZE - 1) / FDT_TAGSIZE * FDT_TAGSIZE, size);
	}
	return true;
}

/*
 * fdt_check_full() of libfdt 1.6.1 follows a null pointer in a tree of a version below 16 whose root has a name that is
 * no path; and below 17 the header does not say where the structure ends. dtc has written 17 since 2006.
 */
static gboolean check_tree(struct reader *reader, size_t len_bytes)
{
	int status = -FDT_ERR_TRUNCATED;

	if (len_bytes >= sizeof(struct fdt_header))
		status = fdt_check_header(reader->fdt);
	if (status == 0 && fdt_version(reader->fdt) < TREE_VERSION)
		status = -FDT_ERR_BADVERSION;
	if (status == 0 && !properties_fit(reader->fdt, len_bytes))
		status = -FDT_ERR_BADSTRUCTURE;
	if (status == 0)
		status = fdt_check_full(reader->fdt, len_bytes);
	return status == 0 || config_fail(reader->error, &reader->origin,
					  "device tree: it is damaged or none (libfdt: %s): compile it with dtc -O dtb",
					  fdt_strerror(status));
}

static gboolean read_tree(struct reader *reader, size_t len_bytes)
{
	int domain = -1;

	if (len_bytes > GUEST_CONFIG_MAX_BYTES)
		return config_fail(reader->error, &reader->origin,
				   "device tree: it is longer than %u KiB: is this the right file?",
				   GUEST_CONFIG_MAX_BYTES >> 10);
	return check_tree(reader, len_bytes) && find_domain(reader, &domain) && read_domain(reader, domain) &&
	       guest_config_check(reader->config, reader->warnings, reader->error);
}

gboolean device_tree_parse(const void *bytes, size_t len_bytes, const char *name, struct guest_config **out,
			   GPtrArray *warnings, GError **error)
{
	g_autofree void *copy = len_bytes <= GUEST_CONFIG_MAX_BYTES ? g_memdup2(bytes, len_bytes) : NULL;
	struct reader reader = { .fdt = copy, .config = guest_config_new(name), .warnings = warnings, .error = error };

	reader.origin.file = reader.config->file;
	gboolean ok = read_tree(&reader, len_bytes);
	g_free(reader.domain_bootargs);
	if (ok)
		*out = reader.config;
	else
		guest_config_free(reader.config);
	return ok;
}
