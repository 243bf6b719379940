// SPDX-License-Identifier: MIT
#include "config/guest_file.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <libfdt.h>

#include "config/device_tree.h"
#include "config/guest_config.h"
#include "config/xl_cfg.h"
#include "vmm/error.h"
#include "vmm/mapped_file.h"

static gboolean compile_failed(const char *path, const char *why, GError **error)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_FILE, "%s: cannot compile the device tree: %s", path, why);
	return FALSE;
}

/* The first line of what dtc said in fd. */
static char *first_line(int fd)
{
	char text[512];
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);

	text[MAX(got, 0)] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return g_strdup(text[0] ? text : "dtc failed and did not say why");
}

/* dtc writes to out_fd, and what it has to say to words_fd. */
static gboolean run_dtc(const char *path, int out_fd, int words_fd, GError **error)
{
	const char *const command[] = { "dtc", "-q", "-I", "dts", "-O", "dtb", "-o", "-", "--", path, NULL };
	g_autoptr(GError) spawn_error = NULL;
	int status = 0;
	GPid pid;

	if (!g_spawn_async_with_fds(NULL, (char **)(void *)(uintptr_t)command, NULL,
				    G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, -1, out_fd, words_fd,
				    &spawn_error)) {
		if (g_error_matches(spawn_error, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT))
			return compile_failed(path, "dtc is not installed: apt-get install device-tree-compiler", error);
		return compile_failed(path, spawn_error->message, error);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return TRUE;
	g_autofree char *line = first_line(words_fd);
	return compile_failed(path, line, error);
}

static struct guest_config *compile(const char *path, GPtrArray *warnings, GError **error)
{
	struct guest_config *config = NULL;
	int out_fd = memfd_create("dtb", MFD_CLOEXEC), words_fd = memfd_create("dtc", MFD_CLOEXEC);
	g_autofree char *out_path = g_strdup_printf("/proc/self/fd/%d", out_fd);
	struct mapped_file file;

	if (out_fd < 0 || words_fd < 0)
		compile_failed(path, g_strerror(errno), error);
	else if (run_dtc(path, out_fd, words_fd, error) && mapped_file_open(&file, out_path, "device tree", error)) {
		if (!device_tree_parse(file.bytes, file.len_bytes, path, &config, warnings, error))
			config = NULL;
		mapped_file_close(&file);
	}
	if (out_fd >= 0)
		close(out_fd);
	if (words_fd >= 0)
		close(words_fd);
	return config;
}

static struct guest_config *parse(const char *path, GPtrArray *warnings, GError **error)
{
	struct guest_config *config = NULL;
	struct mapped_file file;
	fdt32_t magic = 0;

	if (!mapped_file_open(&file, path, "configuration", error))
		return NULL;
	if (g_str_has_suffix(path, ".dts")) {
		mapped_file_close(&file);
		return compile(path, warnings, error);
	}
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
	if (config->p9s->len > 0)
		return refuse(&((struct p9_config *)config->p9s->pdata[0])->origin, "p9",
			      "a PV guest has no 9p here: give dom1 run --share DIR, a read-only image of the folder", error);
	if (config->firmware.origin.file)
		return refuse(&config->firmware.origin, "bootloader",
			      "dom1 starts no boot loader yet; give kernel=", error);
	if (config->maxmem_bytes.origin.file && config->maxmem_bytes.value > config->memory_bytes.value)
		config_warn(warnings, &config->maxmem_bytes.origin, "maxmem: memory does not grow later: ignored");
	if (config->cpus.origin.file)
		config_warn(warnings, &config->cpus.origin,
			    "cpus: vCPUs are not pinned yet: ignored; taskset pins all of dom1");
	if (config->on_watchdog.origin.file)
		config_warn(warnings, &config->on_watchdog.origin,
			    "on_watchdog: ignored: a watchdog that runs out is a crash, and on_crash says what then");
	if (config->pvshim_cmdline.value)
		config_warn(warnings, &config->pvshim_cmdline.origin,
			    "pvshim_cmdline: ignored: dom1 writes the shim's command line itself; pvshim_extra adds to it");
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

static char *number_word(const struct config_number *number)
{
	return number->origin.file ? g_strdup_printf("%" G_GUINT64_FORMAT, number->value) : NULL;
}

static void take(struct guest_file *file, const struct guest_config *config)
{
	file->disks = g_ptr_array_ref(config->disks);
	file->vifs = g_ptr_array_ref(config->vifs);
	file->channels = g_ptr_array_ref(config->channels);
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
	file->vcpus = number_word(&config->vcpus);
	file->max_vcpus = number_word(&config->maxvcpus);
	file->max_event_channels = number_word(&config->max_event_channels);
	file->max_grant_frames = number_word(&config->max_grant_frames);
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
	if (ok) {
		take(file, config);
		/* The configuration's own copy of the name goes with it. */
		for (guint i = 0; i < file->disks->len; i++)
			((struct disk_config *)file->disks->pdata[i])->origin.file = path;
		for (guint i = 0; i < file->vifs->len; i++)
			((struct vif_config *)file->vifs->pdata[i])->origin.file = path;
		for (guint i = 0; i < file->channels->len; i++)
			((struct channel_config *)file->channels->pdata[i])->origin.file = path;
	} else {
		guest_file_clear(file);
	}
	guest_config_free(config);
	return ok;
}

void guest_file_clear(struct guest_file *file)
{
	char **texts[] = { &file->name, &file->uuid, &file->kernel, &file->initrd, &file->append, &file->type, &file->memory,
			   &file->vcpus, &file->max_vcpus, &file->max_event_channels, &file->max_grant_frames, &file->shim,
			   &file->shim_append, &file->on_poweroff, &file->on_reboot, &file->on_crash };

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
		g_clear_pointer(texts[i], g_free);
	g_clear_pointer(&file->disks, g_ptr_array_unref);
	g_clear_pointer(&file->vifs, g_ptr_array_unref);
	g_clear_pointer(&file->channels, g_ptr_array_unref);
}

/* Writing */

static void say(struct config_text *text, const char *value, const struct config_origin *origin)
{
	if (value)
		*text = (struct config_text){ g_strdup(value), *origin };
}

static void say_action(struct config_number *action, enum end_policy policy, const struct config_origin *origin)
{
	*action = (struct config_number){ policy == END_RESTART ? CONFIG_ACTION_RESTART : CONFIG_ACTION_DESTROY, *origin };
}

/* Those that a file can say: a shared folder is --share's. */
static GPtrArray *named_disks(const GPtrArray *disks)
{
	GPtrArray *named = g_ptr_array_new();

	for (guint i = 0; i < disks->len; i++)
		if (!((struct disk_config *)disks->pdata[i])->label)
			g_ptr_array_add(named, disks->pdata[i]);
	return named;
}

GBytes *guest_file_dump(const struct vm_config *config, GError **error)
{
	static const struct config_origin origin = { "--dump-dtb", 0, 0 };
	struct guest_config *guest = guest_config_new(origin.file);

	say(&guest->name, config->name, &origin);
	say(&guest->uuid, config->uuid, &origin);
	say(&guest->kernel, config->kernel_path, &origin);
	say(&guest->ramdisk, config->initrd_path, &origin);
	say(&guest->cmdline, config->guest_command_line, &origin);
	say(&guest->pvshim_path, config->shim_path, &origin);
	say(&guest->pvshim_extra, config->shim_append, &origin);
	guest->type = (struct config_number){ config->type == GUEST_PVH ? CONFIG_TYPE_PVH : CONFIG_TYPE_PV, origin };
	guest->memory_bytes = (struct config_number){ config->memory_bytes, origin };
	guest->vcpus = (struct config_number){ config->n_vcpus, origin };
	guest->maxvcpus = (struct config_number){ config->max_vcpus, origin };
	guest->max_grant_frames = (struct config_number){ config->max_grant_frames, origin };
	if (config->max_event_channels)
		guest->max_event_channels = (struct config_number){ config->max_event_channels, origin };
	g_ptr_array_unref(guest->disks);
	guest->disks = named_disks(config->disks);
	g_ptr_array_unref(guest->vifs);
	guest->vifs = g_ptr_array_ref(config->vifs);
	g_ptr_array_unref(guest->channels);
	guest->channels = g_ptr_array_ref(config->channels);
	say_action(&guest->on_poweroff, config->on_poweroff, &origin);
	say_action(&guest->on_reboot, config->on_reboot, &origin);
	say_action(&guest->on_crash, config->on_crash, &origin);

	GBytes *bytes = device_tree_dump(guest, error);
	guest_config_free(guest);
	return bytes;
}
