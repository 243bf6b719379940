// SPDX-License-Identifier: MIT
/*
 * Lenders that send anything, for libFuzzer: the input is what two of them send and how much they read, which descriptors
 * come with it, when vCPUs touch which pages, and when the memory thread has its turns.
 *
 * Whatever comes, nothing may crash or read beyond (the sanitizers); afterwards both are dead within so many steps, no
 * window is theirs or shows a page of a file, no vCPU waits, and every descriptor is closed.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "input.h"
#include "lend/fake_mapper.h"
#include "lend/session.h"

#define N_LENDERS    2u
#define WINDOW_PAGES 64u
#define STEP_PAGES   20u
#define STEPS_MAX    1000u

struct target {
	struct space space;
	struct fake_mapper fake;
	struct session lenders[N_LENDERS];
	struct lent_files files;
};

static void on_need(void *opaque, unsigned int lender, const struct space_need *need)
{
	struct target *target = opaque;

	session_need(&target->lenders[lender - 1], need);
}

static void on_widened(void *opaque, unsigned int lender, unsigned int window, uint64_t seq)
{
	struct target *target = opaque;

	session_widened(&target->lenders[lender - 1], window, seq);
}

static void on_answer(void *opaque, unsigned int vcpu, enum space_answer answer, const struct space_report *report)
{
	(void)opaque, (void)vcpu, (void)answer, (void)report;
}

static void on_stop(void *opaque, unsigned int window, size_t page)
{
	(void)opaque, (void)window, (void)page;
}

static const struct space_events EVENTS = { .need = on_need, .widened = on_widened, .answer = on_answer, .stop = on_stop };

static void set_up(struct target *target)
{
	target->fake.n_windows = 2;
	target->fake.max_mappings = 100;
	space_init(&target->space, 2, 90, &FAKE_MAPPER, &target->fake, &EVENTS, target);
	target->space.can_fault = true;
	for (unsigned int i = 0; i < 2; i++) {
		target->fake.n_pages[i] = WINDOW_PAGES;
		g_assert_true(space_add_window(&target->space, 0x10000000u * (i + 1), WINDOW_PAGES, LEND_ACTION_ZERO));
	}
	for (unsigned int i = 0; i < N_LENDERS; i++)
		session_init(&target->lenders[i], &target->space, i + 1, &target->files, -1);
}

/* Small numbers and whole pages are what gets on. */
static uint64_t next_word(struct input *input)
{
	const uint8_t kind = next(input), value = next(input);

	if (kind < 80)
		return value;
	if (kind < 160)
		return value % (WINDOW_PAGES + 2) * UINT64_C(4096);
	if (kind < 240)
		return value % 4 | (uint64_t)(kind % 4) << 32;
	return (uint64_t)next32(input) << 32 | next32(input);
}

/* A header that is mostly good, since else the door is all that is tried; what follows is the input's. */
static size_t put_message(struct input *input, uint8_t *bytes)
{
	static const struct lend_header shapes[] = {
		{ LEND_HELLO, 1, 16 },	{ LEND_CLAIM, 1, 16 },	{ LEND_RELEASE, 1, 8 }, { LEND_LEND, 1, 48 }, { LEND_REVOKE, 1, 24 },
		{ LEND_REVOKE, 1, 40 }, { LEND_SUPPLY, 1, 48 }, { LEND_FAIL, 1, 16 },	{ LEND_QUERY, 1, 8 }, { LEND_REVOKE_BEGIN, 1, 24 },
		{ LEND_REVOKE_END, 9, 8 },
	};
	const uint8_t which = next(input);
	struct lend_header header = shapes[which % G_N_ELEMENTS(shapes)];
	uint64_t words[6] = { 0 };

	if (which > 250)
		header = (struct lend_header){ next32(input), next32(input), next32(input) };
	for (unsigned int i = 0; i < header.len_bytes / sizeof(words[0]) && i < G_N_ELEMENTS(words); i++)
		words[i] = next_word(input);
	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), words, sizeof(words));
	return sizeof(header) + MIN(header.len_bytes, sizeof(words));
}

static void lender_sends(struct target *target, struct input *input)
{
	const uint8_t how = next(input);
	struct session *session = &target->lenders[how % N_LENDERS];
	uint8_t bytes[sizeof(struct lend_header) + 48];
	const size_t len_bytes = put_message(input, bytes);
	int fd = how & 2 ? memfd_create("fuzz", MFD_CLOEXEC) : -1;
	size_t at = 0;

	while (at < len_bytes && session_wants(session) > 0) {
		const size_t most = how & 4 ? 1u + next(input) % 16 : len_bytes;
		const size_t n = MIN(MIN(session_wants(session), most), len_bytes - at);

		memcpy(session->in + session->in_bytes, bytes + at, n);
		session_received(session, n, fd);
		fd = -1;
		at += n;
	}
	if (fd >= 0)
		close(fd);
}

static void vcpu_touches(struct target *target, struct input *input)
{
	const uint8_t how = next(input);
	const unsigned int vcpu = how & 1;
	const struct space_report report = {
		.access = (enum space_access)(how >> 1 & 3),
		.window = how >> 3 & 1,
		.page = next(input) % WINDOW_PAGES,
		.len_bytes = 8,
		.no_fault = (how & 16) != 0,
	};

	if (target->space.vcpus[vcpu].state != SPACE_VCPU_RUNS)
		return;
	if (!space_report_absent(&target->space, vcpu, &report))
		space_report(&target->space, vcpu, &report);
}

static void turn(struct target *target)
{
	for (unsigned int i = 0; i < N_LENDERS; i++)
		(void)session_work(&target->lenders[i], STEP_PAGES);
	(void)space_work(&target->space, STEP_PAGES);
	(void)space_expire(&target->space);
}

static void one_step(struct target *target, struct input *input)
{
	struct session *session;
	uint32_t n;

	switch (next(input) % 8) {
	case 0:
	case 1:
	case 2:
		lender_sends(target, input);
		break;
	case 3:
	case 4:
		vcpu_touches(target, input);
		break;
	case 5:
		session = &target->lenders[next(input) % N_LENDERS];
		n = next32(input) % 4096;
		session_sent(session, MIN(session->out_bytes, n));
		break;
	case 6:
		target->space.now_ns += next(input) * UINT64_C(10000000);
		break;
	default:
		turn(target);
	}
}

static void check_end(struct target *target)
{
	for (unsigned int i = 0; i < N_LENDERS; i++) {
		session_kill(&target->lenders[i]);
		for (unsigned int steps = 0; target->lenders[i].job != SESSION_DEAD; steps++) {
			g_assert_cmpuint(steps, <, STEPS_MAX);
			(void)session_work(&target->lenders[i], STEP_PAGES);
		}
	}
	for (unsigned int steps = 0; space_work(&target->space, STEP_PAGES); steps++)
		g_assert_cmpuint(steps, <, STEPS_MAX);
	for (unsigned int i = 0; i < 2; i++) {
		g_assert_cmpuint(target->space.windows[i].lender, ==, SPACE_NO_LENDER);
		g_assert_cmpuint(target->space.windows[i].holds, ==, 0);
		g_assert_cmpint(target->space.vcpus[i].state, ==, SPACE_VCPU_RUNS);
		for (size_t page = 0; page < WINDOW_PAGES; page++)
			g_assert_true(target->fake.pages[i][page].kind != FAKE_FILE || !target->fake.pages[i][page].rights);
	}
}

/* The same again when all that was opened meanwhile is closed. */
static int lowest_free_fd(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len_bytes)
{
	struct input input = { bytes, bytes + len_bytes };
	struct target *target = g_new0(struct target, 1);
	const int before_fd = lowest_free_fd();

	set_up(target);
	while (input.at < input.end)
		one_step(target, &input);
	check_end(target);
	space_fini(&target->space);
	g_free(target);
	g_assert_cmpint(lowest_free_fd(), ==, before_fd);
	return 0;
}
