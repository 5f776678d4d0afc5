//! Functions that never return go by the names that objtool knows, for as long as the kernel's build has them.

use crate::compile;
use lp_build::module::noreturn::{known, plain, restored};
use object::{Object, ObjectSymbol};

fn undefined(bytes: &[u8]) -> Vec<String> {
    let file = object::File::parse(bytes).expect("an object");
    let symbols = file.symbols().filter(|symbol| symbol.is_undefined());
    let names = symbols.map(|symbol| symbol.name().expect("a name").to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// A call of each of these symbols.
fn calls(symbols: &[&str]) -> Vec<u8> {
    let mut text = String::new();
    for (at, symbol) in symbols.iter().enumerate() {
        text += &format!(
            "void f{at}(void) __asm__(\"\\\"{symbol}\\\"\"); void g{at}(void) {{ f{at}(); }}\n"
        );
    }
    compile(&text)
}

const EXIT: &str = ".klp.sym.vmlinux.do_exit,0";

#[test]
fn the_list_is_that_of_the_tree() {
    let new = crate::folder(&[(
        "tools/objtool/noreturns.h",
        "/* sorted! */\nNORETURN(do_exit)\nNORETURN(panic)\n",
    )]);
    assert_eq!(
        known(new.path()),
        ["do_exit", "panic"].map(str::to_owned).into()
    );
    let old = crate::folder(&[(
        "tools/objtool/check.c",
        "static const char * const global_noreturns[] = {\n\t\"do_exit\",\n\t\"panic\",\n\t};\nchar *s[] = { \"no\" };\n",
    )]);
    assert_eq!(
        known(old.path()),
        ["do_exit", "panic"].map(str::to_owned).into()
    );
    assert!(known(crate::folder(&[]).path()).is_empty());
}

#[test]
fn the_kernels_build_sees_the_plain_name_and_the_module_has_the_livepatch_symbol() {
    let known = ["do_exit".to_owned()].into();
    let one = calls(&[EXIT, ".klp.sym.vmlinux.other,0", ".klp.sym.ext4.do_exit,0"]);
    let two = calls(&[EXIT, "printk"]);
    let (objects, names) = plain(vec![one.clone(), two.clone()], &known).expect("objects");
    assert_eq!(
        undefined(&objects[0]),
        [
            "do_exit",
            ".klp.sym.vmlinux.other,0",
            ".klp.sym.ext4.do_exit,0"
        ]
    );
    assert_eq!(undefined(&objects[1]), ["do_exit", "printk"]);
    let [one_again, two_again] =
        [&objects[0], &objects[1]].map(|bytes| restored(bytes.clone(), &names).expect("an object"));
    assert_eq!(undefined(&one_again), undefined(&one));
    assert_eq!(undefined(&two_again), undefined(&two));
}

#[test]
fn a_name_that_means_something_else_too_stays() {
    let known = ["do_exit".to_owned()].into();
    for other in [
        "void do_exit(void) {}",
        "void do_exit(void); void f(void) { do_exit(); }",
    ] {
        let objects = vec![calls(&[EXIT]), compile(other)];
        assert_eq!(
            plain(objects.clone(), &known).expect("objects").0,
            objects,
            "{other}"
        );
    }
    // The second of a name is another function.
    let objects = vec![calls(&[".klp.sym.vmlinux.do_exit,2"])];
    assert_eq!(plain(objects.clone(), &known).expect("objects").0, objects);
}
