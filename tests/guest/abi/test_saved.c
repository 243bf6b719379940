// SPDX-License-Identifier: MIT
/*
 * A guest that is saved and restored while it does this, as often as somebody likes, and does not notice. In each round, of some
 * milliseconds, it looks whether all is as the round before left it: memory, the FPU, clocks that never go back, a timer that
 * comes once and not early, an event that waits behind its mask, a watch, a transaction that is open from one round to the
 * next. The other vCPUs count, and look at their registers and clocks. A line for each round. It ends when control/end is written.
 *
 * Option: the bytes of memory that it fills, in MiB (default 4).
 */
#include "guest.h"

#include <xen/event_channel.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#include "xenstore.h"

#define VCPUS_MAX     32
#define MIB           (1024u * 1024u)
#define MAX_MIB       32u
#define SLICE_WORDS   (256u * 1024u / 4u)
#define MS            1000000ull
#define TIMER_NS      (3 * MS)
#define TIMER_MS      60000
#define CR4_FXSR      0x600 /* OSFXSR, OSXMMEXCPT */
#define FX_BYTES      512
#define FX_XMM        160
#define FX_XMM_BYTES  (8 * 16)

/* RAM that nothing is loaded to. */
static uint32_t *const memory = (uint32_t *)(uintptr_t)(16u * MIB);
static uint8_t fx_written[FX_BYTES] __attribute__((aligned(16))), fx_read[FX_BYTES] __attribute__((aligned(16)));
static uint8_t stacks[VCPUS_MAX][PAGE_BYTES] __attribute__((aligned(4096)));
static volatile unsigned long counts[VCPUS_MAX], mistakes[VCPUS_MAX];
static unsigned int begun = 1;
static char answer[XENSTORE_PAYLOAD_MAX + 1];

static unsigned int n_words;
static unsigned long last_counts[VCPUS_MAX];
static uint64_t last_time_ns, last_tsc;
static evtchn_port_t timer, waiting, far_end;
static uint32_t transaction;
static unsigned int wrong; /* checks of rounds */

/* Only what is wrong is said, and not too often. */
static void expect(const char *what, bool condition)
{
	enum { SAID_MAX = 20 };

	if (condition)
		return;
	if (wrong++ < SAID_MAX) {
		print("WRONG ");
		print(what);
		print("\n");
	}
}

static uint32_t pattern(unsigned int index, unsigned int generation)
{
	return (index * 2654435761u) ^ (generation * 40503u);
}

/* A slice a round; which generation of the pattern is in it follows from the round. */
static void check_memory(unsigned int round)
{
	const unsigned int n_slices = n_words / SLICE_WORDS, slice = round % n_slices;
	uint32_t *words = memory + slice * SLICE_WORDS;
	bool right = true;

	for (unsigned int i = 0; i < SLICE_WORDS; i++) {
		right &= round <= n_slices || words[i] == pattern(slice * SLICE_WORDS + i, round - n_slices);
		words[i] = pattern(slice * SLICE_WORDS + i, round);
	}
	expect("memory", right);
}

static void fill_fpu(void)
{
	unsigned long cr4;

	__asm__ volatile("mov %%cr4, %0; or %1, %0; mov %0, %%cr4" : "=&r"(cr4) : "i"(CR4_FXSR));
	__asm__ volatile("fninit; fldpi; fldl2e; fxsave %0" : "=m"(fx_written));
	for (unsigned int i = 0; i < FX_XMM_BYTES; i++)
		fx_written[FX_XMM + i] = (uint8_t)(i * 7 + 1);
	__asm__ volatile("fxrstor %0" : : "m"(fx_written));
}

static void check_fpu(void)
{
	enum { CONTROL_BYTES = 6, MXCSR = 24, MXCSR_BYTES = 4, ST = 32, ST_BYTES = 10 };

	__asm__ volatile("fxsave %0" : "=m"(fx_read));
	expect("the FPU's control", memcmp(fx_read, fx_written, CONTROL_BYTES) == 0);
	expect("MXCSR", memcmp(fx_read + MXCSR, fx_written + MXCSR, MXCSR_BYTES) == 0);
	expect("ST(0)", memcmp(fx_read + ST, fx_written + ST, ST_BYTES) == 0);
	expect("XMM registers", memcmp(fx_read + FX_XMM, fx_written + FX_XMM, FX_XMM_BYTES) == 0);
}

static void check_clocks(void)
{
	const uint64_t tsc = read_tsc(), time_ns = system_time_ns();

	expect("the TSC does not go back", tsc >= last_tsc);
	expect("system time does not go back", time_ns >= last_time_ns);
	last_tsc = tsc;
	last_time_ns = time_ns;
}

static void check_timer(void)
{
	const uint64_t due_ns = system_time_ns() + TIMER_NS;
	struct vcpu_set_singleshot_timer request = { .timeout_abs_ns = due_ns };

	expect("no timer comes twice", !port_pending(timer));
	expect("set_singleshot_timer", vcpu_op(VCPUOP_set_singleshot_timer, 0, &request) == 0);
	expect("the timer comes", wait_for_port(timer, TIMER_MS));
	expect("and not early", system_time_ns() >= due_ns);
	port_clear(timer);
}

static void check_event(void)
{
	struct evtchn_send send = { .port = far_end };

	expect("an event that waits is kept", port_pending(waiting));
	port_clear(waiting);
	expect("send", event_channel_op(EVTCHNOP_send, &send) == 0);
	expect("an event comes at once", port_pending(waiting));
}

/* "data/saved" and the round in it. */
static size_t path_and_round(char payload[32], unsigned int round)
{
	static const char path[] = "data/saved";

	memcpy(payload, path, sizeof(path));
	for (unsigned int i = 0; i < 8; i++)
		payload[sizeof(path) + i] = "0123456789abcdef"[round >> (28 - 4 * i) & 15];
	return sizeof(path) + 8;
}

/* What the transaction of the round before has written is there when it is committed, and not before. */
static void check_store(unsigned int round)
{
	char payload[32];
	const unsigned int events = xenstore_events;
	size_t len_bytes = path_and_round(payload, round - 1);

	if (transaction != 0) {
		expect("what is not committed is not seen", xenstore_call(XS_READ, 0, "data/saved", 11, answer) &&
								     memcmp(answer, payload + 11, 8) != 0);
		expect("an open transaction can be committed", xenstore_call(XS_TRANSACTION_END, transaction, "T", 2, answer));
		expect("what is committed is seen", xenstore_call(XS_READ, 0, "data/saved", 11, answer) &&
							    memcmp(answer, payload + 11, 8) == 0);
		for (unsigned int i = 0; i < 1000 && xenstore_events == events; i++)
			xenstore_take_events(answer);
		expect("a watch tells of it", xenstore_events > events);
	}
	transaction = 0;
	expect("transaction_start", xenstore_call(XS_TRANSACTION_START, 0, "", 1, answer));
	for (const char *digit = answer; *digit >= '0' && *digit <= '9'; digit++)
		transaction = transaction * 10 + (uint32_t)(*digit - '0');
	len_bytes = path_and_round(payload, round);
	expect("write in a transaction", xenstore_call(XS_WRITE, transaction, payload, len_bytes, answer));
}

static void check_others(unsigned int n_vcpus)
{
	const uint64_t end_ns = system_time_ns() + TIMER_MS * MS;

	for (unsigned int i = 1; i < n_vcpus; i++) {
		while (counts[i] == last_counts[i] && system_time_ns() < end_ns)
			(void)sched_op(SCHEDOP_yield, NULL);
		expect("each vCPU goes on", counts[i] != last_counts[i]);
		expect("with its registers and clocks", mistakes[i] == 0);
		last_counts[i] = counts[i];
	}
}

/* The other vCPUs'. A register that no call keeps is lost with the call, and not with the guest. */
static void count(void)
{
	const unsigned int number = __atomic_fetch_add(&begun, 1, __ATOMIC_SEQ_CST);
	uint64_t last = 0;

	for (;;) {
		const unsigned long value = 0x5a5a0000ul + counts[number];
		unsigned long kept = value;
		uint64_t tsc;

		__asm__ volatile("mov $2000, %%ecx; 1: pause; dec %%ecx; jnz 1b" : "+r"(kept) : : "ecx");
		tsc = read_tsc();
		mistakes[number] += kept != value || tsc < last;
		last = tsc;
		(void)sched_op(SCHEDOP_yield, NULL);
		counts[number]++;
	}
}

static long start(unsigned int vcpu)
{
	struct vcpu_hvm_context context;
	const uint8_t *stack = stacks[vcpu] + PAGE_BYTES - 2 * sizeof(long) - sizeof(long);

#ifdef __x86_64__
	context_64(&context, count, stack);
#else
	context_32(&context, count, stack);
#endif
	long rc = vcpu_op(VCPUOP_initialise, vcpu, &context);
	return rc ? rc : vcpu_op(VCPUOP_up, vcpu, NULL);
}

static void set_up(unsigned int n_vcpus)
{
	struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
	struct evtchn_bind_interdomain bind = { .remote_dom = DOMID_SELF };
	struct evtchn_bind_virq virq = { .virq = VIRQ_TIMER };
	struct evtchn_send send;
	static const char watch[] = "data/saved\0token";

	shared_info_map();
	xenstore_init();
	fill_fpu();
	CHECK("a port for the timer", event_channel_op(EVTCHNOP_bind_virq, &virq), 0);
	timer = virq.port;
	CHECK("a port", event_channel_op(EVTCHNOP_alloc_unbound, &alloc), 0);
	bind.remote_port = waiting = alloc.port;
	CHECK("its far end", event_channel_op(EVTCHNOP_bind_interdomain, &bind), 0);
	send.port = far_end = bind.local_port;
	CHECK("an event", event_channel_op(EVTCHNOP_send, &send), 0);
	char payload[32];
	size_t len_bytes = path_and_round(payload, ~0u);
	CHECK_TRUE("a node", xenstore_call(XS_WRITE, 0, payload, len_bytes, answer));
	CHECK_TRUE("a watch", xenstore_call(XS_WATCH, 0, watch, sizeof(watch), answer));
	for (unsigned int i = 1; i < n_vcpus && i < VCPUS_MAX; i++)
		CHECK("a vCPU starts", start(i), 0);
}

void test_saved(void)
{
	const unsigned int n_vcpus = count_vcpus(), mib = option_number() ? option_number() : 4;
	unsigned int round = 1;

	n_words = (mib < MAX_MIB ? mib : MAX_MIB) * MIB / sizeof(uint32_t);
	set_up(n_vcpus);
	/* It is there when somebody has written it. */
	for (; !xenstore_call(XS_READ, 0, "control/end", 12, answer); round++) {
		check_memory(round);
		check_fpu();
		check_clocks();
		check_timer();
		check_event();
		check_store(round);
		check_others(n_vcpus);
		print("round ");
		print_number(round);
		print("\n");
	}
	CHECK("nothing was wrong in any round", wrong, 0);
	CHECK_TRUE("there were rounds", round > 1);
}
