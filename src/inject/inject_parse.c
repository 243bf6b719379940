// SPDX-License-Identifier: MIT
#include "inject/inject.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backend/io_engine.h"
#include "config/vm_config.h"
#include "config/xl_cfg.h"
#include "vmm/error.h"
#include "vmm/one_line.h"

#define KIND(kind) (1u << (kind))
#define PASSING    (KIND(INJECT_EVENT) | KIND(INJECT_DISK) | KIND(INJECT_XENSTORE))
#define TIMED      (KIND(INJECT_BALLOON) | KIND(INJECT_TIME))
#define TIME_MAX_MS (UINT64_C(1000) * 3600 * 24 * 366)

static const char *const KIND_NAMES[INJECT_N_KINDS] = {
	[INJECT_EVENT] = "event",     [INJECT_DISK] = "disk", [INJECT_XENSTORE] = "xenstore", [INJECT_DEVICE] = "device",
	[INJECT_BALLOON] = "balloon", [INJECT_TIME] = "time", [INJECT_FEATURE] = "feature",
};

/* NULL, or what the value must be. A flag has no value: NULL. */
typedef const char *(*parse_word)(struct inject_rule *rule, const char *value);

static bool to_number(const char *text, uint64_t low, uint64_t high, uint64_t *number)
{
	guint64 value;

	if (!g_ascii_string_to_unsigned(text, 10, low, high, &value, NULL))
		return false;
	*number = value;
	return true;
}

static bool to_rate(const char *text, uint64_t *rate)
{
	char *end;
	double value = g_ascii_strtod(text, &end);

	/* A digit first: no inf, nan, sign, or hexadecimal number. */
	if (!g_ascii_isdigit(text[0]) || *end != '\0' || g_ascii_tolower(text[1]) == 'x' || !(value >= 0 && value <= 1))
		return false;
	*rate = (uint64_t)(value * (double)INJECT_ALWAYS + 0.5);
	return true;
}

static bool to_time_us(const char *text, uint64_t max_us, uint64_t *us)
{
	static const struct {
		const char *unit;
		uint64_t us;
	} units[] = { { "us", 1 }, { "ms", 1000 }, { "s", 1000000 }, { "min", 60000000 }, { "h", UINT64_C(3600000000) } };
	char *unit;

	if (!g_ascii_isdigit(text[0]))
		return false;
	guint64 number = g_ascii_strtoull(text, &unit, 10);
	for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
		if (strcmp(unit, units[i].unit) == 0 && number <= max_us / units[i].us) {
			*us = number * units[i].us;
			return true;
		}
	return false;
}

static bool to_time_ms(const char *text, uint64_t *ms)
{
	uint64_t us;

	if (!to_time_us(text, TIME_MAX_MS * 1000, &us))
		return false;
	*ms = (us + 999) / 1000;
	return true;
}

/* "VALUE@RATE": cuts the rate off; 1 without one. */
static bool cut_rate(char *text, uint64_t *rate)
{
	char *at = strchr(text, '@');

	*rate = INJECT_ALWAYS;
	if (!at)
		return true;
	*at = '\0';
	return to_rate(at + 1, rate);
}

static const char *parse_seed(struct inject_rule *rule, const char *value)
{
	rule->has_seed = true;
	return to_number(value, 0, UINT64_MAX, &rule->seed) ? NULL : "must be a number of 64 bits";
}

static const char *parse_skip(struct inject_rule *rule, const char *value)
{
	return to_number(value, 0, UINT64_MAX, &rule->skip) ? NULL : "must be a number";
}

static const char *parse_count(struct inject_rule *rule, const char *value)
{
	return to_number(value, 1, UINT64_MAX, &rule->count) ? NULL : "must be a number from 1 on";
}

#define RATE_HINT "must be a rate from 0 to 1, such as 0.01"

static const char *parse_drop(struct inject_rule *rule, const char *value)
{
	return to_rate(value, &rule->drop) ? NULL : RATE_HINT;
}

static const char *parse_duplicate(struct inject_rule *rule, const char *value)
{
	return to_rate(value, &rule->duplicate) ? NULL : RATE_HINT;
}

static const char *parse_eagain(struct inject_rule *rule, const char *value)
{
	rule->error = EAGAIN;
	return to_rate(value, &rule->fail) ? NULL : RATE_HINT;
}

static const char *parse_delay(struct inject_rule *rule, const char *value)
{
	g_autofree char *text = g_strdup(value);
	char *high = NULL;
	bool ok = cut_rate(text, &rule->delay);

	high = strchr(text, '-');
	if (high)
		*high++ = '\0';
	ok = ok && to_time_us(text, INJECT_DELAY_MAX_US, &rule->delay_min_us) &&
	     to_time_us(high ? high : text, INJECT_DELAY_MAX_US, &rule->delay_max_us);
	if (!ok || rule->delay_max_us == 0 || rule->delay_min_us > rule->delay_max_us)
		return "must be a time up to 60s or two, and perhaps a rate: 5ms, 1ms-20ms, 5ms@0.1";
	return NULL;
}

static const char *parse_error(struct inject_rule *rule, const char *value)
{
	static const struct {
		const char *name;
		int error;
	} errors[] = { { "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EOPNOTSUPP", EOPNOTSUPP }, { "ETIMEDOUT", ETIMEDOUT } };
	g_autofree char *text = g_strdup(value);

	if (cut_rate(text, &rule->fail))
		for (size_t i = 0; i < G_N_ELEMENTS(errors); i++)
			if (strcmp(text, errors[i].name) == 0) {
				rule->error = errors[i].error;
				return NULL;
			}
	return "must be EIO, ENOSPC, EOPNOTSUPP or ETIMEDOUT, and perhaps a rate: EIO@0.1";
}

static const char *parse_to(struct inject_rule *rule, const char *value)
{
	if (strcmp(value, "guest") == 0)
		rule->which = INJECT_TO_GUEST;
	else if (strcmp(value, "backend") == 0)
		rule->which = INJECT_FROM_GUEST;
	else if (strcmp(value, "both") != 0)
		return "must be guest, backend or both";
	return NULL;
}

static const char *parse_ports(struct inject_rule *rule, const char *value)
{
	rule->all_ports = strcmp(value, "all") == 0;
	return rule->all_ports || strcmp(value, "devices") == 0 ? NULL : "must be devices or all";
}

static const char *parse_op(struct inject_rule *rule, const char *value)
{
	static const char *const names[] = { [IO_READ] = "read", [IO_WRITE] = "write", [IO_FLUSH] = "flush", [IO_DISCARD] = "discard" };
	g_auto(GStrv) words = g_strsplit(value, "+", -1);

	rule->which = 0;
	for (char **word = words; *word; word++) {
		unsigned int bit = 0;

		for (unsigned int i = 0; i < G_N_ELEMENTS(names); i++)
			if (strcmp(*word, names[i]) == 0)
				bit = 1u << i;
		if (bit == 0)
			return "must be of read, write, flush, discard, with + between";
		rule->which |= bit;
	}
	return rule->which ? NULL : "must be of read, write, flush, discard, with + between";
}

static const char *parse_vdev(struct inject_rule *rule, const char *value)
{
	g_free(rule->target_word);
	rule->target_word = g_strdup(value);
	return xl_disk_vdev_number(value, &rule->target) ? NULL : "must name a disk, such as xvda";
}

static const char *parse_path(struct inject_rule *rule, const char *value)
{
	uint64_t number;

	g_free(rule->target_word);
	rule->target_word = g_strdup(value);
	rule->is_vif = g_str_has_prefix(value, "vif/");
	if ((!rule->is_vif && !g_str_has_prefix(value, "vbd/")) || !to_number(value + 4, 0, UINT32_MAX - 1, &number))
		return "must be vbd/NUMBER or vif/NUMBER, such as vbd/51712";
	rule->target = (uint32_t)number;
	return NULL;
}

#define TIME_HINT "must be a time, such as 500ms, 5s, 2min"

static const char *parse_at(struct inject_rule *rule, const char *value)
{
	return to_time_ms(value, &rule->at_ms) ? NULL : TIME_HINT;
}

static const char *parse_every(struct inject_rule *rule, const char *value)
{
	return to_time_ms(value, &rule->every_ms) && rule->every_ms > 0 ? NULL : TIME_HINT;
}

static const char *parse_jump(struct inject_rule *rule, const char *value)
{
	return to_time_ms(value, &rule->jump_ms) && rule->jump_ms > 0 ? NULL : TIME_HINT;
}

static const char *parse_low(struct inject_rule *rule, const char *value)
{
	return vm_config_parse_size(value, &rule->low_bytes) && rule->low_bytes ? NULL : "must be a size, such as 128M";
}

static const char *parse_high(struct inject_rule *rule, const char *value)
{
	return vm_config_parse_size(value, &rule->high_bytes) && rule->high_bytes ? NULL : "must be a size, such as 256M";
}

static const char *parse_queues(struct inject_rule *rule, const char *value)
{
	uint64_t number;

	if (!to_number(value, 1, 64, &number))
		return "must be a number from 1 to 64";
	rule->queues = (unsigned int)number;
	return NULL;
}

static const char *parse_ring_pages(struct inject_rule *rule, const char *value)
{
	uint64_t number;

	if (!to_number(value, 1, 64, &number) || (number & (number - 1)) != 0)
		return "must be 1, 2, 4, 8 or more of the powers of two";
	rule->ring_pages = (unsigned int)number;
	return NULL;
}

static const struct {
	const char *name;
	unsigned int kinds;
	parse_word parse;     /* NULL: a flag, which is */
	unsigned int feature; /* this */
} WORDS[] = {
	{ "seed", PASSING | TIMED, parse_seed, 0 },
	{ "skip", PASSING, parse_skip, 0 },
	{ "count", PASSING | TIMED, parse_count, 0 },
	{ "drop", KIND(INJECT_EVENT), parse_drop, 0 },
	{ "duplicate", KIND(INJECT_EVENT), parse_duplicate, 0 },
	{ "delay", PASSING, parse_delay, 0 },
	{ "to", KIND(INJECT_EVENT), parse_to, 0 },
	{ "ports", KIND(INJECT_EVENT), parse_ports, 0 },
	{ "error", KIND(INJECT_DISK), parse_error, 0 },
	{ "op", KIND(INJECT_DISK), parse_op, 0 },
	{ "vdev", KIND(INJECT_DISK), parse_vdev, 0 },
	{ "eagain", KIND(INJECT_XENSTORE), parse_eagain, 0 },
	{ "path", KIND(INJECT_DEVICE), parse_path, 0 },
	{ "vanish", KIND(INJECT_DEVICE), parse_at, 0 },
	{ "low", KIND(INJECT_BALLOON), parse_low, 0 },
	{ "high", KIND(INJECT_BALLOON), parse_high, 0 },
	{ "jump", KIND(INJECT_TIME), parse_jump, 0 },
	{ "at", TIMED, parse_at, 0 },
	{ "every", TIMED, parse_every, 0 },
	{ "queues", KIND(INJECT_FEATURE), parse_queues, 0 },
	{ "ring-pages", KIND(INJECT_FEATURE), parse_ring_pages, 0 },
	{ "no-indirect", KIND(INJECT_FEATURE), NULL, INJECT_NO_INDIRECT },
	{ "no-flush", KIND(INJECT_FEATURE), NULL, INJECT_NO_FLUSH },
	{ "no-discard", KIND(INJECT_FEATURE), NULL, INJECT_NO_DISCARD },
	{ "no-sg", KIND(INJECT_FEATURE), NULL, INJECT_NO_SG },
	{ "no-gso", KIND(INJECT_FEATURE), NULL, INJECT_NO_GSO },
	{ "no-csum", KIND(INJECT_FEATURE), NULL, INJECT_NO_CSUM },
	{ "no-split", KIND(INJECT_FEATURE), NULL, INJECT_NO_SPLIT },
};

static gboolean refuse(const struct inject_rule *rule, GError **error, const char *word, const char *why)
{
	g_autofree char *message = g_strdup_printf("--inject=%s: %s%s%s", rule->text, word, word[0] ? ": " : "", why);
	/* What was typed is quoted in it. */
	g_autofree char *line = one_line(message);

	g_set_error_literal(error, DOM1_ERROR, DOM1_STATUS_USAGE, line);
	return FALSE;
}

/* word: "NAME" or "NAME=VALUE". */
static gboolean take_word(struct inject_rule *rule, const char *word, GError **error)
{
	const size_t name_bytes = strcspn(word, "=");
	const char *value = word[name_bytes] ? word + name_bytes + 1 : NULL;
	const char *why;

	for (size_t i = 0; i < G_N_ELEMENTS(WORDS); i++) {
		if (strlen(WORDS[i].name) != name_bytes || strncmp(WORDS[i].name, word, name_bytes) != 0 ||
		    !(WORDS[i].kinds & KIND(rule->kind)))
			continue;
		if (!WORDS[i].parse && !value) {
			rule->features |= WORDS[i].feature;
			return TRUE;
		}
		if (!WORDS[i].parse || !value)
			return refuse(rule, error, WORDS[i].name, value ? "takes no value" : "a value is missing");
		why = WORDS[i].parse(rule, value);
		return !why || refuse(rule, error, word, why);
	}
	g_autofree char *unknown = g_strdup_printf("there is no such word for %s; docs/inject.md and dom1(1) have them", KIND_NAMES[rule->kind]);
	return refuse(rule, error, word, unknown);
}

/* What a rule of its kind cannot be without. NULL: it is whole. */
static const char *missing_word(const struct inject_rule *rule)
{
	switch (rule->kind) {
	case INJECT_EVENT:
		return rule->drop || rule->duplicate || rule->delay ? NULL : "drop=RATE, duplicate=RATE or delay=TIME is missing";
	case INJECT_DISK:
		return rule->fail || rule->delay ? NULL : "error=ERRNO or delay=TIME is missing";
	case INJECT_XENSTORE:
		return rule->fail || rule->delay ? NULL : "eagain=RATE or delay=TIME is missing";
	case INJECT_DEVICE:
		return rule->target_word && rule->at_ms ? NULL : "path=vbd/NUMBER or path=vif/NUMBER, and vanish=TIME, are needed";
	case INJECT_BALLOON:
		if (!rule->low_bytes || !rule->high_bytes || !(rule->at_ms || rule->every_ms))
			return "low=SIZE, high=SIZE, and at=TIME or every=TIME are needed";
		return rule->low_bytes <= rule->high_bytes ? NULL : "low is more than high";
	case INJECT_TIME:
		return rule->jump_ms && (rule->at_ms || rule->every_ms) ? NULL : "jump=TIME, and at=TIME or every=TIME, are needed";
	default:
		return rule->features || rule->queues || rule->ring_pages ? NULL : "a feature is missing, such as no-indirect";
	}
}

static bool is_certain(uint64_t rate)
{
	return rate == 0 || rate == INJECT_ALWAYS;
}

static bool is_random(const struct inject_rule *rule)
{
	if (rule->kind == INJECT_BALLOON)
		return rule->low_bytes != rule->high_bytes;
	return !is_certain(rule->drop) || !is_certain(rule->duplicate) || !is_certain(rule->fail) || !is_certain(rule->delay) ||
	       rule->delay_min_us != rule->delay_max_us;
}

/* rule->text is set. */
static gboolean parse_rule(struct inject_rule *rule, GError **error)
{
	const size_t kind_bytes = strcspn(rule->text, ":");
	unsigned int kind = 0;

	while (kind < INJECT_N_KINDS &&
	       (strlen(KIND_NAMES[kind]) != kind_bytes || strncmp(KIND_NAMES[kind], rule->text, kind_bytes) != 0))
		kind++;
	if (kind == INJECT_N_KINDS || rule->text[kind_bytes] == '\0')
		return refuse(rule, error, "", "must begin with event:, disk:, xenstore:, device:, balloon:, time: or feature:");
	rule->kind = kind;
	rule->which = UINT32_MAX;
	rule->target = INJECT_ANY_TARGET;
	g_auto(GStrv) words = g_strsplit(rule->text + kind_bytes + 1, ",", -1);
	for (char **word = words; *word; word++)
		if (!take_word(rule, *word, error))
			return FALSE;
	const char *missing = missing_word(rule);
	if (missing)
		return refuse(rule, error, "", missing);
	rule->is_random = is_random(rule);
	return TRUE;
}

gboolean inject_plan_parse(char **texts, uint64_t default_seed, struct inject_plan **plan, GError **error)
{
	const guint n = texts ? g_strv_length(texts) : 0;
	struct inject_plan *fresh;

	*plan = NULL;
	if (n == 0)
		return TRUE;
	fresh = g_new0(struct inject_plan, 1);
	fresh->rules = g_new0(struct inject_rule, n);
	for (guint i = 0; i < n; i++) {
		struct inject_rule *rule = &fresh->rules[fresh->n_rules++];

		rule->text = g_strdup(texts[i]);
		rule->seed = default_seed;
		if (!parse_rule(rule, error)) {
			inject_plan_free(fresh);
			return FALSE;
		}
	}
	*plan = fresh;
	return TRUE;
}

void inject_plan_free(struct inject_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->n_rules; i++) {
		g_free(plan->rules[i].text);
		g_free(plan->rules[i].target_word);
	}
	g_free(plan->rules);
	g_free(plan);
}
