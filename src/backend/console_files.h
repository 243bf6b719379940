// SPDX-License-Identifier: MIT
/* Opens what a console's other side may be. System calls: posix_openpt, socket, bind, listen. */
#pragma once

#include "backend/console.h"

/* No descriptor at all. */
#define CONSOLE_FILES_NONE ((struct console_files){ .in_fd = -1, .out_fd = -1, .listen_fd = -1, .attach_fd = -1, .log_fd = -1 })

/* 0 or a positive errno. name: of the other side, to be freed. */
int console_files_open_pty(struct console_files *files, char **name);
/* Listens at path; it is removed by whoever removes the console. */
int console_files_listen(struct console_files *files, const char *path);
