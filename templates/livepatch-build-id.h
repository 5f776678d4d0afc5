/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Is a module the build that the patch was made for?
 *
 * The livepatch core finds functions by their names. A module of that name that was built from other sources has most
 * of them, too, and would be patched with code for other structs. The build-id that the linker left in the module
 * tells its builds apart.
 *
 * It is looked for in the module's read-only data. The tempting wrong way is /sys/module/NAME/notes: a module that is
 * patched while it is being loaded has no such folder yet (load_module() calls mod_sysfs_setup() after the livepatch
 * core, kernel/module/main.c 6.1).
 */
#include <linux/module.h>
#include <linux/string.h>

/* The note's header: sizes of owner and build-id, NT_GNU_BUILD_ID, the owner. */
struct lp_build_id_header {
	u32 namesz, descsz, type;
	char name[4];
};

static bool lp_holds_build_id(const char *data, size_t size, const u8 *id, size_t len)
{
	const struct lp_build_id_header wanted = { 4, len, 3, "GNU" };
	size_t at;

	/* A note is aligned to 4 bytes. */
	for (at = 0; at + sizeof(wanted) + len <= size; at += 4) {
		if (!memcmp(data + at, &wanted, sizeof(wanted)) &&
		    !memcmp(data + at + sizeof(wanted), id, len))
			return true;
	}
	return false;
}

static int lp_check_build_id(const struct module *mod, const u8 *id, size_t len)
{
/* The macro came with the array of memories, in 6.4; distributions take both over into older kernels. */
#ifdef for_each_mod_mem_type
	const char *data = mod->mem[MOD_RODATA].base;
	size_t size = mod->mem[MOD_RODATA].size;
#else
	const char *data = (const char *)mod->core_layout.base + mod->core_layout.text_size;
	size_t size = mod->core_layout.ro_size - mod->core_layout.text_size;
#endif

	if (lp_holds_build_id(data, size, id, len))
		return 0;
	pr_err("module '%s' is not the build that this patch was made for: its build-id differs\n", mod->name);
	return -ENOEXEC;
}
