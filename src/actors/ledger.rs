//! The [ledger of orders](crate::node::ledger) of the local thread. Root, the groups and each group
//! note there what passes them. They live on one thread, so nobody ever waits for it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::node::ledger::Ledger;

/// The ledger, for whoever needs it.
#[derive(Debug, Clone, Default)]
pub struct SharedLedger(Arc<Mutex<Ledger>>);

impl SharedLedger {
    /// Shares a ledger.
    #[must_use]
    pub fn new(ledger: Ledger) -> Self {
        Self(Arc::new(Mutex::new(ledger)))
    }

    /// Reads it, or writes to it.
    pub fn with<T>(&self, work: impl FnOnce(&mut Ledger) -> T) -> T {
        // It is whole between any two statements: what a panic has left can be used.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
