/* SPDX-License-Identifier: MIT */
/* Traps in 32-bit mode, and the way to CPL 3 and back. Part of start.S. */

/* Vector and error code are below what the CPU pushed: struct trap_frame of traps.c. */
	.macro	trap_entry vector, has_error
trap_\vector:
	.ifeq	\has_error
	pushl	$0
	.endif
	pushl	$\vector
	jmp	trap_common
	.endm

	.set	v, 0
	.altmacro
	.macro	trap_entry_n n
	.if	(\n == 8) || ((\n >= 10) && (\n <= 14)) || (\n == 17) || (\n == 21) || (\n == 29) || (\n == 30)
	trap_entry \n, 1
	.else
	trap_entry \n, 0
	.endif
	.endm
	.macro	trap_address n
	.long	trap_\n
	.endm
	.rept	65
	trap_entry_n %v
	.set	v, v + 1
	.endr

trap_common:
	pushal
	movl	$0x10, %eax
	movl	%eax, %ds
	movl	%eax, %es
	leal	32(%esp), %eax
	pushl	%eax
	cld
	call	trap_handle
	addl	$4, %esp
	popal
	addl	$8, %esp
	iret

/* long user_hypercall(unsigned long number, unsigned long a1, unsigned long a2): made at CPL 3. */
	.globl	user_hypercall, user_return
user_hypercall:
	pushl	%ebx
	pushl	%ebp
	pushl	%esi
	pushl	%edi
	movl	%esp, user_saved_sp
	movl	20(%esp), %eax
	movl	24(%esp), %ebx
	movl	28(%esp), %ecx
	pushl	$0x2b
	pushl	$user_stack_top
	pushl	$2
	pushl	$0x23
	pushl	$user_entry
	iret
user_entry:
	call	hypercall_instruction
	int	$0x80
user_return:
	/* On the way to CPL 3 the CPU emptied the segments that only CPL 0 may use. */
	movl	$0x10, %ecx
	movl	%ecx, %ds
	movl	%ecx, %es
	movl	user_saved_sp, %esp
	popl	%edi
	popl	%esi
	popl	%ebp
	popl	%ebx
	ret

	.section .rodata
	.globl	trap_addresses
	.balign	8
trap_addresses:
	.set	v, 0
	.rept	65
	trap_address %v
	.set	v, v + 1
	.endr
	.bss
	.balign	16
user_saved_sp:
	.skip	16
	.skip	4096
user_stack_top:
	.text
