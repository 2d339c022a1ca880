//! What the compiler does not check: who may import whom, which room names which crate, how long a
//! file and a function may be. Links nothing of ours and reads every source once; a fault is printed
//! with its place and with what to do instead.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The house from the ground up. A room imports only rooms of shelves above its own line, never one
/// beside it. Floor 1 has steps of its own: settings hold a clock and know the machine's memory,
/// memory cancels by a token of activity, activity reads the clock.
const FLOORS: [(&str, &[&str]); 13] = [
    ("0", &["error"]),
    ("1", &["clock", "fault", "spec", "vfs"]),
    ("1 (second step)", &["activity"]),
    ("1 (third step)", &["memory"]),
    ("1 (fourth step)", &["config"]),
    ("2", &["feature", "log", "parse", "segment"]),
    ("3", &["store"]),
    ("4", &["exec", "online"]),
    ("5", &["plan"]),
    ("6", &["command"]),
    ("7", &["session"]),
    ("8", &["server"]),
    ("9", &["demo"]),
];

/// A word that only some rooms may write, and what everybody else does.
struct Confined {
    word: &'static str,
    rooms: &'static [&'static str],
    instead: &'static str,
}

const CONFINED: [Confined; 9] = [
    Confined {
        word: "parquet::",
        rooms: &["segment"],
        instead: "read and write segments through `segment`, which keeps Parquet to itself",
    },
    Confined { word: "redb::", rooms: &["log"], instead: "ask `log` for the record" },
    Confined {
        word: "sled::",
        rooms: &["online"],
        instead: "ask `online` for the newest row of a key",
    },
    Confined {
        word: "pgwire::",
        rooms: &["server"],
        instead: "hand `server` a `spec::Type` and Arrow arrays; it speaks the protocol",
    },
    Confined {
        word: "tokio_postgres::",
        rooms: &["demo"],
        instead: "call `session`; only the demo is a client of its own server",
    },
    Confined {
        word: "std::fs",
        rooms: &["vfs", "demo", "main", "shell"],
        instead: "open files through `vfs`, where the fail points are",
    },
    Confined {
        word: "SystemTime::now",
        rooms: &["clock"],
        instead: "take a `Clock` and call `now_us()`",
    },
    Confined {
        word: "Instant::now",
        rooms: &["clock"],
        instead: "take a `Clock` and call `monotonic()`",
    },
    Confined {
        word: "Tokenizer",
        rooms: &["parse"],
        instead: "give the text to `parse::parse` and read the statement",
    },
];

const LEFTOVERS: [(&str, &str); 5] = [
    ("TODO", "do it, or write down in docs/decisions why not"),
    ("FIXME", "mend it, or say in the error message what is not supported"),
    ("dbg!", "remove it, or trace with `tracing`"),
    ("todo!", "write the arm, or return `ErrorKind::NotSupported`"),
    ("unimplemented!", "write it, or return `ErrorKind::NotSupported`"),
];

const BANNED_NAMES: [(&str, &str); 6] = [
    ("util", "the room whose noun the function takes"),
    ("utils", "the room whose noun the function takes"),
    ("helpers", "the file of whoever is helped"),
    ("common", "a name for what is shared"),
    ("misc", "a file for each thing in it"),
    ("manager", "what it is: a pool, a queue, a list"),
];

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn rooms_import_only_rooms_below_them() {
    let mut faults = Faults::default();
    for source in sources("src") {
        check_imports(&source, &mut faults);
    }
    faults.report();
}

#[test]
fn crates_files_time_and_tokens_have_one_room_each() {
    let mut faults = Faults::default();
    for source in sources("src") {
        for rule in CONFINED.iter().filter(|rule| !rule.rooms.contains(&source.room.as_str())) {
            for at in words(&source.code, rule.word) {
                let rooms = rule.rooms.join(", ");
                let what = format!("only {rooms} may name `{}`: {}", rule.word, rule.instead);
                faults.add(&source, at, &what);
            }
        }
    }
    faults.report();
}

#[test]
fn files_and_functions_are_short() {
    let mut faults = Faults::default();
    for source in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")) {
        let lines = source.code.lines().count();
        if lines > FILE_LINES_MAX {
            let what = format!(
                "{lines} lines are more than {FILE_LINES_MAX}: move the second idea to a file of its own"
            );
            faults.add(&source, 0, &what);
        }
        for function in functions(&source.code) {
            if function.lines > FUNCTION_LINES_MAX {
                let what = format!(
                    "`fn {}` has {} lines, more than {FUNCTION_LINES_MAX}: keep the branching, move its leaves out",
                    function.name, function.lines
                );
                faults.add(&source, function.at, &what);
            }
        }
    }
    faults.report();
}

#[test]
fn names_say_what_is_in_a_file() {
    let mut faults = Faults::default();
    for source in sources("src").into_iter().chain(sources("tests")).chain(sources("benches")) {
        for part in source.path.with_extension("").iter().filter_map(|part| part.to_str()) {
            if let Some((name, instead)) = BANNED_NAMES.iter().find(|(name, _)| *name == part) {
                faults.add(&source, 0, &format!("no file is called `{name}`: use {instead}"));
            }
        }
    }
    faults.report();
}

#[test]
fn nothing_is_left_over() {
    let mut faults = Faults::default();
    for source in sources("src").into_iter().chain(sources("benches")) {
        for (word, instead) in LEFTOVERS {
            for at in words(&source.text, word) {
                faults.add(&source, at, &format!("`{word}` is left over: {instead}"));
            }
        }
    }
    faults.report();
}

#[test]
fn every_slt_opens_with_its_promise() {
    let mut faults = Faults::default();
    let files = files("sql", "slt");
    assert!(!files.is_empty(), "sql/ holds the specification, and it is empty");
    for path in files {
        let text = read(&path);
        let first = text.lines().next().unwrap_or_default();
        let promise = first.strip_prefix("# ").unwrap_or_default();
        if promise.trim().len() < 12 {
            let what = "the first line is a comment that says the promise: `# a tag does not move`";
            faults.0.push(format!("{}:1: {what}", path.display()));
        }
    }
    faults.report();
}

// ---------------------------------------------------------------- imports

fn check_imports(source: &Source, faults: &mut Faults) {
    let Some(floor) = floor_of(&source.room) else {
        if source.room != "lib" && source.room != "main" && source.room != "shell" {
            let what = format!("room `{}` has no floor: give it one in tests/tidy.rs", source.room);
            faults.add(source, 0, &what);
        }
        return;
    };
    for (at, room) in crate_paths(source) {
        if room == source.room {
            continue;
        }
        let what = match floor_of(&room) {
            Some(other) if other < floor => continue,
            Some(other) if other == floor => format!(
                "`{}` and `{room}` stand beside each other on floor {}: move what both need down, \
                 or let the room above pass it in",
                source.room, FLOORS[floor].0
            ),
            Some(other) => format!(
                "`{}` (floor {}) reaches up to `{room}` (floor {}): take what you need as an \
                 argument, or move it down",
                source.room, FLOORS[floor].0, FLOORS[other].0
            ),
            None => format!("`crate::{room}` names no room: write one path for each room"),
        };
        faults.add(source, at, &what);
    }
}

/// The room at the head of every path to the crate's root, with where it stands: `crate::room` and
/// as many `super::` as lead there.
fn crate_paths(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(&source.code, "crate::") {
        found.push((at, identifier(&source.code[at + "crate::".len()..])));
    }
    for at in words(&source.code, "super::") {
        if source.code[..at].ends_with("super::") {
            continue;
        }
        let rest = &source.code[at..];
        let steps = rest.split("::").take_while(|part| *part == "super").count();
        if steps >= source.depth + inline_modules_around(&source.code, at) {
            found.push((at, identifier(&rest["super::".len() * steps..])));
        }
    }
    found
}

/// How many `mod name { … }` of the same file stand around a place.
fn inline_modules_around(code: &str, at: usize) -> usize {
    let opens = words(code, "mod").into_iter().take_while(|start| *start < at);
    opens
        .filter(|start| {
            let head = &code[*start..];
            let (brace, end) = (head.find('{'), head.find(';'));
            let inline = brace.is_some_and(|brace| end.is_none_or(|end| brace < end));
            inline && start + block_end(head) > at
        })
        .count()
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, rooms)| rooms.contains(&room))
}

// ---------------------------------------------------------------- reading sources

/// A source file: its text, and its code with comments and literals blanked, byte for byte.
struct Source {
    path: PathBuf,
    room: String,
    /// How many `super::` lead from its top level to the crate's root.
    depth: usize,
    text: String,
    code: String,
}

fn sources(folder: &str) -> Vec<Source> {
    let read_one = |path: PathBuf| {
        let text = read(&path);
        let parts: Vec<&str> = path.iter().skip(1).filter_map(|part| part.to_str()).collect();
        let room = parts[0].trim_end_matches(".rs").to_owned();
        let depth = parts.len() - usize::from(parts.len() > 1 && parts.ends_with(&["mod.rs"]));
        Source { code: blanked(&text), room, depth, text, path }
    };
    files(folder, "rs").into_iter().map(read_one).collect()
}

/// Every file below a folder with this ending, in the order of their names.
fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The text with every comment, string and character literal turned into spaces; lines stay.
fn blanked(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let length = literal_or_comment(&bytes[at..], at > 0 && is_word(bytes[at - 1]));
        for byte in &mut out[at..at + length] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += length.max(1);
    }
    String::from_utf8(out).expect("whole literals were blanked")
}

/// The bytes of the comment or literal that begins here; 0 where none does.
fn literal_or_comment(rest: &[u8], after_word: bool) -> usize {
    match rest {
        [b'/', b'/', ..] => rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => 1 + quoted(&rest[1..], b'"'),
        [b'r', b'"' | b'#', ..] if !after_word => raw_string(rest, 1),
        [b'b', b'r', b'"' | b'#', ..] if !after_word => raw_string(rest, 2),
        [b'\'', b'\\', ..] => 1 + quoted(&rest[1..], b'\''),
        // 'x' is a character, 'x without a second quote is a lifetime.
        [b'\'', first, ..] if *first != b'\'' => {
            let width = match first {
                0..0x80 => 1,
                0x80..0xE0 => 2,
                0xE0..0xF0 => 3,
                _ => 4,
            };
            if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
        }
        _ => 0,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Up to and with the closing quote.
fn quoted(rest: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn raw_string(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|byte| **byte == b'#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&b'"') {
        return 0;
    }
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let body = &rest[open + 1..];
    let end = body.windows(close.len()).position(|window| window == close).unwrap_or(body.len());
    (open + 1 + end + close.len()).min(rest.len())
}

/// Where a word stands as a whole: neither end of it continues an identifier.
fn words(code: &str, word: &str) -> Vec<usize> {
    let bytes = code.as_bytes();
    let stands_alone = |at: &usize| {
        let before = at.checked_sub(1).is_none_or(|before| !is_word(bytes[before]));
        let ends_open = word.as_bytes().last().is_some_and(|last| !is_word(*last));
        let after = bytes.get(at + word.len()).is_none_or(|after| !is_word(*after));
        before && (ends_open || after)
    };
    code.match_indices(word).map(|(at, _)| at).filter(stands_alone).collect()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn identifier(rest: &str) -> String {
    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

struct Function {
    name: String,
    at: usize,
    lines: usize,
}

fn functions(code: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for at in words(code, "fn") {
        let name = identifier(code[at + 2..].trim_start());
        let body = block_end(&code[at..]);
        if !name.is_empty() && body > 0 {
            let lines = code[at..at + body].matches('\n').count() + 1;
            found.push(Function { name, at, lines });
        }
    }
    found
}

/// The bytes up to the brace that closes the first one; 0 where a semicolon outside of brackets
/// comes first.
fn block_end(code: &str) -> usize {
    let (mut braces, mut brackets) = (0_i32, 0_i32);
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b'{' => braces += 1,
            b'}' => braces -= 1,
            b';' if braces == 0 && brackets == 0 => return 0,
            _ => {}
        }
        if byte == b'}' && braces == 0 {
            return at + 1;
        }
    }
    0
}

// ---------------------------------------------------------------- faults

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, source: &Source, at: usize, what: &str) {
        let line = source.text[..at].matches('\n').count() + 1;
        self.0.push(format!("{}:{line}: {what}", source.path.display()));
    }

    fn report(self) {
        let mut message = String::new();
        for fault in &self.0 {
            let _ = write!(message, "\n{fault}");
        }
        assert!(self.0.is_empty(), "{} to mend:{message}\n", self.0.len());
    }
}

// ---------------------------------------------------------------- the test's own tests

#[test]
fn comments_and_literals_do_not_count() {
    let text = r##"let a = "crate::server"; // crate::server
/* crate::server /* nested */ */ let b = r#"crate::"server"#; let c = '"'; let d: &'static str = x;
use crate::spec;"##;
    let code = blanked(text);
    assert_eq!(code.len(), text.len());
    assert_eq!(words(&code, "crate::").len(), 1);
    assert!(code.contains("&'static str"), "a lifetime is no character");
}

#[test]
fn an_upward_a_sideways_and_a_hidden_path_are_found() {
    let source = |path: &str, text: &str| {
        let path = PathBuf::from(path);
        let room = path.iter().nth(1).and_then(|p| p.to_str()).expect("a room").to_owned();
        Source { path, room, depth: 1, text: text.to_owned(), code: blanked(text) }
    };
    let faults_of = |source: &Source| {
        let mut faults = Faults::default();
        check_imports(source, &mut faults);
        faults.0
    };
    assert_eq!(faults_of(&source("src/store/mod.rs", "use crate::spec::CommitId;")).len(), 0);
    assert_eq!(faults_of(&source("src/store/mod.rs", "fn f() { crate::plan::x() }")).len(), 1);
    assert_eq!(faults_of(&source("src/log/mod.rs", "use crate::segment::Segment;")).len(), 1);
    assert_eq!(faults_of(&source("src/log/mod.rs", "use super::store::Store;")).len(), 1);
    assert_eq!(faults_of(&source("src/log/mod.rs", "mod t { use super::Log; }")).len(), 0);
    assert_eq!(faults_of(&source("src/log/mod.rs", "use crate::{plan, spec};")).len(), 1);
    assert_eq!(faults_of(&source("src/attic/mod.rs", "")).len(), 1);
}

#[test]
fn the_length_of_a_function_is_counted_to_its_brace() {
    let code =
        "fn a() {\n    if x {\n    }\n}\ntrait T { fn b(); }\nfn c(x: [u8; 4]) -> u8 { 0 }\n";
    let found: Vec<_> = functions(code).into_iter().map(|f| (f.name, f.lines)).collect();
    assert_eq!(found, [("a".to_owned(), 4), ("c".to_owned(), 1)]);
}
