// SPDX-License-Identifier: MIT
/* The rules of lending, one after the other; numbers are those of docs/lending.md. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lend-check.h"

#define WALK_GPA   0x3000000u
#define PTE        0x67u
#define WALK_VALUE 0x77616c6b00000000u

/* R1, R14, R6, R11, R13 for one access: revoked, touched, asked for, supplied from elsewhere, right. */
static void one_access(struct check *check, unsigned int vcpu, const char *name, enum lend_task task, uint64_t page, uint64_t a,
		       uint64_t b, uint64_t c, uint64_t expected)
{
	/* The page is at file page 1000 + page and its copy at 2000 + page; 1000 is spoilt when it is revoked. */
	lend_pages(check, page, 1, 1000 + page);
	memcpy(PAGE(check, 2000 + page), PAGE(check, 1000 + page), LEND_PAGE_BYTES);
	revoke_pages(check, page, 1);
	memset(PAGE(check, 1000 + page), 0xee, LEND_PAGE_BYTES);
	task_begin(check, vcpu, task, a, b, c, 0);
	struct lend_fault fault = FAULT(page);
	EXPECT("it waits", task_done(check, vcpu, 5), false);
	EXPECT("one vCPU is named", fault.vcpus, 1u << vcpu);
	supply(check, &fault, 2000 + page);
	check_equal(check, name, task_end(check, vcpu), expected, __LINE__);
	for (size_t i = 0; i < LEND_PAGE_BYTES / 8; i++)
		if (PAGE(check, 1000 + page)[i] != 0xeeeeeeeeeeeeeeee)
			check_fatal("%s: the page was written to after it was revoked", name);
	revoke_pages(check, page, 1);
}

static void all_accesses(struct check *check)
{
	/* mov $42, %eax; ret */
	static const uint8_t code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	uint64_t page = 0;

#define AT(number) PAGE(check, 1000 + (number))
	AT(page)[1] = 77;
	one_access(check, 0, "read", TASK_READ, page, GPA(page, 8), 0, 0, 77);
	page++;
	one_access(check, 0, "write", TASK_WRITE, page, GPA(page, 16), 1234, 0, 0);
	EXPECT("it was written", PAGE(check, 2000 + page)[2], 1234);
	page++;
	AT(page)[3] = 5;
	one_access(check, 0, "locked add", TASK_ADD, page, GPA(page, 24), 7, 0, 5);
	EXPECT("it was added once", PAGE(check, 2000 + page)[3], 12);
	page++;
	AT(page)[0] = 0xf0;
	AT(page)[1] = 0x0f;
	one_access(check, 0, "16 bytes", TASK_READ_WIDE, page, GPA(page, 0), 0, 0, 0xff);
	page++;
	memcpy(AT(page), code, sizeof(code));
	one_access(check, 0, "instructions", TASK_CALL, page, GPA(page, 0), 0, 0, 42);
	page++;
	AT(page)[9] = WALK_GPA | PTE;
	one_access(check, 0, "page table", TASK_WALK, page, GPA(page, 0), 9, 0, WALK_VALUE);
	page++;
	one_access(check, 0, "stack", TASK_PUSH, page, GPA(page, 4096), 99, 0, 99);
	EXPECT("it was pushed", PAGE(check, 2000 + page)[511], 99);
	page++;
	one_access(check, 0, "stack of an interrupt", TASK_INTERRUPT, page, GPA(page, 4096), 0, 0, 1);
	page++;
	one_access(check, 1, "the other vCPU", TASK_ADD, page, GPA(page, 0), 1, 0, 0);
	page++;
	/* R26: instructions that the kernel emulates. */
	one_access(check, 0, "ins", TASK_IN, page, GPA(page, 100), 20, 0, 0);
	EXPECT("the port was read to it", PAGE(check, 2000 + page)[13], 0xffffffffffffffff);
	page++;
	one_access(check, 0, "outs", TASK_OUT, page, GPA(page, 100), 3, 0, 0);
	/* One instruction over three pages, each of which is missing. */
	page = 50;
	for (uint64_t i = 0; i < 3; i++)
		memset(PAGE(check, 3000 + i), (int)(0x10 + i), LEND_PAGE_BYTES);
	task_begin(check, 0, TASK_COPY, GPA(60, 0), GPA(page, 0), 3 * LEND_PAGE_BYTES, 0);
	for (unsigned int i = 0; i < 6; i++) {
		struct lend_fault fault;

		if (next_fault(check, &fault, 60000) != 0)
			check_fatal("no fault of a long copy");
		uint64_t at = fault.offset_bytes / LEND_PAGE_BYTES;
		supply(check, &fault, at >= 60 ? 3010 + at - 60 : 3000 + at - page);
	}
	(void)task_end(check, 0);
	EXPECT("a copy over missing pages", memcmp(PAGE(check, 3000), PAGE(check, 3010), 3 * LEND_PAGE_BYTES), 0);
	revoke_pages(check, 0, 100);
}

/* R26: what comes to us as MMIO is done on the page when it is there, as often as it would have been, and nowhere else. */
static void emulated_accesses(struct check *check)
{
	static const struct {
		const char *name;
		unsigned int changed_bytes; /* from the address on */
		uint64_t result;
		bool reads_first; /* so that the page is there when the kernel emulates: the CPU's own trap comes before */
	} all[EMULATEDS] = {
		[EMULATED_IN_8] = { "insb", 3, 0 },	       [EMULATED_IN_16] = { "insw", 6, 0 },
		[EMULATED_IN_32] = { "insl", 12, 0 },	       [EMULATED_OUT_8] = { "outsb", 0, 0 },
		[EMULATED_OUT_16] = { "outsw", 0, 0 },	       [EMULATED_OUT_32] = { "outsl", 0, 0 },
		[EMULATED_MOVS_TO_8] = { "movsb to it", 3, 0 }, [EMULATED_MOVS_TO_64] = { "movsq to it", 24, 0 },
		[EMULATED_MOVS_FROM_8] = { "movsb from it", 0, 0, true }, [EMULATED_MOVS_FROM_64] = { "movsq from it", 0, 0, true },
		[EMULATED_CMPS] = { "cmpsq", 0, 1 },	       [EMULATED_PUSH] = { "push", 8, 0 },
		[EMULATED_POP] = { "pop", 0, 8, true },
	};
	struct lend_state before, after;

	for (unsigned int what = 0; what < EMULATEDS; what++) {
		uint64_t page = 20 + what, offset = 104;
		const uint8_t *bytes = (const uint8_t *)PAGE(check, 2000 + page);
		unsigned int wrong = 0;

		memset(PAGE(check, 1000 + page), what == EMULATED_CMPS ? 0xff : 0x5a, LEND_PAGE_BYTES);
		EXPECT("query", lend_query(check->lend, 0, &before), 0);
		one_access(check, what % 2, all[what].name, TASK_EMULATED, page, what,
			   GPA(page, what == EMULATED_PUSH ? offset + 8 : offset), 0, all[what].result);
		EXPECT("query", lend_query(check->lend, 0, &after), 0);
		check_equal(check, all[what].name, after.emulated > before.emulated || all[what].reads_first, true, __LINE__);
		for (unsigned int i = 0; i < LEND_PAGE_BYTES && what != EMULATED_CMPS; i++)
			wrong += bytes[i] != (i >= offset && i - offset < all[what].changed_bytes ? 0xff : 0x5a);
		check_equal(check, all[what].name, wrong, 0, __LINE__);
	}
	/* Over two pages, neither of which is there: two pieces. */
	memset(PAGE(check, 3100), 0x5a, 2 * LEND_PAGE_BYTES);
	task_begin(check, 0, TASK_EMULATED, EMULATED_MOVS_TO_64, GPA(41, 0) - 4, 0, 0);
	for (uint64_t i = 0; i < 2; i++) {
		struct lend_fault fault = FAULT(40 + i);

		supply(check, &fault, 3100 + i);
	}
	(void)task_end(check, 0);
	EXPECT("the end of the first page", PAGE(check, 3100)[511], 0xffffffff5a5a5a5a);
	EXPECT("and the beginning of the second", PAGE(check, 3101)[0], 0xffffffffffffffff);
	EXPECT("no more", PAGE(check, 3101)[3], 0x5a5a5a5a5a5a5a5a);
	revoke_pages(check, 0, 100);
}

/* Pages that somebody holds in place for long, in this kernel: pins taken less pins given back. */
static uint64_t pins_now(void)
{
	FILE *file = fopen("/proc/vmstat", "re");
	char name[64];
	unsigned long long value;
	uint64_t pins = 0;

	while (file && fscanf(file, "%63s %llu", name, &value) == 2) {
		if (strcmp(name, "nr_foll_pin_acquired") == 0)
			pins += value;
		else if (strcmp(name, "nr_foll_pin_released") == 0)
			pins -= value;
	}
	if (!file)
		check_fatal("/proc/vmstat: %s", strerror(errno));
	fclose(file);
	return pins;
}

/* R2: neither lending nor the guest's use holds a page in place. What else this kernel does is over soon. */
static void pins(struct check *check)
{
	uint64_t before = pins_now(), now;

	lend_pages(check, 0, 512, 0);
	(void)task_do(check, 0, TASK_TOUCH, GPA(0, 0), 512, 0);
	(void)task_do(check, 0, TASK_WRITE, GPA(3, 0), 3, 0);
	for (unsigned int i = 0; (now = pins_now()) > before && i < 100; i++)
		usleep(10000);
	EXPECT("nothing is pinned", now > before ? now - before : 0, 0);
	revoke_pages(check, 0, 512);
}

/* R1 and R7: any part, any number of times. */
static void parts(struct check *check)
{
	for (uint64_t i = 0; i < 512; i++)
		PAGE(check, i)[0] = PAGE_TAG(i);
	lend_pages(check, 0, 512, 0);
	EXPECT("the guest reads what is lent", task_do(check, 0, TASK_READ, GPA(300, 0), 0, 0), PAGE_TAG(300));
	(void)task_do(check, 0, TASK_WRITE, GPA(300, 8), 4711, 0);
	EXPECT("the lender reads what the guest wrote", PAGE(check, 300)[1], 4711);
	PAGE(check, 300)[1] = 4712;
	EXPECT("and the other way round", task_do(check, 0, TASK_READ, GPA(300, 8), 0, 0), 4712);
	revoke_pages(check, 100, 1);
	revoke_pages(check, 100, 1);
	revoke_pages(check, 90, 30);
	revoke_pages(check, 400, 1000);
	EXPECT("what is beside it is there", task_do(check, 0, TASK_READ, GPA(89, 0), 0, 0), PAGE_TAG(89));
	EXPECT("on both sides", task_do(check, 0, TASK_READ, GPA(120, 0), 0, 0), PAGE_TAG(120));
	EXPECT("lent over what is lent", lend_map(check->lend, 0, 0, 4096, check->fd, 0, 0), (uint64_t)-EEXIST);
	const struct lend_part both[] = { { 0, 4096 }, { 4096 * 200, 4096 * 100 } };
	EXPECT("two parts at once", lend_revoke_parts(check->lend, 0, both, 2, NULL), 0);
	task_begin(check, 0, TASK_READ, GPA(250, 0), 0, 0, 0);
	struct lend_fault fault = FAULT(250);
	supply(check, &fault, 251);
	EXPECT("another page in its place", task_end(check, 0), PAGE_TAG(251));
	revoke_pages(check, 0, 16384);
}

/* R8, R12, R15: one waits, nobody else does. */
static void unanswered(struct check *check)
{
	struct lend_box *box0 = check->boxes;

	task_begin(check, 1, TASK_READ, GPA(7, 0), 0, 0, 0);
	struct lend_fault fault = FAULT(7);
	task_begin(check, 0, TASK_COUNT, 0, 0, 0, 0);
	uint64_t before = box0->progress;
	lend_pages(check, 100, 100, 100);
	for (unsigned int i = 0; i < 50; i++) {
		revoke_pages(check, 100, 100);
		lend_pages(check, 100, 100, 100);
		usleep(2000);
	}
	EXPECT("the other vCPU goes on", box0->progress > before + 1000, true);
	EXPECT("the one that touched it does not", task_done(check, 1, 0), false);
	(void)task_do(check, 0, TASK_READ, GPA(100, 0), 0, 0);
	/* R9 */
	revoke_pages(check, 0, 10);
	EXPECT("a supply from before a revoke", lend_supply(check->lend, &fault, 4096, check->fd, 0, LEND_WRITABLE),
	       (uint64_t)-ESTALE);
	EXPECT("changes nothing", task_done(check, 1, 20), false);
	struct lend_fault again = FAULT(7);
	EXPECT("it is asked for again", again.id != fault.id && again.seq > fault.seq, true);
	PAGE(check, 9)[0] = 909;
	supply(check, &again, 9);
	EXPECT("and comes", task_end(check, 1), 909);
	EXPECT("once", lend_supply(check->lend, &again, 4096, check->fd, 0, LEND_WRITABLE), (uint64_t)-ESTALE);
	revoke_pages(check, 0, 16384);
}

/* R16, R19 */
static void failures(struct check *check)
{
	PAGE(check, 30)[0] = 30303;
	lend_pages(check, 3, 1, 30);
	EXPECT("before", task_do(check, 0, TASK_READ, GPA(3, 0), 0, 0), 30303);
	revoke_pages(check, 3, 1);
	task_begin(check, 0, TASK_READ, GPA(3, 0), 0, 0, 0);
	struct lend_fault fault = FAULT(3);
	EXPECT("failed", lend_fail(check->lend, &fault, LEND_ACTION_ZERO), 0);
	EXPECT("zeros, and nothing of before", task_end(check, 0), 0);
	(void)task_do(check, 0, TASK_WRITE, GPA(3, 0), 55, 0);
	EXPECT("what is written stays", task_do(check, 0, TASK_READ, GPA(3, 0), 0, 0), 55);
	EXPECT("and is not the lender's", PAGE(check, 30)[0], 30303);
	revoke_pages(check, 3, 1);
	lend_pages(check, 3, 1, 30);
	EXPECT("until it is lent again", task_do(check, 0, TASK_READ, GPA(3, 0), 0, 0), 30303);
	revoke_pages(check, 3, 1);
}

/* R16, R17: a machine check, where the guest can take one; else zeros. */
static void machine_checks(struct check *check)
{
	struct lend_state state;
	struct lend_fault fault;

	/* Nobody is there for it yet: a triple fault, were it done. */
	task_begin(check, 0, TASK_READ, GPA(70, 8), 0, 0, 0);
	fault = FAULT(70);
	EXPECT("a fault", lend_fail(check->lend, &fault, LEND_ACTION_FAULT), 0);
	EXPECT("that the guest could not take is zeros", task_end(check, 0), 0);
	EXPECT("query", lend_query(check->lend, 0, &state), 0);
	EXPECT("it was not done", state.machine_checks, 0);
	(void)task_do(check, 0, TASK_CHECKS, 0, 0, 0);
	PAGE(check, 71)[1] = 7171;
	task_begin(check, 0, TASK_READ, GPA(71, 8), 0, 0, 0);
	fault = FAULT(71);
	EXPECT("a fault", lend_fail(check->lend, &fault, LEND_ACTION_FAULT), 0);
	/* The handler returns, and the instruction is done again. */
	fault = FAULT(71);
	supply(check, &fault, 71);
	EXPECT("the guest survives it", task_end(check, 0), 7171);
	EXPECT("it had one", task_do(check, 0, TASK_CHECKS, 1, 0, 0), 1);
	EXPECT("with the address", task_do(check, 0, TASK_CHECKS, 2, 0, 0), GPA(71, 0));
	/* An interrupt that was being delivered is not lost: zeros. */
	task_begin(check, 0, TASK_INTERRUPT, GPA(73, 0), 0, 0, 0);
	fault = FAULT(72);
	EXPECT("a fault", lend_fail(check->lend, &fault, LEND_ACTION_FAULT), 0);
	EXPECT("while an interrupt is delivered", task_end(check, 0), 1);
	/* What the kernel emulates is half done. */
	task_begin(check, 0, TASK_IN, GPA(74, 0), 4, 0, 0);
	fault = FAULT(74);
	EXPECT("a fault", lend_fail(check->lend, &fault, LEND_ACTION_FAULT), 0);
	(void)task_end(check, 0);
	EXPECT("query", lend_query(check->lend, 0, &state), 0);
	/* A software interrupt is not lost either way: it is repeated, or waits. */
	EXPECT("as many came as were done", task_do(check, 0, TASK_CHECKS, 1, 0, 0), state.machine_checks);
	revoke_pages(check, 0, 100);
}

/* R18 and files that become shorter */
static void read_only(struct check *check)
{
	PAGE(check, 40)[0] = 40;
	EXPECT("lent to be read", lend_map(check->lend, 0, 4 * 4096, 3 * 4096, check->fd, 40 * 4096, 0), 0);
	EXPECT("it can be read", task_do(check, 0, TASK_READ, GPA(4, 0), 0, 0), 40);
	task_begin(check, 0, TASK_WRITE, GPA(4, 0), 41, 0, 0);
	struct lend_fault fault = FAULT(4);
	EXPECT("a write is told", fault.flags, LEND_FAULT_WRITE);
	EXPECT("and not done", PAGE(check, 40)[0], 40);
	supply(check, &fault, 40);
	(void)task_end(check, 0);
	EXPECT("but then", PAGE(check, 40)[0], 41);
	revoke_pages(check, 0, 100);
	int fd = lend_memory_new(LEND_MEMORY_ANY, 0), pipe_fds[2];
	EXPECT("no memory of nothing", fd, (uint64_t)-EINVAL);
	(void)pipe_fds;
	fd = open("/tmp/lend-short", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, 10 * 4096) != 0 || pwrite(fd, "first", 5, 0) != 5)
		check_fatal("/tmp/lend-short");
	EXPECT("a file", lend_map(check->lend, 0, 20 * 4096, 10 * 4096, fd, 0, LEND_WRITABLE), 0);
	EXPECT("is read", task_do(check, 0, TASK_READ, GPA(20, 0), 0, 0) & 0xff, 'f');
	EXPECT("and has zeros", task_do(check, 0, TASK_READ, GPA(25, 0), 0, 0), 0);
	if (ftruncate(fd, 4096) != 0)
		check_fatal("truncate");
	task_begin(check, 0, TASK_READ, GPA(25, 0), 0, 0, 0);
	fault = FAULT(25);
	EXPECT("what it lost is told", fault.flags, LEND_FAULT_LOST);
	EXPECT("failed", lend_fail(check->lend, &fault, LEND_ACTION_ZERO), 0);
	EXPECT("is zeros", task_end(check, 0), 0);
	revoke_pages(check, 0, 100);
	close(fd);
	unlink("/tmp/lend-short");
}

/* begin and end */
static void long_revoke(struct check *check)
{
	lend_pages(check, 10, 10, 10);
	EXPECT("begin", lend_revoke_begin(check->lend, 0, 12 * 4096, 4096, NULL), 0);
	EXPECT("twice", lend_revoke_begin(check->lend, 0, 12 * 4096, 4096, NULL), (uint64_t)-EBUSY);
	PAGE(check, 11)[0] = 11;
	EXPECT("the rest is there", task_do(check, 0, TASK_READ, GPA(11, 0), 0, 0), 11);
	task_begin(check, 1, TASK_READ, GPA(12, 0), 0, 0, 0);
	struct lend_fault fault;
	EXPECT("no fault in between", next_fault(check, &fault, 100), (uint64_t)-ETIMEDOUT);
	EXPECT("nothing is lent in between", lend_map(check->lend, 0, 12 * 4096, 4096, check->fd, 0, 0), (uint64_t)-EAGAIN);
	EXPECT("end", lend_revoke_end(check->lend, 0), 0);
	EXPECT("once", lend_revoke_end(check->lend, 0), (uint64_t)-EINVAL);
	fault = FAULT(12);
	PAGE(check, 13)[0] = 1313;
	supply(check, &fault, 13);
	EXPECT("then it comes", task_end(check, 1), 1313);
	revoke_pages(check, 0, 100);
}

/* R10, R31, R33: what a lender's end means. */
static void deaths(struct check *check)
{
	struct lend *other;
	struct lend_state state;

	if (lend_open(check->socket_path, &other) != 0)
		check_fatal("a second lender");
	EXPECT("a window has one lender", lend_claim(other, 0, LEND_ACTION_ZERO, 0, NULL), (uint64_t)-EBUSY);
	EXPECT("nobody else lends there", lend_map(other, 0, 0, 4096, check->fd, 0, 0), (uint64_t)-EPERM);
	EXPECT("nor revokes", lend_revoke(other, 0, 0, 4096, NULL), (uint64_t)-EPERM);
	EXPECT("there are two windows", lend_claim(other, 2, LEND_ACTION_ZERO, 0, NULL), (uint64_t)-ENOENT);
	PAGE(check, 5)[0] = 505;
	lend_pages(check, 0, 100, 0);
	EXPECT("lent", task_do(check, 0, TASK_READ, GPA(5, 0), 0, 0), 505);
	task_begin(check, 1, TASK_READ, GPA(200, 0), 0, 0, 0);
	(void)FAULT(200);
	/* Window 0 alone is given up, then all. */
	EXPECT("release", lend_release(check->lend, 0), 0);
	EXPECT("who waited has zeros", task_end(check, 1), 0);
	EXPECT("and so has what was lent", task_do(check, 0, TASK_READ, GPA(5, 0), 0, 0), 0);
	EXPECT("the file is as it was", PAGE(check, 5)[0], 505);
	EXPECT("somebody else may have it", lend_claim(other, 0, LEND_ACTION_ZERO, 0, NULL), 0);
	EXPECT("what is filled with zeros is in the way", lend_map(other, 0, 0, 4096 * 10, check->fd, 0, 0), (uint64_t)-EEXIST);
	EXPECT("until it is revoked", lend_revoke(other, 0, 0, 4096 * 300, NULL), 0);
	EXPECT("then not", lend_map(other, 0, 0, 4096 * 10, check->fd, 0, LEND_WRITABLE), 0);
	EXPECT("it is lent", task_do(check, 0, TASK_READ, GPA(5, 0), 0, 0), 505);
	lend_close(other);
	for (unsigned int i = 0; i < 1000; i++) {
		if (lend_query(check->lend, 0, &state) == 0 && !state.claimed)
			break;
		usleep(1000);
	}
	EXPECT("a lender's end frees the window", state.claimed, false);
	EXPECT("nothing is lent in it", state.lent_pages, 0);
	EXPECT("it is free", lend_claim(check->lend, 0, LEND_ACTION_ZERO, 0, NULL), 0);
	revoke_pages(check, 0, 16384);
	/* A fault in time, or zeros. */
	EXPECT("given up again", lend_release(check->lend, 0), 0);
	EXPECT("with a limit", lend_claim(check->lend, 0, LEND_ACTION_ZERO, 50, NULL), 0);
	task_begin(check, 0, TASK_READ, GPA(600, 0), 0, 0, 0);
	struct lend_fault fault = FAULT(600);
	EXPECT("nobody answers", task_end(check, 0), 0);
	EXPECT("and then it is too late", lend_fail(check->lend, &fault, LEND_ACTION_STOP), (uint64_t)-ESTALE);
	EXPECT("given up again", lend_release(check->lend, 0), 0);
	EXPECT("without one", lend_claim(check->lend, 0, LEND_ACTION_ZERO, 0, NULL), 0);
	revoke_pages(check, 0, 16384);
}

/* What the lender does to its own mapping is a revoke (dom1/lend.h), unless a device has the memory; not check->memory's mapping. */
static void bridges(struct check *check)
{
	static const struct {
		const char *name;
		int advice;
	} advices[] = { { "MADV_DONTNEED", MADV_DONTNEED }, { "MADV_REMOVE", MADV_REMOVE } };
	enum { FIRST = 6000, N = 32 };
	struct lend_state state;
	uint8_t *at = mmap(NULL, N * LEND_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, check->fd, FIRST * LEND_PAGE_BYTES);
	struct lend_fault fault;

	if (at == MAP_FAILED)
		check_fatal("a second mapping: %s", strerror(errno));
	int number = lend_bridge_add(check->lend, at, N * LEND_PAGE_BYTES, 0, 0);
	if (check->is_dma_buf) {
		EXPECT("no bridge of a device's memory", number, (uint64_t)-EINVAL);
		munmap(at, N * LEND_PAGE_BYTES);
		return;
	}
	EXPECT("a bridge", number >= 0, true);
	for (unsigned int i = 0; i < 2; i++) {
		PAGE(check, FIRST + 3)[0] = 6300 + i;
		lend_pages(check, 0, N, FIRST);
		EXPECT("lent", task_do(check, 0, TASK_READ, GPA(3, 0), 0, 0), 6300 + i);
		if (madvise(at + 3 * LEND_PAGE_BYTES, LEND_PAGE_BYTES, advices[i].advice) != 0)
			check_fatal("%s: %s", advices[i].name, strerror(errno));
		EXPECT("query", lend_query(check->lend, 0, &state), 0);
		check_equal(check, advices[i].name, state.lent_pages, 0, __LINE__);
		task_begin(check, 0, TASK_READ, GPA(3, 0), 0, 0, 0);
		fault = FAULT(3);
		PAGE(check, FIRST + 40)[0] = 6340 + i;
		supply(check, &fault, FIRST + 40);
		EXPECT("is asked for again", task_end(check, 0), 6340 + i);
		revoke_pages(check, 0, N);
	}
	PAGE(check, FIRST + 5)[0] = 6500;
	lend_pages(check, 0, 2 * N, FIRST);
	EXPECT("lent", task_do(check, 0, TASK_READ, GPA(5, 0), 0, 0), 6500);
	EXPECT("munmap", munmap(at, N * LEND_PAGE_BYTES), 0);
	EXPECT("query", lend_query(check->lend, 0, &state), 0);
	EXPECT("takes back what it unmaps", state.lent_pages, N);
	EXPECT("and the bridge is gone", lend_bridge_remove(check->lend, number), (uint64_t)-ENOENT);
	task_begin(check, 0, TASK_READ, GPA(5, 0), 0, 0, 0);
	fault = FAULT(5);
	EXPECT("failed", lend_fail(check->lend, &fault, LEND_ACTION_ZERO), 0);
	EXPECT("zeros", task_end(check, 0), 0);
	revoke_pages(check, 0, 100);
}

void check_rules(struct check *check, unsigned int only)
{
	static void (*const rules[])(struct check *) = { pins, parts, all_accesses, unanswered, failures, read_only, long_revoke, deaths,
							  machine_checks, emulated_accesses, bridges };

	for (unsigned int i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		if (only != 0 && only != i + 1)
			continue;
		rules[i](check);
		printf("rules %u: %u passed, %u failed\n", i + 1, check->passed, check->failed);
	}
}
