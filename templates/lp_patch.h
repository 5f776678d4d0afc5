/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the author of a patch for processes can say in the patched source.
 *
 *	#include "lp_patch.h"
 *
 * lp-build finds it by itself, and lp_shadow.h and lp_state.h as well. What is said goes to sections called .livepatch.*,
 * which lp-build reads and leaves out; the program that the patched tree is built to is not changed by it.
 */
#ifndef LP_PATCH_H
#define LP_PATCH_H

#define __LP_PASTE2(a, b) a##b
#define __LP_PASTE(a, b) __LP_PASTE2(a, b)
#define __LP_MARK(name) __attribute__((__used__, __section__(".livepatch." name)))

/*
 * Callbacks: functions of the patch that the loader calls in the process while all of its threads are stopped, on a stack
 * of their own. There is one of each kind at most. A thread may have been stopped anywhere, with any lock held: call
 * nothing that takes one (malloc, printf), and wait for nothing. lp_shadow.h and lp_state.h may be used.
 *
 *	static int limits_pre_patch(void)
 *	{
 *		return limits_ok() ? 0 : -1;
 *	}
 *	LP_PRE_PATCH_CALLBACK(limits_pre_patch);
 */
typedef int (*lp_pre_patch_fn)(void);
typedef void (*lp_callback_fn)(void);

#define __LP_CALLBACK(kind, type, fn, shape)								\
	_Static_assert(__builtin_types_compatible_p(__typeof__(&fn), type),				\
		       "the " #kind " callback must be: " shape);					\
	static const type __lp_##kind##_##fn __LP_MARK("callbacks." #kind) = fn

/* Before any thread runs the new code. Another value than 0 stops the loading. */
#define LP_PRE_PATCH_CALLBACK(fn)									\
	__LP_CALLBACK(pre_patch, lp_pre_patch_fn, fn, "int " #fn "(void)")
/* When every thread runs the new code. */
#define LP_POST_PATCH_CALLBACK(fn)									\
	__LP_CALLBACK(post_patch, lp_callback_fn, fn, "void " #fn "(void)")
/* Before any thread goes back to the old code. Not called where post_patch was not: the patching was called off. */
#define LP_PRE_UNPATCH_CALLBACK(fn)									\
	__LP_CALLBACK(pre_unpatch, lp_callback_fn, fn, "void " #fn "(void)")
/* When every thread runs the old code again, also after the patching was called off half-way. */
#define LP_POST_UNPATCH_CALLBACK(fn)									\
	__LP_CALLBACK(post_unpatch, lp_callback_fn, fn, "void " #fn "(void)")

/*
 * A difference in this function is harmless: the process keeps its own. Functions that it is inlined into are patched
 * nevertheless. Its clones (fn.isra.0, fn.cold) are meant, too.
 *
 *	LP_IGNORE_FUNCTION(debug_dump);
 */
#define LP_IGNORE_FUNCTION(fn)										\
	static const char __lp_ignore_function_##fn							\
		[sizeof(#fn) + __builtin_types_compatible_p(__typeof__(fn), int)]			\
		__attribute__((__aligned__(1))) __LP_MARK("ignore.functions") = #fn

/*
 * A difference of content in this section is harmless: the process keeps what it has. Data whose size changed is refused
 * all the same, and changed data is never carried into the patch.
 *
 *	LP_IGNORE_SECTION(".data.rel.ro.local");
 */
#define LP_IGNORE_SECTION(name)										\
	static const char __LP_PASTE(__lp_ignore_section_, __LINE__)[]					\
		__attribute__((__aligned__(1))) __LP_MARK("ignore.sections") = name

#endif
