//! Two copies of one new function, each for its own module, in one patch.

use crate::compile;
use lp_build::module::scope::separate;
use object::{Object, ObjectSymbol};

fn globals(bytes: &[u8]) -> Vec<String> {
    let file = object::File::parse(bytes).expect("an object");
    let symbols = file.symbols().filter(|symbol| symbol.is_global());
    symbols
        .map(|symbol| symbol.name().expect("a name").to_owned())
        .collect()
}

#[test]
fn copies_of_a_function_for_two_modules_get_two_names() {
    let part = |module: &str, text: &str| (module.parse().expect("a name"), compile(text));
    let shared = "void helper(void) {}";
    let user = "void helper(void); void only(void); void user(void) { helper(); only(); }";
    let parts = vec![
        part("one", shared),
        part("two", shared),
        part("two", user),
        part("vmlinux", "void only(void) {}"),
    ];
    let separated: Vec<Vec<String>> = separate(parts)
        .expect("parts")
        .iter()
        .map(|bytes| globals(bytes))
        .collect();
    assert_eq!(separated[0], ["one.helper"]);
    assert_eq!(separated[1], ["two.helper"]);
    assert_eq!(separated[2], ["user", "two.helper", "only"]);
    assert_eq!(separated[3], ["only"]);
}

#[test]
fn what_no_two_define_stays_as_it_is() {
    let bytes = compile("void helper(void) {}");
    let parts = vec![("one".parse().expect("a name"), bytes.clone())];
    assert_eq!(separate(parts).expect("parts"), [bytes]);
}
