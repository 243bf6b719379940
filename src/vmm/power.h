// SPDX-License-Identifier: MIT
/*
 * How a guest without the shim turns itself off: the two registers that the FADT of a hardware-reduced machine names,
 * as I/O ports. A PV guest does it by hypercall, and so does a PVH guest for a crash.
 *
 * Source: ACPI 4.8.3.6 (reset register), 4.8.3.7 (sleep control register).
 */
#pragma once

#define POWER_SLEEP_CONTROL_PORT 0x600u
#define POWER_SLEEP_STATUS_PORT  0x601u
#define POWER_RESET_PORT         0x602u

#define POWER_RESET_VALUE      0x01u
#define POWER_SLEEP_ENABLE     0x20u
#define POWER_SLEEP_TYPE_SHIFT 2
#define POWER_SLEEP_TYPE_MASK  0x7u
#define POWER_SLEEP_TYPE_S5    5u /* what \_S5 in the DSDT says */
