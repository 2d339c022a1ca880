//! What people complain about in other versioned stores, and the tests that hold it off here.

use std::path::Path;

/// A complaint, and where it is tested: files under sql/, or names of test functions.
const PROMISES: &[(&str, &[&str])] = &[
    (
        "metadata grows with history, and every open reads all of it",
        &["a_far_base_takes_few_reads", "a_history_is_as_large_as_what_it_changed"],
    ),
    (
        "a checkpoint writes the whole table state again",
        &["a_history_is_as_large_as_what_it_changed"],
    ),
    (
        "every small write is a file",
        &["time_travel/small_writes_make_no_files.slt", "time_travel/metadata_tables.slt"],
    ),
    (
        "writers of different rows exhaust their retries",
        &["pg_compat/inserts_do_not_conflict.slt", "rows_of_different_keys_never_conflict"],
    ),
    (
        "compaction and ingest abort each other",
        &["writers_do_not_notice_upkeep", "branch/publish_over_maintenance.slt"],
    ),
    ("removing orphans destroys living data", &["time_travel/orphans_go.slt"]),
    (
        "expiry loses data, or leaves garbage",
        &["upkeep_changes_no_answer", "time_travel/expire_one_table.slt"],
    ),
    (
        "history lists versions that cannot be read",
        &["time_travel/history_can_be_read.slt", "time_travel/expired_is_72000.slt"],
    ),
    (
        "a chosen old version cannot be kept",
        &["branch/refs_of_a_table_keep_that_table.slt", "branch/retention_of_refs.slt"],
    ),
    (
        "a branch sees another's change of shape",
        &["branch/schema_stays_on_its_branch.slt", "time_travel/alter_table_on_a_branch.slt"],
    ),
    (
        "publishing takes along what was not audited, or moves the wrong branch",
        &[
            "branch/publish_expect.slt",
            "branch/publish_onto_moved_main.slt",
            "branch/fast_forward.slt",
        ],
    ),
    (
        "nobody sees on which branch a session is",
        &["time_travel/branch_is_shown.slt", "the_branch_is_told_when_it_changes"],
    ),
    (
        "equal times, a clock that goes back and a rollback confuse AS OF",
        &[
            "commits_of_one_microsecond_have_an_order",
            "a_clock_that_is_set_back_an_hour_takes_no_commit_with_it",
            "time_travel/rolled_back_past.slt",
        ],
    ),
    (
        "a time without a zone means another one in each engine",
        &[
            "time_travel/zone_of_strings.slt",
            "wall_clock_times_follow_the_sessions_zone_through_summer_time",
        ],
    ),
    (
        "a reader sees inline rows that are being moved to files, or loses them",
        &["upkeep_changes_no_answer", "time_travel/maintenance_changes_no_answer.slt"],
    ),
    (
        "rows that are edited again and again fill the disk",
        &["time_travel/edits_do_not_pile_up.slt"],
    ),
    (
        "collecting garbage knows nothing of branches",
        &["branch/merge_after_expiry.slt", "every_version_is_what_its_history_made_it"],
    ),
    (
        "a merge conflicts on files, not on rows",
        &["branch/merge_rows.slt", "branch/publish_over_maintenance.slt"],
    ),
];

#[test]
fn every_promise_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    for folder in ["src", "tests"] {
        read_all(&root.join(folder), &mut sources);
    }
    for (complaint, tests) in PROMISES {
        assert!(!tests.is_empty(), "{complaint}");
        for test in *tests {
            let there = match test.ends_with(".slt") {
                true => root.join("sql").join(test).is_file(),
                false => sources.contains(&format!("fn {test}(")),
            };
            assert!(there, "{complaint}: {test} is not there");
        }
    }
}

fn read_all(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&std::fs::read_to_string(&path).expect("a source"));
        }
    }
}
