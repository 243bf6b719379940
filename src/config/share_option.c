// SPDX-License-Identifier: MIT
#include "config/share_option.h"

#include <string.h>

#include "config/guest_config.h"

/* Of ext4. */
#define LABEL_BYTES_MAX 16u
/* Down to xvdk: the others are for disks. */
#define SHARES_MAX      16u

static const struct config_origin OPTION = { "--share", 0, 0 };
static const char LABEL_WORD[] = ",label=";

static gboolean check_label(const char *text, const char *label, GError **error)
{
	if (*label != '\0' && strlen(label) <= LABEL_BYTES_MAX &&
	    strspn(label, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "._-") == strlen(label))
		return TRUE;
	return config_fail(error, &OPTION, "%.60s: a label has 1 to %u of the characters A-Z a-z 0-9 . _ -", text, LABEL_BYTES_MAX);
}

gboolean share_options_parse(GPtrArray *disks, char **texts, GError **error)
{
	for (guint n = 0; texts && texts[n]; n++) {
		const char *text = texts[n], *label = g_strrstr(text, LABEL_WORD);
		const size_t path_bytes = label ? (size_t)(label - text) : strlen(text);

		if (path_bytes == 0)
			return config_fail(error, &OPTION, "it has no folder: give DIR[,label=LABEL]");
		if (n == SHARES_MAX)
			return config_fail(error, &OPTION, "%.60s: there are too many: a guest has xvdz to xvdk for them", text);
		if (label && !check_label(text, label + strlen(LABEL_WORD), error))
			return FALSE;
		struct disk_config *disk = g_new0(struct disk_config, 1);
		disk->origin = OPTION;
		disk->raw = g_strdup(text);
		disk->target = g_strndup(text, path_bytes);
		disk->vdev = g_strdup_printf("xvd%c", (int)('z' - n));
		disk->readonly = TRUE;
		disk->label = label	 ? g_strdup(label + strlen(LABEL_WORD)) :
			      n == 0 ? g_strdup("share") :
				       g_strdup_printf("share%u", n + 1);
		g_ptr_array_add(disks, disk);
	}
	return TRUE;
}
