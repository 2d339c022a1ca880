//! Why the server ends a connection that did nothing wrong in the protocol.

/// The reason, and what the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// The server goes down.
    Shutdown,
    /// Start-up took too long, or newer clients needed the place.
    StartupTimeout,
    /// Nothing was said for too long.
    Idle,
    /// Nothing was said for too long inside a transaction.
    IdleInTransaction,
    /// The client takes nothing of its answer.
    WriteStall,
}

impl Farewell {
    /// The SQLSTATE and the text of the last message; None where nobody would read it.
    pub(super) fn words(self) -> Option<(&'static str, &'static str)> {
        match self {
            Farewell::Shutdown => {
                Some(("57P01", "terminating connection due to administrator command"))
            }
            Farewell::StartupTimeout => Some(("08P01", "canceling start-up due to timeout")),
            Farewell::Idle => Some(("57P05", "terminating connection due to idle-session timeout")),
            Farewell::IdleInTransaction => {
                Some(("25P03", "terminating connection due to idle-in-transaction timeout"))
            }
            Farewell::WriteStall => None,
        }
    }

    pub(super) fn of_code(code: u8) -> Option<Farewell> {
        [
            Farewell::Shutdown,
            Farewell::StartupTimeout,
            Farewell::Idle,
            Farewell::IdleInTransaction,
            Farewell::WriteStall,
        ]
        .into_iter()
        .find(|farewell| farewell.code() == code)
    }

    pub(super) fn code(self) -> u8 {
        self as u8 + 1
    }
}
