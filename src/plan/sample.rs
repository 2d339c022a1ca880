//! TABLESAMPLE: rows, or blocks of rows, each taken or left by a hash of its number and a seed.
//!
//! A row keeps its number through updates and compaction, so REPEATABLE takes the same rows of a table
//! as long as these are in it, whatever is written beside them. BERNOULLI decides for each row, SYSTEM
//! for the rows that were written next to each other.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::common::{Column, DFSchema, Result as DataFusionResult, ScalarValue, exec_err};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, TableFactor, TableSample, TableSampleKind, TableSampleMethod,
};

use super::scope::{Reading, external};
use super::time_travel::{constant, name_parts, reference};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::scan::{HIDDEN, TableScan};
use crate::store::ROW_ID;

/// How many rows SYSTEM takes or leaves together.
const BLOCK_ROWS: u64 = 1024;

/// Plans tables that are sampled.
#[derive(Debug)]
pub struct SamplePlanner {
    reading: Reading,
    state: Arc<SessionState>,
}

impl SamplePlanner {
    pub(super) fn new(reading: Reading, state: Arc<SessionState>) -> SamplePlanner {
        SamplePlanner { reading, state }
    }

    /// A number that a clause holds; None where it is a parameter that has no value yet.
    fn number(
        &self,
        value: SqlExpr,
        context: &mut dyn RelationPlannerContext,
    ) -> DataFusionResult<Option<f64>> {
        let expr = context.sql_to_expr(value, &DFSchema::empty())?;
        let Some(value) = constant(&self.reading, &self.state, expr).map_err(external)? else {
            return Ok(None);
        };
        match value.cast_to(&DataType::Float64)? {
            ScalarValue::Float64(Some(number)) if number.is_finite() => Ok(Some(number)),
            _ => Err(external(Error::new(
                ErrorKind::InvalidValue,
                "TABLESAMPLE wants a number, not NULL",
            ))),
        }
    }

    fn sampling(
        &self,
        sample: TableSample,
        context: &mut dyn RelationPlannerContext,
    ) -> DataFusionResult<Sampling> {
        let (block_rows, share, seed) = clause(sample).map_err(external)?;
        // A statement that is only described has no rows to take.
        let percent = self.number(share, context)?.unwrap_or(0.0);
        if !(0.0..=100.0).contains(&percent) {
            let message = "sample percentage must be between 0 and 100";
            return Err(external(Error::new(ErrorKind::InvalidValue, message)));
        }
        let seed = match seed {
            Some(seed) => self.number(seed, context)?.map_or(0, f64::to_bits),
            None => RandomState::new().build_hasher().finish(),
        };
        // 2^64 is beyond u64: that of 100 percent is taken by every hash.
        let below = (percent / 100.0 * (u64::MAX as f64 + 1.0)) as u128;
        Ok(Sampling {
            block_rows,
            below,
            seed,
            signature: Signature::any(1, Volatility::Immutable),
        })
    }
}

/// The parts of a clause: rows that go together, the percentage, the seed.
fn clause(sample: TableSample) -> Result<(u64, SqlExpr, Option<SqlExpr>)> {
    let TableSample { modifier: _, name, quantity, seed, bucket, offset } = sample;
    let block_rows = match name {
        Some(TableSampleMethod::Bernoulli | TableSampleMethod::Row) => 1,
        Some(TableSampleMethod::System | TableSampleMethod::Block) => BLOCK_ROWS,
        None => 0,
    };
    match quantity {
        Some(quantity)
            if block_rows > 0
                && quantity.unit.is_none()
                && bucket.is_none()
                && offset.is_none() =>
        {
            let seed = seed.map(|seed| SqlExpr::Value(seed.value));
            Ok((block_rows, quantity.value, seed))
        }
        _ => Err(Error::new(ErrorKind::NotSupported, "this form of TABLESAMPLE").hint(
            "write TABLESAMPLE BERNOULLI (percent) or SYSTEM (percent), and REPEATABLE (seed)",
        )),
    }
}

impl RelationPlanner for SamplePlanner {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> DataFusionResult<RelationPlanning> {
        let (sample, mut relation) = take_sample(relation);
        let Some(sample) = sample else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let sampling = self.sampling(sample, context)?;
        let TableFactor::Table { name, alias, args: None, .. } = &mut relation else {
            return Err(external(not_a_table()));
        };
        let alias = alias.take();
        let parts = name_parts(name).map_err(external)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let written = reference(&parts);
        let plan = sampled(context.plan(relation)?, sampling)?;
        let plan = LogicalPlanBuilder::from(plan).alias(written)?.build()?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation { plan, alias })))
    }
}

/// The scan of a table, sampled.
fn sampled(plan: LogicalPlan, sampling: Sampling) -> DataFusionResult<LogicalPlan> {
    let scan = match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            return sampled(Arc::unwrap_or_clone(alias.input), sampling);
        }
        LogicalPlan::TableScan(scan) => scan,
        _ => return Err(external(not_a_table())),
    };
    let provider = source_as_provider(&scan.source)?;
    let Some(table) = provider.downcast_ref::<TableScan>() else {
        return Err(external(not_a_table()));
    };
    let rows = provider_as_source(Arc::new(table.hidden()));
    let rows = LogicalPlanBuilder::scan(scan.table_name, rows, None)?.build()?;
    let names = rows.schema().iter().map(|(of, field)| Column::new(of.cloned(), field.name()));
    let (hidden, visible): (Vec<_>, Vec<_>) =
        names.partition(|column| HIDDEN.contains(&column.name()));
    let number = hidden.into_iter().find(|column| column.name() == ROW_ID);
    let number = number.ok_or_else(|| external(not_a_table()))?;
    let taken = ScalarUDF::new_from_impl(sampling).call(vec![Expr::Column(number)]);
    let visible = visible.into_iter().map(Expr::Column);
    LogicalPlanBuilder::from(rows).filter(taken)?.project(visible)?.build()
}

fn not_a_table() -> Error {
    Error::new(ErrorKind::NotSupported, "TABLESAMPLE clause can only be applied to tables")
        .hint("sample the tables below, or write WHERE random() < 0.1")
}

fn take_sample(mut relation: TableFactor) -> (Option<TableSample>, TableFactor) {
    let taken = match &mut relation {
        TableFactor::Table { sample, .. } | TableFactor::Derived { sample, .. } => sample.take(),
        _ => None,
    };
    let sample = taken.map(|kind| match kind {
        TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample) => {
            *sample
        }
    });
    (sample, relation)
}

/// Whether the row of a number is taken.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sampling {
    block_rows: u64,
    below: u128,
    seed: u64,
    signature: Signature,
}

impl Sampling {
    fn takes(&self, row: u64) -> bool {
        u128::from(mixed(mixed(self.seed) ^ (row / self.block_rows))) < self.below
    }
}

/// A number whose bits all depend on all bits of the other (splitmix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl ScalarUDFImpl for Sampling {
    fn name(&self) -> &str {
        "sampled"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let [rows] = args.args.as_slice() else {
            return exec_err!("sampled takes the number of a row");
        };
        let rows = rows.to_array(args.number_rows)?;
        let taken = rows.as_primitive::<UInt64Type>().values().iter();
        let taken: BooleanArray = taken.map(|row| Some(self.takes(*row))).collect();
        Ok(ColumnarValue::Array(Arc::new(taken)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampling(percent: f64, block_rows: u64, seed: u64) -> Sampling {
        let below = (percent / 100.0 * (u64::MAX as f64 + 1.0)) as u128;
        Sampling { block_rows, below, seed, signature: Signature::any(1, Volatility::Immutable) }
    }

    #[test]
    fn the_share_is_what_was_asked_for() {
        for seed in 0..20 {
            for percent in [0.0, 1.0, 10.0, 50.0, 100.0] {
                let sampling = sampling(percent, 1, seed);
                let taken = (0..100_000).filter(|row| sampling.takes(*row)).count() as f64;
                // Five standard deviations.
                let wanted: f64 = percent * 1_000.0;
                let bound = 5.0 * (wanted * (1.0 - percent / 100.0)).sqrt();
                assert!((taken - wanted).abs() <= bound, "{taken} of {wanted}");
            }
        }
    }

    #[test]
    fn blocks_are_taken_whole() {
        let sampling = sampling(30.0, BLOCK_ROWS, 7);
        for block in 0..200 {
            let first = sampling.takes(block * BLOCK_ROWS);
            assert!((0..BLOCK_ROWS).all(|row| sampling.takes(block * BLOCK_ROWS + row) == first));
        }
    }
}
