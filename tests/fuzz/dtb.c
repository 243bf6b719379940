// SPDX-License-Identifier: MIT
/* Device trees, flattened ones as libfdt has them, from anybody. */
#include <glib.h>

#include "bytes.h"
#include "config/device_tree.h"
#include "config/guest_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) error = NULL;
	g_autofree uint8_t *file = g_memdup2(bytes, len_bytes);
	struct guest_config *config = NULL;

	if (device_tree_parse(file, len_bytes, "fuzz.dtb", &config, warnings, &error))
		guest_config_free(config);
	else
		g_assert_nonnull(error);
	return 0;
}
