// SPDX-License-Identifier: MIT
/*
 * Xen's public headers, as the packages of the machine we build on have them. They want the fixed-width types and the
 * version of the interface before anything else; 0x00040e00 is the newest that the headers of 4.17 know.
 */
#pragma once

#include <stdint.h>

#define __XEN_INTERFACE_VERSION__ 0x00040e00

#include <xen/xen.h>
#include <xen/errno.h>

/* What came with Xen 4.18, to <xen/vcpu.h> and <xen/features.h>. */
#ifndef VCPUOP_register_runstate_phys_area
#define VCPUOP_register_runstate_phys_area  14
#define VCPUOP_register_vcpu_time_phys_area 15
#endif
#ifndef XENFEAT_runstate_phys_area
#define XENFEAT_runstate_phys_area  18
#define XENFEAT_vcpu_time_phys_area 19
#endif
