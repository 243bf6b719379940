// SPDX-License-Identifier: MIT
#include "read_watch.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <glib.h>

#define TRAP_FLAG       0x100
#define FAULT_IS_WRITE  2 /* in the error code of a page fault: Intel SDM, volume 3, 4.7 */
#define PAGE_OF(address) ((uint8_t *)((uintptr_t)(address) & ~(uintptr_t)(READ_WATCH_BYTES - 1)))

static struct {
	uint8_t *pages[READ_WATCH_PAGES];
	size_t n_pages;
	struct read_watch_access accesses[READ_WATCH_EVENTS];
	size_t n_accesses;
	/* Of the instruction that is let through. */
	uint8_t *open[READ_WATCH_PAGES];
	size_t n_open;
	struct sigaction old_fault, old_trap;
} watch;

static void say(const char *text)
{
	ssize_t written = write(STDERR_FILENO, text, strlen(text));
	(void)written;
}

static bool is_watched(const uint8_t *page)
{
	for (size_t i = 0; i < watch.n_pages; i++)
		if (watch.pages[i] == page)
			return true;
	return false;
}

static void on_fault(int signal, siginfo_t *info, void *opaque)
{
	ucontext_t *context = opaque;
	uint8_t *page = PAGE_OF(info->si_addr);

	if (!is_watched(page) || watch.n_accesses == READ_WATCH_EVENTS || watch.n_open == READ_WATCH_PAGES) {
		say("read_watch: a fault elsewhere, or too many\n");
		sigaction(signal, &watch.old_fault, NULL);
		return;
	}
	watch.accesses[watch.n_accesses++] = (struct read_watch_access){
		.address = info->si_addr,
		.instruction = (const void *)(uintptr_t)context->uc_mcontext.gregs[REG_RIP],
		.is_write = context->uc_mcontext.gregs[REG_ERR] & FAULT_IS_WRITE,
	};
	mprotect(page, READ_WATCH_BYTES, PROT_READ | PROT_WRITE);
	watch.open[watch.n_open++] = page;
	context->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

/* One instruction later, or one turn of a string instruction. */
static void on_trap(int signal, siginfo_t *info, void *opaque)
{
	ucontext_t *context = opaque;

	(void)signal;
	(void)info;
	while (watch.n_open > 0)
		mprotect(watch.open[--watch.n_open], READ_WATCH_BYTES, PROT_NONE);
	context->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
}

static void protect(int rights)
{
	for (size_t i = 0; i < watch.n_pages; i++)
		mprotect(watch.pages[i], READ_WATCH_BYTES, rights);
}

void read_watch_pause(void)
{
	protect(PROT_READ | PROT_WRITE);
}

void read_watch_resume(void)
{
	protect(PROT_NONE);
}

void read_watch_begin(uint8_t *const *pages, size_t n_pages)
{
	struct sigaction fault = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO }, trap = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };

	g_assert_cmpuint(n_pages, <=, READ_WATCH_PAGES);
	watch.n_accesses = watch.n_open = 0;
	watch.n_pages = n_pages;
	sigaction(SIGSEGV, &fault, &watch.old_fault);
	sigaction(SIGTRAP, &trap, &watch.old_trap);
	for (size_t i = 0; i < n_pages; i++) {
		g_assert_true(pages[i] == PAGE_OF(pages[i]));
		watch.pages[i] = pages[i];
	}
	protect(PROT_NONE);
}

size_t read_watch_end(const struct read_watch_access **accesses)
{
	protect(PROT_READ | PROT_WRITE);
	watch.n_pages = 0;
	sigaction(SIGSEGV, &watch.old_fault, NULL);
	sigaction(SIGTRAP, &watch.old_trap, NULL);
	if (accesses)
		*accesses = watch.accesses;
	return watch.n_accesses;
}

static unsigned int count_reads(const uint8_t *address, const void **instruction)
{
	unsigned int n = 0;

	for (size_t i = 0; i < watch.n_accesses; i++) {
		if (watch.accesses[i].address != address || watch.accesses[i].is_write)
			continue;
		*instruction = watch.accesses[i].instruction;
		n++;
	}
	return n;
}

const uint8_t *read_watch_most(const uint8_t *from, size_t len_bytes, unsigned int *n_reads, const void **instruction)
{
	const uint8_t *most = NULL;
	const void *by = NULL;

	*n_reads = 0;
	for (size_t i = 0; i < len_bytes; i++) {
		const unsigned int n = count_reads(from + i, &by);

		if (n > *n_reads) {
			*n_reads = n;
			*instruction = by;
			most = from + i;
		}
	}
	return most;
}

void read_watch_expect_once(const char *what, const void *from, size_t len_bytes)
{
	const void *instruction = NULL;
	unsigned int n_reads;
	const uint8_t *address = read_watch_most(from, len_bytes, &n_reads, &instruction);

	if (n_reads > 1)
		g_error("%s: byte %zu was read %u times, last by the instruction at %p", what, (size_t)(address - (const uint8_t *)from), n_reads,
			instruction);
	if (n_reads == 0)
		g_error("%s: was not read", what);
}
