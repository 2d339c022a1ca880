//! Clauses of other dialects that sqlparser reads in INSERT, UPDATE and DELETE and that nothing carries
//! out. Every field of the trees is named, so that one that a later parser adds must be thought about.

use datafusion::sql::sqlparser::ast;

/// The clause of an INSERT that is not PostgreSQL's.
pub(super) fn in_insert(insert: &ast::Insert) -> Option<&'static str> {
    let ast::Insert {
        insert_token: _,
        optimizer_hints: _,
        or,
        ignore,
        into: _,
        table: _,
        table_alias: _,
        columns: _,
        // INSERT OVERWRITE is ours.
        overwrite: _,
        source: _,
        assignments,
        partitioned,
        after_columns,
        has_table_keyword: _,
        on: _,
        returning: _,
        output,
        replace_into,
        priority,
        insert_alias,
        settings,
        format_clause,
        multi_table_insert_type,
        multi_table_into_clauses,
        multi_table_when_clauses,
        multi_table_else_clause,
    } = insert;
    first(&[
        (or.is_some(), "INSERT OR"),
        (*ignore, "INSERT IGNORE"),
        (!assignments.is_empty(), "INSERT … SET"),
        (partitioned.is_some() || !after_columns.is_empty(), "PARTITION"),
        (output.is_some(), "OUTPUT"),
        (*replace_into, "REPLACE INTO"),
        (priority.is_some(), "a priority"),
        (insert_alias.is_some(), "an alias behind the rows"),
        (settings.is_some(), "SETTINGS"),
        (format_clause.is_some(), "FORMAT"),
        (multi_table_insert_type.is_some(), "INSERT ALL"),
        (!multi_table_into_clauses.is_empty(), "INSERT ALL"),
        (!multi_table_when_clauses.is_empty(), "INSERT … WHEN"),
        (multi_table_else_clause.is_some(), "INSERT … ELSE"),
    ])
}

/// The clause of an UPDATE that is not PostgreSQL's.
pub(super) fn in_update(update: &ast::Update) -> Option<&'static str> {
    let ast::Update {
        update_token: _,
        optimizer_hints: _,
        table: _,
        assignments: _,
        from: _,
        selection: _,
        returning: _,
        output,
        or,
        order_by,
        limit,
    } = update;
    first(&[
        (output.is_some(), "OUTPUT"),
        (or.is_some(), "UPDATE OR"),
        (!order_by.is_empty(), "UPDATE … ORDER BY"),
        (limit.is_some(), "UPDATE … LIMIT"),
    ])
}

/// The clause of a DELETE that is not PostgreSQL's.
pub(super) fn in_delete(delete: &ast::Delete) -> Option<&'static str> {
    let ast::Delete {
        delete_token: _,
        optimizer_hints: _,
        tables,
        from: _,
        using: _,
        selection: _,
        returning: _,
        output,
        order_by,
        limit,
    } = delete;
    first(&[
        (!tables.is_empty(), "DELETE of several tables"),
        (output.is_some(), "OUTPUT"),
        (!order_by.is_empty(), "DELETE … ORDER BY"),
        (limit.is_some(), "DELETE … LIMIT"),
    ])
}

fn first(clauses: &[(bool, &'static str)]) -> Option<&'static str> {
    clauses.iter().find(|(there, _)| *there).map(|(_, clause)| *clause)
}
