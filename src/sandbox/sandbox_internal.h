// SPDX-License-Identifier: MIT
#pragma once

#include "sandbox/sandbox.h"

/* Before the first thread but main. FALSE: this kernel has no filters. */
bool sandbox_watch_violations(const struct sandbox *sandbox);
