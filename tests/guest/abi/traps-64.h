/* SPDX-License-Identifier: MIT */
/* Traps in long mode, and the way to CPL 3 and back. Part of start.S. */

/* Vector and error code are below what the CPU pushed: struct trap_frame of traps.c. */
	.macro	trap_entry vector, has_error
trap_\vector:
	.ifeq	\has_error
	pushq	$0
	.endif
	pushq	$\vector
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
	.quad	trap_\n
	.endm
	.rept	65
	trap_entry_n %v
	.set	v, v + 1
	.endr

trap_common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	leaq	72(%rsp), %rdi
	cld
	call	trap_handle
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

/* long user_hypercall(unsigned long number, unsigned long a1, unsigned long a2): made at CPL 3. */
	.globl	user_hypercall, user_return
user_hypercall:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, user_saved_sp
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsi
	pushq	$0x2b
	pushq	$user_stack_top
	pushq	$2
	pushq	$0x23
	pushq	$user_entry
	iretq
user_entry:
	call	hypercall_instruction
	int	$0x80
user_return:
	movq	user_saved_sp, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
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
