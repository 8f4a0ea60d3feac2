//! The means by which tests make a supervised actor panic or hang. It is not in the delivered
//! program (`debug_assertions` are off there), and where it exists only root reaches it, over the
//! control socket.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// What an actor can be made to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It panics.
    Panic,
    /// It never returns, and blocks its whole thread.
    Hang,
}

/// One supervised actor of this process.
#[derive(Debug, Default)]
struct Seam {
    due: Option<Fault>,
    waker: Option<Waker>,
}

static SEAMS: Mutex<BTreeMap<String, Seam>> = Mutex::new(BTreeMap::new());

fn seams() -> MutexGuard<'static, BTreeMap<String, Seam>> {
    SEAMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the actor is to do now; otherwise it is woken when it is to do something.
pub(super) fn due(name: &str, waker: &Waker) -> Option<Fault> {
    let mut seams = seams();
    let seam = seams.entry(name.to_owned()).or_default();
    if !seam.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
        seam.waker = Some(waker.clone());
    }
    seam.due.take()
}

/// Names of the supervised actors that have run in this process.
#[must_use]
pub fn actors() -> Vec<String> {
    seams().keys().cloned().collect()
}

/// Makes the actor of that name fail so. `false`: there is none.
pub fn inject(name: &str, fault: Fault) -> bool {
    let waker = {
        let mut seams = seams();
        let Some(seam) = seams.get_mut(name) else {
            return false;
        };
        seam.due = Some(fault);
        seam.waker.clone()
    };
    if let Some(waker) = waker {
        waker.wake();
    }
    true
}
