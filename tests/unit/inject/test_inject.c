// SPDX-License-Identifier: MIT
/* Faults on purpose: how they are ordered, that the same order has the same consequences, and how often they come. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "backend/io_engine.h"
#include "inject/inject.h"
#include "vmm/error.h"

#define N_THINGS 20000u

static const struct inject_abilities EVENTS = { .drop = true, .duplicate = true, .delay = true,
						.delay_effect = INJECT_EVENTS_DELAYED };
static const struct inject_abilities REQUESTS = { .fail = true, .fail_effect = INJECT_REQUESTS_FAILED, .delay = true,
						  .delay_effect = INJECT_REQUESTS_DELAYED };

static struct inject_plan *plan_of(const char *const *texts)
{
	struct inject_plan *plan;
	g_autoptr(GError) error = NULL;

	g_assert_true(inject_plan_parse((char **)(uintptr_t)texts, 7, &plan, &error));
	g_assert_no_error(error);
	return plan;
}

#define PLAN(...) plan_of((const char *const[]){ __VA_ARGS__, NULL })

static void test_nothing(void)
{
	struct inject_plan *plan;

	g_assert_true(inject_plan_parse(NULL, 1, &plan, NULL));
	g_assert_null(plan);
	const struct inject_features features = inject_plan_features(NULL);
	g_assert_cmpuint(features.missing | features.queues | features.ring_pages, ==, 0);
	g_assert_null(inject_point_new(NULL, INJECT_EVENT, "x", 0, &EVENTS));
}

static void test_words(void)
{
	struct inject_plan *plan =
		PLAN("event:drop=0.25,duplicate=1,delay=1ms-20ms@0.5,to=guest,ports=all,seed=18446744073709551615,skip=3,count=9",
		     "disk:vdev=xvdb,error=ENOSPC@0.5,op=read+flush", "xenstore:eagain=0.5,delay=2ms", "device:path=vbd/51712,vanish=5s",
		     "balloon:low=64M,high=1G,every=500ms,at=2s,count=3", "time:jump=1h,at=1min",
		     "feature:no-indirect,no-sg,queues=2,ring-pages=4");
	const struct inject_rule *rule = plan->rules;

	g_assert_cmpuint(plan->n_rules, ==, 7);
	g_assert_cmpuint(rule->drop, ==, INJECT_ALWAYS / 4);
	g_assert_cmpuint(rule->duplicate, ==, INJECT_ALWAYS);
	g_assert_cmpuint(rule->delay, ==, INJECT_ALWAYS / 2);
	g_assert_cmpuint(rule->delay_min_us, ==, 1000);
	g_assert_cmpuint(rule->delay_max_us, ==, 20000);
	g_assert_cmpuint(rule->which, ==, INJECT_TO_GUEST);
	g_assert_true(rule->all_ports && rule->has_seed && rule->is_random);
	g_assert_cmpuint(rule->seed, ==, UINT64_MAX);
	g_assert_cmpuint(rule->skip, ==, 3);
	g_assert_cmpuint(rule->count, ==, 9);
	rule++;
	g_assert_cmpuint(rule->target, ==, 51728);
	g_assert_cmpint(rule->error, ==, ENOSPC);
	g_assert_cmpuint(rule->which, ==, 1u << IO_READ | 1u << IO_FLUSH);
	g_assert_cmpuint(rule->seed, ==, 7);
	g_assert_false(rule->has_seed);
	rule++;
	g_assert_cmpint(rule->error, ==, EAGAIN);
	g_assert_cmpuint(rule->delay, ==, INJECT_ALWAYS);
	rule++;
	g_assert_cmpuint(rule->target, ==, 51712);
	g_assert_cmpuint(rule->at_ms, ==, 5000);
	g_assert_false(rule->is_random);
	rule++;
	g_assert_cmpuint(rule->low_bytes, ==, 64 << 20);
	g_assert_cmpuint(rule->every_ms, ==, 500);
	g_assert_true(rule->is_random);
	rule++;
	g_assert_cmpuint(rule->jump_ms, ==, 3600000);
	g_assert_cmpuint(rule->at_ms, ==, 60000);
	const struct inject_features features = inject_plan_features(plan);
	g_assert_cmpuint(features.missing, ==, INJECT_NO_INDIRECT | INJECT_NO_SG);
	g_assert_cmpuint(features.queues, ==, 2);
	g_assert_cmpuint(features.ring_pages, ==, 4);
	inject_plan_free(plan);
}

/* One line, that names what was typed. */
static void test_refused(void)
{
	static const char *const texts[] = {
		"", "event", "events:drop=1", "event:", "event:drop", "event:drop=", "event:drop=1.5", "event:drop=-0", "event:drop=nan",
		"event:drop=0x1", "event:drop=0.5x", "event:drop=0", "event:to=guest", "event:drop=1,to=me", "event:drop=1,ports=1",
		"event:drop=1,seed=-1", "event:drop=1,seed=18446744073709551616", "event:drop=1,count=0", "event:error=EIO",
		"event:delay=5", "event:delay=5ms@2", "event:delay=20ms-1ms", "event:delay=61s", "event:delay=0ms", "event:delay=1ms-",
		"disk:vdev=xvda", "disk:error=5", "disk:error=EIO,op=", "disk:error=EIO,op=eat", "disk:error=EIO,vdev=cdrom", "disk:drop=1",
		"xenstore:", "xenstore:seed=1", "device:path=vbd/1", "device:vanish=1s", "device:path=vkbd/0,vanish=1s",
		"device:path=vbd/x,vanish=1s", "balloon:low=1M,high=2M", "balloon:low=2M,high=1M,at=1s", "balloon:low=1M,at=1s",
		"time:jump=1s", "time:at=1s", "time:jump=-1s,at=1s", "feature:", "feature:no-such", "feature:no-sg=1", "feature:queues",
		"feature:queues=0", "feature:ring-pages=3", "event:drop=1,\n",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		const char *const list[] = { texts[i], NULL };
		g_autoptr(GError) error = NULL;
		struct inject_plan *plan = (void *)1;

		if (inject_plan_parse((char **)(uintptr_t)list, 7, &plan, &error))
			g_error("%s was taken", texts[i]);
		g_assert_null(plan);
		g_assert_error(error, DOM1_ERROR, DOM1_STATUS_USAGE);
		g_assert_true(g_str_has_prefix(error->message, "--inject="));
		g_assert_null(strchr(error->message, '\n'));
	}
}

static struct inject_fate nth(const struct inject_plan *plan, const char *name, unsigned int n)
{
	struct inject_point *point = inject_point_new(plan, INJECT_EVENT, name, 0, &EVENTS);
	struct inject_fate fate = { 0 };

	for (unsigned int i = 0; i <= n; i++)
		fate = inject_point_pass(point, INJECT_TO_GUEST);
	inject_point_free(point);
	return fate;
}

static bool same(const struct inject_fate *a, const struct inject_fate *b)
{
	return a->dropped == b->dropped && a->duplicated == b->duplicated && a->error == b->error && a->delay_us == b->delay_us;
}

/* The same at each point whatever happens at others; something else with another seed, name or place of the rule. */
static void test_deterministic(void)
{
	struct inject_plan *one = PLAN("event:drop=0.3,duplicate=0.3,delay=1ms-9ms@0.5,seed=1");
	struct inject_plan *again = PLAN("event:drop=0.3,duplicate=0.3,delay=1ms-9ms@0.5,seed=1", "disk:error=EIO@0.5");
	struct inject_plan *other = PLAN("event:drop=0.3,duplicate=0.3,delay=1ms-9ms@0.5,seed=2");
	struct inject_plan *second = PLAN("time:jump=1s,at=1s", "event:drop=0.3,duplicate=0.3,delay=1ms-9ms@0.5,seed=1");
	unsigned int differs[3] = { 0 };

	for (unsigned int i = 0; i < 100; i++) {
		const struct inject_fate fate = nth(one, "port 5", i), fates[] = { nth(other, "port 5", i), nth(one, "port 6", i),
										   nth(second, "port 5", i) };
		const struct inject_fate repeated = nth(again, "port 5", i);

		g_assert_true(same(&fate, &repeated));
		for (size_t j = 0; j < G_N_ELEMENTS(differs); j++)
			differs[j] += !same(&fate, &fates[j]);
	}
	for (size_t j = 0; j < G_N_ELEMENTS(differs); j++)
		g_assert_cmpuint(differs[j], >, 20);
	inject_plan_free(one);
	inject_plan_free(again);
	inject_plan_free(other);
	inject_plan_free(second);
}

/* A thing that the rule is not about takes nothing from the stream. */
static void test_others_pass(void)
{
	struct inject_plan *plan = PLAN("disk:error=EIO@0.5,op=read,seed=3");
	struct inject_point *a = inject_point_new(plan, INJECT_DISK, "vbd/1", 1, &REQUESTS);
	struct inject_point *b = inject_point_new(plan, INJECT_DISK, "vbd/1", 1, &REQUESTS);

	for (unsigned int i = 0; i < 200; i++) {
		const struct inject_fate write = inject_point_pass(a, 1u << IO_WRITE);

		g_assert_cmpint(write.error, ==, 0);
		g_assert_cmpint(inject_point_pass(a, 1u << IO_READ).error, ==, inject_point_pass(b, 1u << IO_READ).error);
	}
	inject_point_free(a);
	inject_point_free(b);
	inject_plan_free(plan);
}

static void assert_near(uint64_t n, double rate)
{
	/* Five standard deviations of at most 0.5 * sqrt(N_THINGS). */
	const double expected = rate * N_THINGS, slack = 5 * 0.5 * 142;

	g_assert_cmpfloat((double)n, >, expected - slack);
	g_assert_cmpfloat((double)n, <, expected + slack);
}

static void test_rates_and_counts(void)
{
	_Atomic uint64_t counts[INJECT_N_EFFECTS] = { 0 };
	struct inject_plan *plan = PLAN("event:drop=0.2,duplicate=0.1,delay=2ms-4ms@0.5");
	struct inject_point *point = inject_point_new(plan, INJECT_EVENT, "port 5", 0, &EVENTS);
	uint64_t dropped = 0, duplicated = 0, delayed = 0, delay_us = 0;

	plan->counts = counts;
	for (unsigned int i = 0; i < N_THINGS; i++) {
		const struct inject_fate fate = inject_point_pass(point, INJECT_FROM_GUEST);

		g_assert_false(fate.dropped && (fate.duplicated || fate.delay_us));
		g_assert_true(fate.delay_us == 0 || (fate.delay_us >= 2000 && fate.delay_us <= 4000));
		dropped += fate.dropped;
		duplicated += fate.duplicated;
		delayed += fate.delay_us != 0;
		delay_us += fate.delay_us;
	}
	assert_near(dropped, 0.2);
	assert_near(duplicated, 0.1 * 0.8);
	assert_near(delayed, 0.5 * 0.8);
	assert_near(delay_us / 3000, 0.5 * 0.8);
	g_assert_cmpuint(counts[INJECT_EVENTS_DROPPED], ==, dropped);
	g_assert_cmpuint(counts[INJECT_EVENTS_DUPLICATED], ==, duplicated);
	g_assert_cmpuint(counts[INJECT_EVENTS_DELAYED], ==, delayed);
	g_assert_cmpuint(counts[INJECT_REQUESTS_FAILED], ==, 0);
	inject_point_free(point);
	inject_plan_free(plan);
}

static void test_skip_and_count(void)
{
	struct inject_plan *plan = PLAN("disk:error=EIO,skip=3,count=2");
	struct inject_point *point = inject_point_new(plan, INJECT_DISK, "vbd/1", 1, &REQUESTS);

	for (unsigned int i = 0; i < 10; i++)
		g_assert_cmpint(inject_point_pass(point, 1u << IO_READ).error, ==, i == 3 || i == 4 ? EIO : 0);
	inject_point_free(point);
	inject_plan_free(plan);
}

/* Which places a rule is about; where none is, there is no point. */
static void test_places(void)
{
	struct inject_plan *plan = PLAN("event:drop=1", "disk:vdev=xvdb,error=EIO", "xenstore:eagain=1");
	const struct inject_abilities late_only = { .delay = true };

	g_assert_null(inject_point_new(plan, INJECT_EVENT, "console", 1, &EVENTS));
	g_assert_null(inject_point_new(plan, INJECT_DISK, "vbd/51712", 51712, &REQUESTS));
	g_assert_null(inject_point_new(plan, INJECT_XENSTORE, "answers", 0, &late_only));
	struct inject_point *disk = inject_point_new(plan, INJECT_DISK, "vbd/51728", 51728, &REQUESTS);
	g_assert_nonnull(disk);
	inject_point_free(disk);
	inject_plan_free(plan);
	plan = PLAN("event:drop=1,ports=all");
	struct inject_point *console = inject_point_new(plan, INJECT_EVENT, "console", 1, &EVENTS);
	g_assert_true(inject_point_pass(console, INJECT_TO_GUEST).dropped);
	inject_point_free(console);
	inject_plan_free(plan);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/inject/nothing", test_nothing);
	g_test_add_func("/inject/words", test_words);
	g_test_add_func("/inject/refused", test_refused);
	g_test_add_func("/inject/deterministic", test_deterministic);
	g_test_add_func("/inject/others-pass", test_others_pass);
	g_test_add_func("/inject/rates-and-counts", test_rates_and_counts);
	g_test_add_func("/inject/skip-and-count", test_skip_and_count);
	g_test_add_func("/inject/places", test_places);
	return g_test_run();
}
