//! What EXPLAIN says of ASOF JOIN, and what EXPLAIN ANALYZE counts: the mode, the tolerance, what is pushed
//! where, and what is not read at all.

use asofdb::error::ErrorKind;

use super::guest::{Guest, visit};

/// Two small tables, one of them in order, and labels.
const SMALL: &str = "
    CREATE TABLE l (id int, k int, ts int);
    CREATE TABLE r (k int, ts int, v int) CLUSTER BY (k, ts);
    CREATE TABLE q (k int, ts int, w int) CLUSTER BY (k, ts);
    CREATE TABLE heap (k int, ts int, v int);
    INSERT INTO l VALUES (1, 1, 5), (2, 1, 50), (3, 2, 5), (4, NULL, 5);
    INSERT INTO r VALUES (1, 4, 40), (1, 5, 50), (2, 6, 60);
    INSERT INTO q VALUES (1, 3, 30), (2, 1, 10);
    INSERT INTO heap SELECT * FROM r";

async fn explained(guest: &mut Guest, question: &str) -> String {
    let lines = guest.must(&format!("EXPLAIN {question}")).await;
    lines.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

#[test]
fn explain_names_the_mode_and_a_forced_one_serves_or_is_refused() {
    visit(1 << 30, async |mut guest: Guest| {
        guest.must(SMALL).await;
        let on = |right: &str, more: &str| {
            format!(
                "SELECT l.id, r.v FROM l ASOF LEFT JOIN {right} r ON l.k = r.k AND l.ts >= r.ts{more}"
            )
        };
        let both = " AND l.id + r.v > 50";
        let served = [
            (
                "auto",
                on("r", ""),
                "AsofSearchExec: mode=Merge, kind=Left, on=[(k = k)], match=[ts >= ts], tie=[_commit, _row_id], right=r (",
            ),
            ("seek", on("r", ""), "AsofSearchExec: mode=Seek,"),
            ("merge", on("r", ""), "AsofSearchExec: mode=Merge,"),
            ("hash", on("r", ""), "AsofJoinExec: mode=Hash,"),
            ("loop", on("r", both), "AsofJoinExec: mode=Loop,"),
            ("stream", on("r", both), "AsofJoinExec: mode=Stream,"),
            ("auto", on("heap", ""), "AsofJoinExec: mode=Hash,"),
        ];
        for (mode, question, shown) in served {
            guest.must(&format!("SET asof_mode = {mode}")).await;
            let plan = explained(&mut guest, &question).await;
            assert!(plan.contains(shown), "{mode}: {plan}");
        }
        let refused = [
            ("seek", on("heap", "")),
            ("merge", on("r", both)),
            ("hash", on("r", both)),
            ("loop", on("r", "")),
        ];
        for (mode, question) in refused {
            guest.must(&format!("SET asof_mode = {mode}")).await;
            let error = guest.run(&question).await.expect_err(mode);
            assert_eq!(error.kind(), ErrorKind::NotSupported, "{mode}: {error}");
        }
        let error = guest.run("SET asof_mode = fastest").await.expect_err("no such mode");
        assert_eq!(error.kind(), ErrorKind::InvalidValue);
    });
}

/// Joins in a chain that ask the labels alone are one operator; one of which nothing is shown is none.
#[test]
fn a_chain_is_one_operator() {
    visit(1 << 30, async |mut guest: Guest| {
        guest.must(SMALL).await;
        let chain = "SELECT l.id, r.v, q.w, p.v FROM l
            ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts
            ASOF LEFT JOIN q ON l.k = q.k AND l.ts > q.ts
            ASOF JOIN r AS p ON l.k = p.k AND l.ts <= p.ts + 0 AND p.ts - l.ts < 9 ORDER BY l.id";
        let whole = chain.replace(" + 0", "");
        let plan = explained(&mut guest, &whole).await;
        assert_eq!(plan.matches("AsofSearchExec").count(), 1, "{plan}");
        assert_eq!(plan.matches("mode=").count(), 3, "{plan}");
        let found = guest.must(&whole).await;
        guest.must("SET asof_mode = stream").await;
        assert_eq!(guest.must(chain).await, found);
        assert_eq!(found, [["1", "50", "30", "50"], ["3", "NULL", "10", "60"]]);
        guest.must("SET asof_mode = auto").await;
        let plan = explained(
            &mut guest,
            "SELECT l.id, q.w FROM l
            ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts
            ASOF LEFT JOIN q ON l.k = q.k AND l.ts > q.ts",
        )
        .await;
        assert_eq!(plan.matches("mode=").count(), 1, "{plan}");
        let next = "SELECT l.id, q.w FROM l ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts
            ASOF LEFT JOIN q ON r.k = q.k AND r.ts > q.ts ORDER BY l.id";
        let plan = explained(&mut guest, next).await;
        assert_eq!(plan.matches("AsofSearchExec").count(), 2, "{plan}");
        let expected = [["1", "30"], ["2", "30"], ["3", "NULL"], ["4", "NULL"]];
        assert_eq!(guest.must(next).await, expected);
    });
}

/// A table in order, one without, and labels: as many rows as make several pages.
const LARGE: &str = "
    CREATE TABLE l (id int, k int, ts int);
    CREATE TABLE r (k int, ts int, v int, w text) CLUSTER BY (k, ts);
    CREATE TABLE heap (k int, ts int, v int, w text);
    INSERT INTO r SELECT i % 100, i, i, 'x' FROM generate_series(1, 30000) AS s (i);
    INSERT INTO heap SELECT * FROM r;
    INSERT INTO l SELECT i, i % 100, i * 3 FROM generate_series(1, 5000) AS s (i)";

/// The number that EXPLAIN ANALYZE counts, of the first operator that counts it.
async fn counted(guest: &mut Guest, question: &str, metric: &str) -> String {
    let lines = guest.must(&format!("EXPLAIN ANALYZE {question}")).await;
    let plan = lines.into_iter().flatten().collect::<Vec<_>>().join("\n");
    let found =
        plan.split(&format!("{metric}=")).nth(1).unwrap_or_else(|| panic!("{metric}: {plan}"));
    found.split([',', ']']).next().unwrap_or_default().to_owned()
}

#[test]
fn ordinary_conditions_are_a_tolerance() {
    visit(1 << 30, async |mut guest: Guest| {
        guest.must(LARGE).await;
        let spellings = [
            "l.ts >= r.ts AND l.ts - r.ts <= 5",
            "l.ts >= r.ts AND r.ts >= l.ts - 5",
            "l.ts >= r.ts AND l.ts <= r.ts + 5",
            "r.ts BETWEEN l.ts - 5 AND l.ts",
            "5 >= l.ts - r.ts AND r.ts <= l.ts",
        ];
        let mut answers = Vec::new();
        for condition in spellings {
            for right in ["r", "heap r"] {
                let asked = format!(
                    "SELECT l.id, r.v FROM l ASOF LEFT JOIN {right} ON l.k = r.k AND {condition} ORDER BY 1"
                );
                let plan = explained(&mut guest, &asked).await;
                assert!(plan.contains("tolerance=5,"), "{condition}: {plan}");
                answers.push(guest.must(&asked).await);
            }
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]));
    });
}

/// A filter on a key is one on both sides; rows are the same without it.
#[test]
fn a_filter_on_a_key_is_read_on_both_sides() {
    visit(1 << 30, async |mut guest: Guest| {
        guest.must(LARGE).await;
        for (right, reads) in
            [("r", "right=r (segments=1, pruned=0, filter=k@0 = 7)"), ("heap r", "filter=k@0 = 7")]
        {
            let joined = format!("l ASOF LEFT JOIN {right} ON l.k = r.k AND l.ts >= r.ts");
            let asked = format!("SELECT l.id, r.v FROM {joined} WHERE l.k = 7 ORDER BY 1");
            let plan = explained(&mut guest, &asked).await;
            assert!(plan.contains(reads), "{plan}");
            assert_eq!(plan.matches("filter=k@").count(), 2, "{plan}");
            let unfiltered =
                format!("SELECT l.id, r.v FROM {joined} WHERE l.k + random() * 0 = 7 ORDER BY 1");
            assert_eq!(guest.must(&asked).await, guest.must(&unfiltered).await);
        }
    });
}

#[test]
fn without_labels_no_right_row_is_read() {
    visit(1 << 30, async |mut guest: Guest| {
        guest.must(LARGE).await;
        for right in ["r", "heap r"] {
            for none in ["WHERE false", "WHERE id < 0"] {
                let asked = format!(
                    "SELECT l.id, r.v FROM (SELECT * FROM l {none}) AS l ASOF LEFT JOIN {right} ON l.k = r.k AND l.ts >= r.ts"
                );
                assert_eq!(counted(&mut guest, &asked, "right_rows").await, "0", "{asked}");
                assert!(guest.must(&asked).await.is_empty());
            }
        }
    });
}

#[test]
fn a_limit_asks_for_so_many_labels() {
    visit(1 << 30, async |mut guest: Guest| {
        guest.must(LARGE).await;
        for right in ["r", "heap r"] {
            let asked = format!(
                "SELECT l.id, r.v FROM l ASOF LEFT JOIN {right} ON l.k = r.k AND l.ts >= r.ts LIMIT 5"
            );
            assert_eq!(counted(&mut guest, &asked, "left_rows").await, "5", "{asked}");
            assert_eq!(guest.must(&asked).await.len(), 5);
        }
        let asked =
            "SELECT l.id, r.v FROM l ASOF LEFT JOIN r ON l.k = r.k AND l.ts >= r.ts LIMIT 5";
        assert_eq!(counted(&mut guest, asked, "pages_read").await, "1");
    });
}

/// Columns that are not shown are not read, nor a join of which nothing is.
#[test]
fn what_is_not_shown_is_not_read() {
    visit(1 << 30, async |mut guest: Guest| {
        guest.must(LARGE).await;
        let on = "ON l.k = r.k AND l.ts >= r.ts";
        let plan =
            explained(&mut guest, &format!("SELECT l.id FROM l ASOF LEFT JOIN heap r {on}")).await;
        assert!(!plan.contains("Asof"), "{plan}");
        let plan =
            explained(&mut guest, &format!("SELECT count(*) FROM l ASOF LEFT JOIN r {on}")).await;
        assert!(!plan.contains("Asof"), "{plan}");
        let plan = explained(&mut guest, &format!("SELECT count(*) FROM l ASOF JOIN r {on}")).await;
        assert!(plan.contains("kind=Semi"), "{plan}");
        let plan = explained(&mut guest, &format!("SELECT r.w FROM l ASOF JOIN heap r {on}")).await;
        assert!(plan.contains("table=heap, columns=[k, ts, w, _commit, _row_id]"), "{plan}");
        let all =
            guest.must(&format!("SELECT r.* FROM l ASOF JOIN r {on} ORDER BY ts, k LIMIT 2")).await;
        assert_eq!(all, [["1", "1", "1", "x"], ["2", "2", "2", "x"]]);
    });
}
