//! A digest of the outputs of the cores in a history: two numbers per seed. A change of the code
//! that shall not change the behaviour leaves every number unchanged: run `SIM_PRINTS=FILE` before
//! it and after it, and the sorted files are the same.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Mutex;

use systole::protocol::event::Action;

use super::draws::stir;
use super::ids::{HostId, Key};
use super::world::{Micros, World};

/// The digest of every action with its time and its host.
#[derive(Debug, Clone, Copy)]
pub struct Prints {
    wanted: bool,
    /// All actions except notices.
    acts: u64,
    /// Notices: their wording and their order.
    words: u64,
}

impl Prints {
    pub fn new() -> Self {
        let wanted = std::env::var_os("SIM_PRINTS").is_some();
        let (acts, words) = (0, 0);
        Self {
            wanted,
            acts,
            words,
        }
    }

    /// Adds one action.
    pub fn fold(&mut self, now: Micros, host: HostId, action: &Action) {
        if !self.wanted {
            return;
        }
        let print = match action {
            Action::Notice(_) => &mut self.words,
            _ => &mut self.acts,
        };
        let mut folds = Folds(stir(*print ^ stir(now)).wrapping_add(host.number() as u64));
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
        *print = folds.0;
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

/// Adds a line for one history to the file.
pub fn keep(kind: &str, name: &str, world: &World) {
    static FILE: Mutex<()> = Mutex::new(());
    let Some(path) = std::env::var_os("SIM_PRINTS") else {
        return;
    };
    let _alone = FILE.lock().expect("no panic");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    let Prints { acts, words, .. } = world.prints;
    let line = format!("{kind} {name} {acts:016x} {words:016x}\n");
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.expect("the file takes a line");
}
