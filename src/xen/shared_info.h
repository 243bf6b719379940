// SPDX-License-Identifier: MIT
/*
 * Event bits in shared_info and vcpu_info, in the layout of the domain's word size. Pure.
 *
 * Bits are numbered through the bytes of the array, so both word sizes share one way to find one; only the place of
 * the mask array and the number of ports differ. Guest and KVM change the same words: each change here is atomic.
 * Source: struct shared_info and struct vcpu_info of <xen/xen.h>; tests/unit/xen/abi32.c checks the 32-bit numbers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xen/abi.h"

#define SHARED_INFO_PENDING_OFFSET 2048u
#define SHARED_INFO_MASK_OFFSET_32 (2048u + 128u)
#define SHARED_INFO_MASK_OFFSET_64 (2048u + 512u)
#define SHARED_INFO_PORTS_32       1024u
#define SHARED_INFO_PORTS_64       4096u
#define VCPU_INFO_SEL_OFFSET_32    4u
#define VCPU_INFO_SEL_OFFSET_64    8u

#ifdef __x86_64__
_Static_assert(offsetof(struct shared_info, evtchn_pending) == SHARED_INFO_PENDING_OFFSET, "<xen/xen.h>");
_Static_assert(offsetof(struct shared_info, evtchn_mask) == SHARED_INFO_MASK_OFFSET_64, "<xen/xen.h>");
_Static_assert(offsetof(struct vcpu_info, evtchn_pending_sel) == VCPU_INFO_SEL_OFFSET_64, "<xen/xen.h>");
_Static_assert(sizeof(((struct shared_info *)0)->vcpu_info) == SHARED_INFO_PENDING_OFFSET, "<xen/xen.h>");
#endif

static inline uint32_t shared_info_ports(bool is_64bit)
{
	return is_64bit ? SHARED_INFO_PORTS_64 : SHARED_INFO_PORTS_32;
}

static inline bool shared_info_clear_bit(uint8_t *array, uint32_t port)
{
	uint8_t bit = (uint8_t)(1u << port % 8);

	return (__atomic_fetch_and(&array[port / 8], (uint8_t)~bit, __ATOMIC_SEQ_CST) & bit) != 0;
}

static inline uint32_t shared_info_mask_offset(bool is_64bit)
{
	return is_64bit ? SHARED_INFO_MASK_OFFSET_64 : SHARED_INFO_MASK_OFFSET_32;
}

static inline bool shared_info_bit(const uint8_t *array, uint32_t port)
{
	return __atomic_load_n(&array[port / 8], __ATOMIC_RELAXED) >> port % 8 & 1;
}

/* For who only looks. port: below shared_info_ports(). */
static inline bool shared_info_is_pending(const void *shared_info, uint32_t port)
{
	return shared_info_bit((const uint8_t *)shared_info + SHARED_INFO_PENDING_OFFSET, port);
}

static inline bool shared_info_is_masked(const void *shared_info, bool is_64bit, uint32_t port)
{
	return shared_info_bit((const uint8_t *)shared_info + shared_info_mask_offset(is_64bit), port);
}

/* Both tell whether the bit was set. port: below shared_info_ports(). */
static inline bool shared_info_clear_pending(void *shared_info, uint32_t port)
{
	return shared_info_clear_bit((uint8_t *)shared_info + SHARED_INFO_PENDING_OFFSET, port);
}

static inline bool shared_info_clear_mask(void *shared_info, bool is_64bit, uint32_t port)
{
	return shared_info_clear_bit((uint8_t *)shared_info + shared_info_mask_offset(is_64bit), port);
}

/* Every word of the pending array has to be looked at. */
static inline void vcpu_info_mark_all(void *info, bool is_64bit)
{
	if (is_64bit)
		__atomic_store_n((uint64_t *)(void *)((uint8_t *)info + VCPU_INFO_SEL_OFFSET_64), ~UINT64_C(0), __ATOMIC_SEQ_CST);
	else
		__atomic_store_n((uint32_t *)(void *)((uint8_t *)info + VCPU_INFO_SEL_OFFSET_32), ~UINT32_C(0), __ATOMIC_SEQ_CST);
	__atomic_store_n(&((struct vcpu_info *)info)->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST);
}

/* Whether the vCPU has been told of an event at the port: that there is one, and in which word of the pending array. */
static inline bool vcpu_info_is_told(const void *info, bool is_64bit, uint32_t port)
{
	const uint8_t *sel = (const uint8_t *)info + (is_64bit ? VCPU_INFO_SEL_OFFSET_64 : VCPU_INFO_SEL_OFFSET_32);

	return __atomic_load_n(&((const struct vcpu_info *)info)->evtchn_upcall_pending, __ATOMIC_SEQ_CST) != 0 &&
	       shared_info_bit(sel, port / (is_64bit ? 64 : 32));
}
