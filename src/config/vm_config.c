// SPDX-License-Identifier: MIT
#include "config/vm_config.h"

#include "config/channel_option.h"
#include "config/disk_option.h"
#include "config/guest_config.h"
#include "config/guest_file.h"
#include "config/lend_option.h"
#include "config/vhost_option.h"
#include "config/net_option.h"
#include "config/save_at.h"
#include "config/share_option.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "inject/inject.h"
#include "lend/lending.h"
#include "vmm/error.h"
#include "vmm/layout.h"
#include "vmm/one_line.h"
#include "vmm/record.h"
#include "vmm/trace.h"
#include "xen/pages.h"

#define DEFAULT_MEMORY    "512M"
#define XEN_VERSION_GUEST (4u << 16 | 17u)
/* Port 0 is never used, console and xenstore have one each; with fewer than this no guest gets anywhere. */
#define MIN_EVENT_CHANNELS 8u
#define NAME_CHARACTERS   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

/* The words of the command line, before they mean anything. */
struct words {
	char *type, *memory, *low_memory, *memory_backing, *entry, *console, *on_poweroff, *on_reboot, *on_crash, *xen_version;
	char *vcpus, *max_vcpus, *max_event_channels, *max_grant_frames, *timeout, *trace, *sandbox, *save_at;
	char **disks, **nets, **lend_windows, **vhosts, **channels, **shares, **injects;
};

static void words_clear(struct words *words)
{
	g_free(words->type);
	g_free(words->memory);
	g_free(words->low_memory);
	g_free(words->memory_backing);
	g_free(words->entry);
	g_free(words->console);
	g_free(words->on_poweroff);
	g_free(words->on_reboot);
	g_free(words->on_crash);
	g_free(words->xen_version);
	g_free(words->vcpus);
	g_free(words->max_vcpus);
	g_free(words->max_event_channels);
	g_free(words->max_grant_frames);
	g_free(words->timeout);
	g_free(words->trace);
	g_free(words->sandbox);
	g_free(words->save_at);
	g_strfreev(words->disks);
	g_strfreev(words->nets);
	g_strfreev(words->lend_windows);
	g_strfreev(words->vhosts);
	g_strfreev(words->channels);
	g_strfreev(words->shares);
	g_strfreev(words->injects);
}

static gboolean usage_error(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);
static gboolean usage_error(GError **error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *message = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	/* What was typed is quoted in it. */
	g_autofree char *line = one_line(message);
	g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE, line);
	return FALSE;
}

gboolean vm_config_parse_size(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMGT";
	unsigned int shift = 20;
	char *end;

	if (!g_ascii_isdigit(text[0]))
		return FALSE;
	guint64 number = g_ascii_strtoull(text, &end, 10);
	if (*end != '\0') {
		const char *suffix = strchr(suffixes, g_ascii_toupper(*end));

		if (!suffix || end[1] != '\0')
			return FALSE;
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
	}
	if (number > (G_MAXUINT64 / 2) >> shift)
		return FALSE;
	*bytes = number << shift;
	return TRUE;
}

static gboolean parse_size_option(const char *option, const char *text, uint64_t *bytes, GError **error)
{
	/* The host's huge pages are 2 MiB, and so are the steps of guest memory: what is less is rounded up. */
	const uint64_t step_bytes = 2 << 20;

	if (!vm_config_parse_size(text, bytes) || *bytes == 0 || *bytes > UINT64_MAX / 2)
		return usage_error(error, "%s=%s: not a size; give a number of MiB, or one with K, M, G or T", option, text);
	*bytes = (*bytes + step_bytes - 1) / step_bytes * step_bytes;
	return TRUE;
}

static gboolean parse_number(const char *option, const char *text, unsigned int low, unsigned int high,
			     unsigned int *number, GError **error)
{
	guint64 value;

	if (!g_ascii_string_to_unsigned(text, 10, low, high, &value, NULL))
		return usage_error(error, "%s=%s: must be a number from %u to %u", option, text, low, high);
	*number = (unsigned int)value;
	return TRUE;
}

static gboolean parse_policy(const char *option, const char *text, enum end_policy *policy, GError **error)
{
	if (!text)
		return TRUE;
	if (strcmp(text, "stop") == 0 || strcmp(text, "destroy") == 0)
		*policy = END_STOP;
	else if (strcmp(text, "restart") == 0)
		*policy = END_RESTART;
	else
		return usage_error(error, "%s=%s: must be stop or restart", option, text);
	return TRUE;
}

static gboolean parse_console(struct vm_config *config, const char *text, GError **error)
{
	static const struct {
		const char *word;
		enum console_kind kind;
		gboolean has_path;
	} kinds[] = {
		{ "stdio", CONSOLE_STDIO, FALSE }, { "pty", CONSOLE_PTY, FALSE },	 { "null", CONSOLE_NULL, FALSE },
		{ "file:", CONSOLE_FILE, TRUE },   { "socket:", CONSOLE_SOCKET, TRUE },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
		size_t word_bytes = strlen(kinds[i].word);

		if (kinds[i].has_path ? !g_str_has_prefix(text, kinds[i].word) || text[word_bytes] == '\0' :
					strcmp(text, kinds[i].word) != 0)
			continue;
		config->console = kinds[i].kind;
		config->console_path = kinds[i].has_path ? g_strdup(text + word_bytes) : NULL;
		return TRUE;
	}
	return usage_error(error, "--console=%s: must be stdio, file:PATH, pty, socket:PATH or null", text);
}

static gboolean parse_entry(struct vm_config *config, const char *text, GError **error)
{
	if (!text || strcmp(text, "multiboot") == 0)
		config->entry = BOOT_ENTRY_MULTIBOOT;
	else if (strcmp(text, "pvh") == 0)
		config->entry = BOOT_ENTRY_PVH;
	else
		return usage_error(error, "--shim-entry=%s: must be multiboot or pvh", text);
	return TRUE;
}

static gboolean parse_memory_backing(struct vm_config *config, const char *text, GError **error)
{
	for (unsigned int i = 0; i < N_MEMORY_BACKINGS; i++)
		if (!text || strcmp(text, MEMORY_BACKING_NAMES[i]) == 0) {
			config->memory_backing = (enum memory_backing_kind)i;
			return TRUE;
		}
	return usage_error(error, "--memory-backing=%s: must be anonymous, memfd or guest_memfd", text);
}

static gboolean parse_type(struct vm_config *config, const struct words *words, GError **error)
{
	if (!words->type || strcmp(words->type, "pv") == 0)
		config->type = GUEST_PV;
	else if (strcmp(words->type, "pvh") == 0)
		config->type = GUEST_PVH;
	else
		return usage_error(error, "--type=%s: must be pv or pvh", words->type);
	if (config->type == GUEST_PVH && (config->shim_path || config->shim_append || words->entry || config->shim_log_path))
		return usage_error(error, "--type=pvh: there is no shim; leave out --shim, --shim-append, --shim-entry, --shim-log");
	return TRUE;
}

static gboolean parse_xen_version(struct vm_config *config, const char *text, GError **error)
{
	guint64 major = 0, minor = 0;

	config->xen_version = XEN_VERSION_GUEST;
	if (!text)
		return TRUE;
	g_auto(GStrv) parts = g_strsplit(text, ".", -1);
	if (g_strv_length(parts) != 2 || !g_ascii_string_to_unsigned(parts[0], 10, 1, G_MAXUINT16, &major, NULL) ||
	    !g_ascii_string_to_unsigned(parts[1], 10, 0, G_MAXUINT16, &minor, NULL))
		return usage_error(error, "--xen-version=%s: must be MAJOR.MINOR, such as 4.17", text);
	config->xen_version = (uint32_t)(major << 16 | minor);
	return TRUE;
}

/* From the kernel's file name and our pid, so that two runs of one kernel do not collide. */
char *vm_config_default_name(const char *kernel_path)
{
	g_autofree char *base = g_path_get_basename(kernel_path);
	g_autofree char *suffix = g_strdup_printf("-%d", (int)getpid());
	size_t room = VM_CONFIG_NAME_MAX - strlen(suffix);

	g_strcanon(base, NAME_CHARACTERS, '_');
	if (base[0] == '.')
		base[0] = '_';
	return g_strdup_printf("%.*s%s", (int)room, base, suffix);
}

static gboolean check_name(struct vm_config *config, GError **error)
{
	if (!config->name && config->restore_path)
		return TRUE;
	if (!config->name)
		config->name = vm_config_default_name(config->kernel_path);
	size_t len_bytes = strlen(config->name);
	if (len_bytes == 0 || len_bytes > VM_CONFIG_NAME_MAX || config->name[strspn(config->name, NAME_CHARACTERS)] != '\0' ||
	    strcmp(config->name, ".") == 0 || strcmp(config->name, "..") == 0)
		return usage_error(error, "--name=%s: must be 1 to %d of the characters A-Z a-z 0-9 . _ -", config->name,
				   VM_CONFIG_NAME_MAX);
	return TRUE;
}

static void adopt(char **option, char **from_file)
{
	if (!*option)
		*option = g_steal_pointer(from_file);
}

/* What the command line leaves open, the guest's file may say. */
static gboolean read_guest_file(struct vm_config *config, struct words *words, const char *path, GError **error)
{
	struct guest_file file;

	if (!guest_file_read(&file, path, config->warnings, error))
		return FALSE;
	adopt(&config->name, &file.name);
	adopt(&config->uuid, &file.uuid);
	adopt(&config->kernel_path, &file.kernel);
	adopt(&config->initrd_path, &file.initrd);
	adopt(&config->guest_command_line, &file.append);
	adopt(&words->type, &file.type);
	adopt(&words->memory, &file.memory);
	adopt(&words->vcpus, &file.vcpus);
	adopt(&words->max_vcpus, &file.max_vcpus);
	adopt(&words->max_event_channels, &file.max_event_channels);
	adopt(&words->max_grant_frames, &file.max_grant_frames);
	/* A PV guest's file may be run with --type=pvh: then its words for the shim mean nothing. */
	if (g_strcmp0(words->type, "pvh") != 0) {
		adopt(&config->shim_path, &file.shim);
		adopt(&config->shim_append, &file.shim_append);
	}
	adopt(&words->on_poweroff, &file.on_poweroff);
	adopt(&words->on_reboot, &file.on_reboot);
	adopt(&words->on_crash, &file.on_crash);
	g_ptr_array_extend_and_steal(config->disks, g_steal_pointer(&file.disks));
	g_ptr_array_extend_and_steal(config->vifs, g_steal_pointer(&file.vifs));
	g_ptr_array_extend_and_steal(config->channels, g_steal_pointer(&file.channels));
	guest_file_clear(&file);
	return TRUE;
}

/* The vCPUs, and how much of Xen's tables the guest may use. */
static gboolean parse_limits(struct vm_config *config, const struct words *words, GError **error)
{
	config->n_vcpus = 1;
	if (words->vcpus && !parse_number("--vcpus", words->vcpus, 1, RECORD_MAX_VCPUS, &config->n_vcpus, error))
		return FALSE;
	config->max_vcpus = config->n_vcpus;
	if (words->max_vcpus && !parse_number("--max-vcpus", words->max_vcpus, 1, RECORD_MAX_VCPUS, &config->max_vcpus, error))
		return FALSE;
	if (config->max_vcpus < config->n_vcpus)
		return usage_error(error, "--max-vcpus=%u: it is less than the %u vCPUs to start with (--vcpus): raise it, or leave it out",
				   config->max_vcpus, config->n_vcpus);
	config->max_grant_frames = PAGES_MAX_GRANT_FRAMES;
	return (!words->max_event_channels || parse_number("--max-event-channels", words->max_event_channels, MIN_EVENT_CHANNELS,
							   G_MAXINT, &config->max_event_channels, error)) &&
	       (!words->max_grant_frames || parse_number("--max-grant-frames", words->max_grant_frames, 1,
							 PAGES_MAX_GRANT_FRAMES, &config->max_grant_frames, error));
}

const char *const VM_CONFIG_SANDBOX_NAMES[] = {
	[SANDBOX_ON] = "on", [SANDBOX_OFF] = "off", [SANDBOX_LOG] = "log", [SANDBOX_STRICT] = "strict",
};

static gboolean parse_sandbox(const char *text, enum sandbox_mode *mode, GError **error)
{
	for (unsigned int i = 0; i < G_N_ELEMENTS(VM_CONFIG_SANDBOX_NAMES); i++)
		if (!text || strcmp(text, VM_CONFIG_SANDBOX_NAMES[i]) == 0) {
			*mode = i;
			return TRUE;
		}
	return usage_error(error, "--sandbox=%s: must be on, off, log or strict", text);
}

/* Whoever holds a page of RAM would keep it from its lender. */
static gboolean check_memory_lent(const struct vm_config *config, const struct words *words, GError **error)
{
	if (!config->memory_lent_path)
		return TRUE;
	if (config->type != GUEST_PV)
		return usage_error(error, "--memory-lent: only the shim is known to need no memory of its own: use it with --type=pv");
	if (config->memory_backing != MEMORY_ANONYMOUS)
		return usage_error(error, "--memory-lent: all memory is the lender's: --memory-backing has nothing to say");
	if (config->disks->len > 0 || config->vifs->len > 0 || config->channels->len > 0 || words->injects || config->core_path)
		return usage_error(error, "--memory-lent: not with --disk, --share, --net, --channel, --inject or --core: they hold "
					  "pages of the guest's RAM, which is another's");
	if (config->memory_bytes > config->low_memory_bytes)
		return usage_error(error, "--memory-lent: all RAM must be below 4 GiB: use it with a smaller --memory");
	return TRUE;
}

/* The shim lets its guest use RAM alone, and this is none. */
static gboolean parse_lend_windows(struct vm_config *config, const struct words *words, GError **error)
{
	if (words->lend_windows && config->type == GUEST_PV)
		return usage_error(error, "--lend-window: the shim denies a PV guest all memory that is not RAM: use it with --type=pvh");
	if (config->lend_to_path && config->type == GUEST_PV)
		return usage_error(error, "--lend-to: the shim does not hand the hypercall on: use it with --type=pvh");
	if (config->lend_to_path && config->memory_backing == MEMORY_ANONYMOUS)
		return usage_error(error, "--lend-to: what is lent must be a file: use it with --memory-backing=memfd or guest_memfd");
	if (words->vhosts && config->type == GUEST_PV)
		return usage_error(error, "--vhost-user: the shim shows a PV guest no PCI device: use it with --type=pvh");
	if (words->vhosts && config->memory_backing == MEMORY_ANONYMOUS)
		return usage_error(error, "--vhost-user: the back end must get the guest's RAM as a file: use it with --memory-backing=memfd");
	return lend_options_parse(config->lend_windows, words->lend_windows, error) &&
	       vhost_options_parse(config->vhosts, words->vhosts, error);
}

static gboolean parse_faults(struct vm_config *config, const struct words *words, GError **error)
{
	uint32_t seed;

	/* A short number: a person may have to type it. Without randomness one seed is as good as another. */
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uint32_t)g_get_monotonic_time();
	if (config->timeout_sysrq)
		for (const char *key = config->timeout_sysrq; *key; key++)
			if (!g_ascii_isgraph(*key))
				return usage_error(error, "--timeout-sysrq=%s: SysRq keys are printable characters, such as 9t", config->timeout_sysrq);
	return inject_plan_parse(words->injects, seed, &config->inject, error);
}

static gboolean parse_save_at(struct vm_config *config, const char *text, GError **error)
{
	return !text || (config->save_at = save_at_parse(text, error));
}

/* What the file of a saved domain says, nobody else does. */
static gboolean refuse_with_restore(const struct vm_config *config, const struct words *words, GError **error)
{
	const struct {
		const char *option;
		gboolean given;
	} options[] = {
		{ "--kernel", config->kernel_path != NULL },
		{ "--initrd", config->initrd_path != NULL },
		{ "--append", config->guest_command_line != NULL },
		{ "--no-auto-append", config->no_auto_append },
		{ "--type", words->type != NULL },
		{ "--memory", words->memory != NULL },
		{ "--low-memory", words->low_memory != NULL },
		{ "--memory-backing", words->memory_backing != NULL },
		{ "--vcpus", words->vcpus != NULL },
		{ "--max-vcpus", words->max_vcpus != NULL },
		{ "--max-event-channels", words->max_event_channels != NULL },
		{ "--max-grant-frames", words->max_grant_frames != NULL },
		{ "--disk", words->disks || config->disks->len > 0 },
		{ "--share", words->shares != NULL },
		{ "--net", words->nets || config->vifs->len > 0 },
		{ "--channel", words->channels || config->channels->len > 0 },
		{ "--lend-window", words->lend_windows != NULL },
		{ "--lend-to", config->lend_to_path != NULL },
		{ "--vhost-user", words->vhosts != NULL },
		{ "--shim", config->shim_path != NULL },
		{ "--shim-append", config->shim_append != NULL },
		{ "--shim-entry", words->entry != NULL },
		{ "--inject", words->injects != NULL },
		{ "--xen-version", words->xen_version != NULL },
		{ "--dry-run", config->dry_run },
		{ "--dump-dtb", config->dump_dtb_path != NULL },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
		if (options[i].given)
			return usage_error(error, "%s: not with --restore: the domain goes on as it was saved", options[i].option);
	/* There is nothing to boot again. */
	if (g_strcmp0(words->on_reboot, "restart") == 0 || g_strcmp0(words->on_poweroff, "restart") == 0 ||
	    g_strcmp0(words->on_crash, "restart") == 0)
		return usage_error(error, "--restore: the domain cannot be started again: it has no kernel to boot; use stop");
	return TRUE;
}

static gboolean interpret_restore(struct vm_config *config, const struct words *words, GError **error)
{
	return refuse_with_restore(config, words, error) && check_name(config, error) &&
	       (!words->timeout || parse_number("--timeout", words->timeout, 1, G_MAXINT, &config->timeout_s, error)) &&
	       (!words->trace || trace_parse_kinds(words->trace, &config->trace_kinds, error)) &&
	       parse_console(config, words->console ? words->console : "stdio", error) && parse_faults(config, words, error) &&
	       parse_save_at(config, words->save_at, error) && parse_sandbox(words->sandbox, &config->sandbox, error);
}

static gboolean interpret(struct vm_config *config, const struct words *words, GError **error)
{
	if (config->restore_path)
		return interpret_restore(config, words, error);
	if (config->as_clone)
		return usage_error(error, "--as-clone: of which saved domain? Give it with --restore");
	if (!config->kernel_path)
		return usage_error(error, "no kernel: give one with --kernel (dom1 run --help shows the rest)");
	config->on_reboot = END_RESTART;
	if (!config->guest_command_line)
		config->guest_command_line = g_strdup("");
	return check_name(config, error) &&
	       parse_size_option("--memory", words->memory ? words->memory : DEFAULT_MEMORY, &config->memory_bytes, error) &&
	       (words->low_memory ?
			parse_size_option("--low-memory", words->low_memory, &config->low_memory_bytes, error) :
			(config->low_memory_bytes = LAYOUT_LOW_RAM_DEFAULT) != 0) &&
	       parse_memory_backing(config, words->memory_backing, error) && parse_limits(config, words, error) &&
	       (!words->timeout || parse_number("--timeout", words->timeout, 1, G_MAXINT, &config->timeout_s, error)) &&
	       (!words->trace || trace_parse_kinds(words->trace, &config->trace_kinds, error)) &&
	       parse_type(config, words, error) && parse_entry(config, words->entry, error) &&
	       parse_console(config, words->console ? words->console : "stdio", error) &&
	       parse_xen_version(config, words->xen_version, error) &&
	       parse_policy("--on-poweroff", words->on_poweroff, &config->on_poweroff, error) &&
	       parse_policy("--on-reboot", words->on_reboot, &config->on_reboot, error) &&
	       parse_policy("--on-crash", words->on_crash, &config->on_crash, error) &&
	       disk_options_parse(config->disks, words->disks, config->warnings, error) &&
	       share_options_parse(config->disks, words->shares, error) && disks_settle(config->disks, error) &&
	       net_options_parse(config->vifs, words->nets, config->warnings, error) &&
	       nets_settle(config->vifs, config->name, config->warnings, error) && parse_lend_windows(config, words, error) &&
	       channel_options_parse(config->channels, words->channels, config->warnings, error) &&
	       channels_settle(config->channels, error) && parse_faults(config, words, error) &&
	       check_memory_lent(config, words, error) &&
	       parse_save_at(config, words->save_at, error) && parse_sandbox(words->sandbox, &config->sandbox, error);
}

static const char SUMMARY[] = "Boots a PV Linux in the Xen PV shim on this host's KVM, with its console on this terminal.\n"
			      "The escape Ctrl-] ends the domain.\n"
			      "\n"
			      "Example:\n"
			      "  dom1 run --kernel /boot/vmlinuz-6.1.0-cloud-amd64 --initrd initrd.img --append 'console=hvc0'";

gboolean vm_config_parse(struct vm_config *config, int argc, char **argv, GError **error)
{
	struct words words = { 0 };
	gboolean help = FALSE;

	*config = (struct vm_config){
		.warnings = g_ptr_array_new_with_free_func(g_free),
		.disks = g_ptr_array_new_with_free_func((GDestroyNotify)disk_config_free),
		.vifs = g_ptr_array_new_with_free_func((GDestroyNotify)vif_config_free),
		.vhosts = g_ptr_array_new_with_free_func((GDestroyNotify)vhost_option_free),
		.lend_windows = g_array_new(FALSE, FALSE, sizeof(struct lending_window)),
		.channels = g_ptr_array_new_with_free_func((GDestroyNotify)channel_config_free),
	};
	/* FILENAME for every text: it is taken as it is, byte for byte; STRING would want it to be in the locale's code. */
	const GOptionEntry entries[] = {
		{ "kernel", 'k', 0, G_OPTION_ARG_FILENAME, &config->kernel_path, "PV kernel: bzImage, vmlinux, or an ELF compressed whole", "FILE" },
		{ "initrd", 'i', 0, G_OPTION_ARG_FILENAME, &config->initrd_path, "initial RAM disk", "FILE" },
		{ "append", 'a', 0, G_OPTION_ARG_FILENAME, &config->guest_command_line, "the guest's command line, exactly", "TEXT" },
		{ "no-auto-append", 0, 0, G_OPTION_ARG_NONE, &config->no_auto_append, "add nothing to it (with disks, Linux gets larger limits for them)", NULL },
		{ "type", 0, 0, G_OPTION_ARG_FILENAME, &words.type, "pv (default): in the shim; pvh: by the kernel's PVH entry, without a shim", "TYPE" },
		{ "memory", 'm', 0, G_OPTION_ARG_FILENAME, &words.memory, "RAM of the domain, the shim's share included: 512, 512M, 4G (default " DEFAULT_MEMORY ")", "SIZE" },
		{ "low-memory", 0, 0, G_OPTION_ARG_FILENAME, &words.low_memory, "the most RAM below 4 GiB (default 3G); the rest lies above", "SIZE" },
		{ "memory-backing", 0, 0, G_OPTION_ARG_FILENAME, &words.memory_backing, "what RAM is made of: anonymous (default), memfd or guest_memfd", "KIND" },
		{ "vcpus", 'c', 0, G_OPTION_ARG_FILENAME, &words.vcpus, "number of vCPUs, 1 to 32 (default 1)", "N" },
		{ "max-vcpus", 0, 0, G_OPTION_ARG_FILENAME, &words.max_vcpus, "so many vCPUs may be online later, by dom1 vcpu-set (default: as --vcpus)", "N" },
		{ "max-event-channels", 0, 0, G_OPTION_ARG_FILENAME, &words.max_event_channels, "event channels the guest may have (default: all there are)", "N" },
		{ "max-grant-frames", 0, 0, G_OPTION_ARG_FILENAME, &words.max_grant_frames, "pages of the guest's grant table, 1 to 64 (default 64)", "N" },
		{ "disk", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &words.disks, "PATH[,ro][,snapshot=on][,vdev=xvdX][,format=raw][,cache=][,discard=][,on-error=]: a PV disk; any number", "DISK" },
		{ "net", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &words.nets, "user[,hostfwd=tcp::PORT-:PORT], tap[,ifname=], bridge=NAME, socket:PATH, none; [,mac=]: a PV network interface; any number", "NET" },
		{ "lend-window", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &words.lend_windows, "SIZE[,place=address|pci|pmem][,gpa=ADDRESS][,on-fail=zero|fault|stop]: a range in which others lend memory to the guest (not pv); any number", "WINDOW" },
		{ "vhost-user", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &words.vhosts, "SOCKET,type=WORD[,queues=N]: a virtio device that the process at this socket is (not pv); up to 4", "DEVICE" },
		{ "memory-lent", 0, 0, G_OPTION_ARG_FILENAME, &config->memory_lent_path, "all of the guest's RAM is lent by who listens at this socket (pv only)", "SOCKET" },
		{ "lend-to", 0, 0, G_OPTION_ARG_FILENAME, &config->lend_to_path, "the guest may lend its RAM, by a hypercall, to the domain of this lend.sock (not pv)", "SOCKET" },
		{ "share", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &words.shares, "a copy of the folder in an ext4 image, read-only: the guest's xvdz, the next xvdy", "DIR[,label=LABEL]" },
		{ "restore", 0, 0, G_OPTION_ARG_FILENAME, &config->restore_path, "go on with the domain that dom1 save wrote to FILE, instead of booting one", "FILE" },
		{ "as-clone", 0, 0, G_OPTION_ARG_NONE, &config->as_clone, "with --restore: as a domain of its own, with another name, UUID and random seed", NULL },
		{ "save-at", 0, 0, G_OPTION_ARG_FILENAME, &words.save_at, "FILE,init, FILE,mark=TEXT or FILE,console=REGEX: save the domain to FILE when it has come so far, and end it", "FILE,WHEN" },
		{ "name", 'n', 0, G_OPTION_ARG_FILENAME, &config->name, "name of the domain (default from the kernel's file name)", "NAME" },
		{ "shim", 0, 0, G_OPTION_ARG_FILENAME, &config->shim_path, "xen-shim (default $DOM1_SHIM, then the newest /usr/lib/xen-*/boot/xen-shim)", "FILE" },
		{ "shim-append", 0, 0, G_OPTION_ARG_FILENAME, &config->shim_append, "added to the shim's command line", "TEXT" },
		{ "shim-entry", 0, 0, G_OPTION_ARG_FILENAME, &words.entry, "how the shim starts: multiboot (default) or pvh", "ENTRY" },
		{ "console", 0, 0, G_OPTION_ARG_FILENAME, &words.console, "stdio (default), file:PATH, pty, socket:PATH (listens) or null", "WHERE" },
		{ "channel", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &words.channels, "file:PATH, pty or socket:PATH (listens): the guest's hvc1, the next hvc2", "WHERE" },
		{ "console-log", 0, 0, G_OPTION_ARG_FILENAME, &config->console_log_path, "also write all console output to FILE", "FILE" },
		{ "shim-log", 0, 0, G_OPTION_ARG_FILENAME, &config->shim_log_path, "write what the shim logs to FILE", "FILE" },
		{ "timeout", 0, 0, G_OPTION_ARG_FILENAME, &words.timeout, "end the domain after so many seconds, with status 124", "SECONDS" },
		{ "on-poweroff", 0, 0, G_OPTION_ARG_FILENAME, &words.on_poweroff, "stop (default) or restart", "ACTION" },
		{ "on-reboot", 0, 0, G_OPTION_ARG_FILENAME, &words.on_reboot, "restart (default) or stop, with status 32", "ACTION" },
		{ "on-crash", 0, 0, G_OPTION_ARG_FILENAME, &words.on_crash, "stop (default), with status 34, or restart", "ACTION" },
		{ "report", 0, 0, G_OPTION_ARG_FILENAME, &config->report_path, "write how it went to FILE, as JSON", "FILE" },
		{ "core", 0, 0, G_OPTION_ARG_FILENAME, &config->core_path, "write memory and registers of a domain that ends badly to FILE, an ELF core", "FILE" },
		{ "inject", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &words.injects, "faults on purpose: event:drop=0.01, disk:error=EIO@0.1, xenstore:eagain=0.5, feature:no-indirect, ... (docs/inject.md); any number", "FAULT" },
		{ "timeout-sysrq", 0, 0, G_OPTION_ARG_FILENAME, &config->timeout_sysrq, "SysRq keys for a Linux that --timeout is about to end, such as 9t", "KEYS" },
		{ "no-memory-samples", 0, 0, G_OPTION_ARG_NONE, &config->no_memory_samples, "leave the memory that dom1 takes out of the report: to look costs time", NULL },
		{ "symbols", 0, 0, G_OPTION_ARG_FILENAME, &config->symbols_path, "System.map or vmlinux of the guest: names the addresses of a crash", "FILE" },
		{ "trace", 0, 0, G_OPTION_ARG_FILENAME, &words.trace, "of hypercall, evtchn, grant, xenbus, xenstore, lend: lines of JSON on standard error", "LIST" },
		{ "trace-log", 0, 0, G_OPTION_ARG_FILENAME, &config->trace_log_path, "write the trace to FILE instead", "FILE" },
		{ "sandbox", 0, 0, G_OPTION_ARG_FILENAME, &words.sandbox, "on (default): what this host allows; strict: all of it or no domain; log: tell the kernel's log; off", "MODE" },
		{ "xen-version", 0, 0, G_OPTION_ARG_FILENAME, &words.xen_version, "the version told to the guest (default 4.17); for tests", "X.Y" },
		{ "help", 'h', 0, G_OPTION_ARG_NONE, &help, "this text", NULL },
		{ "dry-run", 0, 0, G_OPTION_ARG_NONE, &config->dry_run, "print what the domain would get, and start nothing", NULL },
		{ "dump-dtb", 0, 0, G_OPTION_ARG_FILENAME, &config->dump_dtb_path, "write the guest's description to FILE as a device tree, and start nothing", "FILE" },
		{ NULL, 0, 0, 0, NULL, NULL, NULL },
	};
	g_autoptr(GOptionContext) context = g_option_context_new("[GUEST.cfg | GUEST.dtb | GUEST.dts]");
	g_autoptr(GError) parse_error = NULL;

	g_option_context_set_summary(context, SUMMARY);
	g_option_context_add_main_entries(context, entries, NULL);
	g_option_context_set_help_enabled(context, FALSE);
	gboolean ok = g_option_context_parse(context, &argc, &argv, &parse_error);
	if (ok && help) {
		words_clear(&words);
		vm_config_clear(config);
		config->help = g_option_context_get_help(context, TRUE, NULL);
		return TRUE;
	}
	if (!ok)
		usage_error(error, "%s (dom1 run --help shows the options)", parse_error->message);
	else if (argc > 2)
		ok = usage_error(error, "%s: unexpected argument (dom1 run --help shows the options)", argv[2]);
	else
		ok = (argc < 2 || read_guest_file(config, &words, argv[1], error)) && interpret(config, &words, error);
	words_clear(&words);
	if (!ok)
		vm_config_clear(config);
	return ok;
}

void vm_config_clear(struct vm_config *config)
{
	g_free(config->help);
	g_free(config->lend_to_path);
	g_free(config->memory_lent_path);
	g_free(config->name);
	g_free(config->uuid);
	if (config->warnings)
		g_ptr_array_free(config->warnings, TRUE);
	if (config->disks)
		g_ptr_array_unref(config->disks);
	if (config->vifs)
		g_ptr_array_unref(config->vifs);
	if (config->lend_windows)
		g_array_unref(config->lend_windows);
	g_clear_pointer(&config->vhosts, g_ptr_array_unref);
	if (config->channels)
		g_ptr_array_unref(config->channels);
	g_free(config->restore_path);
	g_free(config->kernel_path);
	g_free(config->initrd_path);
	g_free(config->guest_command_line);
	g_free(config->shim_path);
	g_free(config->shim_append);
	g_free(config->console_path);
	g_free(config->console_log_path);
	g_free(config->shim_log_path);
	g_free(config->report_path);
	g_free(config->symbols_path);
	g_free(config->trace_log_path);
	g_free(config->dump_dtb_path);
	save_at_free(config->save_at);
	inject_plan_free(config->inject);
	g_free(config->core_path);
	g_free(config->timeout_sysrq);
	*config = (struct vm_config){ 0 };
}
