// SPDX-License-Identifier: MIT
#include "vmm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dom1/lend-abi.h"
#include "lend/lending.h"
#include "pci/host.h"
#include "vmm/cpuid.h"
#include "vmm/error.h"
#include "vmm/guest_memory.h"
#include "vmm/halt_watch.h"
#include "vmm/kvm.h"
#include "vmm/power.h"
#include "vmm/vm.h"
#include "vmm/worker.h"
#include "xen/domid.h"
#include "xen/hypercall.h"

#define KICK_SIGNAL SIGUSR1

#define CR0_PE     (1u << 0)
#define CR0_ET     (1u << 4)
#define RFLAGS_ONE (1u << 1)

struct vcpu_call {
	struct vcpu_call *next;
	int64_t (*fn)(struct vcpu *target, void *argument);
	void *argument;
	int64_t result;
	bool done;
};

/* syscalls(vcpu): rt_sigreturn */
static void ignore_kick(int signal_number)
{
	(void)signal_number;
}

void vcpu_set_up_kick_signal(void)
{
	struct sigaction action = { .sa_handler = ignore_kick };

	sigaction(KICK_SIGNAL, &action, NULL);
}

static bool fail(GError **error, unsigned int number, const char *what)
{
	g_set_error(error, DOM1_ERROR, DOM1_STATUS_HOST, "cannot set up vCPU %u: %s: %s", number, what, g_strerror(errno));
	return false;
}

static bool set_cpuid(struct vcpu *vcpu, const struct kvm_cpuid2 *supported)
{
	const struct cpuid_facts facts = {
		.vcpu = vcpu->number,
		.n_vcpus = vcpu->vm->n_vcpus,
		.tsc_khz = vcpu->vm->tsc_khz,
		.xen_version = vcpu->vm->xen_version,
		.hypercall_msr = KVM_XEN_HYPERCALL_MSR,
		.domid = GUEST_DOMID,
		.features = vcpu->vm->peer ? DOM1_FEATURE_LEND_OP : 0,
	};
	g_autofree struct kvm_cpuid2 *cpuid = cpuid_build(supported, &facts);

	if (!cpuid) {
		errno = E2BIG;
		return false;
	}
	return ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid) == 0;
}

/*
 * syscalls(main): ioctl(KVM_CREATE_VCPU) mmap(~PROT_EXEC) ioctl(KVM_GET_TSC_KHZ) ioctl(KVM_SET_CPUID2)
 *                 ioctl(KVM_XEN_VCPU_SET_ATTR) ioctl(KVM_SET_MP_STATE)
 */
bool vcpu_init(struct vcpu *vcpu, struct vm *vm, unsigned int number, const struct kvm_cpuid2 *supported, GError **error)
{
	struct kvm_xen_vcpu_attr id = { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, .u.vcpu_id = number };
	struct kvm_mp_state mp_state = { .mp_state = number == 0 ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED };

	*vcpu = (struct vcpu){ .vm = vm, .number = number };
	vcpu->fd = ioctl(vm->vm_fd, KVM_CREATE_VCPU, number);
	if (vcpu->fd < 0)
		return fail(error, number, "KVM_CREATE_VCPU");
	vcpu->run_bytes = vm->vcpu_mmap_bytes;
	vcpu->run = mmap(NULL, vcpu->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return fail(error, number, "mmap");
	}
	/* What a hypercall's arguments are looked up by: vcpu_translate(). No ioctl costs as little. */
	vcpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
	if (vm->tsc_khz == 0) {
		int khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ, 0);
		vm->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
	}
	if (!set_cpuid(vcpu, supported))
		return fail(error, number, "KVM_SET_CPUID2");
	if (kvm_set_xen_vcpu_attr(vcpu->fd, &id) != 0)
		return fail(error, number, "KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID");
	if (ioctl(vcpu->fd, KVM_SET_MP_STATE, &mp_state) != 0)
		return fail(error, number, "KVM_SET_MP_STATE");
	return true;
}

/* syscalls(main): munmap close */
void vcpu_fini(struct vcpu *vcpu)
{
	if (vcpu->run)
		munmap(vcpu->run, vcpu->run_bytes);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	vcpu->run = NULL;
	vcpu->fd = -1;
}

/* syscalls(main): ioctl(KVM_GET_SREGS) ioctl(KVM_SET_SREGS) ioctl(KVM_SET_REGS) */
bool vcpu_set_entry(struct vcpu *vcpu, uint32_t eip, uint32_t eax, uint32_t ebx, GError **error)
{
	const struct kvm_segment code = {
		.limit = 0xffffffff, .selector = 0x8, .type = 0xb, .present = 1, .db = 1, .s = 1, .g = 1,
	};
	const struct kvm_segment data = {
		.limit = 0xffffffff, .selector = 0x10, .type = 0x3, .present = 1, .db = 1, .s = 1, .g = 1,
	};
	const struct kvm_segment task = { .limit = 0x67, .selector = 0x18, .type = 0xb, .present = 1 };
	struct kvm_regs regs = { .rax = eax, .rbx = ebx, .rip = eip, .rflags = RFLAGS_ONE };
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) != 0)
		return fail(error, vcpu->number, "KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.tr = task;
	sregs.cr0 = CR0_PE | CR0_ET;
	sregs.cr3 = sregs.cr4 = sregs.efer = 0;
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs) != 0)
		return fail(error, vcpu->number, "KVM_SET_SREGS");
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs) != 0)
		return fail(error, vcpu->number, "KVM_SET_REGS");
	return true;
}

/* syscalls(main, vcpu, memory): tgkill */
void vcpu_kick(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (vcpu->started)
		worker_kick(vcpu->worker);
}

/* With calls_lock held. From here to rest_end() the calling vCPU's thread touches nothing of the guest's. */
static void rest_begin(struct vm *vm)
{
	vm->n_busy--;
	if (vm->is_alone)
		pthread_cond_broadcast(&vm->calls_changed);
}

static void rest_end(struct vm *vm)
{
	/* Also when the VM stops: who is alone ends by itself, and soon. */
	while (vm->is_alone)
		pthread_cond_wait(&vm->calls_changed, &vm->calls_lock);
	vm->n_busy++;
}

/* With calls_lock held, which is dropped around each call. */
static void serve_calls_locked(struct vcpu *vcpu)
{
	while (vcpu->calls) {
		struct vcpu_call *call = vcpu->calls;

		vcpu->calls = call->next;
		pthread_mutex_unlock(&vcpu->vm->calls_lock);
		call->result = call->fn(vcpu, call->argument);
		pthread_mutex_lock(&vcpu->vm->calls_lock);
		call->done = true;
		pthread_cond_broadcast(&vcpu->vm->calls_changed);
	}
}

static void serve_calls(struct vcpu *vcpu)
{
	/* Who wants something of this vCPU kicks it afterwards. */
	if (!__atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_SEQ_CST))
		return;
	/* First the flag, then the queue: who queues sets them in the opposite order. */
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	halt_watch_answer(vcpu);
	pthread_mutex_lock(&vcpu->vm->calls_lock);
	serve_calls_locked(vcpu);
	/* Paused: it stays here, and goes on serving. */
	while ((vcpu->vm->paused && !atomic_load(&vcpu->vm->stopping)) || vcpu->vm->is_alone) {
		rest_begin(vcpu->vm);
		if (++vcpu->vm->n_paused == vcpu->vm->n_vcpus)
			pthread_cond_broadcast(&vcpu->vm->calls_changed);
		pthread_cond_wait(&vcpu->vm->calls_changed, &vcpu->vm->calls_lock);
		vcpu->vm->n_paused--;
		rest_end(vcpu->vm);
		serve_calls_locked(vcpu);
	}
	pthread_mutex_unlock(&vcpu->vm->calls_lock);
}

void vcpu_pause_all(struct vm *vm, bool paused)
{
	pthread_mutex_lock(&vm->calls_lock);
	vm->paused = paused;
	pthread_cond_broadcast(&vm->calls_changed);
	pthread_mutex_unlock(&vm->calls_lock);
	for (unsigned int i = 0; paused && i < vm->n_vcpus; i++)
		vcpu_kick(&vm->vcpus[i]);
}

/* syscalls(main): clock_gettime futex */
bool vcpu_await_pause(struct vm *vm, unsigned int timeout_ms)
{
	const unsigned int ns_per_ms = 1000000, ms_per_s = 1000;
	struct timespec end;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += timeout_ms / ms_per_s + (end.tv_nsec + (long)(timeout_ms % ms_per_s * ns_per_ms)) / (ms_per_s * ns_per_ms);
	end.tv_nsec = (end.tv_nsec + (long)(timeout_ms % ms_per_s * ns_per_ms)) % (ms_per_s * ns_per_ms);
	pthread_mutex_lock(&vm->calls_lock);
	while (vm->n_paused < vm->n_vcpus && !atomic_load(&vm->stopping) && rc == 0)
		rc = pthread_cond_timedwait(&vm->calls_changed, &vm->calls_lock, &end);
	bool all = vm->n_paused == vm->n_vcpus && !atomic_load(&vm->stopping);
	pthread_mutex_unlock(&vm->calls_lock);
	return all;
}

static void unlink_call(struct vcpu *target, struct vcpu_call *call)
{
	for (struct vcpu_call **link = &target->calls; *link; link = &(*link)->next)
		if (*link == call) {
			*link = call->next;
			return;
		}
}

int64_t vcpu_call(struct vcpu *target, struct vcpu *self, int64_t (*fn)(struct vcpu *target, void *argument),
		  void *argument, int64_t cancelled_result)
{
	struct vcpu_call call = { .fn = fn, .argument = argument };
	struct vm *vm = target->vm;

	if (target == self)
		return fn(target, argument);

	pthread_mutex_lock(&vm->calls_lock);
	struct vcpu_call **last = &target->calls;
	while (*last)
		last = &(*last)->next;
	*last = &call;
	vcpu_kick(target);
	pthread_cond_broadcast(&vm->calls_changed); /* it may be paused */
	while (!call.done) {
		if (self)
			serve_calls_locked(self);
		if (call.done)
			break;
		if (atomic_load(&vm->stopping)) {
			bool queued = false;

			for (const struct vcpu_call *i = target->calls; i; i = i->next)
				queued |= i == &call;
			if (queued) {
				unlink_call(target, &call);
				call.result = cancelled_result;
				break;
			}
			/* Being served right now: it ends by itself. */
		}
		if (self)
			rest_begin(vm);
		pthread_cond_wait(&vm->calls_changed, &vm->calls_lock);
		if (self)
			rest_end(vm);
	}
	pthread_mutex_unlock(&vm->calls_lock);
	return call.result;
}

int64_t vcpu_run_alone(struct vcpu *self, int64_t (*fn)(struct vcpu *self, void *argument), void *argument,
		       int64_t cancelled_result)
{
	struct vm *vm = self->vm;
	int64_t result = cancelled_result;

	pthread_mutex_lock(&vm->calls_lock);
	rest_begin(vm);
	while (vm->is_alone)
		pthread_cond_wait(&vm->calls_changed, &vm->calls_lock);
	vm->is_alone = true;
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		if (&vm->vcpus[i] != self)
			vcpu_kick(&vm->vcpus[i]);
	/* Those that wait for a call are asleep already; the kick brings the others to serve_calls(). */
	while (vm->n_busy > 0 && !atomic_load(&vm->stopping))
		pthread_cond_wait(&vm->calls_changed, &vm->calls_lock);
	if (vm->n_busy == 0) {
		pthread_mutex_unlock(&vm->calls_lock);
		result = fn(self, argument);
		pthread_mutex_lock(&vm->calls_lock);
	}
	vm->is_alone = false;
	vm->n_busy++;
	pthread_cond_broadcast(&vm->calls_changed);
	pthread_mutex_unlock(&vm->calls_lock);
	return result;
}

bool vcpu_keep_out(struct vm *vm)
{
	pthread_mutex_lock(&vm->calls_lock);
	while (vm->is_alone)
		pthread_cond_wait(&vm->calls_changed, &vm->calls_lock);
	vm->is_alone = true;
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		vcpu_kick(&vm->vcpus[i]);
	while (vm->n_busy > 0 && !atomic_load(&vm->stopping))
		pthread_cond_wait(&vm->calls_changed, &vm->calls_lock);
	bool out = vm->n_busy == 0;
	pthread_mutex_unlock(&vm->calls_lock);
	return out;
}

void vcpu_let_in(struct vm *vm)
{
	pthread_mutex_lock(&vm->calls_lock);
	vm->is_alone = false;
	pthread_cond_broadcast(&vm->calls_changed);
	pthread_mutex_unlock(&vm->calls_lock);
}

void vcpu_work_as(struct vcpu *vcpu, void (*fn)(struct vcpu *vcpu, void *argument), void *argument)
{
	struct vm *vm = vcpu->vm;

	pthread_mutex_lock(&vm->calls_lock);
	rest_end(vm);
	pthread_mutex_unlock(&vm->calls_lock);
	fn(vcpu, argument);
	pthread_mutex_lock(&vm->calls_lock);
	rest_begin(vm);
	pthread_mutex_unlock(&vm->calls_lock);
}

bool vcpu_rest_until(struct vcpu *self, bool (*is_over)(void *opaque), void *opaque)
{
	struct vm *vm = self->vm;

	pthread_mutex_lock(&vm->calls_lock);
	serve_calls_locked(self);
	while (!is_over(opaque) && !atomic_load(&vm->stopping)) {
		rest_begin(vm);
		pthread_cond_wait(&vm->calls_changed, &vm->calls_lock);
		rest_end(vm);
		serve_calls_locked(self);
	}
	bool over = is_over(opaque);
	pthread_mutex_unlock(&vm->calls_lock);
	return over;
}

void vcpu_end_rest(struct vm *vm)
{
	pthread_mutex_lock(&vm->calls_lock);
	pthread_cond_broadcast(&vm->calls_changed);
	pthread_mutex_unlock(&vm->calls_lock);
}

static void write_power_port(struct vm *vm, uint16_t port, uint8_t value)
{
	bool off = port == POWER_SLEEP_CONTROL_PORT && (value & POWER_SLEEP_ENABLE) &&
		   (value >> POWER_SLEEP_TYPE_SHIFT & POWER_SLEEP_TYPE_MASK) == POWER_SLEEP_TYPE_S5;
	bool reset = port == POWER_RESET_PORT && value == POWER_RESET_VALUE;

	if (!off && !reset)
		return;
	record_phase(vm->record, PHASE_SHUTDOWN, NULL);
	vm_end(vm, off ? OUTCOME_POWEROFF : OUTCOME_REBOOT, 0, NULL);
}

#define PIT_CHANNEL_2_PORT 0x42u

/*
 * But for the power registers, there are no devices behind ports: all bits set, as on an empty bus. The counter by which Linux
 * measures its CPU, where CPUID does not tell, stands at zero: while it had ones it would be read 100,000 times, in vain
 * (quick_pit_calibrate()).
 */
static uint8_t port_value(uint16_t port)
{
	return port == POWER_SLEEP_STATUS_PORT || port == PIT_CHANNEL_2_PORT ? 0 : 0xff;
}

static void answer_io(struct vm *vm, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	if (run->io.direction == KVM_EXIT_IO_IN)
		memset(data, port_value(run->io.port), (size_t)run->io.size * run->io.count);
	else if (run->io.size == 1)
		write_power_port(vm, run->io.port, data[0]);
}

static void answer_mmio(struct kvm_run *run)
{
	if (!run->mmio.is_write)
		memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
}

static void handle_xen_exit(struct vcpu *vcpu)
{
	struct kvm_xen_exit *exit = &vcpu->run->xen;

	if (exit->type != KVM_EXIT_XEN_HCALL)
		return;

	const struct hypercall call = {
		.number = exit->u.hcall.longmode ? exit->u.hcall.input : (uint32_t)exit->u.hcall.input,
		.is_64bit = exit->u.hcall.longmode != 0,
		.cpl = exit->u.hcall.cpl,
		.arguments = { exit->u.hcall.params[0], exit->u.hcall.params[1], exit->u.hcall.params[2],
			       exit->u.hcall.params[3], exit->u.hcall.params[4], exit->u.hcall.params[5] },
	};
	exit->u.hcall.result = (uint64_t)hypercall_dispatch(vcpu, &call);
}

#define FAILURES_MAX 16u

/*
 * KVM refuses to emulate an access while the CPU delivers an event. On AMD it takes EXITINTINFO's type for that, without a look at
 * its valid bit, and a host that is QEMU's emulation leaves the type of the last event there (do_interrupt_all() clears the valid
 * bit alone). So the access is made again; one that is refused each time is no such mistake.
 *
 * And it stops where it must read an instruction whose page is lent and not there: lending_on_failed_emulation().
 */
static bool may_try_again(struct vcpu *vcpu)
{
	const uint32_t suberror = vcpu->run->internal.suberror;

	if (suberror == KVM_INTERNAL_ERROR_EMULATION && lending_on_failed_emulation(vcpu)) {
		vcpu->n_failures = 0;
		return true;
	}
	return (suberror == KVM_INTERNAL_ERROR_DELIVERY_EV ||
		(suberror == KVM_INTERNAL_ERROR_EMULATION && vcpu->vm->lending)) &&
	       ++vcpu->n_failures <= FAILURES_MAX;
}

static void handle_exit(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	_Atomic uint64_t *exits = vm->record->exits;

	if (vcpu->run->exit_reason != KVM_EXIT_INTERNAL_ERROR)
		vcpu->n_failures = 0;
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_XEN:
		record_count(&exits[EXIT_XEN]);
		handle_xen_exit(vcpu);
		break;
	case KVM_EXIT_IO:
		record_count(&exits[EXIT_IO]);
		if (!pci_host_on_io(vcpu))
			answer_io(vm, vcpu->run);
		break;
	case KVM_EXIT_MMIO:
		record_count(&exits[EXIT_MMIO]);
		if (!lending_on_mmio(vcpu) && !pci_host_on_mmio(vcpu))
			answer_mmio(vcpu->run);
		break;
	case KVM_EXIT_SHUTDOWN:
		vm_end(vm, OUTCOME_CRASH, 0, "triple fault on vCPU %u", vcpu->number);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		if (may_try_again(vcpu))
			return;
		vm_end(vm, OUTCOME_HOST_ERROR, DOM1_STATUS_DEFECT, "KVM could not go on with vCPU %u: internal error %u",
		       vcpu->number, vcpu->run->internal.suberror);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		vm_end(vm, OUTCOME_HOST_ERROR, DOM1_STATUS_DEFECT, "KVM could not enter vCPU %u: hardware reason 0x%llx",
		       vcpu->number, vcpu->run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_INTR:
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_IOAPIC_EOI:
		record_count(&exits[EXIT_OTHER]);
		break;
	default:
		vm_end(vm, OUTCOME_HOST_ERROR, DOM1_STATUS_DEFECT, "vCPU %u left KVM for a reason unknown to dom1: %u",
		       vcpu->number, vcpu->run->exit_reason);
		break;
	}
}

bool vcpu_settle(struct vcpu *vcpu)
{
	int rc;

	/* It stays set: serve_calls() looks again before the guest is entered. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	/* An access in several pieces comes out with the next one. */
	while ((rc = ioctl(vcpu->fd, KVM_RUN, 0)) == 0)
		handle_exit(vcpu);
	return errno == EINTR || errno == EAGAIN;
}

/* syscalls(vcpu): ioctl(KVM_RUN) */
static void run_guest(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	for (;;) {
		serve_calls(vcpu);
		if (atomic_load(&vm->stopping))
			return;
		bool memory_comes_later = guest_memory_is_deferred(vm->memory);

		if (ioctl(vcpu->fd, KVM_RUN, 0) == 0) {
			handle_exit(vcpu);
			continue;
		}
		int error = errno;
		if (lending_on_failed_run(vcpu, error))
			continue;
		if (error == EFAULT && memory_comes_later) {
			guest_memory_await(vm->memory);
			continue;
		}
		/* The places of the hypervisor's pages are empty until the guest puts a page there. */
		if (error == EFAULT) {
			vm_end(vm, OUTCOME_CRASH, 0, "vCPU %u used guest memory that has nothing behind it", vcpu->number);
			return;
		}
		/* EAGAIN: a vCPU that waited for INIT or SIPI has something to look at. */
		if (error != EINTR && error != EAGAIN) {
			vm_end(vm, OUTCOME_HOST_ERROR, DOM1_STATUS_DEFECT, "KVM_RUN of vCPU %u: %s", vcpu->number, g_strerror(error));
			return;
		}
		record_count(&vm->record->exits[EXIT_INTERRUPTED]);
	}
}

/* syscalls(vcpu): futex brk clock_gettime */
static void vcpu_thread(void *opaque)
{
	struct vcpu *vcpu = opaque;
	struct vm *vm = vcpu->vm;

	pthread_mutex_lock(&vm->calls_lock);
	rest_end(vm);
	pthread_mutex_unlock(&vm->calls_lock);
	lending_vcpu_starts(vcpu);
	/* One that was restored has its place of events already, and rests until all of it is there (machine_restore.c). */
	const bool is_restored = vcpu->vcpu_info != NULL;
	if (!is_restored)
		hypercall_vcpu_starts(vcpu);
	if (vcpu->number == 0 && !is_restored)
		record_phase(vm->record, PHASE_VCPU_RUN, NULL);
	run_guest(vcpu);
	pthread_mutex_lock(&vm->calls_lock);
	rest_begin(vm);
	pthread_mutex_unlock(&vm->calls_lock);
}

struct worker_kind vcpu_worker_kind(const char *name, bool waits_for_traps)
{
	return (struct worker_kind){
		.name = name, .filter = SANDBOX_VCPU, .kick_signal = KICK_SIGNAL, .waits_for_traps = waits_for_traps,
	};
}

void vcpu_start(struct vcpu *vcpu, struct worker *worker)
{
	vcpu->worker = worker;
	vcpu->started = true;
	worker_start(worker, vcpu_thread, vcpu);
}

void vcpu_join(struct vcpu *vcpu)
{
	if (!vcpu->started)
		return;
	worker_wait(vcpu->worker);
	vcpu->started = false;
}
