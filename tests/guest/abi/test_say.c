// SPDX-License-Identifier: MIT
/* What a test harness may hear from a guest; tests/boot/harness.sh looks at what it makes of that. */
#include "guest.h"

#include <xen/sched.h>

#define MIB_LINES 1024 /* of 1 KiB */

static _Noreturn void end(unsigned int reason)
{
	struct sched_shutdown request = { .reason = reason };

	console_drain();
	(void)sched_op(SCHEDOP_shutdown, &request);
	for (;;)
		__asm__ volatile("hlt");
}

static void say(const char *text)
{
	print(text);
	end(SHUTDOWN_poweroff);
}

static void hang(const char *text)
{
	print(text);
	console_drain();
	for (;;)
		(void)sched_op(SCHEDOP_yield, NULL);
}

static void flood(unsigned int mib)
{
	static char line[1025];

	for (unsigned int i = 0; i < sizeof(line) - 2; i++)
		line[i] = (char)(' ' + i % 95);
	line[sizeof(line) - 2] = '\n';
	for (unsigned int i = 0; i < mib * MIB_LINES; i++)
		print(line);
	finish("SUCCESS");
}

/* The word is the first letter that names it; a number for the flood. */
void test_say(void)
{
	switch (option()[0]) {
	case 'S':
		finish("SKIP");
	case 'E':
		finish("ERROR");
	case 'F':
		finish("FAILURE");
	case 'W':
		finish("SUCCESS with warnings");
	case 't':
		say("TAP version 13\n1..2\nok 1 - one\nok 2 - two # SKIP no device\n");
		break;
	case 'n':
		say("TAP version 13\n1..2\nok 1 - one\nnot ok 2 - two\n");
		break;
	case 'm':
		say("TAP version 13\n1..3\nok 1 - one\n");
		break;
	case 'h':
		say("Test result: SUCC");
		break;
	case 'l':
		print("Test result: SUCCESS\n");
		end(SHUTDOWN_crash);
	case 'c':
		say("\033[2J\033]0;title\001\002 noise \x7f\xff\r\n\033[31mTest result: SUCCESS\033[0m\r\n");
		break;
	case 'p':
		hang("login: ");
		break;
	case 'f':
		flood(option_number());
		break;
	default:
		hang("for ever\n");
		break;
	}
}
