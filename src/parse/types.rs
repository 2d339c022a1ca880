//! The types SQL names.

use datafusion::sql::sqlparser::ast::DataType;

use crate::error::Result;
use crate::spec::Type;

/// The type of a column or cast.
///
/// # Errors
/// UndefinedObject for a name that is no type, InvalidValue for a length or precision out of range,
/// NotSupported for a type PostgreSQL has and we do not.
pub fn map_type(data_type: &DataType) -> Result<Type> {
    todo!("{data_type:?}")
}
