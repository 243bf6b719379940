// SPDX-License-Identifier: MIT
#include "vmm/json_members.h"

#include <inttypes.h>

json_t *json_any_string(const char *text)
{
	if (!text)
		return json_null();
	json_t *string = json_string(text);
	if (string)
		return string;
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	return json_string(valid);
}

void json_add_string(json_t *object, const char *key, const char *value)
{
	json_object_set_new(object, key, json_any_string(value));
}

void json_add_boolean(json_t *object, const char *key, bool value)
{
	json_object_set_new(object, key, json_boolean(value));
}

void json_add_number(json_t *object, const char *key, int64_t value)
{
	json_object_set_new(object, key, json_integer(value));
}

void json_add_count(json_t *object, const char *key, uint64_t value)
{
	json_add_number(object, key, (int64_t)MIN(value, (uint64_t)INT64_MAX));
}

void json_add_hex(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(object, key, json_sprintf("0x%" PRIx64, value));
}

void json_add_hex_array(json_t *object, const char *key, const uint64_t *values, size_t n)
{
	json_t *array = json_add_array(object, key);

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_sprintf("0x%" PRIx64, values[i]));
}

json_t *json_add_object(json_t *object, const char *key)
{
	json_t *added = json_object();

	json_object_set_new(object, key, added);
	return added;
}

json_t *json_add_array(json_t *object, const char *key)
{
	json_t *added = json_array();

	json_object_set_new(object, key, added);
	return added;
}

json_t *json_append_object(json_t *array)
{
	json_t *added = json_object();

	json_array_append_new(array, added);
	return added;
}
