//! A program as C.

use super::model::{Function, Program, Statement};
use std::fmt::Write;

/// Its source. Functions know nothing of each other, so that an edit of one changes no other.
pub(super) fn text(program: &Program) -> String {
    let mut text = String::from(
        "#line 1 \"random.c\"\n#ifdef __clang__\n#define own __attribute__((noinline, used))\n#else\n#define own __attribute__((noipa, used))\n#endif\n\
         #define hide(x) asm volatile(\"\" : \"+r\"(x) : : \"memory\")\n\
         extern void say(const char *);\nextern void oops(const char *) __attribute__((cold));\n\
         extern void note(const char *, int);\nextern int outside(int);\n",
    );
    for function in &program.functions {
        text += &format!("{};\n", head(function));
    }
    for (index, first) in program.states.iter().enumerate() {
        text += &format!("static int state{index} = {first};\n");
    }
    for (index, table) in program.tables.iter().enumerate() {
        let items: Vec<String> = table.iter().map(usize::to_string).collect();
        text += &format!(
            "static const int table{index}[8] = {{ {} }};\n",
            items.join(", ")
        );
    }
    for (index, body) in program.helpers.iter().enumerate().rev() {
        let head = format!("static inline __attribute__((always_inline)) int help{index}(int x)");
        define(&mut text, &head, body);
    }
    for index in &program.order {
        let function = &program.functions[*index];
        text += &"\n".repeat(program.gaps[*index]);
        define(&mut text, &head(function), &function.body);
    }
    text
}

/// The calls that run all of it.
pub(super) fn calls(program: &Program) -> Vec<String> {
    let globals = program.functions.iter().filter(|function| function.global);
    globals
        .flat_map(|function| [1, 6].map(|x| format!("{}({x})", function.name)))
        .collect()
}

fn head(function: &Function) -> String {
    let scope = if function.global { "" } else { "static " };
    format!("own {scope}int {}(int x)", function.name)
}

fn define(text: &mut String, head: &str, body: &[Statement]) {
    writeln!(text, "{head}\n{{").expect("a string");
    for statement in body {
        writeln!(text, "\t{} hide(x);", statement_text(statement)).expect("a string");
    }
    text.push_str("\treturn x;\n}\n");
}

fn statement_text(statement: &Statement) -> String {
    match statement {
        Statement::Mix(constant) => format!("x = x * 5 + {constant};"),
        Statement::Call(callee) => format!("x += f{callee}(x & 15);"),
        Statement::CallNew(callee) => format!("x += {callee}(x & 15);"),
        Statement::State(index) => format!("state{index} += 1; x += state{index};"),
        Statement::Local(name, first) => {
            format!("{{ static int {name} = {first}; {name} += 1; x += {name}; }}")
        }
        Statement::NewLocal(name) => {
            format!("{{ static int {name} = 1; {name} += 1; x += {name} > 0; }}")
        }
        Statement::Text(number) => format!("say(\"text {number}\\n\");"),
        Statement::Table(index) => format!("x += table{index}[x & 7];"),
        Statement::Switch(values) => {
            let case = |(index, value)| format!("case {index}: x += {value}; break; ");
            let cases: String = values.iter().enumerate().map(case).collect();
            format!("switch (x & 7) {{ {cases}}}")
        }
        Statement::Branch(values) => {
            let case = |(index, value)| {
                format!("case {index}: x += outside({value}); hide(x); x *= {index} + 3; break; ")
            };
            let cases: String = values.iter().enumerate().map(case).collect();
            format!("switch (x & 7) {{ {cases}}}")
        }
        Statement::Help(index) => format!("x = help{index}(x);"),
        Statement::Cold(number) => {
            format!("if (__builtin_expect(x == {number}, 0)) oops(\"cold {number}\");")
        }
        Statement::Line => "note(\"random.c\", __LINE__);".to_owned(),
    }
}
