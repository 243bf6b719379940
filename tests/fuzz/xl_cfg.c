// SPDX-License-Identifier: MIT
/* Text of any kind as xl.cfg. What is understood is written as a device tree and understood again. */
#include <glib.h>

#include "bytes.h"
#include "config/device_tree.h"
#include "config/guest_config.h"
#include "config/xl_cfg.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	struct guest_config *config = NULL, *again = NULL;

	if (!xl_cfg_parse((const char *)bytes, len_bytes, "fuzz.cfg", &config, warnings, &error)) {
		g_assert_nonnull(error);
		return 0;
	}
	GBytes *tree = device_tree_dump(config, NULL);
	if (tree) {
		gsize tree_bytes;
		const void *data = g_bytes_get_data(tree, &tree_bytes);

		if (device_tree_parse(data, tree_bytes, "fuzz.dtb", &again, warnings, NULL))
			guest_config_free(again);
		g_bytes_unref(tree);
	}
	guest_config_free(config);
	return 0;
}
