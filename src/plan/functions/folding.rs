//! Whether a function is called to fold a constant while a statement is planned.

use std::cell::Cell;
use std::pin::pin;

thread_local! {
    static FOLDING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this call folds a constant.
pub(super) fn is_folding() -> bool {
    FOLDING.get()
}

/// Runs the future; what it calls while it is polled folds constants.
pub async fn while_planning<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let _back = Back(FOLDING.replace(true));
        future.as_mut().poll(context)
    })
    .await
}

/// Puts back what was so before, after a panic too.
struct Back(bool);

impl Drop for Back {
    fn drop(&mut self) {
        FOLDING.set(self.0);
    }
}
