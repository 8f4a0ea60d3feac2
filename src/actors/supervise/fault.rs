//! The seam through which the tests make a supervised actor panic. It is not in the program that is
//! delivered (`debug_assertions` are off there), and where it is, only root reaches it, over the
//! control socket.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// One supervised actor of this process.
#[derive(Debug, Default)]
struct Seam {
    due: bool,
    waker: Option<Waker>,
}

static SEAMS: Mutex<BTreeMap<String, Seam>> = Mutex::new(BTreeMap::new());

fn seams() -> MutexGuard<'static, BTreeMap<String, Seam>> {
    SEAMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the actor shall panic now; else it is woken when it shall.
pub(super) fn is_due(name: &str, waker: &Waker) -> bool {
    let mut seams = seams();
    let seam = seams.entry(name.to_owned()).or_default();
    if !seam.waker.as_ref().is_some_and(|old| old.will_wake(waker)) {
        seam.waker = Some(waker.clone());
    }
    std::mem::take(&mut seam.due)
}

/// Names of the supervised actors that have run in this process.
#[must_use]
pub fn actors() -> Vec<String> {
    seams().keys().cloned().collect()
}

/// Makes the actor of that name panic. `false`: there is none.
pub fn inject(name: &str) -> bool {
    let waker = {
        let mut seams = seams();
        let Some(seam) = seams.get_mut(name) else {
            return false;
        };
        seam.due = true;
        seam.waker.clone()
    };
    if let Some(waker) = waker {
        waker.wake();
    }
    true
}
