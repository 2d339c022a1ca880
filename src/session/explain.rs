//! EXPLAIN: how a statement would run, or with ANALYZE how it ran. ANALYZE runs it truly: a statement
//! that writes has written.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::Schema;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::metrics::MetricValue;
use datafusion::physical_plan::{ExecutionPlan, displayable};

use super::answer::rows_of;
use super::execute::{Parameters, refuse};
use super::writes::row_word;
use super::{Outcome, RowsTag, Session};
use crate::command::run;
use crate::command::write::{self, Scene};
use crate::error::{Error, ErrorKind, Result};
use crate::exec::stop::STOP_EXEC;
use crate::fault;
use crate::parse::{Explain, Parsed, Statement};
use crate::plan::plan_apart;
use crate::spec::Type;
use crate::spec::text::json_quoted;

/// PostgreSQL's options that say what is shown beside the plan; the plans here have no more to show.
const OPTIONS: [&str; 9] = [
    "costs",
    "settings",
    "generic_plan",
    "buffers",
    "serialize",
    "wal",
    "timing",
    "summary",
    "memory",
];

/// Whether the plan is told as JSON.
///
/// # Errors
/// Syntax for an option that PostgreSQL has not; NotSupported for its other formats.
pub(super) fn is_json(explain: &Explain) -> Result<bool> {
    let mut json = false;
    for (name, value) in &explain.options {
        let value = value.as_deref().unwrap_or_default().to_ascii_lowercase();
        match (name.as_str(), value.as_str()) {
            ("format", "json") => json = true,
            ("format", "text") => json = false,
            ("format", "xml" | "yaml") => {
                let message = format!("EXPLAIN in format {}", value.to_uppercase());
                return Err(Error::new(ErrorKind::NotSupported, message)
                    .hint("FORMAT JSON, or FORMAT TEXT"));
            }
            ("format", _) => {
                let message =
                    format!("unrecognized value for EXPLAIN option \"format\": \"{value}\"");
                return Err(Error::new(ErrorKind::InvalidValue, message)
                    .hint("FORMAT JSON, or FORMAT TEXT"));
            }
            (name, _) if OPTIONS.contains(&name) => {}
            (name, _) => {
                let message = format!("unrecognized EXPLAIN option \"{name}\"");
                return Err(Error::new(ErrorKind::Syntax, message));
            }
        }
    }
    Ok(json)
}

/// The type of the one column that EXPLAIN answers.
///
/// # Errors
/// As [`is_json`].
pub(super) fn plan_type(explain: &Explain) -> Result<Type> {
    Ok(if is_json(explain)? { Type::Json } else { Type::Text })
}

impl Session {
    pub(super) async fn explain(
        &mut self,
        explain: &Explain,
        parsed: &Parsed,
        parameters: Parameters,
    ) -> Result<Outcome> {
        if let Statement::Execute { name, arguments } = explain.statement.as_ref() {
            let prepared = self.executed(name)?;
            let values = self.arguments(name, &prepared, arguments)?;
            let parameters = Some(Arc::new(prepared.bind(values)?));
            let statement = Box::new(prepared.parsed.statement.clone());
            let explain = Explain { statement, ..explain.clone() };
            return Box::pin(self.explain(&explain, &prepared.parsed, parameters)).await;
        }
        let json = is_json(explain)?;
        let (reading, _bounds) = self.bounded(&self.reading_of(parsed, parameters.clone())?)?;
        let statement = explain.statement.as_ref();
        let (plan, word) = match (statement, row_word(statement)) {
            (Statement::Query(query), _) => {
                (plan_apart(&reading, &self.state, query, &[]).await?.plan, None)
            }
            (change, Some(word)) => {
                let scene = Scene::described(&reading, &self.state);
                (scene.apart(change, write::describe).await?.plan, Some(word))
            }
            (other, None) => return Err(refuse(other).hint("EXPLAIN the SELECT it runs")),
        };
        let analyze = explain.analyze && word.is_none();
        let lines = match json {
            true => {
                let began_us = self.now_us();
                let plan = run::physical(&reading, &self.state, plan, analyze).await?;
                let ran_us = analyze.then(|| self.now_us() - began_us);
                Told::Json(tell(&plan, analyze), ran_us)
            }
            false => {
                if !analyze {
                    // A plan of text says of an error only that there was one.
                    run::physical(&reading, &self.state, plan.clone(), false).await?;
                }
                let plan = explained(plan, explain.verbose, analyze)?;
                let batches = run::collect(&reading, &self.state, plan).await?;
                Told::Text(plan_lines(&batches, explain.verbose)?)
            }
        };
        let written = match word {
            Some(word) if explain.analyze => {
                Some(self.write_and_tell(statement, parameters, word).await?)
            }
            _ => None,
        };
        answer(lines.whole(written), json)
    }

    /// Runs a statement that writes: its word, the rows it changed and how long it took in µs.
    async fn write_and_tell(
        &mut self,
        statement: &Statement,
        parameters: Parameters,
        word: &str,
    ) -> Result<Ran> {
        let began_us = self.now_us();
        let rows = self.write_counted(statement, parameters).await?;
        let word = word.split(' ').next().unwrap_or(word);
        Ok(Ran { word: word.to_owned(), rows, us: self.now_us() - began_us })
    }

    fn now_us(&self) -> i64 {
        self.database.store().clock().now_us()
    }
}

/// A statement that wrote.
struct Ran {
    word: String,
    rows: u64,
    us: i64,
}

enum Told {
    Text(Vec<String>),
    /// The plan's node, and how long it ran, in µs.
    Json(String, Option<i64>),
}

impl Told {
    /// With what the statement that writes did, above the plan of its rows.
    fn whole(self, ran: Option<Ran>) -> Vec<String> {
        let milliseconds = |us: i64| us as f64 / 1e3;
        match (self, ran) {
            (Told::Text(lines), None) => lines,
            (Told::Text(lines), Some(ran)) => {
                let mut all = vec![format!("{}: rows={}", ran.word, ran.rows)];
                all.extend(lines.iter().map(|line| format!("  {line}")));
                all.push(format!("Execution Time: {:.3} ms", milliseconds(ran.us)));
                all
            }
            (Told::Json(plan, us), ran) => {
                let us = us.or(ran.as_ref().map(|ran| ran.us));
                let plan = match ran {
                    Some(ran) => format!(
                        "{{\"Node Type\": {}, \"Actual Rows\": {}, \"Plans\": [{plan}]}}",
                        json_quoted(&ran.word),
                        ran.rows
                    ),
                    None => plan,
                };
                let time = us.map(|us| format!(", \"Execution Time\": {:.3}", milliseconds(us)));
                vec![format!("[{{\"Plan\": {plan}{}}}]", time.unwrap_or_default())]
            }
        }
    }
}

fn answer(lines: Vec<String>, json: bool) -> Result<Outcome> {
    let field = if json { Type::Json } else { Type::Text }.field("QUERY PLAN", false);
    let lines: ArrayRef = Arc::new(StringViewArray::from_iter_values(lines));
    let lines = cast(&lines, field.data_type()).map_err(fault::of_arrow)?;
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![lines]);
    Ok(rows_of(batch.map_err(fault::of_arrow)?, RowsTag::Tagged("EXPLAIN")))
}

fn explained(plan: LogicalPlan, verbose: bool, analyze: bool) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .explain(verbose, analyze)
        .and_then(LogicalPlanBuilder::build)
        .map_err(fault::of_datafusion)
}

/// A node as a JSON object, with PostgreSQL's names where they mean the same.
fn tell(plan: &Arc<dyn ExecutionPlan>, analyze: bool) -> String {
    let inputs = plan.children();
    if plan.name() == STOP_EXEC
        && let [input] = inputs[..]
    {
        return tell(input, analyze);
    }
    let mut fields = vec![("Node Type", json_quoted(plan.name()))];
    let line = displayable(plan.as_ref()).one_line().to_string();
    if let Some((_, detail)) = line.trim().split_once(": ") {
        fields.push(("Detail", json_quoted(detail)));
    }
    let metrics = plan.metrics().filter(|_| analyze).unwrap_or_default().aggregate_by_name();
    for metric in metrics.iter() {
        fields.push(match metric.value() {
            MetricValue::OutputRows(count) => ("Actual Rows", count.value().to_string()),
            MetricValue::ElapsedCompute(time) => {
                ("Actual Total Time", format!("{:.3}", time.value() as f64 / 1e6))
            }
            value => (value.name(), value.as_usize().to_string()),
        });
    }
    if !inputs.is_empty() {
        let told: Vec<String> = inputs.iter().map(|input| tell(input, analyze)).collect();
        fields.push(("Plans", format!("[{}]", told.join(", "))));
    }
    let fields = fields.iter().map(|(name, value)| format!("{}: {value}", json_quoted(name)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

/// The plan's lines without those of our own that only watch; what stood below them moves left.
fn without_stops(text: &str) -> Vec<String> {
    let mut hidden: Vec<usize> = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        let name = line.trim_start();
        let indent = line.len() - name.len();
        hidden.retain(|above| *above < indent);
        match name.starts_with(STOP_EXEC) {
            true => hidden.push(indent),
            false => lines.push(line[2 * hidden.len()..].to_owned()),
        }
    }
    lines
}

/// The physical plan's lines; with VERBOSE every stage under its name.
fn plan_lines(batches: &[RecordBatch], verbose: bool) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cell = |i: usize| {
                arrow::util::display::array_value_to_string(batch.column(i), row)
                    .map_err(fault::of_arrow)
            };
            let (stage, text) = (cell(0)?, cell(1)?);
            if !verbose && stage == "logical_plan" {
                continue;
            }
            if verbose {
                lines.push(format!("{stage}:"));
            }
            lines.extend(without_stops(&text));
        }
    }
    Ok(lines)
}
