//! Words thrown together: every text is answered, none panics, and none takes long.

use proptest::prelude::*;

use super::*;

const WORDS: &str = "SELECT FROM WHERE JOIN LEFT ASOF GLOBAL NATURAL ON USING MATCH_CONDITION KNOWN \
    AT BEFORE FOR SYSTEM_TIME VERSION TIMESTAMP AS OF SYSTEM TIME BRANCH TAG INSERT INTO VALUES \
    UPDATE SET DELETE MERGE WHEN MATCHED THEN WITH TABLE ONLY LATERAL CREATE VIEW ALTER DROP COPY \
    TO STDIN BEGIN ROLLBACK SAVEPOINT FETCH DECLARE CURSOR CALL EXPLAIN ANALYZE PREPARE EXECUTE \
    SHOW RESET CASE END NOT NULL AND OR IN BETWEEN UNION ALL CAST EXTRACT INTERVAL CLUSTER BY EVENT \
    TIES RETAIN CHECK DEFAULT PRIMARY KEY a t.b \"q\" 'str' 12 1.5 $1 ( ) [ ] , ; . + - * = >= => \
    := @ :: $$x$$ /* */ -- é '";

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_words(indices in prop::collection::vec(any::<prop::sample::Index>(), 0..40)) {
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        let sql: Vec<&str> = indices.iter().map(|i| *i.get(&words)).collect();
        check(&sql.join(" "));
    }

    #[test]
    fn any_cut_of_a_statement(from in 0_usize..400, length in 0_usize..400) {
        let sql = "EXPLAIN SELECT * FROM a@x b LEFT ASOF JOIN (c VERSION AS OF 3 JOIN d ON c.k = d.k) \
            MATCH_CONDITION (b.ts >= c.ts) KNOWN AT b.ts ON b.k = c.k, e AT (TAG => 'é') WHERE a IN \
            (TABLE f FOR SYSTEM_TIME AS OF now()) ; INSERT INTO t@branch(b) SELECT 1 ; CREATE TABLE \
            t (a int DEFAULT 1 NOT NULL, PRIMARY KEY (a)) CLUSTER BY (a) AS OF SYSTEM TIME '-1s'";
        check(&sql.chars().skip(from).take(length).collect::<String>());
    }
}

/// Whatever the answer, an error points into the text.
fn check(sql: &str) {
    if let Err(error) = parse(sql) {
        let position = error.position().unwrap_or(1);
        assert!(position >= 1 && position <= sql.chars().count() + 1, "{sql}: {error:?}");
    }
}
