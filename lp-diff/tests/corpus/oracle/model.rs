//! A random program: functions and inlined helpers over statements, variables and tables.
//!
//! What is kept between calls changes in the same way in both versions of a program, so that both can be run in turn.

use super::numbers::Numbers;
use std::collections::BTreeSet;

/// One program.
#[derive(Debug, Clone)]
pub(super) struct Program {
    pub(super) functions: Vec<Function>,
    pub(super) helpers: Vec<Vec<Statement>>,
    pub(super) tables: Vec<[usize; 8]>,
    pub(super) states: Vec<usize>,
    /// The functions in the order in which they are defined.
    pub(super) order: Vec<usize>,
    /// Empty lines before each function.
    pub(super) gaps: Vec<usize>,
}

/// One function.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) global: bool,
    pub(super) body: Vec<Statement>,
}

/// One statement; all read and write `x`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// Arithmetic with a constant.
    Mix(usize),
    /// A call of a function with a higher index.
    Call(usize),
    /// A call of a new function.
    CallNew(String),
    /// Counts in a variable of the file.
    State(usize),
    /// Counts in a static variable of its own, with this name and first value.
    Local(&'static str, usize),
    /// Counts in a static variable, whose value is not used.
    NewLocal(&'static str),
    /// Prints a text.
    Text(usize),
    /// Reads a table.
    Table(usize),
    /// Chooses a constant.
    Switch([usize; 6]),
    /// Chooses a call.
    Branch([usize; 6]),
    /// A call of an inlined helper.
    Help(usize),
    /// What hardly ever happens.
    Cold(usize),
    /// Tells its line.
    Line,
}

/// Names of static locals: few, so that functions share them.
pub(super) const LOCALS: [&str; 3] = ["count", "last", "seen"];

impl Program {
    /// A random one.
    pub(super) fn random(numbers: &mut Numbers) -> Self {
        let count = 3 + numbers.next(8);
        let helper_count = 1 + numbers.next(4);
        let random_table =
            |numbers: &mut Numbers| std::array::from_fn(|_| 100 + numbers.next(100_000));
        let mut program = Self {
            functions: Vec::new(),
            helpers: Vec::new(),
            tables: (0..2).map(|_| random_table(numbers)).collect(),
            states: (0..3).map(|_| numbers.next(4) * 7).collect(),
            order: (0..count).collect(),
            gaps: (0..count).map(|_| numbers.next(3)).collect(),
        };
        for index in 0..helper_count {
            let mut body = Vec::new();
            for _ in 0..1 + numbers.next(2) {
                body.push(match numbers.next(6) {
                    0 => Statement::Text(numbers.next(1000)),
                    1 if !has_local(&body) => local(numbers),
                    2 if index + 1 < helper_count => {
                        Statement::Help(index + 1 + numbers.next(helper_count - index - 1))
                    }
                    3 => Statement::Line,
                    _ => Statement::Mix(numbers.next(10_000)),
                });
            }
            program.helpers.push(body);
        }
        for index in 0..count {
            let mut body = vec![Statement::Mix(10_000 + index)];
            for _ in 0..1 + numbers.next(6) {
                let statement = program.statement(index, count, numbers);
                // Two static locals of one name in one function are another matter.
                if !(has_local(&body) && matches!(statement, Statement::Local(..))) {
                    body.push(statement);
                }
            }
            program.functions.push(Function {
                name: format!("f{index}"),
                global: index == 0 || numbers.next(3) > 0,
                body,
            });
        }
        program
    }

    fn statement(&self, index: usize, count: usize, numbers: &mut Numbers) -> Statement {
        let six = |numbers: &mut Numbers| std::array::from_fn(|_| numbers.next(100_000));
        match numbers.next(12) {
            0 | 1 if index + 1 < count => {
                Statement::Call(index + 1 + numbers.next(count - index - 1))
            }
            2 => Statement::State(numbers.next(self.states.len())),
            3 => local(numbers),
            4 => Statement::Text(numbers.next(1000)),
            5 => Statement::Table(numbers.next(self.tables.len())),
            6 => Statement::Switch(six(numbers)),
            7 => Statement::Branch(six(numbers)),
            8 | 9 => Statement::Help(numbers.next(self.helpers.len())),
            10 => Statement::Cold(numbers.next(1000)),
            11 => Statement::Line,
            _ => Statement::Mix(numbers.next(10_000)),
        }
    }

    /// The statements of a function with those of its helpers.
    pub(super) fn reached(&self, body: &[Statement]) -> Vec<Statement> {
        let mut all = Vec::new();
        for statement in body {
            all.push(statement.clone());
            if let Statement::Help(helper) = statement {
                all.extend(self.reached(&self.helpers[*helper]));
            }
        }
        all
    }

    /// The names of the functions for which this holds of a statement, helpers' included.
    pub(super) fn users(&self, holds: impl Fn(&Statement) -> bool) -> BTreeSet<String> {
        let uses = |function: &&Function| self.reached(&function.body).iter().any(&holds);
        let users = self.functions.iter().filter(uses);
        users.map(|function| function.name.clone()).collect()
    }
}

fn local(numbers: &mut Numbers) -> Statement {
    Statement::Local(LOCALS[numbers.next(LOCALS.len())], 3 + numbers.next(50))
}

fn has_local(body: &[Statement]) -> bool {
    body.iter().any(|one| matches!(one, Statement::Local(..)))
}
