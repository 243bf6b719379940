// SPDX-License-Identifier: MIT
#include "vmm/json_members.h"

#include <inttypes.h>

void json_add_string(JsonBuilder *json, const char *key, const char *value)
{
	g_autofree char *valid = value ? g_utf8_make_valid(value, -1) : NULL;

	json_builder_set_member_name(json, key);
	if (valid)
		json_builder_add_string_value(json, valid);
	else
		json_builder_add_null_value(json);
}

void json_add_boolean(JsonBuilder *json, const char *key, bool value)
{
	json_builder_set_member_name(json, key);
	json_builder_add_boolean_value(json, value);
}

void json_add_number(JsonBuilder *json, const char *key, int64_t value)
{
	json_builder_set_member_name(json, key);
	json_builder_add_int_value(json, value);
}

void json_add_count(JsonBuilder *json, const char *key, uint64_t value)
{
	json_add_number(json, key, (int64_t)MIN(value, (uint64_t)INT64_MAX));
}

void json_begin_object(JsonBuilder *json, const char *key)
{
	json_builder_set_member_name(json, key);
	json_builder_begin_object(json);
}

void json_add_hex_array(JsonBuilder *json, const char *key, const uint64_t *values, size_t n)
{
	json_builder_set_member_name(json, key);
	json_builder_begin_array(json);
	for (size_t i = 0; i < n; i++) {
		g_autofree char *hex = g_strdup_printf("0x%" PRIx64, values[i]);

		json_builder_add_string_value(json, hex);
	}
	json_builder_end_array(json);
}
