// SPDX-License-Identifier: MIT
/* What the lending thread asks of vCPUs and of RAM that is lent, where there are none. */
#include <glib.h>

#include "lend/lent_ram.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

void vcpu_end_rest(struct vm *vm)
{
	pthread_mutex_lock(&vm->calls_lock);
	pthread_cond_broadcast(&vm->calls_changed);
	pthread_mutex_unlock(&vm->calls_lock);
}

/* No window is RAM. */
bool lent_ram_is_wanted(const struct lending *lending)
{
	(void)lending;
	return false;
}

void lent_ram_take_back(struct lending *lending, size_t max_pages)
{
	(void)lending, (void)max_pages;
	g_assert_not_reached();
}

bool vcpu_keep_out(struct vm *vm)
{
	(void)vm;
	g_assert_not_reached();
}

void vcpu_let_in(struct vm *vm)
{
	(void)vm;
	g_assert_not_reached();
}
