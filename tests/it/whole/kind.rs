//! Types of columns, and how values look under them.

/// The text of a value; None: NULL.
pub(super) type Cell = Option<String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int2,
    Int4,
    Int8,
    Money,
    Fine,
    Short,
    Text,
}

impl Kind {
    pub(super) fn sql(self) -> &'static str {
        match self {
            Kind::Int2 => "smallint",
            Kind::Int4 => "integer",
            Kind::Int8 => "bigint",
            Kind::Money => "numeric(8,2)",
            Kind::Fine => "numeric(12,4)",
            Kind::Short => "varchar(12)",
            Kind::Text => "text",
        }
    }

    pub(super) fn shown(self, n: i64) -> String {
        match self {
            Kind::Int2 | Kind::Int4 | Kind::Int8 => n.to_string(),
            Kind::Money => format!("{n}.00"),
            Kind::Fine => format!("{n}.0000"),
            Kind::Short | Kind::Text => format!("v{n}"),
        }
    }

    pub(super) fn wider(self) -> Option<Kind> {
        match self {
            Kind::Int2 => Some(Kind::Int4),
            Kind::Int4 => Some(Kind::Int8),
            Kind::Money => Some(Kind::Fine),
            Kind::Short => Some(Kind::Text),
            Kind::Int8 | Kind::Fine | Kind::Text => None,
        }
    }

    pub(super) fn is_narrower(self, than: Kind) -> bool {
        self.wider().is_some_and(|wider| wider == than || wider.is_narrower(than))
    }

    /// A value that was written as this kind, as a column of another kind shows it.
    pub(super) fn read_as(self, to: Kind, cell: &Cell) -> Cell {
        let text = cell.as_ref()?;
        Some(match (self, to) {
            (Kind::Money, Kind::Fine) => format!("{text}00"),
            (Kind::Fine, Kind::Money) => text[..text.len() - 2].to_owned(),
            _ => text.clone(),
        })
    }

    /// The SQL of a DEFAULT once its column has the next wider type, or text.
    pub(super) fn default_of_wider(self, sql: &str, to: Kind) -> String {
        let number = |kind| matches!(kind, Kind::Int2 | Kind::Int4 | Kind::Int8);
        match self {
            Kind::Short | Kind::Text => sql.to_owned(),
            _ if number(self) && number(to) => sql.to_owned(),
            _ => format!("CAST({sql} AS {})", self.sql()),
        }
    }
}

pub(super) fn literal(cell: &Cell) -> String {
    cell.as_ref().map_or("NULL".to_owned(), |text| format!("'{text}'"))
}
