// SPDX-License-Identifier: MIT
#include "vmm/error.h"

GQuark dom1_error_quark(void)
{
	return g_quark_from_static_string("dom1-error");
}
