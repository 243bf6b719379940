/* SPDX-License-Identifier: MIT */
/* Members of a JSON object that json-glib builds, a line each. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <json-glib/json-glib.h>

/* NULL: null. What is not UTF-8 in it is replaced. */
void json_add_string(JsonBuilder *json, const char *key, const char *value);
void json_add_boolean(JsonBuilder *json, const char *key, bool value);
void json_add_number(JsonBuilder *json, const char *key, int64_t value);
/* JSON's readers have no more than 64 bits with a sign: what is above is INT64_MAX. */
void json_add_count(JsonBuilder *json, const char *key, uint64_t value);
/* json_builder_end_object() ends it. */
void json_begin_object(JsonBuilder *json, const char *key);
/* An array of strings "0x...": JSON's numbers are not exact to 64 bits. */
void json_add_hex_array(JsonBuilder *json, const char *key, const uint64_t *values, size_t n);
