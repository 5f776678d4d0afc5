/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Shadow variables for patches of processes: new fields of objects that exist already and cannot grow.
 *
 *	#include "lp_shadow.h"
 *
 *	LP_SHADOW_USES(LP_SHADOW_ID(20241086, 1));
 *	struct quota *quota = lp_shadow_get_or_alloc(client, LP_SHADOW_ID(20241086, 1), sizeof(*quota), 0, 0);
 *
 * A variable is found by the address of its object and an id, as klp_shadow_* of the kernel does it. It survives the patch
 * that made it and belongs to all patches that know its id, so that a cumulative patch finds what the older one kept.
 * Free it where the object is freed, before it is: the key is an address, which the next object may get.
 *
 * Any thread may call any of these at any time, but not from a signal handler, nor from a constructor or destructor given
 * to one of them. They call nothing: memory comes from the system, not from malloc, which may have been interrupted
 * halfway where a callback runs.
 *
 * All patches of a process share the variables, each with the code that it was compiled with. So the layout has a number,
 * LP_SHADOW_LAYOUT, and code of another layout gives NULL rather than guess. Never change a struct of this file without
 * another number.
 */
#ifndef LP_SHADOW_H
#define LP_SHADOW_H

#define LP_SHADOW_LAYOUT 1u

/*
 * An id: the number of the bug, CVE or patch that it belongs to, and a small number of one's own (0 to 255). The meaning
 * of one must never change.
 */
#define LP_SHADOW_ID(bug, n)										\
	(((unsigned long)(bug) << 8 | (unsigned long)(n)) + 0 * sizeof(char[(n) >= 0 && (n) < 256 ? 1 : -1]))

/* Tells lp-build of an id, which goes into the patch's manifest. */
#define __LP_SHADOW_PASTE2(a, b) a##b
#define __LP_SHADOW_PASTE(a, b) __LP_SHADOW_PASTE2(a, b)
#define LP_SHADOW_USES(id)										\
	static const unsigned long __LP_SHADOW_PASTE(__lp_shadow_id_, __LINE__)			\
		__attribute__((__used__, __section__(".livepatch.shadow_ids"))) = (id)

/* Prepares a new variable of `size` zeroed bytes; another value than 0 means that there shall be none. */
typedef int (*lp_shadow_ctor)(void *obj, void *shadow, void *ctor_data);
typedef void (*lp_shadow_dtor)(void *obj, void *shadow);

struct __lp_shadow {
	struct __lp_shadow *next;
	void *obj;
	unsigned long id;
	/* Bytes with this header; what is below 32 KiB is a power of two. */
	unsigned long size;
	/* The variable itself follows, aligned to 32 bytes. */
};

#define __LP_SHADOW_CLASSES 16
struct __lp_shadow_arena {
	/* A power of two of lists. */
	struct __lp_shadow **lists;
	unsigned long list_count;
	unsigned long count;
	/* Freed variables, by the power of two of their size. */
	struct __lp_shadow *unused[__LP_SHADOW_CLASSES];
	/* What is left of the last block of memory. */
	char *block, *block_end;
};

/* 64 zeroed bytes of the loader's, as long as the process lives. */
struct __lp_shadow_root {
	/* The thread that is at work here, 0 for none. */
	int owner;
	unsigned int layout;
	struct __lp_shadow_arena *arena;
};

#define __LP_SHADOW_FN static __attribute__((__noinline__, __unused__))

__LP_SHADOW_FN long __lp_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall" : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#define __LP_SYS_MMAP 9
#define __LP_SYS_MUNMAP 11
#define __LP_SYS_SCHED_YIELD 24
#define __LP_SYS_GETPID 39
#define __LP_SYS_GETTID 186
#define __LP_SYS_TGKILL 234

/* NULL where no loader is, in the program that the patched tree is built to. */
static inline __attribute__((__unused__)) struct __lp_shadow_root *__lp_shadow_root_at(void)
{
	struct __lp_shadow_root *root;

	__asm__(".weak __lp_shadow_root\n\tmovq __lp_shadow_root@GOTPCREL(%%rip), %0" : "=r"(root));
	return root;
}

__LP_SHADOW_FN void *__lp_shadow_map(unsigned long size)
{
	/* PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS */
	long at = __lp_syscall(__LP_SYS_MMAP, 0, size, 3, 0x22, -1, 0);

	return at < 0 && at > -4096 ? (void *)0 : (void *)at;
}

/* Whether a thread of this process is gone: the lock was held when the process forked, which only took along one. */
__LP_SHADOW_FN int __lp_shadow_gone(int thread)
{
	const long no_such_process = -3;

	return __lp_syscall(__LP_SYS_TGKILL, __lp_syscall(__LP_SYS_GETPID, 0, 0, 0, 0, 0, 0), thread, 0, 0, 0, 0) ==
	       no_such_process;
}

/*
 * Takes the lock, also from a thread that is gone: the changes below are made in such an order that what it left behind
 * can be used. At worst variables are lost to the child of a process that forked halfway, and none is found that is not.
 */
__LP_SHADOW_FN struct __lp_shadow_root *__lp_shadow_lock(void)
{
	struct __lp_shadow_root *root = __lp_shadow_root_at();
	int self, owner, spins = 0;

	if (!root)
		return (struct __lp_shadow_root *)0;
	self = (int)__lp_syscall(__LP_SYS_GETTID, 0, 0, 0, 0, 0, 0);
	for (;;) {
		owner = 0;
		if (__atomic_compare_exchange_n(&root->owner, &owner, self, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			break;
		if (++spins % 64 == 0)
			__lp_syscall(__LP_SYS_SCHED_YIELD, 0, 0, 0, 0, 0, 0);
		if (spins % 4096 == 0 && __lp_shadow_gone(owner) &&
		    __atomic_compare_exchange_n(&root->owner, &owner, self, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			break;
		__asm__ volatile("pause");
	}
	if (!root->layout)
		root->layout = LP_SHADOW_LAYOUT;
	if (root->layout == LP_SHADOW_LAYOUT)
		return root;
	__atomic_store_n(&root->owner, 0, __ATOMIC_RELEASE);
	return (struct __lp_shadow_root *)0;
}

__LP_SHADOW_FN void __lp_shadow_unlock(struct __lp_shadow_root *root)
{
	__atomic_store_n(&root->owner, 0, __ATOMIC_RELEASE);
}

__LP_SHADOW_FN struct __lp_shadow_arena *__lp_shadow_arena(struct __lp_shadow_root *root)
{
	const unsigned long first = 64;
	struct __lp_shadow_arena *arena = root->arena;

	if (arena)
		return arena;
	arena = (struct __lp_shadow_arena *)__lp_shadow_map(4096);
	if (!arena)
		return arena;
	arena->lists = (struct __lp_shadow **)(arena + 1);
	arena->list_count = first;
	root->arena = arena;
	return arena;
}

__LP_SHADOW_FN struct __lp_shadow **__lp_shadow_list(struct __lp_shadow_arena *arena, void *obj, unsigned long id)
{
	unsigned long hash = ((unsigned long)obj ^ id << 32 ^ id) * 0x9e3779b97f4a7c15ul;

	return &arena->lists[(hash >> 32) & (arena->list_count - 1)];
}

/* Where the variable is linked, or the end of its list. */
__LP_SHADOW_FN struct __lp_shadow **__lp_shadow_find(struct __lp_shadow_arena *arena, void *obj, unsigned long id)
{
	struct __lp_shadow **link = __lp_shadow_list(arena, obj, id);

	while (*link && ((*link)->obj != obj || (*link)->id != id))
		link = &(*link)->next;
	return link;
}

/* Four times as many lists, where that memory can be had; without it the lists grow longer. */
__LP_SHADOW_FN void __lp_shadow_grow(struct __lp_shadow_arena *arena)
{
	struct __lp_shadow **old = arena->lists, **lists;
	unsigned long count = arena->list_count, i;

	lists = (struct __lp_shadow **)__lp_shadow_map(count * 4 * sizeof(*lists));
	if (!lists)
		return;
	arena->lists = lists;
	arena->list_count = count * 4;
	for (i = 0; i < count; i++) {
		struct __lp_shadow *shadow = old[i], *next;

		for (; shadow; shadow = next) {
			struct __lp_shadow **list = __lp_shadow_list(arena, shadow->obj, shadow->id);

			next = shadow->next;
			shadow->next = *list;
			*list = shadow;
		}
	}
	if (old != (struct __lp_shadow **)(arena + 1))
		__lp_syscall(__LP_SYS_MUNMAP, (long)old, count * sizeof(*old), 0, 0, 0, 0);
}

/* The power of two that holds so many bytes: 0 for 64, 9 for 32 KiB. */
__LP_SHADOW_FN unsigned int __lp_shadow_class(unsigned long size)
{
	unsigned int class_ = 0;

	while ((64ul << class_) < size)
		class_++;
	return class_;
}

#define __LP_SHADOW_LARGE (32ul << 10)

__LP_SHADOW_FN struct __lp_shadow *__lp_shadow_take(struct __lp_shadow_arena *arena, unsigned long bytes)
{
	const unsigned long block = 1ul << 18;
	unsigned long size = bytes + sizeof(struct __lp_shadow), i;
	struct __lp_shadow *shadow;
	unsigned int class_;

	if (size < bytes || size > 1ul << 40)
		return (struct __lp_shadow *)0;
	if (size > __LP_SHADOW_LARGE) {
		size = (size + 4095) & ~4095ul;
		shadow = (struct __lp_shadow *)__lp_shadow_map(size);
		if (shadow)
			shadow->size = size;
		return shadow;
	}
	class_ = __lp_shadow_class(size);
	size = 64ul << class_;
	shadow = arena->unused[class_];
	if (shadow) {
		arena->unused[class_] = shadow->next;
	} else {
		if ((unsigned long)(arena->block_end - arena->block) < size) {
			char *fresh = (char *)__lp_shadow_map(block);

			if (!fresh)
				return (struct __lp_shadow *)0;
			arena->block = fresh;
			arena->block_end = fresh + block;
		}
		shadow = (struct __lp_shadow *)arena->block;
		arena->block += size;
	}
	for (i = 0; i < size / sizeof(long); i++)
		((volatile unsigned long *)shadow)[i] = 0;
	shadow->size = size;
	return shadow;
}

__LP_SHADOW_FN void __lp_shadow_give(struct __lp_shadow_arena *arena, struct __lp_shadow *shadow)
{
	unsigned int class_;

	if (shadow->size > __LP_SHADOW_LARGE) {
		__lp_syscall(__LP_SYS_MUNMAP, (long)shadow, shadow->size, 0, 0, 0, 0);
		return;
	}
	class_ = __lp_shadow_class(shadow->size);
	shadow->next = arena->unused[class_];
	arena->unused[class_] = shadow;
}

/* The variable of an object; NULL if there is none. */
__LP_SHADOW_FN void *lp_shadow_get(void *obj, unsigned long id)
{
	struct __lp_shadow_root *root = __lp_shadow_lock();
	struct __lp_shadow *shadow = (struct __lp_shadow *)0;

	if (!root)
		return (void *)0;
	if (root->arena)
		shadow = *__lp_shadow_find(root->arena, obj, id);
	__lp_shadow_unlock(root);
	return shadow ? (void *)(shadow + 1) : (void *)0;
}

__LP_SHADOW_FN void *__lp_shadow_make(void *obj, unsigned long id, unsigned long size, lp_shadow_ctor ctor,
				      void *ctor_data, int may_exist)
{
	struct __lp_shadow_root *root = __lp_shadow_lock();
	struct __lp_shadow_arena *arena;
	struct __lp_shadow *shadow, **link;
	void *found = (void *)0;

	if (!root)
		return (void *)0;
	arena = __lp_shadow_arena(root);
	if (!arena)
		goto out;
	link = __lp_shadow_find(arena, obj, id);
	if (*link) {
		if (may_exist)
			found = (void *)(*link + 1);
		goto out;
	}
	shadow = __lp_shadow_take(arena, size);
	if (!shadow)
		goto out;
	shadow->obj = obj;
	shadow->id = id;
	if (ctor && ctor(obj, (void *)(shadow + 1), ctor_data)) {
		__lp_shadow_give(arena, shadow);
		goto out;
	}
	*link = shadow;
	if (++arena->count > arena->list_count * 2)
		__lp_shadow_grow(arena);
	found = (void *)(shadow + 1);
out:
	__lp_shadow_unlock(root);
	return found;
}

/* A new variable, zeroed; NULL without memory, if the constructor says no, or if there is one already. */
__LP_SHADOW_FN void *lp_shadow_alloc(void *obj, unsigned long id, unsigned long size, lp_shadow_ctor ctor,
				     void *ctor_data)
{
	return __lp_shadow_make(obj, id, size, ctor, ctor_data, 0);
}

/* The variable that there is, or a new one. */
__LP_SHADOW_FN void *lp_shadow_get_or_alloc(void *obj, unsigned long id, unsigned long size, lp_shadow_ctor ctor,
					    void *ctor_data)
{
	return __lp_shadow_make(obj, id, size, ctor, ctor_data, 1);
}

__LP_SHADOW_FN void __lp_shadow_drop(struct __lp_shadow_arena *arena, struct __lp_shadow **link, lp_shadow_dtor dtor)
{
	struct __lp_shadow *shadow = *link;

	*link = shadow->next;
	arena->count--;
	if (dtor)
		dtor(shadow->obj, (void *)(shadow + 1));
	__lp_shadow_give(arena, shadow);
}

/* Before the object is freed. */
__LP_SHADOW_FN void lp_shadow_free(void *obj, unsigned long id, lp_shadow_dtor dtor)
{
	struct __lp_shadow_root *root = __lp_shadow_lock();

	if (!root)
		return;
	if (root->arena) {
		struct __lp_shadow **link = __lp_shadow_find(root->arena, obj, id);

		if (*link)
			__lp_shadow_drop(root->arena, link, dtor);
	}
	__lp_shadow_unlock(root);
}

/* In post_unpatch, if no other patch takes the variables over. */
__LP_SHADOW_FN void lp_shadow_free_all(unsigned long id, lp_shadow_dtor dtor)
{
	struct __lp_shadow_root *root = __lp_shadow_lock();
	struct __lp_shadow_arena *arena;
	unsigned long i;

	if (!root)
		return;
	arena = root->arena;
	for (i = 0; arena && i < arena->list_count; i++) {
		struct __lp_shadow **link = &arena->lists[i];

		while (*link) {
			if ((*link)->id == id)
				__lp_shadow_drop(arena, link, dtor);
			else
				link = &(*link)->next;
		}
	}
	__lp_shadow_unlock(root);
}

#endif
