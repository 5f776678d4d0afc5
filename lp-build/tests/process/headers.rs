//! The author's headers do what they say: a program that plays the loader, by defining what a loader defines, calls them.

use crate::lab::run;
use std::fs;
use std::path::Path;
use std::process::Command;

const SHADOW: &str = r#"
#include "lp_patch.h"
#include "lp_shadow.h"
#include "lp_state.h"
#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct __lp_shadow_root __lp_shadow_root_memory[64 / sizeof(struct __lp_shadow_root)];
__asm__(".globl __lp_shadow_root\n.set __lp_shadow_root, __lp_shadow_root_memory");
struct lp_state __lp_states_memory[] = {
	{ 1, 2, LP_STATE_IS_PREV, (void *)0 },
	{ 1, 3, LP_STATE_IS_OWN, (void *)0 },
	{ 7, 1, LP_STATE_IS_OWN, (void *)0 },
	{ 0, 0, LP_STATE_IS_END, (void *)0 },
};
__asm__(".globl __lp_states\n.set __lp_states, __lp_states_memory");

static int destroyed;
static int refuse(void *obj, void *shadow, void *data) { (void)obj; (void)shadow; return data != NULL; }
static void count(void *obj, void *shadow) { (void)obj; (void)shadow; destroyed++; }

enum { OBJECTS = 20000, THREADS = 4 };
static char objects[OBJECTS];

static void *work(void *number)
{
	unsigned long id = 100 + (unsigned long)number, i;

	for (i = 0; i < OBJECTS; i++) {
		unsigned long *value = (unsigned long *)lp_shadow_get_or_alloc(&objects[i], id, 8 + i % 200, 0, 0);

		assert(value && *value == 0 && (unsigned long)value % 32 == 0);
		*value = i * id;
	}
	for (i = 0; i < OBJECTS; i++) {
		unsigned long *value = (unsigned long *)lp_shadow_get(&objects[i], id);

		assert(value && *value == i * id);
		if (i % 2)
			lp_shadow_free(&objects[i], id, 0);
	}
	lp_shadow_free_all(id, 0);
	assert(!lp_shadow_get(&objects[0], id));
	return 0;
}

int main(void)
{
	pthread_t threads[THREADS];
	unsigned long i;
	int *value, status;
	char *large;

	assert(sizeof(struct __lp_shadow_root) <= 64 && sizeof(struct __lp_shadow) == 32);
	assert(!lp_shadow_get(objects, 1));
	value = (int *)lp_shadow_alloc(objects, 1, sizeof(int), 0, 0);
	assert(value && !*value && lp_shadow_get(objects, 1) == value);
	assert(!lp_shadow_alloc(objects, 1, sizeof(int), 0, 0));
	assert(lp_shadow_get_or_alloc(objects, 1, sizeof(int), 0, 0) == value);
	assert(!lp_shadow_get(objects, 2) && !lp_shadow_get(objects + 1, 1));
	assert(!lp_shadow_alloc(objects, 2, 8, refuse, objects) && !lp_shadow_get(objects, 2));
	assert(lp_shadow_alloc(objects, 2, 8, refuse, NULL));
	lp_shadow_free(objects, 2, count);
	assert(destroyed == 1 && !lp_shadow_get(objects, 2));
	large = (char *)lp_shadow_alloc(objects, 3, 1 << 20, 0, 0);
	memset(large, 1, 1 << 20);
	lp_shadow_free_all(3, count);
	assert(destroyed == 2 && !lp_shadow_get(objects, 3));
	assert(!lp_shadow_alloc(objects, 4, ~0ul, 0, 0));
	for (i = 0; i < THREADS; i++)
		assert(!pthread_create(&threads[i], NULL, work, (void *)i));
	for (i = 0; i < THREADS; i++)
		assert(!pthread_join(threads[i], NULL));
	assert(*(int *)lp_shadow_get(objects, 1) == 0);
	/* Who held the lock when the process forked is not in the child. */
	__lp_shadow_lock();
	if (!fork())
		_exit(lp_shadow_get(objects, 1) != value);
	assert(wait(&status) > 0 && !status);
	__lp_shadow_unlock(__lp_shadow_root_memory);
	/* What a later layout is like nobody knows yet. */
	__lp_shadow_root_memory->layout = LP_SHADOW_LAYOUT + 1;
	assert(!lp_shadow_get(objects, 1) && !lp_shadow_alloc(objects, 9, 8, 0, 0));

	assert(lp_get_state(1)->version == 3 && lp_get_prev_state(1)->version == 2);
	assert(lp_get_state(7)->version == 1 && !lp_get_prev_state(7) && !lp_get_state(2));
	return 0;
}
"#;

#[test]
fn shadow_variables_and_states() {
    let folder = tempfile::tempdir().expect("a folder");
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates");
    let source = folder.path().join("shadow.c");
    fs::write(&source, SHADOW).expect("a source");
    for flags in [
        &["gcc", "-O2", "-Wall", "-Wextra", "-Werror"][..],
        &["gcc", "-O0", "-std=gnu99", "-no-pie", "-fno-pic"],
        &["g++", "-O3", "-fPIC", "-x", "c++"],
    ] {
        let program = folder.path().join("shadow");
        run(Command::new(flags[0])
            .args(&flags[1..])
            .arg("-I")
            .arg(&templates)
            .arg(&source)
            .arg("-o")
            .arg(&program)
            .arg("-pthread"));
        run(&mut Command::new(&program));
    }
}
