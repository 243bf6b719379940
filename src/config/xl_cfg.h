// SPDX-License-Identifier: MIT
/*
 * xl.cfg, the configuration file of Xen's xl: the subset that means something here (docs of xl: xl.cfg(5),
 * xl-disk-configuration(5), xl-network-configuration(5)).
 *
 * Keys are of four kinds: understood; harmless (ignored, with a warning); impossible here (an error with the reason,
 * unless the value is 0, "" or [], which asks for nothing); and unknown (an error, with the likely key named). Device
 * specifications have a parser each, used for the options of the same names too: there origin is { "--disk" }, and
 * the caller makes DOM1_STATUS_USAGE of the error's code.
 */
#pragma once

#include <stddef.h>

#include <glib.h>

#include "config/guest_config.h"

/*
 * text: the bytes of a file, any. name: of the file, for messages. warnings: of char *, may be NULL. FALSE and
 * DOM1_STATUS_FILE; else *out is the caller's. No key is required: what is missing, options and defaults fill in.
 */
gboolean xl_cfg_parse(const char *text, size_t len_bytes, const char *name, struct guest_config **out,
		      GPtrArray *warnings, GError **error);

/* NULL and DOM1_STATUS_FILE. The origin's file must outlive the result. */
struct disk_config *xl_disk_parse(const char *text, const struct config_origin *origin, GPtrArray *warnings,
				  GError **error);
struct vif_config *xl_vif_parse(const char *text, const struct config_origin *origin, GPtrArray *warnings,
				GError **error);
struct p9_config *xl_p9_parse(const char *text, const struct config_origin *origin, GPtrArray *warnings,
			      GError **error);
struct channel_config *xl_channel_parse(const char *text, const struct config_origin *origin, GPtrArray *warnings,
					GError **error);

/* The same again in words its parser reads; raw is not looked at. */
char *xl_disk_to_text(const struct disk_config *disk);
char *xl_vif_to_text(const struct vif_config *vif);
char *xl_p9_to_text(const struct p9_config *p9);
char *xl_channel_to_text(const struct channel_config *channel);

/* The number of "xvda", "xvdb3", "sda", "hdc", "d0p1" after xen-vbd-interface(7). FALSE: no such device. */
gboolean xl_disk_vdev_number(const char *vdev, uint32_t *number);
