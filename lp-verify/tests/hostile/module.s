# A livepatch module with all that the reader reads: tables, note, versions, livepatch symbols and relocations.
.section .modinfo,"a"
.asciz "livepatch=Y"
.asciz "name=seed"
.asciz "license=GPL"
.asciz "depends=other"
.asciz "vermagic=6.1.0 SMP modversions "
.section __versions,"a"
.quad 0x11111111
.asciz "klp_enable_patch"
.zero 39
.text
new_show: ret
init:
mov %al, patch+24(%rip)
movl $3, states+8(%rip)
mov $patch, %rdi
jmp klp_enable_patch
.data
.balign 8
.type patch,@object
patch: .quad __this_module, objs, states
.byte 1
.zero 200
.size patch, . - patch
.balign 8
.type objs,@object
objs: .quad 0, funcs, new_show, 0, 0, 0
.zero 152
.quad name, funcs, 0, 0, 0, 0
.zero 152
.zero 200
.size objs, . - objs
.type funcs,@object
funcs: .quad old_name, new_show, 1
.zero 144
.zero 168
.size funcs, . - funcs
.type states,@object
states: .quad 7
.long 2, 0
.quad 0
.zero 24
.size states, . - states
.section .rodata
old_name: .asciz "show"
name: .asciz "other"
.section .note.livepatch,"a",@note
.balign 4
.long 10, 2f - 1f, 1
.asciz "livepatch"
.balign 4
1: .ascii "{\"format\":1,\"tool\":\"t\",\"name\":\"seed\",\"version\":\"1\",\"target\":{\"release\":\"6.1.0\",\"build_id\":\"aa\",\"arch\":\"x86_64\"},\"replace\":true,\"states\":[{\"id\":7,\"version\":2}],\"objects\":[{\"name\":\"vmlinux\",\"functions\":[{\"name\":\"show\",\"sympos\":1}]}]}"
2: .balign 4
