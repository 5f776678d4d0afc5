//! Random edits of a program, with what they change.

use super::model::{Function, LOCALS, Program, Statement};
use super::numbers::Numbers;
use std::collections::BTreeSet;

/// What the differ must say of a pair.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// Whether data changed that the running system has.
    pub(super) refused: bool,
    pub(super) changed: BTreeSet<String>,
    pub(super) new: BTreeSet<String>,
    /// Whether a changed function has several static locals of one name.
    pub(super) several_of_a_name: bool,
    /// Whether both versions keep the same things between calls.
    pub(super) can_run: bool,
    /// The edits, for people.
    pub(super) story: Vec<String>,
}

/// A program after one to three edits.
pub(super) fn random(orig: &Program, numbers: &mut Numbers) -> (Program, Expected) {
    let mut program = orig.clone();
    let mut expected = Expected {
        can_run: true,
        ..Expected::default()
    };
    for _ in 0..1 + numbers.next(3) {
        one(&mut program, &mut expected, numbers);
    }
    let changed = expected.changed.iter();
    expected.several_of_a_name = changed.clone().any(|name| has_several(&program, name));
    // A patched version that prints the same proves nothing.
    expected.can_run &= !expected.changed.is_empty();
    (program, expected)
}

fn has_several(program: &Program, name: &str) -> bool {
    let functions = program.functions.iter().filter(|one| one.name == name);
    let reached = functions.flat_map(|function| program.reached(&function.body));
    let mut names = BTreeSet::new();
    let locals = reached.filter_map(|statement| match statement {
        Statement::Local(name, _) | Statement::NewLocal(name) => Some(name),
        _ => None,
    });
    locals
        .map(|local| names.insert(local))
        .any(|is_first| !is_first)
}

fn one(program: &mut Program, expected: &mut Expected, numbers: &mut Numbers) {
    let kind = numbers.next(18);
    let index = numbers.next(program.functions.len());
    let at = 1 + numbers.next(program.functions[index].body.len());
    let name = program.functions[index].name.clone();
    let story = match kind {
        0 => {
            program.gaps[index] += 1 + numbers.next(3);
            format!("empty lines before {name}")
        }
        1 => {
            for position in (1..program.order.len()).rev() {
                program.order.swap(position, numbers.next(position + 1));
            }
            // Nothing says that lines stay in order then.
            let tell = program.users(|statement| *statement == Statement::Line);
            if !tell.is_empty() {
                program.order.sort_unstable();
            }
            "another order".to_owned()
        }
        2 => {
            let helper = numbers.next(program.helpers.len());
            let users = program.users(|statement| *statement == Statement::Help(helper));
            program.helpers[helper].push(Statement::Mix(20_000 + numbers.next(10_000)));
            expected.changed.extend(users);
            format!("helper {helper} changed")
        }
        3 => {
            let table = numbers.next(program.tables.len());
            program.tables[table][numbers.next(8)] += 1 + numbers.next(1000);
            expected
                .changed
                .extend(program.users(|statement| *statement == Statement::Table(table)));
            format!("table {table} changed")
        }
        4 => {
            let state = numbers.next(program.states.len());
            program.states[state] += 1 + numbers.next(10);
            let users = program.users(|statement| *statement == Statement::State(state));
            expected.refused |= !users.is_empty();
            expected.can_run = false;
            format!("first value of state {state} changed")
        }
        5 => {
            let new = format!("new{}", program.functions.len());
            program.functions.push(Function {
                name: new.clone(),
                global: true,
                body: vec![
                    Statement::Mix(numbers.next(10_000)),
                    Statement::Text(numbers.next(1000)),
                ],
            });
            program.order.push(program.functions.len() - 1);
            program.gaps.push(0);
            expected.new.insert(new.clone());
            format!("new global function {new}")
        }
        6 => {
            let new = format!("new{}", program.functions.len());
            program.functions.push(Function {
                name: new.clone(),
                global: false,
                body: vec![
                    Statement::Text(numbers.next(1000)),
                    Statement::Mix(numbers.next(10_000)),
                ],
            });
            let place = numbers.next(program.order.len() + 1);
            program.order.insert(place, program.functions.len() - 1);
            program.gaps.push(1);
            program.functions[index]
                .body
                .insert(at, Statement::CallNew(new.clone()));
            expected.new.insert(new.clone());
            expected.changed.insert(name.clone());
            format!("{name} calls new {new}")
        }
        7 => {
            let local = *numbers.pick(&LOCALS);
            program.functions[index]
                .body
                .insert(at, Statement::NewLocal(local));
            expected.changed.insert(name.clone());
            format!("{name} has a new static local {local}")
        }
        8 => {
            let text = Statement::Text(2000 + numbers.next(1000));
            program.functions[index].body.insert(at, text);
            expected.changed.insert(name.clone());
            format!("{name} prints a new text")
        }
        9 => {
            let chosen = numbers.next(program.functions[index].body.len());
            let removed = &mut program.functions[index].body[chosen];
            expected.can_run &= !matches!(
                removed,
                Statement::Local(..)
                    | Statement::State(_)
                    | Statement::Call(_)
                    | Statement::Help(_)
            );
            // The first one stays, so that no two functions are equal.
            *removed = Statement::Mix(30_000 + numbers.next(10_000));
            expected.changed.insert(name.clone());
            format!("statement {chosen} of {name} replaced")
        }
        10 => {
            // Who calls it reaches it all the same.
            let function = &mut program.functions[index];
            function.global |= !expected.new.contains(&name);
            format!("{name} is global now")
        }
        11 => {
            let function = &mut program.functions[index];
            let local = function
                .body
                .iter_mut()
                .find_map(|statement| match statement {
                    Statement::Local(_, first) => Some(first),
                    _ => None,
                });
            let there = local.is_some() && !expected.new.contains(&name);
            local.into_iter().for_each(|first| *first += 1);
            expected.refused |= there;
            expected.can_run &= !there;
            format!("first value of a static local of {name} changed: {there}")
        }
        12 => {
            let function = &mut program.functions[index];
            let values = function
                .body
                .iter_mut()
                .find_map(|statement| match statement {
                    Statement::Switch(values) | Statement::Branch(values) => Some(values),
                    _ => None,
                });
            if let Some(values) = values {
                values[numbers.next(6)] += 1 + numbers.next(1000);
                expected.changed.insert(name.clone());
            }
            format!("a switch of {name} changed, if it has one")
        }
        _ => {
            let mix = Statement::Mix(20_000 + numbers.next(10_000));
            program.functions[index].body.insert(at, mix);
            expected.changed.insert(name.clone());
            format!("{name} computes something else")
        }
    };
    // A new function that is edited again is new all the same.
    expected.changed = expected
        .changed
        .difference(&expected.new)
        .cloned()
        .collect();
    expected.story.push(story);
}
