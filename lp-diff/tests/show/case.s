# What --show can say, by hand so that no compiler's choices are in it; PATCHED is defined for the second object.

	.section .text.work,"ax",@progbits
	.globl	work
	.type	work, @function
work:
	call	__fentry__
	push	%rbx
	mov	%rdi,%rbx
.ifdef PATCHED
	test	%rbx,%rbx
	je	.Lnull
.endif
	incl	.Lcount(%rip)
	mov	$.Lgreeting,%rdi
	call	_printk
.Lbranch:
	nopl	0x8(%rax,%rax)
.Lread:
	mov	0x18(%rbx),%eax
	cmp	$2,%eax
	ja	.Lslow
	jmp	*.Lswitch(,%rax,8)
.Lzero:
	xor	%eax,%eax
	jmp	.Lout
.Lone:
.ifdef PATCHED
	mov	$3,%eax
.else
	mov	$1,%eax
.endif
	jmp	.Lout
.Lload:
	mov	(%rbx),%rax
.Lout:
	pop	%rbx
	ret
.Lslow:
	jmp	work.cold
.ifdef PATCHED
.Lnull:
	ud2
	call	helper
	jmp	.Lout
.endif
	.size	work, .-work

	.section .text.unlikely.work,"ax",@progbits
	.type	work.cold, @function
work.cold:
	ud2
	xor	%eax,%eax
	jmp	.Lout
	.size	work.cold, .-work.cold

	.section .text.same,"ax",@progbits
	.globl	same
	.type	same, @function
same:
	call	__fentry__
	ret
	.size	same, .-same

.ifdef PATCHED
	.section .text.helper,"ax",@progbits
	.type	helper, @function
helper:
	call	__fentry__
	lea	count.7(%rip),%rax
	ret
	.size	helper, .-helper
.else
	.section .text.unused,"ax",@progbits
	.globl	unused
	.type	unused, @function
unused:
	call	__fentry__
	ret
	.size	unused, .-unused
.endif

	# Code of its own, as kernels before 5.17 have it.
	.section .fixup,"ax",@progbits
.Lfixup:
	mov	$-14,%eax
	jmp	.Lout

	.section .rodata.work,"a",@progbits
	.align 8
.Lswitch:
	.quad	.Lzero
	.quad	.Lone
	.quad	.Lload

	.section .rodata.work.str1.1,"aMS",@progbits,1
.Lgreeting:
.ifdef PATCHED
	.string	"\033[2Jhello <b>&\n"
.else
	.string	"hello\n"
.endif

.macro static_local name
	.section .bss.\name,"aw",@nobits
	.type	\name, @object
	.size	\name, 4
	.align	4
\name:
.Lcount:
	.zero	4
.endm
.ifdef PATCHED
static_local count.7
.else
static_local count.3
.endif

	.section .data.key,"aw",@progbits
	.globl	feature_key
	.type	feature_key, @object
	.size	feature_key, 16
	.align	8
feature_key:
	.quad	1, 0

	.section __bug_table,"aw",@progbits
	.long	work.cold-., 0
	.short	0, 1
.ifdef PATCHED
	.long	.Lnull-., 0
	.short	0, 0
.endif

	.section __ex_table,"a",@progbits
	.long	.Lload-., .Lout-., 3
	.long	.Lread-., .Lfixup-., 3

	.section __jump_table,"aw",@progbits
	.long	.Lbranch-., .Lout-.
	.quad	feature_key-.
