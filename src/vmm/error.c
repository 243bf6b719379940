// SPDX-License-Identifier: MIT
#include "vmm/error.h"

GQuark dom1_error_quark(void)
{
	return g_quark_from_static_string("dom1-error");
}

bool refuse_usage(GError **error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	g_autofree char *message = g_strdup_vprintf(format, arguments);
	va_end(arguments);
	g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE, message);
	return false;
}
