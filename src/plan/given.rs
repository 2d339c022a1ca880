//! A relation that is planned already, under a name that a query can use.

use datafusion::common::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, TableFactor, TableWithJoins};

use crate::error::Result as OurResult;
use crate::parse::{self, fold};

/// A plan under a name. Its columns keep the qualifiers they have; an alias gives them one.
#[derive(Clone, Debug)]
pub struct Given {
    /// Folded. A name with a blank is one that no client means.
    pub name: String,
    /// What it stands for.
    pub plan: LogicalPlan,
}

impl Given {
    /// The relation as an item of a FROM list.
    ///
    /// # Errors
    /// Internal, which does not happen.
    pub fn factor(&self) -> OurResult<TableWithJoins> {
        from_item(&ObjectName::from(Ident::with_quote('"', self.name.clone())))
    }
}

/// A table as an item of a FROM list.
///
/// # Errors
/// Internal, which does not happen.
pub fn from_item(table: &ObjectName) -> OurResult<TableWithJoins> {
    use datafusion::sql::sqlparser::ast::SetExpr;
    let mut query = parse::query("SELECT 1 FROM t")?;
    let SetExpr::Select(select) = query.body.as_mut() else {
        unreachable!("the text above is a SELECT")
    };
    let mut from = select.from.remove(0);
    if let TableFactor::Table { name, .. } = &mut from.relation {
        *name = table.clone();
    }
    Ok(from)
}

/// Plans the names that are given.
#[derive(Debug)]
pub(super) struct GivenPlanner(pub(super) Vec<Given>);

impl RelationPlanner for GivenPlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        _: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let named = match &relation {
            TableFactor::Table { name, alias, args: None, version: None, .. } => {
                match name.0.as_slice() {
                    [part] => part.as_ident().map(|ident| (fold(ident), alias.clone())),
                    _ => None,
                }
            }
            _ => None,
        };
        let found = named.and_then(|(name, alias)| {
            let given = self.0.iter().find(|given| given.name == name)?;
            Some(PlannedRelation::new(given.plan.clone(), alias))
        });
        Ok(match found {
            Some(planned) => RelationPlanning::Planned(Box::new(planned)),
            None => RelationPlanning::Original(Box::new(relation)),
        })
    }
}
