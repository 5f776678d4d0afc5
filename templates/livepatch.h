/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the author of a livepatch can say in the patched source.
 *
 *	#include "livepatch.h"
 *
 * as the last include of the patched file. lp-build finds it by itself; with lp-diff alone, give the compiler
 * `-idirafter` and the folder that this file is in. Nothing here touches the code of functions that do not use it:
 * what is said goes to sections called .livepatch.*, which lp-diff reads and leaves out.
 *
 * docs/patch-author-guide.md tells when to use what. Compiles with gcc from 4.8 and clang, kernels 4.x to 7.x;
 * callbacks need 4.15 and a patch module of ours 5.1.
 */
#ifndef LP_LIVEPATCH_H
#define LP_LIVEPATCH_H

#ifdef __KERNEL__
#include <linux/livepatch.h>
#endif

struct klp_object;

#define __LP_PASTE2(a, b) a##b
#define __LP_PASTE(a, b) __LP_PASTE2(a, b)
#define __LP_MARK(name) __attribute__((__used__, __section__(".livepatch." name)))

/*
 * Callbacks: functions that the livepatch core calls around the patching of one object, which is vmlinux or a module.
 * There can be one of each kind for an object; the object is the one that the file belongs to. They may sleep.
 * While they run, the object is `obj`; for a module that is loaded later they run when it is.
 *
 *	static int quota_pre_patch(struct klp_object *obj)
 *	{
 *		return quota_alloc() ? 0 : -ENOMEM;
 *	}
 *	LP_PRE_PATCH_CALLBACK(quota_pre_patch);
 */
typedef int (*lp_pre_patch_fn)(struct klp_object *obj);
typedef void (*lp_callback_fn)(struct klp_object *obj);

#define __LP_CALLBACK(kind, type, fn, shape)								\
	_Static_assert(__builtin_types_compatible_p(__typeof__(&fn), type),				\
		       "the " #kind " callback must be: " shape);					\
	static const type __lp_##kind##_##fn __LP_MARK("callbacks." #kind) = fn

/* Before any task runs the new code. Another value than 0 stops the loading, or the loading of the module `obj`. */
#define LP_PRE_PATCH_CALLBACK(fn)									\
	__LP_CALLBACK(pre_patch, lp_pre_patch_fn, fn, "int " #fn "(struct klp_object *)")
/* When every task runs the new code. */
#define LP_POST_PATCH_CALLBACK(fn)									\
	__LP_CALLBACK(post_patch, lp_callback_fn, fn, "void " #fn "(struct klp_object *)")
/* Before any task goes back to the old code. Not called where post_patch was not: the patching was called off. */
#define LP_PRE_UNPATCH_CALLBACK(fn)									\
	__LP_CALLBACK(pre_unpatch, lp_callback_fn, fn, "void " #fn "(struct klp_object *)")
/* When every task runs the old code again, also after the patching was called off half-way. */
#define LP_POST_UNPATCH_CALLBACK(fn)									\
	__LP_CALLBACK(post_unpatch, lp_callback_fn, fn, "void " #fn "(struct klp_object *)")

/*
 * A system state that the patch changes: what the author gives are the steps for one state, and the toolchain calls
 * them as the kernel's rules for states ask for (Documentation/livepatch/system-state.rst). The id is that of a [[state]]
 * in livepatch.toml, which says the version. `type` is what must be remembered as long as the change is in force,
 * whichever patch is in charge of it: `struct lp_no_data` if that is nothing.
 *
 *	struct quota_limit { int before; };
 *
 *	static void quota_apply(void *data)
 *	{
 *		struct quota_limit *limit = data;
 *
 *		limit->before = READ_ONCE(quota_limit);
 *		WRITE_ONCE(quota_limit, 16);
 *	}
 *	static void quota_restore(void *data)
 *	{
 *		struct quota_limit *limit = data;
 *
 *		WRITE_ONCE(quota_limit, limit->before);
 *	}
 *	LP_STATE(quota, struct quota_limit, 1, .apply = quota_apply, .restore = quota_restore);
 *
 * Which step is called when, each of them optional:
 *
 *	prepare	before any task runs the new code, where no patch has changed the state yet. `data` is zeroed. Another
 *		value than 0 stops the loading.
 *	apply	when every task runs the new code, where no patch has changed the state yet
 *	upgrade	instead of these two, where the patch that is replaced has a lower version of the state: when every
 *		task runs the new code. `data` is zeroed, `old` is what that patch kept, NULL if it kept nothing; it is
 *		freed afterwards, so take what it points to. Without `upgrade` the old data is taken over as it is.
 *	restore	before any task goes back to the old code
 *	release	when every task runs the old code again, also where the patching was called off after `prepare`: free
 *		what `data` points to. It is freed itself afterwards.
 *
 * A patch that takes the state over at the same version calls nothing: the change is made, and the data goes from
 * patch to patch, so the type must never change without a higher version and an `upgrade`. If the patching is called
 * off, the older patch is still in charge. All steps may sleep. They belong to files of the kernel, not of a module,
 * and to a patch with `replace = true` if another one has the state already.
 */
struct lp_no_data { };
struct lp_state_ops {
	__SIZE_TYPE__ size;
	int (*prepare)(void *data);
	void (*apply)(void *data);
	void (*restore)(void *data);
	void (*release)(void *data);
	void (*upgrade)(void *data, void *old, unsigned int old_version);
};

#define LP_STATE(name, type, number, ...)								\
	static const struct lp_state_ops name##_state = { .size = sizeof(type), __VA_ARGS__ };		\
	static const struct {										\
		unsigned long id;									\
		const struct lp_state_ops *ops;								\
	} __lp_state_##name __LP_MARK("states") = { (number), &name##_state };				\
	_Static_assert((number) > 0, "the id of state " #name " is a constant above 0")

/*
 * A difference in this function is harmless: the running system keeps its own. Functions that it is inlined into are
 * patched nevertheless. Its clones (fn.isra.0, fn.cold) are meant, too.
 *
 *	LP_IGNORE_FUNCTION(debug_dump);
 */
#define LP_IGNORE_FUNCTION(fn)										\
	static const char __lp_ignore_function_##fn							\
		[sizeof(#fn) + __builtin_types_compatible_p(__typeof__(fn), int)]			\
		__attribute__((__aligned__(1))) __LP_MARK("ignore.functions") = #fn

/*
 * A difference of content in this section is harmless: the running system keeps what it has. Data whose size changed
 * is refused all the same, and changed data is never carried into the patch.
 *
 *	LP_IGNORE_SECTION("__syscalls_metadata");
 */
#define LP_IGNORE_SECTION(name)										\
	static const char __LP_PASTE(__lp_ignore_section_, __LINE__)[]					\
		__attribute__((__aligned__(1))) __LP_MARK("ignore.sections") = name

/*
 * Calls through the pointer that a static call's key holds, instead of an instruction that the kernel rewrites: for
 * keys that live in a module, which the kernel cannot find when a patch is loaded. The pointer can be NULL where the
 * kernel calls it with static_call_cond(): then test static_call_query() first.
 *
 *	LP_STATIC_CALL(kvm_x86_get_cpl)(vcpu);
 */
#define LP_STATIC_CALL(name)										\
	((__typeof__(&STATIC_CALL_TRAMP(name)))READ_ONCE(STATIC_CALL_KEY(name).func))

/*
 * Whether a static key is enabled, by reading it instead of by an instruction that the kernel rewrites: for keys that
 * live in a module. Stands for static_branch_likely() and static_branch_unlikely() alike, and takes the key itself:
 * of type static_key, static_key_true or static_key_false.
 *
 *	if (LP_STATIC_KEY_ENABLED(nft_counters_enabled))
 */
#define LP_STATIC_KEY_ENABLED(key) static_key_enabled(&(key))

/*
 * Puts a syscall's body into a function of its own. SYSCALL_DEFINEn makes the body a `static inline` function, which
 * has no site for ftrace and is merged into wrappers or not as the compiler likes. With this, the wrappers stay as
 * small as they were and call sys_lp_NAME, which shows in stack traces, can be traced, and never takes the
 * wrapper's place on the stack, so that the kernel sees who is still in it.
 * Takes what SYSCALL_DEFINEn takes.
 *
 *	LP_SYSCALL_DEFINE2(getpriority, int, which, int, who)
 *	{
 *		..
 *	}
 */
#define __LP_SYSCALL_DEFINEx(define, body, x, name, ...)						\
	static __attribute__((__noinline__)) long body##name(__MAP(x, __SC_DECL, __VA_ARGS__));		\
	define(x, name, __VA_ARGS__)									\
	{												\
		long ret = body##name(__MAP(x, __SC_ARGS, __VA_ARGS__));				\
													\
		/* What comes last would be jumped to, not called. */					\
		barrier();										\
		return ret;										\
	}												\
	static __attribute__((__noinline__)) long body##name(__MAP(x, __SC_DECL, __VA_ARGS__))

#define __LP_SYSCALL(x, name, ...) __LP_SYSCALL_DEFINEx(SYSCALL_DEFINEx, sys_lp, x, name, __VA_ARGS__)
#define LP_SYSCALL_DEFINE1(name, ...) __LP_SYSCALL(1, _##name, __VA_ARGS__)
#define LP_SYSCALL_DEFINE2(name, ...) __LP_SYSCALL(2, _##name, __VA_ARGS__)
#define LP_SYSCALL_DEFINE3(name, ...) __LP_SYSCALL(3, _##name, __VA_ARGS__)
#define LP_SYSCALL_DEFINE4(name, ...) __LP_SYSCALL(4, _##name, __VA_ARGS__)
#define LP_SYSCALL_DEFINE5(name, ...) __LP_SYSCALL(5, _##name, __VA_ARGS__)
#define LP_SYSCALL_DEFINE6(name, ...) __LP_SYSCALL(6, _##name, __VA_ARGS__)

/* The same for COMPAT_SYSCALL_DEFINEn. */
#define __LP_COMPAT_SYSCALL(x, name, ...)								\
	__LP_SYSCALL_DEFINEx(COMPAT_SYSCALL_DEFINEx, compat_sys_lp, x, name, __VA_ARGS__)
#define LP_COMPAT_SYSCALL_DEFINE1(name, ...) __LP_COMPAT_SYSCALL(1, _##name, __VA_ARGS__)
#define LP_COMPAT_SYSCALL_DEFINE2(name, ...) __LP_COMPAT_SYSCALL(2, _##name, __VA_ARGS__)
#define LP_COMPAT_SYSCALL_DEFINE3(name, ...) __LP_COMPAT_SYSCALL(3, _##name, __VA_ARGS__)
#define LP_COMPAT_SYSCALL_DEFINE4(name, ...) __LP_COMPAT_SYSCALL(4, _##name, __VA_ARGS__)
#define LP_COMPAT_SYSCALL_DEFINE5(name, ...) __LP_COMPAT_SYSCALL(5, _##name, __VA_ARGS__)
#define LP_COMPAT_SYSCALL_DEFINE6(name, ...) __LP_COMPAT_SYSCALL(6, _##name, __VA_ARGS__)

/*
 * The id of a shadow variable: the number of the bug, CVE or patch that it belongs to, and a small number of one's
 * own (0 to 255). All patches of a system share one space of ids, and the meaning of one must never change.
 *
 *	LP_SHADOW_ID(20241086, 1)	CVE-2024-1086, the first one
 */
#define LP_SHADOW_ID(bug, n)										\
	(((unsigned long)(bug) << 8 | (unsigned long)(n)) + 0 * sizeof(char[(n) >= 0 && (n) < 256 ? 1 : -1]))

/*
 * A shadow variable: a new field, of type `type`, of objects of type `object` that exist already and cannot grow.
 * It is kept in a hash table of the kernel's by the object's address and the id, survives the patch that made it, and
 * belongs to all patches that know its id.
 *
 *	LP_SHADOW(nft_quota, struct nft_set, struct quota, LP_SHADOW_ID(20241086, 1));
 *
 * defines
 *
 *	struct quota *nft_quota_get(struct nft_set *obj)		NULL where there is none
 *	struct quota *nft_quota_attach(struct nft_set *obj, gfp_t)	zeroed; NULL without memory, or if there is one
 *	struct quota *nft_quota_get_or_attach(struct nft_set *obj, gfp_t)
 *	void nft_quota_detach(struct nft_set *obj)			before the object is freed
 *	void nft_quota_detach_all(void)					in post_unpatch, if nobody takes them over
 *
 * Where the values need a constructor or destructor, call klp_shadow_alloc() and its like with the same id.
 */
#define __LP_SHADOW_FN static __attribute__((__always_inline__, __unused__)) inline
#define LP_SHADOW(name, object, type, id)								\
	static const unsigned long __lp_shadow_id_##name __LP_MARK("shadow_ids") = (id);		\
	__LP_SHADOW_FN type *name##_get(object *obj)							\
	{												\
		return (type *)klp_shadow_get(obj, (id));						\
	}												\
	__LP_SHADOW_FN type *name##_attach(object *obj, gfp_t gfp)					\
	{												\
		return (type *)klp_shadow_alloc(obj, (id), sizeof(type), gfp, NULL, NULL);		\
	}												\
	__LP_SHADOW_FN type *name##_get_or_attach(object *obj, gfp_t gfp)				\
	{												\
		return (type *)klp_shadow_get_or_alloc(obj, (id), sizeof(type), gfp, NULL, NULL);	\
	}												\
	__LP_SHADOW_FN void name##_detach(object *obj)							\
	{												\
		klp_shadow_free(obj, (id), NULL);							\
	}												\
	__LP_SHADOW_FN void name##_detach_all(void)							\
	{												\
		klp_shadow_free_all((id), NULL);							\
	}												\
	_Static_assert((id) == (id), "the id of shadow variable " #name " is a constant")

#endif
