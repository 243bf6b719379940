// SPDX-License-Identifier: MIT
/*
 * xl(1) knows some two hundred keys. What dom1 does not understand is sorted here by one question: would the guest
 * be another one, or the person be misled, if the key were passed over? If not, it is ignored with a warning; if so
 * it is refused.
 */
#include "config/xl_cfg_keys.h"

#include <string.h>

#define HOST_SCHEDULES "the host's scheduler decides: use nice or cgroups"
#define NO_DISPLAY     "there is no display: the console is the terminal"
#define NO_XSM         "there is no XSM"
#define NO_MIGRATION   "there is no migration"
#define NO_PASSTHROUGH "dom1 gives no devices of the host to a guest: leave it out"
#define NO_HVM         "it is for HVM guests: dom1 runs type=\"pv\" and type=\"pvh\", leave it out"
#define NO_MODEL       "there is no device model: the devices are PV, leave it out"
#define NO_STUB        "there are no stub domains: leave it out"
#define NO_BACKEND     "dom1 has no such device: leave it out"
#define NO_ARM         "it is for Arm: leave it out"

static const struct xl_key KEYS[] = {
	/* Scheduling and placement. */
	{ "pool", XL_IGNORED, HOST_SCHEDULES },
	{ "cpu_weight", XL_IGNORED, HOST_SCHEDULES },
	{ "cap", XL_IGNORED, HOST_SCHEDULES },
	{ "period", XL_IGNORED, HOST_SCHEDULES },
	{ "slice", XL_IGNORED, HOST_SCHEDULES },
	{ "latency", XL_IGNORED, HOST_SCHEDULES },
	{ "extratime", XL_IGNORED, HOST_SCHEDULES },
	{ "budget", XL_IGNORED, HOST_SCHEDULES },
	{ "cpus_soft", XL_IGNORED, "the host's scheduler decides: cpus= pins" },
	{ "vnuma", XL_IGNORED, "the guest sees one NUMA node" },
	{ "claim_mode", XL_IGNORED, "memory is the host's to give" },

	/* Left over from xend, or with nothing here to steer. */
	{ "loader", XL_IGNORED, "dom1 finds the entry in the kernel itself" },
	{ "bootloader_args", XL_IGNORED, "no boot loader runs on the host" },
	{ "bootargs", XL_IGNORED, "no boot loader runs on the host" },
	{ "seclabel", XL_IGNORED, NO_XSM },
	{ "init_seclabel", XL_IGNORED, NO_XSM },
	{ "nomigrate", XL_IGNORED, NO_MIGRATION },
	{ "xend_suspend_evtchn_compat", XL_IGNORED, NO_MIGRATION },
	{ "on_soft_reset", XL_IGNORED, "a soft reset is always carried out" },
	{ "on_xend_start", XL_IGNORED, "there is no daemon" },
	{ "on_xend_stop", XL_IGNORED, "there is no daemon" },
	{ "suppress_spurious_page_faults", XL_IGNORED, "dom1 reports none" },
	{ "max_maptrack_frames", XL_IGNORED, "a guest maps no grants of other domains" },
	{ "max_grant_version", XL_IGNORED, "PV guests get version 1, PVH guests 1 and 2" },
	{ "e820_host", XL_IGNORED, "the memory map is dom1's own" },
	{ "localtime", XL_IGNORED, "the guest's clock is in UTC" },
	{ "rtc_timeoffset", XL_IGNORED, "the guest's clock is the host's" },
	{ "tsc_mode", XL_IGNORED, "the TSC is the host's" },
	{ "cpuid", XL_IGNORED, "the guest's CPUID is what the host's KVM offers" },
	{ "shadow_memory", XL_IGNORED, "page tables are KVM's" },
	{ "acpi", XL_IGNORED, "ACPI tables are there for PVH, and not for PV" },
	{ "vmtrace_buf_kb", XL_IGNORED, "dom1 does not trace processors" },
	{ "vfb", XL_IGNORED, NO_DISPLAY },
	{ "vkb", XL_IGNORED, NO_DISPLAY },
	{ "vnc", XL_IGNORED, NO_DISPLAY },
	{ "vnc*", XL_IGNORED, NO_DISPLAY },
	{ "sdl", XL_IGNORED, NO_DISPLAY },
	{ "opengl", XL_IGNORED, NO_DISPLAY },
	{ "keymap", XL_IGNORED, NO_DISPLAY },
	{ "nographic", XL_IGNORED, NO_DISPLAY },
	{ "stdvga", XL_IGNORED, NO_DISPLAY },
	{ "videoram", XL_IGNORED, NO_DISPLAY },
	{ "vif2", XL_IGNORED, "it has no meaning in xl either" },

	/* Devices of the host. */
	{ "pci", XL_REFUSED, NO_PASSTHROUGH },
	{ "pci_*", XL_REFUSED, NO_PASSTHROUGH },
	{ "gfx_passthru*", XL_REFUSED, NO_PASSTHROUGH },
	{ "passthrough", XL_REFUSED, NO_PASSTHROUGH },
	{ "rdm*", XL_REFUSED, NO_PASSTHROUGH },
	{ "dtdev", XL_REFUSED, NO_PASSTHROUGH },
	{ "irqs", XL_REFUSED, NO_PASSTHROUGH },
	{ "ioports", XL_REFUSED, NO_PASSTHROUGH },
	{ "iomem", XL_REFUSED, NO_PASSTHROUGH },
	{ "usbctrl", XL_REFUSED, NO_PASSTHROUGH },
	{ "usbdev", XL_REFUSED, NO_PASSTHROUGH },
	{ "driver_domain", XL_REFUSED, "dom1's guest is the only domain, and serves no other: leave it out" },

	/* Devices that dom1 does not have. */
	{ "vtpm", XL_REFUSED, NO_BACKEND },
	{ "vdispl", XL_REFUSED, NO_BACKEND },
	{ "vsnd", XL_REFUSED, NO_BACKEND },
	{ "pvcalls", XL_REFUSED, NO_BACKEND },
	{ "virtio", XL_REFUSED, NO_BACKEND },
	{ "vscsi", XL_REFUSED, NO_BACKEND },

	/* HVM guests. */
	{ "boot", XL_REFUSED, NO_HVM },
	{ "hap", XL_REFUSED, NO_HVM },
	{ "oos", XL_REFUSED, NO_HVM },
	{ "nestedhvm", XL_REFUSED, NO_HVM },
	{ "altp2m*", XL_REFUSED, NO_HVM },
	{ "bios", XL_REFUSED, NO_HVM },
	{ "bios_path_override", XL_REFUSED, NO_HVM },
	{ "firmware_override", XL_REFUSED, NO_HVM },
	{ "pae", XL_REFUSED, NO_HVM },
	{ "nx", XL_REFUSED, NO_HVM },
	{ "apic", XL_REFUSED, NO_HVM },
	{ "hpet", XL_REFUSED, NO_HVM },
	{ "vpt_align", XL_REFUSED, NO_HVM },
	{ "timer_mode", XL_REFUSED, NO_HVM },
	{ "acpi_*", XL_REFUSED, NO_HVM },
	{ "smbios*", XL_REFUSED, NO_HVM },
	{ "ms_vm_genid", XL_REFUSED, NO_HVM },
	{ "mmio_hole", XL_REFUSED, NO_HVM },
	{ "viridian", XL_REFUSED, NO_HVM },
	{ "mca_caps", XL_REFUSED, NO_HVM },
	{ "hdtype", XL_REFUSED, NO_HVM },
	{ "xen_platform_pci", XL_REFUSED, NO_HVM },
	{ "vga", XL_REFUSED, NO_HVM },
	{ "spice*", XL_REFUSED, NO_HVM },
	{ "usb", XL_REFUSED, NO_HVM },
	{ "usbdevice", XL_REFUSED, NO_HVM },
	{ "usbversion", XL_REFUSED, NO_HVM },
	{ "soundhw", XL_REFUSED, NO_HVM },
	{ "vendor_device", XL_REFUSED, NO_HVM },
	{ "serial", XL_REFUSED,
	  "it is for HVM guests: the console is hvc0, dom1 run --console says where it goes; leave it out" },
	{ "device_model", XL_REFUSED, NO_MODEL },
	{ "device_model_*", XL_REFUSED, NO_MODEL },
	{ "dm_restrict", XL_REFUSED, NO_MODEL },
	{ "stubdomain_*", XL_REFUSED, NO_STUB },

	/* Arm. */
	{ "device_tree", XL_REFUSED, NO_ARM },
	{ "gic_version", XL_REFUSED, NO_ARM },
	{ "vuart", XL_REFUSED, NO_ARM },
	{ "sve", XL_REFUSED, NO_ARM },
	{ "tee", XL_REFUSED, NO_ARM },
	{ "nr_spis", XL_REFUSED, NO_ARM },
};

static gboolean is_key(const struct xl_key *entry, const char *key)
{
	size_t len_bytes = strlen(entry->key);

	if (entry->key[len_bytes - 1] == '*')
		return strncmp(entry->key, key, len_bytes - 1) == 0;
	return strcmp(entry->key, key) == 0;
}

const struct xl_key *xl_key_find(const char *key)
{
	for (size_t i = 0; i < G_N_ELEMENTS(KEYS); i++)
		if (is_key(&KEYS[i], key))
			return &KEYS[i];
	return NULL;
}

const struct xl_key *xl_key_table(size_t *n_keys)
{
	*n_keys = G_N_ELEMENTS(KEYS);
	return KEYS;
}
