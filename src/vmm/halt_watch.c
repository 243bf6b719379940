// SPDX-License-Identifier: MIT
#include "vmm/halt_watch.h"

#include <pthread.h>
#include <time.h>

#include <glib.h>

#include "vmm/vcpu_state.h"
#include "vmm/vm.h"
#include "vmm/worker.h"

#define TURN_S       1
#define LOOKS_NEEDED 2

struct halt_watch {
	struct vm *vm;
	void (*all_down)(struct vm *vm);
	struct halt_looks looks;
	guint source;
};

enum halt_next halt_looks_turn(struct halt_looks *looks, uint64_t used_ns, bool all_down)
{
	if (looks->is_asked) {
		looks->n_down = all_down ? looks->n_down + 1 : 0;
		if (looks->n_down == LOOKS_NEEDED)
			return HALT_END;
	}
	/* To be asked costs CPU time itself. */
	looks->is_asked = looks->n_down > 0 || (!looks->is_asked && looks->used_ns == used_ns);
	looks->used_ns = used_ns;
	return looks->is_asked ? HALT_ASK : HALT_WAIT;
}

/* syscalls(main): clock_gettime */
static uint64_t used_ns(const struct vm *vm)
{
	uint64_t sum_ns = 0;

	for (unsigned int i = 0; i < vm->n_vcpus; i++) {
		struct timespec used;
		clockid_t clock;

		if (vm->vcpus[i].started && pthread_getcpuclockid(worker_thread(vm->vcpus[i].worker), &clock) == 0 &&
		    clock_gettime(clock, &used) == 0)
			sum_ns += (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
	}
	return sum_ns;
}

static bool all_answered(const struct vm *vm)
{
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		if (atomic_load(&vm->vcpus[i].down_look) != atomic_load(&vm->halt_look))
			return false;
	return true;
}

static gboolean on_turn(gpointer opaque)
{
	struct halt_watch *watch = opaque;
	struct vm *vm = watch->vm;

	/* Paused, it halts for us, and not by itself. */
	if (vm->paused) {
		watch->looks = (struct halt_looks){ 0 };
		return G_SOURCE_CONTINUE;
	}
	switch (halt_looks_turn(&watch->looks, used_ns(vm), all_answered(vm))) {
	case HALT_WAIT:
		break;
	case HALT_ASK:
		atomic_fetch_add(&vm->halt_look, 1);
		for (unsigned int i = 0; i < vm->n_vcpus; i++)
			vcpu_kick(&vm->vcpus[i]);
		break;
	case HALT_END:
		watch->looks = (struct halt_looks){ 0 };
		watch->all_down(vm);
		break;
	}
	return G_SOURCE_CONTINUE;
}

struct halt_watch *halt_watch_new(struct vm *vm, void (*all_down)(struct vm *vm))
{
	struct halt_watch *watch = g_new0(struct halt_watch, 1);

	watch->vm = vm;
	watch->all_down = all_down;
	watch->source = g_timeout_add_seconds(TURN_S, on_turn, watch);
	return watch;
}

void halt_watch_free(struct halt_watch *watch)
{
	if (!watch)
		return;
	g_source_remove(watch->source);
	g_free(watch);
}

void halt_watch_answer(struct vcpu *vcpu)
{
	uint32_t look = atomic_load(&vcpu->vm->halt_look);

	if (look != vcpu->seen_look && !vcpu_is_up(vcpu))
		atomic_store(&vcpu->down_look, look);
	vcpu->seen_look = look;
}
