// SPDX-License-Identifier: MIT
// Another kernel in this one's place: see USAGE.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/kexec.h>
#include <linux/reboot.h>

#define USAGE                                                                                                         \
	"usage: kexec now|crash KERNEL INITRD COMMAND-LINE\n"                                                          \
	"now: starts it. crash: it waits in the memory of crashkernel= until this kernel panics.\n"

int main(int argc, char **argv)
{
	if (argc != 5 || (strcmp(argv[1], "now") != 0 && strcmp(argv[1], "crash") != 0)) {
		fputs(USAGE, stderr);
		return 2;
	}
	const unsigned long flags = strcmp(argv[1], "crash") == 0 ? KEXEC_FILE_ON_CRASH : 0;
	int kernel_fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	int initrd_fd = open(argv[3], O_RDONLY | O_CLOEXEC);

	if (kernel_fd < 0 || initrd_fd < 0 ||
	    syscall(SYS_kexec_file_load, kernel_fd, initrd_fd, strlen(argv[4]) + 1, argv[4], flags) != 0) {
		perror("kexec: cannot load");
		return 1;
	}
	if (flags)
		return 0;
	sync();
	(void)syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_KEXEC, NULL);
	perror("kexec: cannot start it");
	return 1;
}
