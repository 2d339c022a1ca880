//! The version that a connection names: by its database, by a setting, and after a pool's reset.

use super::with_world;
use crate::guest::Guest;

#[test]
fn a_connection_reads_the_version_it_names() {
    with_world(async |world| {
        world.live(&[super::Edit::Insert(2)]).await;
        let database = world.database.clone().expect("open");
        let of = |name: &str| {
            let named = |v: &&super::Version| v.name.is_some_and(|(own, _)| own == name);
            world.versions.iter().find(named).expect("it is there").state.pairs()
        };
        let first = world.mains[0].clone();
        let numbered = format!("main@v{}", first.commit);
        let as_of = first.commit.to_string();
        let cases = [
            ("main@dev", vec![], of("dev"), true),
            ("main/dev", vec![], of("dev"), true),
            ("main@q1", vec![], of("q1"), false),
            (&numbered, vec![], first.state.pairs(), false),
            ("main@own_b", vec![], of("own_b"), true),
            ("main", vec![("asofdb.branch", "dev")], of("dev"), true),
            ("main", vec![("branch", "own_b")], of("own_b"), true),
            ("main", vec![("asofdb.as_of", "q1")], of("q1"), false),
            ("main", vec![("as_of", &as_of)], first.state.pairs(), false),
        ];
        for (name, parameters, rows, writes) in cases {
            let mut guest = Guest::arrive_at(&database, name, &parameters).expect("a session");
            let what = format!("{name} {parameters:?}");
            for _ in 0..2 {
                let mut found = guest.must("SELECT k, v FROM t").await;
                found.sort();
                assert_eq!(found, rows, "{what}");
                guest.must("BEGIN").await;
                match guest.run("DELETE FROM t").await {
                    Ok(_) => assert!(writes, "{what} is written"),
                    Err(error) => {
                        assert_eq!((error.kind().sqlstate(), writes), ("25006", false), "{what}");
                    }
                }
                guest.must("ROLLBACK").await;
                if parameters.is_empty() {
                    // A pool hands the connection on; it stays what it was opened as.
                    guest.must("DISCARD ALL").await;
                }
            }
        }
        for (name, parameters) in [
            ("main@nothing", vec![]),
            ("main", vec![("branch", "nothing")]),
            ("main", vec![("as_of", "nothing")]),
        ] {
            assert!(
                Guest::arrive_at(&database, name, &parameters).is_err(),
                "{name} {parameters:?}"
            );
        }
    });
}
