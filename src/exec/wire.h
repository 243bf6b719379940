/* SPDX-License-Identifier: MIT */
/*
 * What dom1 exec and its init in the guest (init.c) say to each other on hvc1: frames of a type, a length of two bytes
 * (little-endian), and that many bytes.
 *
 *   init --> dom1: READY, again and again until it is answered: what comes earlier, the terminal would echo
 *   dom1 --> init: GO, once; then INPUT, standard input, and an empty one for its end
 *   init --> dom1: OUTPUT and ERROR, what the command writes; then STATUS, its exit status in one byte, and no more
 *
 * Freestanding: included by both.
 */
#pragma once

enum exec_frame {
	EXEC_READY = 'R',
	EXEC_GO = 'G',
	EXEC_INPUT = 'I',
	EXEC_OUTPUT = 'O',
	EXEC_ERROR = 'E',
	EXEC_STATUS = 'S',
};

#define EXEC_HEADER_BYTES  3
#define EXEC_PAYLOAD_BYTES 4096 /* at most */

/* In the guest's root: init itself, and the working directory and the arguments, each with a 0 behind it. */
#define EXEC_INIT_NAME    "dom1-init"
#define EXEC_COMMAND_NAME "dom1-command"
/* And drivers that init loads first, by this name and a number of two digits from 00 on. */
#define EXEC_MODULE_NAME  "dom1-module-"
/* On the kernel's command line, when the root is a disk. */
#define EXEC_DISK_WORD "dom1.root="
