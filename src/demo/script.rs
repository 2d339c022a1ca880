//! The demo's SQL: one file a chapter under sql/demo, in parts that begin with a line `--: name`.

/// What a part's first line begins with.
const MARK: &str = "--: ";

/// The SQL of one chapter.
#[derive(Clone, Copy)]
pub(super) struct Script(&'static str);

/// The chapters, in order.
pub(super) const TABLES: Script = Script(include_str!("../../sql/demo/1_tables.sql"));
pub(super) const TRAINING_SET: Script = Script(include_str!("../../sql/demo/2_training_set.sql"));
pub(super) const VERSIONS: Script = Script(include_str!("../../sql/demo/3_versions.sql"));
pub(super) const BRANCH: Script = Script(include_str!("../../sql/demo/4_branch.sql"));
pub(super) const LOOK_UPS: Script = Script(include_str!("../../sql/demo/5_look_ups.sql"));
pub(super) const KILL: Script = Script(include_str!("../../sql/demo/6_kill.sql"));

impl Script {
    /// The statement of this name.
    ///
    /// # Panics
    /// Where the chapter has no such part: the names are written in this room.
    pub(super) fn part(self, name: &str) -> &'static str {
        let found = self.parts().find(|(own, _)| *own == name);
        found.unwrap_or_else(|| panic!("the demo's SQL has a part \"{name}\"")).1
    }

    fn parts(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let parts = self.0.split(MARK).skip(1);
        parts.filter_map(|part| part.split_once('\n')).map(|(name, sql)| (name, sql.trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_one_statement() {
        for script in [TABLES, TRAINING_SET, VERSIONS, BRANCH, LOOK_UPS, KILL] {
            assert!(script.parts().count() > 1);
            for (name, sql) in script.parts() {
                let parsed = crate::parse::parse(sql);
                assert_eq!(parsed.map(|p| p.len()).unwrap_or_default(), 1, "{name}: {sql}");
            }
        }
    }
}
