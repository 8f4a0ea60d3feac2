//! What several actors of the local thread use: the ledger of orders and the file of what is held.
//! They live on one thread, so nobody ever waits for the lock.

use std::sync::{Arc, Mutex, PoisonError};

use crate::node::ledger::Ledger;

/// One thing for several actors of one thread.
#[derive(Debug, Default)]
pub struct Shared<T>(Arc<Mutex<T>>);

/// The [ledger of orders](crate::node::ledger) of the local thread.
pub type SharedLedger = Shared<Ledger>;

impl<T> Shared<T> {
    /// Shares it.
    #[must_use]
    pub fn new(thing: T) -> Self {
        Self(Arc::new(Mutex::new(thing)))
    }

    /// Uses it.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        // It is whole between any two statements: what a panic has left can be used.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
