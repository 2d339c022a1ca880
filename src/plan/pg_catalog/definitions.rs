//! What functions tell of a function: its signature.

use std::collections::HashMap;
use std::sync::LazyLock;

/// One row of `pg_proc`: what is in `facts/functions.txt`.
#[derive(Debug)]
pub struct FunctionFacts {
    /// Its number.
    pub oid: u32,
    /// Its name; several have one name.
    pub name: &'static str,
    /// The type of its result.
    pub returns: u32,
    /// `i`mmutable, `s`table, `v`olatile.
    pub volatility: &'static str,
    /// `f`unction, `a`ggregate, `w`indow.
    pub kind: &'static str,
    /// Whether it returns rows.
    pub returns_set: bool,
    /// Whether NULL makes NULL.
    pub strict: bool,
    /// The types of its arguments.
    pub arguments: Vec<u32>,
}

static FUNCTIONS: LazyLock<Vec<FunctionFacts>> = LazyLock::new(|| {
    let parse = |line: &'static str| {
        let f: Vec<&str> = line.split(' ').collect();
        let arguments = f.get(7)?.split(',').filter(|a| *a != "-");
        Some(FunctionFacts {
            oid: f[0].parse().ok()?,
            name: f[1],
            returns: f[2].parse().ok()?,
            volatility: f[3],
            kind: f[4],
            returns_set: f[5] == "t",
            strict: f[6] == "t",
            arguments: arguments.map(|a| a.parse().ok()).collect::<Option<_>>()?,
        })
    };
    let lines = include_str!("facts/functions.txt").lines();
    lines.map(|line| parse(line).expect("functions.txt is well formed")).collect()
});

static BY_NAME: LazyLock<HashMap<&str, &FunctionFacts>> =
    LazyLock::new(|| FUNCTIONS.iter().rev().map(|f| (f.name, f)).collect());

/// PostgreSQL's functions that we have too, and the I/O functions of types.
pub fn functions() -> &'static [FunctionFacts] {
    &FUNCTIONS
}

/// The function of this number.
pub fn function(oid: u32) -> Option<&'static FunctionFacts> {
    FUNCTIONS.iter().find(|f| f.oid == oid)
}

/// `regproc::text` of a number.
pub fn function_name(oid: u32) -> Option<&'static str> {
    function(oid).map(|f| f.name)
}

/// `regproc::oid`: the number of the first function of this name, 0 if there is none.
pub fn function_oid(name: &str) -> u32 {
    BY_NAME.get(name).map_or(0, |f| f.oid)
}
