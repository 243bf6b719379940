/* SPDX-License-Identifier: MIT */
/*
 * Members of a JSON object that is built with jansson, a line each. Nothing is refused, so nothing is left out: memory is
 * there (main.c), and a string of any bytes is made valid.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>
#include <jansson.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_t, json_decref)

/* What is not UTF-8 in it is replaced, for jansson takes no other; NULL: null. */
json_t *json_any_string(const char *text);

void json_add_string(json_t *object, const char *key, const char *value);
void json_add_boolean(json_t *object, const char *key, bool value);
void json_add_number(json_t *object, const char *key, int64_t value);
/* JSON's readers have no more than 64 bits with a sign: what is above is INT64_MAX. */
void json_add_count(json_t *object, const char *key, uint64_t value);
/* A string "0x...": JSON's numbers are not exact to 64 bits. */
void json_add_hex(json_t *object, const char *key, uint64_t value);
void json_add_hex_array(json_t *object, const char *key, const uint64_t *values, size_t n);

/* Empty, to be filled; what they return is borrowed from the one that it was added to. */
json_t *json_add_object(json_t *object, const char *key);
json_t *json_add_array(json_t *object, const char *key);
json_t *json_append_object(json_t *array);
