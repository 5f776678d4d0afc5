# A kernel's module with all that is read of one: functions with and without a site, init code, exports.
.macro function name
.type \name,@function
\name: 777: .section __mcount_loc,"a"
.quad 777b
.text
.byte 0x0f,0x1f,0x44,0,0
ret
.size \name, . - \name
.endm
.text
function show
function printk
.section .init.text,"ax"
start: ret
.section __ksymtab,"a"
__ksymtab_printk: .long printk - ., 0, 0
.section __ksymtab_gpl,"a"
__ksymtab_show: .long show - ., 0, 0
.section __kcrctab,"a"
.long 0x11111111
.section __kcrctab_gpl,"a"
.long 0x33333333
.section __ksymtab_strings,"aMS",@progbits,1
.asciz "x"
__kstrtabns_printk: .asciz "INNER"
.section .rodata
vermagic: .asciz "6.1.0 SMP modversions "
__start_mcount_loc: .quad show, printk
__stop_mcount_loc:
