// SPDX-License-Identifier: MIT
/*
 * Writing, by libfdt's sequential calls. The first failure sticks, so that the calls read as the tree they make; when
 * it is lack of room, all is done again with twice as much.
 */
#include "config/device_tree.h"

#include <string.h>

#include <libfdt.h>

#include "config/device_tree_keys.h"
#include "config/xl_cfg.h"

#define FIRST_ROOM_BYTES 4096u

struct writer {
	void *fdt;
	int status; /* of libfdt */
};

static void begin_node(struct writer *writer, const char *name)
{
	if (writer->status == 0)
		writer->status = fdt_begin_node(writer->fdt, name);
}

static void end_node(struct writer *writer)
{
	if (writer->status == 0)
		writer->status = fdt_end_node(writer->fdt);
}

static void put_bytes(struct writer *writer, const char *name, const void *bytes, size_t len_bytes)
{
	if (writer->status == 0)
		writer->status = len_bytes > GUEST_CONFIG_MAX_BYTES ?
					 -FDT_ERR_NOSPACE :
					 fdt_property(writer->fdt, name, bytes, (int)len_bytes);
}

static void put_cell(struct writer *writer, const char *name, uint64_t value)
{
	if (writer->status == 0)
		writer->status = fdt_property_u32(writer->fdt, name, (uint32_t)value);
}

static void put_two_cells(struct writer *writer, const char *name, uint64_t value)
{
	if (writer->status == 0)
		writer->status = fdt_property_u64(writer->fdt, name, value);
}

static void put_string(struct writer *writer, const char *name, const char *text)
{
	put_bytes(writer, name, text, strlen(text) + 1);
}

/* Of char *; nothing for none. */
static void put_strings(struct writer *writer, const char *name, const GPtrArray *texts)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();

	for (unsigned int i = 0; i < texts->len; i++) {
		const char *text = texts->pdata[i];

		g_byte_array_append(bytes, (const uint8_t *)text, (unsigned int)strlen(text) + 1);
	}
	if (texts->len)
		put_bytes(writer, name, bytes->data, bytes->len);
}

static const void *field_of(const struct guest_config *config, const struct config_field *field)
{
	return (const char *)config + field->offset;
}

static void put_field(struct writer *writer, const struct guest_config *config, const struct config_field *field)
{
	const struct config_text *text = field_of(config, field);
	const struct config_number *number = field_of(config, field);
	uint8_t uuid[CONFIG_UUID_BYTES];

	if (field->kind == CONFIG_UUID) {
		if (text->value && guest_config_uuid_bytes(text->value, uuid))
			put_bytes(writer, field->property, uuid, sizeof(uuid));
	} else if (field->kind == CONFIG_TEXT) {
		if (text->value)
			put_string(writer, field->property, text->value);
	} else if (number->origin.file) {
		if (field->kind == CONFIG_WORD)
			put_string(writer, field->property, field->words[number->value]);
		else if (field->kind == CONFIG_MEMORY)
			put_two_cells(writer, field->property, number->value >> 10);
		else
			put_cell(writer, field->property, number->value);
	}
}

static void put_devices(struct writer *writer, const struct guest_config *config)
{
	g_autoptr(GPtrArray) disks = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) vifs = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) p9s = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) channels = g_ptr_array_new_with_free_func(g_free);

	for (unsigned int i = 0; i < config->disks->len; i++)
		g_ptr_array_add(disks, xl_disk_to_text(config->disks->pdata[i]));
	for (unsigned int i = 0; i < config->vifs->len; i++)
		g_ptr_array_add(vifs, xl_vif_to_text(config->vifs->pdata[i]));
	for (unsigned int i = 0; i < config->p9s->len; i++)
		g_ptr_array_add(p9s, xl_p9_to_text(config->p9s->pdata[i]));
	for (unsigned int i = 0; i < config->channels->len; i++)
		g_ptr_array_add(channels, xl_channel_to_text(config->channels->pdata[i]));
	put_strings(writer, "dom1,disk", disks);
	put_strings(writer, "dom1,vif", vifs);
	put_strings(writer, "dom1,p9", p9s);
	put_strings(writer, "dom1,channel", channels);
}

static void put_module(struct writer *writer, const char *name, const char *compatible, size_t compatible_bytes,
		       const char *path, const char *bootargs)
{
	begin_node(writer, name);
	put_bytes(writer, "compatible", compatible, compatible_bytes);
	put_string(writer, "dom1,path", path);
	if (bootargs)
		put_string(writer, "bootargs", bootargs);
	end_node(writer);
}

static void put_domain(struct writer *writer, const struct guest_config *config)
{
	static const char kernel[] = "multiboot,kernel\0multiboot,module", ramdisk[] = "multiboot,ramdisk\0multiboot,"
										       "module";
	size_t n_fields;
	const struct config_field *fields = guest_config_fields(&n_fields);

	begin_node(writer, "domU1");
	put_string(writer, "compatible", "xen,domain");
	/* Xen's documentation wants both in a domain's node, though no module of ours has a reg. */
	put_cell(writer, "#address-cells", 2);
	put_cell(writer, "#size-cells", 2);
	for (size_t i = 0; i < n_fields; i++)
		if (fields[i].property)
			put_field(writer, config, &fields[i]);
	/* The word size is the kernel's; the bit is set since nearly all are 64-bit, and dom1 does not read it. */
	if (config->type.origin.file)
		put_cell(writer, "mode",
			 DEVICE_TREE_MODE_LONG | (config->type.value == CONFIG_TYPE_PV ? DEVICE_TREE_MODE_PV : 0));
	put_strings(writer, config->cpus.each_vcpu ? "dom1,vcpu-cpus" : "dom1,cpus", config->cpus.lists);
	put_devices(writer, config);
	if (config->cmdline.value && !config->kernel.value)
		put_string(writer, "bootargs", config->cmdline.value);
	if (config->kernel.value)
		put_module(writer, "kernel", kernel, sizeof(kernel), config->kernel.value, config->cmdline.value);
	if (config->ramdisk.value)
		put_module(writer, "ramdisk", ramdisk, sizeof(ramdisk), config->ramdisk.value, NULL);
	end_node(writer);
}

static int write_tree(void *fdt, unsigned int room_bytes, const struct guest_config *config)
{
	struct writer writer = { .fdt = fdt };

	writer.status = fdt_create(fdt, (int)room_bytes);
	if (writer.status == 0)
		writer.status = fdt_finish_reservemap(fdt);
	begin_node(&writer, "");
	begin_node(&writer, "chosen");
	put_domain(&writer, config);
	end_node(&writer);
	end_node(&writer);
	return writer.status ? writer.status : fdt_finish(fdt);
}

GBytes *device_tree_dump(const struct guest_config *config, GError **error)
{
	const struct config_origin origin = { config->file, 0, 0 };

	if (config->memory_bytes.value % 1024 || config->maxmem_bytes.value % 1024) {
		config_fail(error, &origin, "memory: it is not whole KiB, which a device tree counts in: round it up");
		return NULL;
	}
	for (unsigned int room_bytes = FIRST_ROOM_BYTES; room_bytes <= GUEST_CONFIG_MAX_BYTES; room_bytes *= 2) {
		g_autofree void *fdt = g_malloc0(room_bytes);
		int status = write_tree(fdt, room_bytes, config);

		if (status == 0) {
			size_t len_bytes = fdt_totalsize(fdt);
			return g_bytes_new_take(g_steal_pointer(&fdt), len_bytes);
		}
		g_assert(status == -FDT_ERR_NOSPACE);
	}
	config_fail(error, &origin,
		    "device tree: it would be longer than %u KiB: shorten the command line or the lists",
		    GUEST_CONFIG_MAX_BYTES >> 10);
	return NULL;
}
