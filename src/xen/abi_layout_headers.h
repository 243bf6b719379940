// SPDX-License-Identifier: MIT
/* The public headers of the structures in abi_layout.def. */
#pragma once

#include <stddef.h>

#include "xen/abi.h"
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/hvm_vcpu.h>
#include <xen/memory.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
