//! The operator against an oracle that compares every left row with every right row.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionConfig;
use proptest::prelude::*;

use super::{
    AsofCondition, AsofJoinExec, AsofKey, Comparison, How, Kind, PINNED_BATCHES_MAX, Residual,
    Tolerance,
};

/// A row of either side; `id` is its place among them.
#[derive(Clone, Debug)]
struct Row {
    keys: [Option<i64>; 2],
    time: Option<i64>,
    tie: Option<i64>,
    value: i64,
}

/// How rows are joined.
#[derive(Clone, Debug)]
struct Case {
    kind: Kind,
    comparison: Comparison,
    keys: usize,
    null_equal: bool,
    tolerance: Option<i64>,
    residual: bool,
    left_condition: bool,
    right_condition: bool,
}

const NAMES: [&str; 6] = ["a", "b", "ts", "tie", "value", "id"];

fn schema() -> SchemaRef {
    let fields = NAMES.map(|name| Field::new(name, DataType::Int64, true));
    Arc::new(Schema::new(fields.to_vec()))
}

fn batch(rows: &[(usize, &Row)]) -> RecordBatch {
    let column = |of: &dyn Fn(usize, &Row) -> Option<i64>| -> ArrayRef {
        let values = rows.iter().map(|(id, row)| of(*id, row));
        Arc::new(Int64Array::from_iter(values))
    };
    let columns = vec![
        column(&|_, row| row.keys[0]),
        column(&|_, row| row.keys[1]),
        column(&|_, row| row.time),
        column(&|_, row| row.tie),
        column(&|_, row| Some(row.value)),
        column(&|id, _| Some(id as i64)),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

fn column(index: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(NAMES[index % NAMES.len()], index))
}

fn binary(
    left: Arc<dyn PhysicalExpr>,
    op: Operator,
    right: Arc<dyn PhysicalExpr>,
) -> Arc<dyn PhysicalExpr> {
    Arc::new(BinaryExpr::new(left, op, right))
}

fn number(value: i64) -> Arc<dyn PhysicalExpr> {
    Arc::new(Literal::new(ScalarValue::Int64(Some(value))))
}

/// (l.value + r.value) % 3 <> 0
fn residual() -> Residual {
    let sum = binary(column(4), Operator::Plus, column(4 + NAMES.len()));
    let expr = binary(binary(sum, Operator::Modulo, number(3)), Operator::NotEq, number(0));
    let fields = NAMES.repeat(2).into_iter().map(|name| Field::new(name, DataType::Int64, true));
    Residual::try_new(expr, &Schema::new(fields.collect::<Vec<_>>()), NAMES.len()).unwrap()
}

fn condition(case: &Case) -> AsofCondition {
    let key = |i| AsofKey { left: column(i), right: column(i), null_equal: case.null_equal };
    AsofCondition {
        kind: case.kind,
        on: (0..case.keys).map(key).collect(),
        match_on: vec![(column(2), column(2))],
        comparison: case.comparison,
        tolerance: case
            .tolerance
            .map(|steps| Tolerance::Distance { steps: steps.into(), text: steps.to_string() }),
        left_condition: case.left_condition.then(|| binary(column(4), Operator::NotEq, number(1))),
        right_condition: (case.right_condition && case.kind.keeps_right())
            .then(|| binary(column(4), Operator::NotEq, number(2))),
        residual: case.residual.then(residual),
        known: None,
        ties: vec![column(3), column(5)],
    }
}

/// A side in so many partitions: by the first key, or, where any place will do, by turns.
fn sorted(
    rows: &[Row],
    plan: &AsofJoinExec,
    side: usize,
    (partitions, by_key): (usize, bool),
) -> Arc<dyn ExecutionPlan> {
    let mut parts = vec![Vec::new(); partitions];
    for (id, row) in rows.iter().enumerate() {
        let at = if by_key { row.keys[0].unwrap_or(0) as usize } else { id };
        parts[at % partitions].push((id, row));
    }
    let parts: Vec<Vec<RecordBatch>> = parts.iter().map(|rows| vec![batch(rows)]).collect();
    let input = MemorySourceConfig::try_new_exec(&parts, schema(), None).unwrap();
    match plan.required_input_ordering()[side].clone() {
        Some(order) => {
            let sort = SortExec::new(order.into_single().into(), input);
            Arc::new(sort.with_preserve_partitioning(true))
        }
        None => input,
    }
}

fn join(how: How, left: &[Row], right: &[Row], case: &Case) -> Arc<AsofJoinExec> {
    join_in(1, how, left, right, case)
}

fn join_in(
    partitions: usize,
    how: How,
    left: &[Row],
    right: &[Row],
    case: &Case,
) -> Arc<AsofJoinExec> {
    let empty = || MemorySourceConfig::try_new_exec(&[vec![]], schema(), None).unwrap();
    let condition = Arc::new(condition(case));
    let shown = if case.kind.shows_right() { 2 } else { 1 };
    let projection = vec![5, 5 + NAMES.len()][..shown].to_vec();
    let (l, r): (Arc<dyn ExecutionPlan>, Arc<dyn ExecutionPlan>) = (empty(), empty());
    let plan =
        AsofJoinExec::try_new(l, r, Arc::clone(&condition), how, projection.clone()).unwrap();
    let (of_left, of_right) = match how {
        How::Hash => ((partitions, false), (1, false)),
        How::Stream if case.keys == 0 => ((1, false), (1, false)),
        How::Stream => ((partitions, true), (partitions, true)),
    };
    let (l, r) = (sorted(left, &plan, 0, of_left), sorted(right, &plan, 1, of_right));
    Arc::new(AsofJoinExec::try_new(l, r, condition, how, projection).unwrap())
}

fn context(batch_size: usize) -> Arc<TaskContext> {
    let config = SessionConfig::new().with_batch_size(batch_size);
    Arc::new(TaskContext::default().with_session_config(config))
}

/// The places of the left and of the right row.
type Pair = (Option<i64>, Option<i64>);

fn run(plan: Arc<AsofJoinExec>, batch_size: usize) -> Vec<Pair> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let batches = runtime.block_on(collect(plan, context(batch_size))).unwrap();
    let mut pairs = Vec::new();
    for batch in batches {
        let ids = |column: usize| batch.columns()[column].as_primitive::<Int64Type>().iter();
        match batch.num_columns() {
            1 => pairs.extend(ids(0).map(|left| (left, None))),
            _ => pairs.extend(ids(0).zip(ids(1))),
        }
    }
    pairs.sort();
    pairs
}

fn oracle(left: &[Row], right: &[Row], case: &Case) -> Vec<Pair> {
    let admits = |l: &Row, r: &Row| {
        let keys = (0..case.keys).all(|i| match (l.keys[i], r.keys[i]) {
            (Some(a), Some(b)) => a == b,
            (None, None) => case.null_equal,
            _ => false,
        });
        let (Some(a), Some(b)) = (l.time, r.time) else { return false };
        let (near, distance) = match case.comparison {
            Comparison::Less => (a < b, b - a),
            Comparison::LessOrEqual => (a <= b, b - a),
            Comparison::Greater => (a > b, a - b),
            Comparison::GreaterOrEqual => (a >= b, a - b),
        };
        keys && near
            && case.tolerance.is_none_or(|tolerance| distance <= tolerance)
            && (!case.residual || (l.value + r.value) % 3 != 0)
            && (!case.left_condition || l.value != 1)
            && (!case.right_condition || !case.kind.keeps_right() || r.value != 2)
    };
    let forward = case.comparison.is_forward();
    let (mut pairs, mut unmatched) = (Vec::new(), BTreeSet::from_iter(0..right.len() as i64));
    for (id, l) in left.iter().enumerate() {
        let candidates = right.iter().enumerate().filter(|(_, r)| admits(l, r));
        let winner = candidates.max_by_key(|(id, r)| {
            let near = if forward { (Some(Reverse(r.time)), None) } else { (None, r.time) };
            (near, r.tie, *id)
        });
        let (left, right) = (Some(id as i64), winner.map(|(id, _)| id as i64));
        right.inspect(|right| _ = unmatched.remove(right));
        match case.kind {
            Kind::Inner | Kind::Right if right.is_none() => {}
            Kind::Inner | Kind::Left | Kind::Right | Kind::Full => pairs.push((left, right)),
            Kind::Semi if right.is_some() => pairs.push((left, None)),
            Kind::Anti if right.is_none() => pairs.push((left, None)),
            Kind::Semi | Kind::Anti => {}
        }
    }
    if matches!(case.kind, Kind::Right | Kind::Full) {
        pairs.extend(unmatched.into_iter().map(|right| (None, Some(right))));
    }
    pairs.sort();
    pairs
}

fn rows(count: usize) -> impl Strategy<Value = Vec<Row>> {
    let small = |range: i64| prop_oneof![1 => Just(None), 9 => (0..range).prop_map(Some)];
    let row = (small(3), small(2), small(20), small(3), 0..4i64);
    let row = row.prop_map(|(a, b, time, tie, value)| Row { keys: [a, b], time, tie, value });
    prop::collection::vec(row, 0..count)
}

fn cases() -> impl Strategy<Value = Case> {
    let comparison = prop_oneof![
        Just(Comparison::Less),
        Just(Comparison::LessOrEqual),
        Just(Comparison::Greater),
        Just(Comparison::GreaterOrEqual),
    ];
    let kinds = [Kind::Inner, Kind::Left, Kind::Right, Kind::Full, Kind::Semi, Kind::Anti];
    let kind = proptest::sample::select(kinds.to_vec());
    let tolerance = prop::option::of(-1..8i64);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    (kind, comparison, 0..=2usize, tolerance, flags).prop_map(
        |(kind, comparison, keys, tolerance, flags)| {
            let (null_equal, residual, left_condition, right_condition) = flags;
            Case {
                kind,
                comparison,
                keys,
                null_equal,
                tolerance,
                residual,
                left_condition,
                right_condition,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 240, ..ProptestConfig::default() })]

    #[test]
    fn every_row_gets_the_match_of_the_oracle(
        left in rows(40),
        right in rows(120),
        case in cases(),
        partitions in 1..4usize,
        batch_size in prop_oneof![Just(1usize), Just(2), Just(3), Just(7), Just(8192)],
    ) {
        let expected = oracle(&left, &right, &case);
        for how in [How::Stream, How::Hash] {
            let found = run(join_in(partitions, how, &left, &right, &case), batch_size);
            prop_assert_eq!(&found, &expected, "{:?}", how);
        }
    }
}

fn at(time: i64, value: i64) -> Row {
    Row { keys: [Some(0), Some(0)], time: Some(time), tie: None, value }
}

fn plain(kind: Kind) -> Case {
    Case {
        kind,
        comparison: Comparison::GreaterOrEqual,
        keys: 1,
        null_equal: false,
        tolerance: None,
        residual: false,
        left_condition: false,
        right_condition: false,
    }
}

/// 252, 259 and 10 000 rows of one time: the last wins, whatever sorted them.
#[test]
fn the_last_of_many_ties_wins() {
    for ties in [252, 259, 10_000] {
        let right: Vec<Row> = (0..ties).map(|value| at(4, value)).collect();
        for batch_size in [3, 8192] {
            let found = run(join(How::Stream, &[at(5, 0)], &right, &plain(Kind::Left)), batch_size);
            assert_eq!(found, [(Some(0), Some(ties - 1))]);
        }
    }
}

/// A residual condition that only the first of a long run satisfies, behind many batches.
#[test]
fn a_residual_walks_back_to_the_start_of_the_key() {
    let mut right: Vec<Row> = (0..500).map(|time| at(time, 0)).collect();
    right[0].value = 1;
    let case = Case { residual: true, ..plain(Kind::Inner) };
    assert_eq!(
        run(join(How::Stream, &[at(499, 0), at(0, 0)], &right, &case), 2),
        [(Some(0), Some(0)), (Some(1), Some(0))]
    );
}

fn metric(plan: &AsofJoinExec, name: &str) -> usize {
    plan.metrics().unwrap().sum_by_name(name).map_or(0, |value| value.as_usize())
}

#[test]
fn without_left_rows_the_right_is_not_read() {
    let plan = join(How::Stream, &[], &[at(1, 0)], &plain(Kind::Left));
    assert!(run(Arc::clone(&plan), 8192).is_empty());
    assert_eq!(metric(&plan, "right_rows"), 0);
    let mut row = at(1, 0);
    row.time = None;
    let plan = join(How::Stream, &[row], &[at(1, 0)], &plain(Kind::Left));
    assert_eq!(run(Arc::clone(&plan), 8192), [(Some(0), None)]);
    assert_eq!((metric(&plan, "right_rows"), metric(&plan, "null_key_rows")), (0, 1));
}

/// Few left rows far apart pin few right batches, however many go by.
#[test]
fn what_goes_by_is_let_go() {
    let right: Vec<Row> = (0..20_000).map(|time| at(time, 0)).collect();
    let left: Vec<Row> = (0..200).map(|i| at(i * 100, 0)).collect();
    let plan = join(How::Stream, &left, &right, &plain(Kind::Left));
    let found = run(Arc::clone(&plan), 10);
    assert!(found.iter().all(|(id, matched)| *matched == id.map(|id| id * 100)));
    let row = NAMES.len() * 9 + 16;
    let limit = (PINNED_BATCHES_MAX + 4) * 10 * row;
    assert!(metric(&plan, "build_mem_used") < limit, "{}", metric(&plan, "build_mem_used"));
}

/// Right rows that no left row got do not pile up, neither behind a far left row nor behind the last.
#[test]
fn unmatched_right_rows_are_let_go() {
    let right: Vec<Row> = (0..20_000).map(|time| at(time, 0)).collect();
    let row = NAMES.len() * 9 + 16;
    for left in [vec![], vec![at(10, 0)], vec![at(19_990, 0)]] {
        let plan = join(How::Stream, &left, &right, &plain(Kind::Right));
        assert_eq!(run(Arc::clone(&plan), 10).len(), 20_000);
        assert_eq!(metric(&plan, "right_unmatched"), 20_000 - left.len());
        assert!(metric(&plan, "build_mem_used") < 8 * 10 * row);
    }
}

/// A join that keeps the right side says nothing of the left one's order and partitions.
#[test]
fn what_holds_of_the_left_holds_of_the_output_unless_the_right_is_kept() {
    let rows = [at(1, 0)];
    for (kind, kept) in [(Kind::Left, true), (Kind::Anti, true), (Kind::Full, false)] {
        let plan = join(How::Stream, &rows, &rows, &plain(kind));
        let [left, right] = [0, 1].map(|side| Arc::clone(plan.children()[side]));
        let condition = Arc::new(condition(&plain(kind)));
        let plan = AsofJoinExec::try_new(left, right, condition, How::Stream, vec![0, 2]).unwrap();
        assert_eq!(plan.properties().output_ordering().is_some(), kept, "{kind:?}");
    }
}

/// What a residual condition makes it hold is taken from the pool, and refused there.
#[test]
fn memory_is_bounded_by_the_pool() {
    let right: Vec<Row> = (0..50_000).map(|time| at(time, 0)).collect();
    let case = Case { residual: true, ..plain(Kind::Left) };
    let plan = join(How::Stream, &[at(60_000, 0)], &right, &case);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ready = |input: &Arc<dyn ExecutionPlan>| -> Arc<dyn ExecutionPlan> {
        let batches = runtime.block_on(collect(Arc::clone(input), context(1024))).unwrap();
        MemorySourceConfig::try_new_exec(&[batches], schema(), None).unwrap()
    };
    let children = plan.children().into_iter().map(ready).collect();
    let options = datafusion::physical_plan::ReplaceChildrenOptions::new(
        datafusion::physical_plan::ChildrenPropertiesMode::Recompute,
    );
    let plan = plan.replace_children(children, options).unwrap();
    let pool = Arc::new(GreedyMemoryPool::new(1 << 20));
    let env = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().unwrap();
    let context = TaskContext::default().with_runtime(env);
    let error = runtime.block_on(collect(plan, Arc::new(context))).unwrap_err();
    assert!(error.to_string().contains("AsofJoin[0]"), "{error}");
}
