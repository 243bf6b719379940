// SPDX-License-Identifier: MIT
#include "config/guest_file.h"

#include <string.h>

#include <libfdt.h>

#include "config/device_tree.h"
#include "config/guest_config.h"
#include "config/xl_cfg.h"
#include "vmm/error.h"
#include "vmm/mapped_file.h"

static struct guest_config *parse(const char *path, GPtrArray *warnings, GError **error)
{
	struct guest_config *config = NULL;
	struct mapped_file file;
	fdt32_t magic = 0;

	if (!mapped_file_open(&file, path, "configuration", error))
		return NULL;
	if (file.len_bytes >= sizeof(magic))
		memcpy(&magic, file.bytes, sizeof(magic));
	gboolean ok = fdt32_to_cpu(magic) == FDT_MAGIC ?
			      device_tree_parse(file.bytes, file.len_bytes, path, &config, warnings, error) :
			      xl_cfg_parse((const char *)file.bytes, file.len_bytes, path, &config, warnings, error);
	mapped_file_close(&file);
	return ok ? config : NULL;
}

static gboolean refuse(const struct config_origin *origin, const char *what, const char *why, GError **error)
{
	return config_fail(error, origin, "%s: %s", what, why);
}

/* What is understood and not there yet is refused: a guest without its disk would be no help to anybody. */
static gboolean check_offered(const struct guest_config *config, GPtrArray *warnings, GError **error)
{
	if (config->disks->len > 0)
		return refuse(&((struct disk_config *)config->disks->pdata[0])->origin, "disk",
			      "dom1 has no disks yet; boot from an initramfs", error);
	if (config->vifs->len > 0)
		return refuse(&((struct vif_config *)config->vifs->pdata[0])->origin, "vif",
			      "dom1 has no network yet; leave it out", error);
	if (config->p9s->len > 0)
		return refuse(&((struct p9_config *)config->p9s->pdata[0])->origin, "p9",
			      "dom1 shares no folders yet; leave it out", error);
	if (config->channels->len > 0)
		return refuse(&((struct channel_config *)config->channels->pdata[0])->origin, "channel",
			      "dom1 has the console only; leave it out", error);
	if (config->firmware.origin.file)
		return refuse(&config->firmware.origin, "bootloader",
			      "a boot loader needs disks, which dom1 does not have yet; give kernel=", error);
	if (config->maxvcpus.origin.file && config->maxvcpus.value > config->vcpus.value)
		config_warn(warnings, &config->maxvcpus.origin, "maxvcpus: vCPUs are not plugged in later yet: ignored");
	if (config->maxmem_bytes.origin.file && config->maxmem_bytes.value > config->memory_bytes.value)
		config_warn(warnings, &config->maxmem_bytes.origin, "maxmem: memory does not grow later: ignored");
	return TRUE;
}

static gboolean action_word(const struct config_number *action, const char *key, char **word, GError **error)
{
	if (!action->origin.file)
		return TRUE;
	if (action->value == CONFIG_ACTION_PRESERVE)
		return refuse(&action->origin, key, "preserve is not offered yet; use destroy or restart", error);
	*word = g_strdup(action->value == CONFIG_ACTION_RESTART ? "restart" : "stop");
	return TRUE;
}

static void take(struct guest_file *file, const struct guest_config *config)
{
	file->name = g_strdup(config->name.value);
	file->uuid = g_strdup(config->uuid.value);
	file->kernel = g_strdup(config->kernel.value);
	file->initrd = g_strdup(config->ramdisk.value);
	file->append = g_strdup(config->cmdline.value);
	file->type = g_strdup(guest_config_type(config) == CONFIG_TYPE_PVH ? "pvh" : "pv");
	file->shim = g_strdup(config->pvshim_path.value);
	file->shim_append = g_strdup(config->pvshim_extra.value);
	if (config->memory_bytes.origin.file)
		file->memory = g_strdup_printf("%" G_GUINT64_FORMAT "K", config->memory_bytes.value / 1024);
	if (config->vcpus.origin.file)
		file->vcpus = g_strdup_printf("%" G_GUINT64_FORMAT, config->vcpus.value);
}

gboolean guest_file_read(struct guest_file *file, const char *path, GPtrArray *warnings, GError **error)
{
	struct guest_config *config = parse(path, warnings, error);

	*file = (struct guest_file){ 0 };
	if (!config)
		return FALSE;
	gboolean ok = check_offered(config, warnings, error) &&
		      action_word(&config->on_poweroff, "on_poweroff", &file->on_poweroff, error) &&
		      action_word(&config->on_reboot, "on_reboot", &file->on_reboot, error) &&
		      action_word(&config->on_crash, "on_crash", &file->on_crash, error);
	if (ok)
		take(file, config);
	else
		guest_file_clear(file);
	guest_config_free(config);
	return ok;
}

void guest_file_clear(struct guest_file *file)
{
	char **texts[] = { &file->name, &file->uuid, &file->kernel, &file->initrd, &file->append, &file->type, &file->memory,
			   &file->vcpus, &file->shim, &file->shim_append, &file->on_poweroff, &file->on_reboot,
			   &file->on_crash };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_clear_pointer(texts[i], g_free);
}
