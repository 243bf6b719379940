// SPDX-License-Identifier: MIT
/*
 * Measures hypercalls, events, timers and the xenstore, as a 64-bit PVH guest. Of each case it prints
 * "bench NAME MEDIAN MIN N": nanoseconds of one operation, by the vCPU's own clock (vcpu_time_info), in batches of N
 * operations; or "bench NAME none ERROR" where the hypervisor does not have it. Names on the command line: only these.
 */
#include "bench.h"

#include <xen/arch-x86/cpuid.h>
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define N_BATCHES      20
#define BATCH_NS       20000000u
#define BATCH_MAX      (1u << 20)
#define UNKNOWN_CALL   54 /* no hypercall has this number */
#define TIMER_DELAY_NS 1000000u
#define TIMER_FAR_NS   10000000000u
#define SECOND_START   3000000000u /* so long it may take the second vCPU to come */
#define TRAMPOLINE     0x8000u
#define LAPIC_SVR      0xfee000f0u
#define LAPIC_ICR      0xfee00300u
#define LAPIC_ICR_HIGH 0xfee00310u
#define SVR_ENABLED    0x1ffu
#define INIT_ALL       0xc4500u /* to all but oneself */
#define SIPI_ALL       (0xc4600u | TRAMPOLINE / PAGE_BYTES)
#define PIC_MASTER     0x21
#define PIC_SLAVE      0xa1
#define CALLBACK_TRICK 1 /* what a guest with vectors of its own says: anything but 0 */

uint8_t hypercall_page[PAGE_BYTES] __attribute__((aligned(4096)));
uint8_t hypercall_instruction[4];
struct idt_pointer second_idt;
volatile uint32_t vcpus_counted; /* of the runtime; here the second vCPU is ready */

void guest_main(void);

static evtchn_port_t timer_port, self_port, first_port, second_port;

long send_event(unsigned int port)
{
	struct evtchn_send send = { .port = port };

	return event_channel_op(EVTCHNOP_send, &send);
}

void wait_for_event(unsigned int port)
{
	evtchn_port_t ports[] = { port };
	struct sched_poll poll = { .nr_ports = 1 };

	set_xen_guest_handle(poll.ports, ports);
	while (!port_pending(port))
		(void)sched_op(SCHEDOP_poll, &poll);
	port_clear(port);
}

/* As an idle kernel waits: halted, until the upcall. */
static void halt_for_event(unsigned int vcpu, unsigned int port)
{
	struct vcpu_info *info = &shared->vcpu_info[vcpu];

	while (!port_pending(port))
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	__atomic_store_n(&info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&info->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
	port_clear(port);
}

/* The cases. Each does its operation once, and returns the nanoseconds of it that do not count. */

static uint64_t kernel_call(void)
{
	(void)xen_version(XENVER_version, NULL);
	return 0;
}

static uint64_t unknown_call(void)
{
	(void)hypercall(UNKNOWN_CALL, 0, 0, 0, 0, 0);
	return 0;
}

static uint64_t features_call(void)
{
	struct xen_feature_info info = { .submap_idx = 0 };

	(void)xen_version(XENVER_get_features, &info);
	return 0;
}

static uint64_t param_call(void)
{
	(void)parameter(HVM_PARAM_STORE_EVTCHN);
	return 0;
}

static uint64_t event_back(void)
{
	store_byte();
	return 0;
}

static uint64_t console_back(void)
{
	console_byte();
	return 0;
}

static uint64_t xenstore_read(void)
{
	store_read();
	return 0;
}

static uint64_t xenstore_transaction(void)
{
	store_transaction();
	return 0;
}

static uint64_t ipi_to_self(void)
{
	(void)send_event(self_port);
	halt_for_event(0, self_port);
	return 0;
}

static uint64_t ipi_and_back(void)
{
	(void)send_event(second_port);
	halt_for_event(0, first_port);
	return 0;
}

static void set_timer(uint64_t timeout_ns)
{
	struct vcpu_set_singleshot_timer timer = { .timeout_abs_ns = timeout_ns };

	(void)vcpu_op(VCPUOP_set_singleshot_timer, 0, &timer);
}

static uint64_t timer_set(void)
{
	set_timer(system_time_ns() + TIMER_FAR_NS);
	return 0;
}

static uint64_t timer_fires(void)
{
	set_timer(system_time_ns() + TIMER_DELAY_NS);
	wait_for_event(timer_port);
	return TIMER_DELAY_NS;
}

/* What makes the cases possible. */

static long always(void)
{
	return 0;
}

static long unknown_is_refused(void)
{
	long rc = hypercall(UNKNOWN_CALL, 0, 0, 0, 0, 0);

	return rc == -XEN_ENOSYS ? 0 : rc;
}

static long features_open(void)
{
	struct xen_feature_info info = { .submap_idx = 0 };

	return xen_version(XENVER_get_features, &info);
}

static long timer_open(void)
{
	struct evtchn_bind_virq bind = { .virq = VIRQ_TIMER, .vcpu = 0 };
	long rc = timer_port ? 0 : event_channel_op(EVTCHNOP_bind_virq, &bind);

	if (rc == 0 && !timer_port)
		timer_port = bind.port;
	return rc;
}

static long bind_ipi(unsigned int vcpu, evtchn_port_t *port)
{
	struct evtchn_bind_ipi bind = { .vcpu = vcpu };
	long rc = event_channel_op(EVTCHNOP_bind_ipi, &bind);

	if (rc == 0) {
		*port = bind.port;
		port_mask(bind.port, false);
	}
	return rc;
}

static long self_open(void)
{
	return bind_ipi(0, &self_port);
}

static long second_open(void)
{
	uint64_t end_ns = system_time_ns() + SECOND_START;
	long rc = bind_ipi(0, &first_port);

	if (rc == 0)
		rc = bind_ipi(1, &second_port);
	if (rc != 0)
		return rc;
	__asm__ volatile("sidt %0" : "=m"(second_idt));
	memcpy((void *)(uintptr_t)TRAMPOLINE, second_entry_16, (size_t)(second_entry_16_end - second_entry_16));
	*(volatile uint32_t *)LAPIC_ICR_HIGH = 0;
	*(volatile uint32_t *)LAPIC_ICR = INIT_ALL;
	*(volatile uint32_t *)LAPIC_ICR = SIPI_ALL;
	while (!vcpus_counted && system_time_ns() < end_ns)
		(void)sched_op(SCHEDOP_yield, NULL);
	return vcpus_counted ? 0 : -XEN_ENODEV;
}

void second_main(void)
{
	*(volatile uint32_t *)LAPIC_SVR = SVR_ENABLED;
	vcpus_counted = 1;
	for (;;) {
		halt_for_event(1, second_port);
		(void)send_event(first_port);
	}
}

static const struct bench {
	const char *name;
	long (*open)(void);
	uint64_t (*once)(void);
	void (*close)(void);
} BENCHES[] = {
	{ "kernel_call", always, kernel_call, NULL },
	{ "unknown_call", unknown_is_refused, unknown_call, NULL },
	{ "get_features", features_open, features_call, NULL },
	{ "get_param", always, param_call, NULL },
	{ "event_back", store_open, event_back, store_end_of_bytes },
	{ "console_back", console_open, console_back, NULL },
	{ "xenstore_read", store_open, xenstore_read, NULL },
	{ "xenstore_transaction", store_open, xenstore_transaction, NULL },
	{ "timer_set", timer_open, timer_set, NULL },
	{ "timer_fires", timer_open, timer_fires, NULL },
	{ "ipi_to_self", self_open, ipi_to_self, NULL },
	{ "ipi_and_back", second_open, ipi_and_back, NULL },
};

static uint64_t batch_ns(const struct bench *bench, unsigned int n, uint64_t *uncounted_ns)
{
	uint64_t start_ns = system_time_ns();

	*uncounted_ns = 0;
	for (unsigned int i = 0; i < n; i++)
		*uncounted_ns += bench->once();
	return system_time_ns() - start_ns;
}

static void sort(uint64_t *values, unsigned int n)
{
	for (unsigned int i = 1; i < n; i++) {
		uint64_t value = values[i];
		unsigned int j = i;

		for (; j > 0 && values[j - 1] > value; j--)
			values[j] = values[j - 1];
		values[j] = value;
	}
}

static void print_decimal(uint64_t number)
{
	char text[21];
	unsigned int at = sizeof(text) - 1;

	text[at] = '\0';
	do
		text[--at] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	print(" ");
	print(text + at);
}

static void run(const struct bench *bench)
{
	uint64_t results_ns[N_BATCHES], uncounted_ns, took_ns;
	unsigned int n = 1;
	long rc = bench->open();

	if (rc == 0) {
		while (batch_ns(bench, n, &uncounted_ns) < BATCH_NS && n < BATCH_MAX)
			n *= 2;
		for (unsigned int i = 0; i < N_BATCHES; i++) {
			took_ns = batch_ns(bench, n, &uncounted_ns);
			results_ns[i] = (took_ns - uncounted_ns) / n;
		}
		if (bench->close)
			bench->close();
		sort(results_ns, N_BATCHES);
	}
	/* On a line of its own: the console's case has written to it. */
	print("\nbench ");
	print(bench->name);
	if (rc == 0) {
		print_decimal((results_ns[N_BATCHES / 2 - 1] + results_ns[N_BATCHES / 2]) / 2);
		print_decimal(results_ns[0]);
		print_decimal(n);
	} else {
		print(" none ");
		print_number(-rc);
	}
	print("\n");
}

/* A stub of the hypercall page is MOV $number, %EAX and then VMCALL or VMMCALL. */
static void find_hypercalls(void)
{
	uint32_t leaf[4];
	enum { INSTRUCTION_BYTES = 3, AFTER_MOV = 5, RET = 0xc3 };

	cpuid(XEN_CPUID_LEAF(2), leaf);
	write_msr(leaf[1], ADDRESS(hypercall_page));
	memcpy(hypercall_instruction, hypercall_page + AFTER_MOV, INSTRUCTION_BYTES);
	hypercall_instruction[INSTRUCTION_BYTES] = RET;
}

static bool is_wanted(const char *name)
{
	const struct hvm_start_info *info = (const void *)(uintptr_t)start_info_gpa;
	const char *word = (const char *)(uintptr_t)info->cmdline_paddr;
	bool is_any = false;

	while (word && *word) {
		size_t i = 0;

		while (name[i] && word[i] == name[i])
			i++;
		if (i && !name[i] && (!word[i] || word[i] == ' '))
			return true;
		for (; *word && *word != ' '; word++)
			is_any = true;
		while (*word == ' ')
			word++;
	}
	return !is_any;
}

static void write_port(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "d"(port));
}

/*
 * Vectors of the vCPUs' own, in the order of Linux. QEMU leaves events and IPIs to KVM only when it knows a vector
 * before, and only KVM wakes a vCPU that polls.
 */
static long take_vectors(void)
{
	struct xen_hvm_evtchn_upcall_vector vector = { .vector = UPCALL_VECTOR };
	struct xen_hvm_param callback = { .domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ, .value = CALLBACK_TRICK };

	for (vector.vcpu = 0; vector.vcpu < 2; vector.vcpu++) {
		long rc = hvm_op(HVMOP_set_evtchn_upcall_vector, &vector);

		if (rc != 0)
			return rc;
	}
	*(volatile uint32_t *)LAPIC_SVR = SVR_ENABLED;
	return hvm_op(HVMOP_set_param, &callback);
}

void guest_main(void)
{
	find_hypercalls();
	/* Firmware may have left the PC's timer on. */
	write_port(PIC_MASTER, 0xff);
	write_port(PIC_SLAVE, 0xff);
	traps_init();
	test_console();
	shared_info_map();
	if (take_vectors() != 0) {
		print("upcalls cannot have a vector\n");
		finish("ERROR");
	}
	for (size_t i = 0; i < sizeof(BENCHES) / sizeof(BENCHES[0]); i++)
		if (is_wanted(BENCHES[i].name))
			run(&BENCHES[i]);
	finish("SUCCESS");
}
