//! `livepatch.toml`.

use crate::message;
use lp_build::describe::{parse, parse_states};

#[test]
fn everything_is_read() {
    let text = "name = \"fix-proc\"\nversion = \"1.2\"\ndescription = \"a fix\"\nreplace = false\n\
                allow-layout-change = [\"struct epitem\"]\n[[state]]\nid = 7\nversion = 2\nname = \"counters\"\n[[state]]\nid = 8\nversion = 1\n";
    let describe = parse(text).expect("a description");
    assert_eq!(describe.name.as_deref(), Some("fix-proc"));
    assert_eq!(describe.version.as_deref(), Some("1.2"));
    assert_eq!(describe.replace, Some(false));
    assert_eq!(describe.allow_layout_change, ["epitem"]);
    let states: Vec<String> = describe.states.iter().map(ToString::to_string).collect();
    assert_eq!(
        states,
        ["state 7 (counters) version 2", "state 8 version 1"]
    );
    assert_eq!(parse("").expect("an empty description").replace, None);
}

#[test]
fn errors_name_the_line() {
    for (text, line, word) in [
        ("name = \"a\"\nreplaec = false\n", 2, "replaec"),
        (
            "[[state]]\nid = 1\nversion = 1\nvesrion = 2\n",
            4,
            "vesrion",
        ),
        ("name = \"a\"\n\nreplace = \"no\"\n", 3, "replace"),
        ("name = \"a\"\nversion = 1.2\n", 2, "version"),
        (
            "name = \"a\"\nallow-layout-change = [\n\"epitem\",\n\"*\"]\n",
            4,
            "'*' is not the name",
        ),
        ("name = \n", 1, ""),
        ("[[state]]\nid = -1\nversion = 1\n", 2, "id"),
        ("\n[[state]]\nid = 0\nversion = 1\n", 3, "cannot be 0"),
        (
            "[[state]]\nid = 5\nversion = 1\n[[state]]\nid = 5\nversion = 2\n",
            5,
            "state 5 is already on line 2",
        ),
    ] {
        let said = message(parse(text));
        assert!(
            said.contains(&format!("line {line}")) && said.contains(word),
            "{text:?}: {said}"
        );
    }
}

#[test]
fn states_are_given_as_options_too() {
    let options = ["3:1".to_owned(), "4:2:io:limits".to_owned()];
    let states: Vec<String> = parse_states(&options)
        .expect("states")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        states,
        ["state 3 version 1", "state 4 (io:limits) version 2"]
    );
    for bad in ["3", "x:1", "3:x", "0:1", ""] {
        assert!(
            message(parse_states(&[bad.to_owned()])).contains("--state"),
            "{bad}"
        );
    }
    assert!(message(parse_states(&["3:1".to_owned(), "3:2".to_owned()])).contains("twice"));
}
