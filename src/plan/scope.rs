//! What a statement sees, and how DataFusion's SQL planner asks for it.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::{SchemaProvider, TableFunctionArgs};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::planner::{
    ContextProvider, ExprPlanner, RelationPlanner, TypePlanner,
};
use datafusion::logical_expr::{
    AggregateUDF, Expr, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF,
};
use datafusion::sql::planner::ParserOptions;
use parking_lot::Mutex;

use super::asof::AsofRelationPlanner;
use super::changes::ChangesPlanner;
use super::given::{Given, GivenPlanner};
use super::names;
use super::parameters::Parameters;
use super::rows::constant;
use super::sample::SamplePlanner;
use super::thread::check;
use super::time_travel::VersionPlanner;
use super::using::UsingPlanner;
use crate::activity::CancelToken;
use crate::error::Error;
use crate::spec::View;
use crate::spec::text::TextOptions;
use crate::store::Snapshot;

/// The system tables of a snapshot, made when a statement first asks for one.
pub trait SystemTables: Send + Sync {
    /// `pg_catalog` or `information_schema`; None for any other name.
    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>>;
}

/// What a statement sees.
#[derive(Clone)]
pub struct Reading {
    /// What names without a version mean.
    pub snapshot: Snapshot,
    /// What they mean to the session: inside a view that is read at a version it is another.
    pub own: Snapshot,
    /// The session's branch where it is of some tables alone: those are read on it, others as in
    /// `snapshot`.
    pub table_branch: Option<Arc<str>>,
    /// The name the session connected to, which also names the default catalog.
    pub database: String,
    /// Where names without a schema are looked for, in order.
    pub search_path: Vec<String>,
    /// How times are written.
    pub text: TextOptions,
    /// `$1 …`; None where there are none.
    pub parameters: Option<Arc<Parameters>>,
    /// The system tables.
    pub system: Arc<dyn SystemTables>,
    /// What the statement may use: memory and room to spill.
    pub runtime: Arc<RuntimeEnv>,
    /// Stops the statement.
    pub cancel: CancelToken,
    /// What the statement's client is told beside its answer.
    pub notices: Arc<Mutex<Vec<String>>>,
    /// The view whose text is planned: its names mean what they meant when it was made.
    pub view: Option<Arc<View>>,
}

impl Reading {
    /// The same, at another snapshot.
    pub fn at(&self, snapshot: Snapshot) -> Reading {
        Reading { snapshot, ..self.clone() }
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reading(commit {})", self.snapshot.commit())
    }
}

/// Names, functions and types for one statement.
pub struct Scope<'a> {
    pub(super) reading: Reading,
    state: &'a SessionState,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
}

impl<'a> Scope<'a> {
    /// The scope of a statement that sees `reading`, with the functions of `state`.
    pub fn new(reading: Reading, state: &'a SessionState) -> Scope<'a> {
        let shared = Arc::new(state.clone());
        let samples = SamplePlanner::new(reading.clone(), Arc::clone(&shared));
        let changes = ChangesPlanner::new(reading.clone(), Arc::clone(&shared));
        let versions = VersionPlanner::new(reading.clone(), shared);
        let relation_planners: Vec<Arc<dyn RelationPlanner>> = vec![
            Arc::new(AsofRelationPlanner),
            Arc::new(UsingPlanner),
            Arc::new(samples),
            Arc::new(changes),
            Arc::new(versions),
        ];
        Scope { reading, state, relation_planners }
    }

    /// The same, where these names stand for these plans before they stand for anything else.
    pub fn with_given(mut self, given: &[Given]) -> Scope<'a> {
        self.relation_planners.insert(0, Arc::new(GivenPlanner(given.to_vec())));
        self
    }

    /// What the statement sees.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// How the SQL planner reads a tree.
    pub fn parser_options(&self) -> ParserOptions {
        ParserOptions::from(&self.state.config().options().sql_parser).with_collect_spans(true)
    }
}

impl Scope<'_> {
    /// The argument of a table function, which wants values: counts, of any width.
    fn bound(&self, arg: Expr) -> Result<Expr> {
        let parameters = self.reading.parameters.as_ref();
        let arg = arg.transform(|expr| {
            match parameters.and_then(|parameters| parameters.value_of(&expr)) {
                Some(value) => Ok(Transformed::yes(Expr::Literal(value, None))),
                None => Ok(Transformed::no(expr)),
            }
        })?;
        let value = constant(self.state, arg.data)?;
        Ok(match value {
            value if value.is_null() => Expr::Literal(ScalarValue::Null, None),
            value if value.data_type().is_integer() => {
                Expr::Literal(value.cast_to(&DataType::Int64)?, None)
            }
            value => Expr::Literal(value, None),
        })
    }
}

impl ContextProvider for Scope<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        check()?;
        let parts: Vec<&str> = match &name {
            TableReference::Bare { table } => vec![table],
            TableReference::Partial { schema, table } => vec![schema, table],
            TableReference::Full { catalog, schema, table } => vec![catalog, schema, table],
        };
        names::source(&self.reading, self.state, &parts, None).map_err(external)
    }

    fn get_table_function_source(
        &self,
        name: &str,
        args: Vec<Expr>,
    ) -> Result<Arc<dyn TableSource>> {
        let Some(function) = self.state.table_functions().get(name) else {
            return Err(external(Error::new(
                crate::error::ErrorKind::UndefinedFunction,
                format!("table function {name} does not exist"),
            )));
        };
        let args = args.into_iter().map(|arg| self.bound(arg)).collect::<Result<Vec<_>>>()?;
        let arguments = TableFunctionArgs::new(&args, self.state);
        Ok(provider_as_source(function.create_table_provider_with_args(arguments)?))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        let table = datafusion::catalog::cte_worktable::CteWorkTable::new(name, schema);
        Ok(provider_as_source(Arc::new(table)))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relation_planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(super::functions::PostgresTypes))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.scalar_functions().get(name).cloned()
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, names: &[String]) -> Option<DataType> {
        // `@x` has no meaning in PostgreSQL's SQL.
        let _ = names;
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        self.state.scalar_functions().keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}

/// Our error as DataFusion carries it.
pub(super) fn external(error: Error) -> datafusion::error::DataFusionError {
    datafusion::error::DataFusionError::External(Box::new(error))
}
