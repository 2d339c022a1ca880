use super::fixture::Session;
#[test]
fn probe() {
    let Ok(path) = std::env::var("PROBE") else { return };
    let s = Session::new();
    for (i, q) in std::fs::read_to_string(path).unwrap().split("\n--\n").enumerate() {
        if q.trim().is_empty() { continue; }
        match s.ask(q) {
            Ok((names, rows)) => { println!("#{i} OK {names:?} {} rows", rows.len()); for r in rows.iter().take(8) { println!("    {}", r.join("|")); } }
            Err(e) => println!("#{i} FAIL {}\n{}", e.chars().take(600).collect::<String>(), q.chars().take(1500).collect::<String>()),
        }
    }
}
