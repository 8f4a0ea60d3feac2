//! A digest of the outputs of the cores in a run: two numbers. A change of the code that shall not change the
//! behaviour leaves both unchanged in every history.

use std::cell::Cell;
use std::fmt::Write as _;

use crate::protocol::event::Action;

use super::chance::stir;
use super::ids::{HostId, Key};
use super::observer::Observer;
use super::world::Micros;

/// The digest of every action with its time and its host.
#[derive(Debug, Default)]
pub struct Digest {
    acts: Cell<u64>,
    words: Cell<u64>,
}

impl Digest {
    /// All actions except notices.
    pub fn acts(&self) -> u64 {
        self.acts.get()
    }

    /// Notices: their wording and their order.
    pub fn words(&self) -> u64 {
        self.words.get()
    }
}

impl Observer for Digest {
    fn action(&self, now: Micros, host: HostId, action: &Action) {
        let print = match action {
            Action::Notice(_) => &self.words,
            _ => &self.acts,
        };
        let mut folds = Folds(stir(print.get() ^ stir(now)).wrapping_add(host.number() as u64));
        // A number takes everything.
        let _ = match action {
            // As in the digests of before the status had a type.
            Action::NodeStatusChanged { node, status } => {
                let status = status.as_str();
                write!(
                    folds,
                    "NodeStatusChanged {{ node: {node:?}, status: {status:?} }}"
                )
            }
            action => write!(folds, "{action:?}"),
        };
        print.set(folds.0);
    }
}

/// Text as a number.
struct Folds(u64);

impl std::fmt::Write for Folds {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}
