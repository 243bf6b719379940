// SPDX-License-Identifier: MIT
/* The generator is SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014. */
#include "inject/inject.h"

#include <stdatomic.h>

#define GOLDEN_GAMMA UINT64_C(0x9e3779b97f4a7c15)

/* Of one rule, at one point. */
struct applied_rule {
	const struct inject_rule *rule;
	struct inject_stream stream;
	uint64_t n_passed, n_touched;
};

struct inject_point {
	const struct inject_plan *plan;
	struct inject_abilities abilities;
	size_t n_applied;
	struct applied_rule applied[];
};

const char *const INJECT_EFFECT_NAMES[INJECT_N_EFFECTS] = {
	[INJECT_EVENTS_DROPPED] = "events_dropped",
	[INJECT_EVENTS_DUPLICATED] = "events_duplicated",
	[INJECT_EVENTS_DELAYED] = "events_delayed",
	[INJECT_REQUESTS_FAILED] = "requests_failed",
	[INJECT_REQUESTS_DELAYED] = "requests_delayed",
	[INJECT_COMMITS_REFUSED] = "commits_refused",
	[INJECT_ANSWERS_DELAYED] = "answers_delayed",
	[INJECT_DEVICES_VANISHED] = "devices_vanished",
	[INJECT_BALLOON_MOVES] = "balloon_moves",
	[INJECT_TIME_JUMPS] = "time_jumps",
};

uint64_t inject_stream_next(struct inject_stream *stream)
{
	uint64_t z = stream->state += GOLDEN_GAMMA;

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t inject_stream_between(struct inject_stream *stream, uint64_t low, uint64_t high)
{
	const uint64_t draw = inject_stream_next(stream), n = high - low + 1;

	/* The bias is n / 2^64. */
	return n == 0 ? draw : low + draw % n;
}

struct inject_stream inject_stream_of(const struct inject_plan *plan, const struct inject_rule *rule, const char *name)
{
	struct inject_stream stream = { rule->seed };
	uint64_t place = (uint64_t)(rule - plan->rules) + 1;

	stream.state = inject_stream_next(&stream) + place;
	for (const char *c = name; *c; c++)
		stream.state = inject_stream_next(&stream) + (unsigned char)*c;
	(void)inject_stream_next(&stream);
	return stream;
}

void inject_count(const struct inject_plan *plan, enum inject_effect effect)
{
	if (plan->counts)
		atomic_fetch_add_explicit(&plan->counts[effect], 1, memory_order_relaxed);
}

static bool is_about(const struct inject_rule *rule, enum inject_kind kind, uint32_t target,
		     const struct inject_abilities *abilities)
{
	if (rule->kind != kind)
		return false;
	if (kind == INJECT_EVENT && target != 0 && !rule->all_ports)
		return false;
	if (kind == INJECT_DISK && rule->target != INJECT_ANY_TARGET && rule->target != target)
		return false;
	return (abilities->drop && rule->drop) || (abilities->duplicate && rule->duplicate) ||
	       (abilities->fail && rule->fail) || (abilities->delay && rule->delay);
}

struct inject_point *inject_point_new(const struct inject_plan *plan, enum inject_kind kind, const char *name,
				      uint32_t target, const struct inject_abilities *abilities)
{
	const size_t n_rules = plan ? plan->n_rules : 0;
	struct inject_point *point = g_malloc0(sizeof(*point) + n_rules * sizeof(point->applied[0]));

	point->plan = plan;
	point->abilities = *abilities;
	for (size_t i = 0; i < n_rules; i++) {
		const struct inject_rule *rule = &plan->rules[i];

		if (is_about(rule, kind, target, abilities))
			point->applied[point->n_applied++] = (struct applied_rule){ rule, inject_stream_of(plan, rule, name), 0, 0 };
	}
	if (point->n_applied == 0)
		g_clear_pointer(&point, g_free);
	return point;
}

void inject_point_free(struct inject_point *point)
{
	g_free(point);
}

static bool happens(struct inject_stream *stream, uint64_t rate)
{
	return (inject_stream_next(stream) >> 32) < rate;
}

/* Every number is drawn, needed or not: what becomes of one thing does not move the fate of the next. */
static struct inject_fate draw(struct applied_rule *applied, const struct inject_abilities *abilities)
{
	const struct inject_rule *rule = applied->rule;
	const bool drop = happens(&applied->stream, rule->drop), duplicate = happens(&applied->stream, rule->duplicate);
	const bool fail = happens(&applied->stream, rule->fail), late = happens(&applied->stream, rule->delay);
	const uint64_t delay_us = inject_stream_between(&applied->stream, rule->delay_min_us, rule->delay_max_us);
	struct inject_fate fate = {
		.dropped = abilities->drop && drop,
		.duplicated = abilities->duplicate && duplicate,
		.error = abilities->fail && fail ? rule->error : 0,
		.delay_us = abilities->delay && late ? delay_us : 0,
	};

	if (fate.dropped)
		fate = (struct inject_fate){ .dropped = true };
	return fate;
}

static bool is_touched(const struct inject_fate *fate)
{
	return fate->dropped || fate->duplicated || fate->error || fate->delay_us;
}

static struct inject_fate pass_rule(struct applied_rule *applied, const struct inject_abilities *abilities)
{
	struct inject_fate fate = draw(applied, abilities);

	if (applied->n_passed++ < applied->rule->skip || (applied->rule->count && applied->n_touched >= applied->rule->count))
		return (struct inject_fate){ 0 };
	applied->n_touched += is_touched(&fate);
	return fate;
}

static void count_fate(const struct inject_point *point, const struct inject_fate *fate)
{
	if (fate->dropped)
		inject_count(point->plan, INJECT_EVENTS_DROPPED);
	if (fate->duplicated)
		inject_count(point->plan, INJECT_EVENTS_DUPLICATED);
	if (fate->error)
		inject_count(point->plan, point->abilities.fail_effect);
	if (fate->delay_us)
		inject_count(point->plan, point->abilities.delay_effect);
}

struct inject_fate inject_point_pass(struct inject_point *point, unsigned int which)
{
	struct inject_fate all = { 0 };

	for (size_t i = 0; i < point->n_applied; i++) {
		struct applied_rule *applied = &point->applied[i];

		if ((applied->rule->which & which) == 0)
			continue;
		const struct inject_fate fate = pass_rule(applied, &point->abilities);
		all.dropped |= fate.dropped;
		all.duplicated |= fate.duplicated;
		all.error = all.error ? all.error : fate.error;
		all.delay_us += fate.delay_us;
	}
	if (all.dropped)
		all = (struct inject_fate){ .dropped = true };
	count_fate(point, &all);
	return all;
}

struct inject_features inject_plan_features(const struct inject_plan *plan)
{
	struct inject_features features = { 0 };

	for (size_t i = 0; plan && i < plan->n_rules; i++) {
		const struct inject_rule *rule = &plan->rules[i];

		features.missing |= rule->features;
		if (rule->queues)
			features.queues = features.queues ? MIN(features.queues, rule->queues) : rule->queues;
		if (rule->ring_pages)
			features.ring_pages = features.ring_pages ? MIN(features.ring_pages, rule->ring_pages) : rule->ring_pages;
	}
	return features;
}
