//! The C source of the module's tables.

use lp_build::module::template::{Callback, Func, Object, State, Tables, render};
use lp_klp::target::Callback as Moment;

fn tables() -> Tables {
    let func = |old_name: &str, sympos, alias: &str| Func {
        old_name: old_name.into(),
        sympos,
        alias: alias.into(),
    };
    let callback = |kind, alias: &str| Callback {
        kind,
        alias: alias.into(),
    };
    Tables {
        tool: "lp-build 0.0.0".into(),
        objects: vec![
            Object {
                name: None,
                funcs: vec![
                    func("a", 0, "__lp_new.x.a"),
                    func("b.isra.0", 2, "__lp_new.x.b"),
                ],
                callbacks: vec![],
                keeps_states: false,
                build_id: vec![],
            },
            Object {
                name: Some("nf_tables".into()),
                funcs: vec![func("c", 0, "__lp_new.y.c")],
                callbacks: vec![
                    callback(Moment::PrePatch, "__lp_new.y.take"),
                    callback(Moment::PostUnpatch, "__lp_new.y.give"),
                ],
                keeps_states: false,
                build_id: vec![0xab, 7],
            },
        ],
        states: vec![State {
            id: 5,
            version: 2,
            ops: None,
        }],
        replace: false,
        description: String::new(),
        version: String::new(),
        namespaces: vec![],
        note: (0..20).collect(),
    }
}

#[test]
fn every_object_function_and_state_has_its_entry() {
    let source = render(&tables()).expect("C source");
    for expected in [
        "// SPDX-License-Identifier: GPL-2.0\n",
        "extern char new_0_1[] __asm__(\"__lp_new.x.b\");",
        "\t\t.old_name = \"b.isra.0\",\n\t\t.new_func = new_0_1,\n\t\t.old_sympos = 2,",
        "\t\t/* A NULL name is vmlinux. */\n\t\t.funcs = funcs_0,",
        "\t\t.name = \"nf_tables\",\n\t\t.funcs = funcs_1,",
        "int pre_patch_1(struct klp_object *) __asm__(\"__lp_new.y.take\");\nvoid post_unpatch_1(",
        "\t\t.funcs = funcs_0,\n\t},",
        "static const u8 build_id_1[] = { 171, 7 };",
        "\tif (!ret)\n\t\tret = pre_patch_1(obj);\n\treturn ret;",
        "\t\t.callbacks = {\n\t\t\t.pre_patch = build_pre_patch_1,\n\t\t\t.post_unpatch = post_unpatch_1,\n\t\t},\n\t},",
        "\t{ .id = 5UL, .version = 2U },\n\t{ }",
        "\t.states = states,\n\t.replace = false,",
        "MODULE_INFO(livepatch, \"Y\");",
        ".pushsection .note.livepatch, \\\"a\\\", @note",
        "\".byte 16,17,18,19\\n\"",
    ] {
        assert!(source.contains(expected), "{expected}\n{source}");
    }
    assert!(!source.contains("MODULE_DESCRIPTION") && !source.contains("import_ns"));
    assert!(source.starts_with("// SPDX") && source.ends_with(");\n"));
}

#[test]
fn a_patch_without_states_has_no_table_of_them() {
    let source = render(&Tables {
        states: vec![],
        replace: true,
        ..tables()
    })
    .expect("C source");
    assert!(!source.contains("klp_state") && !source.contains(".states"));
    assert!(source.contains(".replace = true,"));
}

#[test]
fn no_text_leaves_its_string() {
    let description = "\"); evil(); //\\ ??/\n\u{e9}1 {{ tool }}".to_owned();
    let source = render(&Tables {
        description,
        version: "1\"2".into(),
        ..tables()
    })
    .expect("C source");
    let expected = r#"MODULE_DESCRIPTION("\"); evil(); //\\ \077\077/\012\303\2511 {{ tool }}");"#;
    assert!(source.contains(expected), "{source}");
    assert!(source.contains(r#"MODULE_INFO(version, "1\"2");"#));
}

#[test]
fn namespaces_are_imported() {
    let source = render(&Tables {
        namespaces: vec!["CRYPTO_INTERNAL".into()],
        ..tables()
    })
    .expect("C source");
    assert!(source.contains("MODULE_INFO(import_ns, \"CRYPTO_INTERNAL\");"));
}
