// SPDX-License-Identifier: MIT
/*
 * A guest described by a flattened device tree (.dtb), after Xen's bindings for domains that Xen itself starts:
 * dom0less (docs/misc/arm/device-tree/booting.txt) and hyperlaunch (docs/designs/launch/hyperlaunch-devicetree.rst).
 *
 * Exactly one node is compatible with "xen,domain", below /chosen or below a node of it compatible with
 * "hypervisor,xen". Xen's properties that are understood in it:
 *
 *   memory            two cells, KiB            cpus         one cell, vCPUs
 *   max_grant_frames  one cell                  domain-uuid  16 bytes
 *   mode              one cell: bit 0 PV, else PVH; bit 1, a device model, is refused; bit 2, the word size, is left to
 *                     the kernel's own headers
 *   domid             one cell; dom1's guest is domain 1 whatever it says
 *
 * and its children are modules: compatible with "multiboot,kernel" ("module,kernel", "xen,linux-zimage") and
 * "multiboot,ramdisk" ("module,ramdisk", "xen,linux-initrd"), bootargs in the kernel's node (in the domain's when
 * there is no kernel). Xen finds a module at an address; dom1 finds it in a file:
 *
 *   dom1,path         string: the file, relative to the current folder like every path of dom1. Xen's own property for
 *                     a file's name, xen,uefi-binary, is read in its place.
 *
 * What Xen's bindings have no word for carries dom1's prefix, in the domain's node: the values of xl.cfg under
 * dom1,name, dom1,maxmem (two cells, KiB), dom1,maxvcpus, dom1,max-event-channels, dom1,pvshim (one cell each),
 * dom1,on-poweroff, -on-reboot, -on-crash, -on-watchdog, dom1,firmware, dom1,pvshim-path, -pvshim-cmdline,
 * -pvshim-extra (strings), dom1,cpus (string: for all vCPUs) or dom1,vcpu-cpus (a string for each), and lists of
 * strings in the words of xl.cfg: dom1,disk, dom1,vif, dom1,p9, dom1,channel.
 *
 * Other properties and children are warned of. A .dts is for dtc to compile first; the caller runs it.
 */
#pragma once

#include <stddef.h>

#include <glib.h>

#include "config/guest_config.h"

/* bytes: any, of any alignment. As xl_cfg_parse(). */
gboolean device_tree_parse(const void *bytes, size_t len_bytes, const char *name, struct guest_config **out,
			   GPtrArray *warnings, GError **error);

/*
 * The tree that device_tree_parse() reads as the same configuration, but for the origins and the raw texts of
 * devices: those are what was understood, not what was typed. NULL and DOM1_STATUS_FILE: memory is not whole KiB, or
 * the tree is longer than a configuration may be.
 */
GBytes *device_tree_dump(const struct guest_config *config, GError **error);
