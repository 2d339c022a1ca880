//! Hidden columns.

/// Parquet field id of `_commit`: Iceberg's `_last_updated_sequence_number`.
pub const COMMIT_FIELD_ID: i32 = 2_147_483_539;
/// Parquet field id of `_row_id`: Iceberg's own.
pub const ROW_ID_FIELD_ID: i32 = 2_147_483_540;
/// The commit that wrote the row version.
pub const COMMIT_NAME: &str = "_commit";
/// The row's identity, kept through updates.
pub const ROW_ID_NAME: &str = "_row_id";
/// The row's position in its segment, counted from 0.
pub const POSITION_NAME: &str = "_position";
