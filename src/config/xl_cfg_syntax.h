// SPDX-License-Identifier: MIT
/*
 * The text of an xl.cfg as settings: keys with values, before the keys mean anything. Only xl_cfg.c needs this.
 */
#pragma once

#include <stddef.h>

#include <glib.h>

#include "config/guest_config.h"

enum xl_value_kind { XL_STRING, XL_NUMBER, XL_LIST };

struct xl_value {
	enum xl_value_kind kind;
	struct config_origin origin;
	GString *text;    /* of a string without its quotes, of a number as it was spelled; never holds a NUL */
	GPtrArray *items; /* of a list, of struct xl_value *; lists may hold lists */
};

struct xl_setting {
	char *key;
	struct config_origin origin; /* of the key */
	struct xl_value *value;
};

/*
 * Settings in the order of the file, each key once: the last assignment counts, with a warning, and += adds to what
 * is there. Of struct xl_setting *, freed with the array. file is borrowed for as long as the settings live. NULL
 * and DOM1_STATUS_FILE.
 */
GPtrArray *xl_syntax_read(const char *text, size_t len_bytes, const char *file, GPtrArray *warnings, GError **error);
