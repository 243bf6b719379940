// SPDX-License-Identifier: MIT
/*
 * What a configuration file says of a guest, before options override it and before defaults fill it in.
 *
 * xl_cfg.h and device_tree.h both produce this, from the same table of fields; nothing here knows struct vm_config.
 * Each value is set or not, and remembers where it was given, so that whoever refuses it later can say where to look.
 * Paths are as written: a relative one counts from the current folder, like those on the command line.
 *
 * Errors carry DOM1_STATUS_FILE and are one line, "FILE:LINE:COLUMN: what: why, what to do"; a device tree has no
 * lines, and neither has an option: there it is "FILE: what: ...". An option's, "--disk: ...", carry DOM1_STATUS_USAGE. Warnings are lines of the same shape. What a file
 * holds is quoted in them with control characters replaced.
 */
#pragma once

#include <stdint.h>

#include <glib.h>

#define GUEST_CONFIG_NAME_MAX  32
#define GUEST_CONFIG_MAX_BYTES (1u << 20) /* of a configuration file: what is longer is something else */
#define CONFIG_UUID_BYTES      16

/* Where a value was given. The file's name is owned by the configuration, or static. */
struct config_origin {
	const char *file;          /* NULL: the value is not set */
	unsigned int line, column; /* from 1, columns in bytes; 0: the source has none */
};

struct config_text {
	char *value; /* NULL: not set */
	struct config_origin origin;
};

struct config_number {
	uint64_t value;
	struct config_origin origin;
};

enum config_type { CONFIG_TYPE_PV, CONFIG_TYPE_PVH };
enum config_action { CONFIG_ACTION_DESTROY, CONFIG_ACTION_RESTART, CONFIG_ACTION_PRESERVE };
enum config_firmware { CONFIG_FIRMWARE_PVGRUB32, CONFIG_FIRMWARE_PVGRUB64 };

enum disk_format { DISK_FORMAT_DEFAULT, DISK_FORMAT_RAW, DISK_FORMAT_QCOW2, DISK_FORMAT_NBD };
enum disk_cache { DISK_CACHE_DEFAULT, DISK_CACHE_DIRECT, DISK_CACHE_WRITEBACK, DISK_CACHE_UNSAFE };
enum disk_discard { DISK_DISCARD_DEFAULT, DISK_DISCARD_OFF, DISK_DISCARD_ON };
enum disk_on_error { DISK_ON_ERROR_DEFAULT, DISK_ON_ERROR_REPORT, DISK_ON_ERROR_STOP, DISK_ON_ERROR_ENOSPC_PAUSE };

struct disk_config {
	struct config_origin origin;
	char *raw;    /* the specification as it was given */
	char *target; /* path or NBD URI; never NULL, never empty */
	char *vdev;   /* xl_disk_vdev_number() accepts it; NULL: the next free one */
	char *serial; /* NULL: none */
	enum disk_format format;
	enum disk_cache cache;
	enum disk_discard discard;
	enum disk_on_error on_error;
	char *label;  /* of a folder that is shared: target is the folder, and an image of it is made; NULL: it is none */
	gboolean readonly;
	gboolean snapshot;
	gboolean cdrom;
};

/* VIF_DEFAULT: nothing was said. For xl that is the bridge xenbr0, for dom1's --net what the command prefers. */
enum vif_kind { VIF_DEFAULT, VIF_USER, VIF_TAP, VIF_BRIDGE, VIF_SOCKET, VIF_NONE };

struct vif_config {
	struct config_origin origin;
	char *raw;
	enum vif_kind kind;
	char *bridge;       /* VIF_BRIDGE only */
	char *socket_path;  /* VIF_SOCKET only */
	char *ifname;       /* of the host's side; NULL: not said */
	char *script;       /* xl's hotplug script; NULL: none */
	GPtrArray *hostfwd; /* of char *, VIF_USER only: "tcp::2222-:22" */
	gboolean has_mac;
	uint8_t mac[6];
	uint64_t rate_bytes_per_s; /* 0: no limit */
	uint32_t rate_interval_us;
};

struct p9_config {
	struct config_origin origin;
	char *raw;
	char *tag;
	char *path;
};

enum channel_connection { CHANNEL_PTY, CHANNEL_SOCKET, CHANNEL_FILE };

struct channel_config {
	struct config_origin origin;
	char *raw;
	char *name;
	enum channel_connection connection;
	char *path; /* NULL for CHANNEL_PTY */
};

/* Pinning: one list of CPUs for all vCPUs, or the n-th list for vCPU n. Lists are in xl's words: "0-3,^1,node:2". */
struct config_cpus {
	GPtrArray *lists; /* of char *; empty: not set */
	gboolean each_vcpu;
	struct config_origin origin;
};

struct guest_config {
	char *file; /* what the origins point to */
	struct config_text name;
	struct config_text uuid; /* canonical: lower case, with hyphens */
	struct config_text kernel, ramdisk, cmdline;
	struct config_text pvshim_path, pvshim_cmdline, pvshim_extra;
	struct config_number type; /* enum config_type; see guest_config_type() */
	struct config_number memory_bytes, maxmem_bytes;
	struct config_number vcpus, maxvcpus;
	struct config_number on_poweroff, on_reboot, on_crash, on_watchdog; /* enum config_action */
	struct config_number max_grant_frames, max_event_channels;
	struct config_number pvshim;   /* 0 or 1 */
	struct config_number firmware; /* enum config_firmware */
	struct config_cpus cpus;
	GPtrArray *disks;    /* of struct disk_config * */
	GPtrArray *vifs;     /* of struct vif_config * */
	GPtrArray *p9s;      /* of struct p9_config * */
	GPtrArray *channels; /* of struct channel_config * */
};

struct guest_config *guest_config_new(const char *file);
void guest_config_free(struct guest_config *config);
void disk_config_free(struct disk_config *disk);
void vif_config_free(struct vif_config *vif);
void p9_config_free(struct p9_config *p9);
void channel_config_free(struct channel_config *channel);

/* What runs: xl writes a PV guest in the shim as type="pvh" with pvshim=1. PV when nothing is said, as in xl. */
enum config_type guest_config_type(const struct guest_config *config);

/* The sixteen bytes of a UUID in text, hyphens anywhere. FALSE: not one. */
gboolean guest_config_uuid_bytes(const char *text, uint8_t bytes[CONFIG_UUID_BYTES]);
char *guest_config_uuid_text(const uint8_t bytes[CONFIG_UUID_BYTES]);

/* "0-3,^1,all,node:2": TRUE when it is a list of CPUs in xl's words. */
gboolean guest_config_is_cpu_list(const char *text);

/*
 * The scalar fields, so that readers and writers need no code for each.
 */
enum config_kind {
	CONFIG_TEXT,
	CONFIG_UUID,   /* a struct config_text */
	CONFIG_NUMBER, /* this and the following: a struct config_number */
	CONFIG_MEMORY, /* bytes; MiB in xl.cfg, KiB in a device tree */
	CONFIG_BOOLEAN,
	CONFIG_WORD, /* index in words */
};

struct config_field {
	const char *key;      /* in xl.cfg */
	const char *property; /* in the domain node of a device tree; NULL: it is elsewhere there */
	enum config_kind kind;
	size_t offset;            /* in struct guest_config */
	uint64_t low, high;       /* of a CONFIG_NUMBER; of CONFIG_MEMORY in bytes */
	const char *const *words; /* of a CONFIG_WORD, ended by NULL */
	gboolean may_be_empty;    /* of a CONFIG_TEXT */
};

const struct config_field *guest_config_fields(size_t *n_fields);
struct config_text *guest_config_text(struct guest_config *config, const struct config_field *field);
struct config_number *guest_config_number(struct guest_config *config, const struct config_field *field);

/*
 * Store a value after the checks that need no other value: characters of a name, form of a UUID, range of a number,
 * NUL bytes are the caller's. FALSE and an error at origin.
 */
gboolean guest_config_set_text(struct guest_config *config, const struct config_field *field, const char *value,
			       const struct config_origin *origin, GError **error);
gboolean guest_config_set_number(struct guest_config *config, const struct config_field *field, uint64_t value,
				 const struct config_origin *origin, GError **error);

/* The checks between values: contradictions are errors, what is without effect is warned of. */
gboolean guest_config_check(struct guest_config *config, GPtrArray *warnings, GError **error);

/* Always FALSE. */
/* TRUE: an option's name stands for the file's. */
gboolean config_is_option(const struct config_origin *origin);
gboolean config_fail(GError **error, const struct config_origin *origin, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* warnings: of char *, freed by the array (g_free); NULL: nobody asks. */
void config_warn(GPtrArray *warnings, const struct config_origin *origin, const char *format, ...) G_GNUC_PRINTF(3, 4);
