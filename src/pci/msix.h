// SPDX-License-Identifier: MIT
/*
 * The table by which a PCI function's interrupts become messages (MSI-X). Pure: what is to be sent is handed back.
 * Source: PCI Local Bus 3.0, 6.8.2.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define MSIX_MAX_VECTORS      16u
#define MSIX_ENTRY_BYTES      16u
#define MSIX_CAPABILITY       0x11u
#define MSIX_CAPABILITY_BYTES 12u
#define MSIX_CONTROL          2u /* in the capability */
#define MSIX_CONTROL_MASKED   0x4000u
#define MSIX_CONTROL_ENABLED  0x8000u

struct msix_message {
	uint64_t address;
	uint32_t data;
};

struct msix {
	unsigned int n_vectors;
	bool enabled, masked; /* of the whole function */
	uint8_t table[MSIX_MAX_VECTORS * MSIX_ENTRY_BYTES];
	uint32_t pending; /* bit n: vector n was raised while it was masked */
};

/* All vectors masked, nothing enabled. */
void msix_init(struct msix *msix, unsigned int n_vectors);
/* What the guest has written to the capability's control word. */
void msix_set_control(struct msix *msix, uint16_t control);

/* The table and the array of pending bits, by the guest. len_bytes 1 to 8, aligned to itself; else zeros, and no effect. */
uint64_t msix_read_table(const struct msix *msix, uint64_t offset_bytes, unsigned int len_bytes);
void msix_write_table(struct msix *msix, uint64_t offset_bytes, unsigned int len_bytes, uint64_t value);
uint64_t msix_read_pending(const struct msix *msix, uint64_t offset_bytes, unsigned int len_bytes);

/* TRUE: the message is to be sent. FALSE: it is kept until msix_take(), or there is no such vector. */
bool msix_raise(struct msix *msix, unsigned int vector, struct msix_message *message);
/* One that was kept and need not be any longer. */
bool msix_take(struct msix *msix, struct msix_message *message);
