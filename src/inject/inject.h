// SPDX-License-Identifier: MIT
/*
 * Faults for a guest, as a person orders them by --inject, and when they happen. A pure core: the places where events,
 * requests and answers pass ask it, and do what it says. docs/inject.md has the words.
 *
 * A plan is what was ordered: rules. A point is a place where things pass one after the other, with a stream of random
 * numbers for each rule that is about it. A stream depends on the rule's seed, the rule's place among the rules, and the
 * point's name; each thing that passes takes the same number of them. So the n-th thing at a point has the same fate in
 * every run with these rules, whatever happens elsewhere and in whichever order threads run.
 *
 * Thread: a point belongs to the thread whose things pass there. The counters are for any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>

enum inject_kind {
	INJECT_EVENT,
	INJECT_DISK,
	INJECT_XENSTORE,
	INJECT_DEVICE,
	INJECT_BALLOON,
	INJECT_TIME,
	INJECT_FEATURE,
	INJECT_N_KINDS,
};

/* What was done to the guest, as counted. INJECT_EFFECT_NAMES has the report's words. */
enum inject_effect {
	INJECT_EVENTS_DROPPED,
	INJECT_EVENTS_DUPLICATED,
	INJECT_EVENTS_DELAYED,
	INJECT_REQUESTS_FAILED,
	INJECT_REQUESTS_DELAYED,
	INJECT_COMMITS_REFUSED,
	INJECT_ANSWERS_DELAYED,
	INJECT_DEVICES_VANISHED,
	INJECT_BALLOON_MOVES,
	INJECT_TIME_JUMPS,
	INJECT_N_EFFECTS,
};
extern const char *const INJECT_EFFECT_NAMES[INJECT_N_EFFECTS];

#define INJECT_ALWAYS       (UINT64_C(1) << 32) /* a rate of 1: rates are parts of 2^32 */
#define INJECT_ANY_TARGET   UINT32_MAX
#define INJECT_DELAY_MAX_US (60 * UINT64_C(1000000))

/* Of a rule's "which": kinds of things at a point that it is about. */
#define INJECT_TO_GUEST   1u
#define INJECT_FROM_GUEST 2u
/* Of disks: 1u << enum io_kind. */

/* What is not offered to the guest, though dom1 can do it. */
enum inject_feature {
	INJECT_NO_INDIRECT = 1,
	INJECT_NO_FLUSH = 2,
	INJECT_NO_DISCARD = 4,
	INJECT_NO_SG = 8,
	INJECT_NO_GSO = 16,
	INJECT_NO_CSUM = 32,
	INJECT_NO_SPLIT = 64,
};

struct inject_rule {
	char *text;   /* as it was given */
	enum inject_kind kind;
	uint64_t seed;
	bool is_random;  /* the seed matters to it */
	bool has_seed;   /* it was given */
	uint64_t skip;   /* so many pass untouched before anything happens */
	uint64_t count;  /* and then at most so many are touched; 0: no limit */
	unsigned int which;
	/* Rates. */
	uint64_t drop, duplicate, fail, delay;
	uint64_t delay_min_us, delay_max_us;
	int error;           /* errno of what fails */
	bool all_ports;      /* of events: those of console and xenstore too */
	char *target_word;   /* of a disk: its vdev; of a device: its path; NULL: all */
	uint32_t target;     /* the number in it, or INJECT_ANY_TARGET */
	bool is_vif;         /* of a device */
	uint64_t at_ms, every_ms; /* from the domain's start; every 0: once */
	uint64_t low_bytes, high_bytes; /* of the balloon's targets */
	uint64_t jump_ms;
	unsigned int features; /* of enum inject_feature */
	unsigned int queues, ring_pages; /* at most; 0: not said */
};

struct inject_plan {
	struct inject_rule *rules;
	size_t n_rules;
	_Atomic uint64_t *counts; /* INJECT_N_EFFECTS of them, where the machine keeps them; NULL: nobody counts. Borrowed */
};

/*
 * texts: one for each rule, ended by NULL; it may be NULL. *plan is NULL when there is none. default_seed is that of rules
 * that name none. FALSE and DOM1_STATUS_USAGE.
 */
gboolean inject_plan_parse(char **texts, uint64_t default_seed, struct inject_plan **plan, GError **error);
void inject_plan_free(struct inject_plan *plan); /* NULL is fine */

void inject_count(const struct inject_plan *plan, enum inject_effect effect);

/* What the rules about features come to: the union of what is missing, the least of the limits (0: none). */
struct inject_features {
	unsigned int missing; /* of enum inject_feature */
	unsigned int queues, ring_pages;
};
struct inject_features inject_plan_features(const struct inject_plan *plan); /* of NULL: nothing is missing */

/* A generator of its own, for what draws by itself (the balloon's targets). */
struct inject_stream {
	uint64_t state;
};
struct inject_stream inject_stream_of(const struct inject_plan *plan, const struct inject_rule *rule, const char *name);
uint64_t inject_stream_next(struct inject_stream *stream);
/* From low to high, both included. */
uint64_t inject_stream_between(struct inject_stream *stream, uint64_t low, uint64_t high);

struct inject_fate {
	bool dropped;      /* then nothing else is true */
	bool duplicated;
	int error;         /* errno, or 0 */
	uint64_t delay_us; /* 0: at once */
};

struct inject_point;

/* What a point can do to the things that pass there; what a rule wants besides is not drawn for it. */
struct inject_abilities {
	bool drop, duplicate, fail, delay;
	/* Under which names these are counted. */
	enum inject_effect fail_effect, delay_effect;
};

/*
 * NULL: no rule is about it, and it costs nothing. name: tells it from all other points. target: of a disk its number;
 * of an event channel 0, or 1 for one of console or xenstore.
 */
struct inject_point *inject_point_new(const struct inject_plan *plan, enum inject_kind kind, const char *name,
				      uint32_t target, const struct inject_abilities *abilities);
void inject_point_free(struct inject_point *point); /* NULL is fine */

/* The next thing passes; which: one bit. What is decided is counted. */
struct inject_fate inject_point_pass(struct inject_point *point, unsigned int which);
