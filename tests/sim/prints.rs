//! What a run shows: `SIM_TRACE` prints what happens, and `SIM_PRINTS=FILE` keeps a digest of the outputs of the
//! cores, one line for each history. A change of the code that shall not change the behaviour leaves every line
//! unchanged: make the file before it and after it, and sort both.

use std::fmt::Arguments;
use std::io::Write as _;
use std::rc::Rc;
use std::sync::Mutex;

use systole::protocol::event::Action;
use systole::simulator::digest::Digest;
use systole::simulator::history::History;
use systole::simulator::ids::HostId;
use systole::simulator::observer::{Observer, line_of};
use systole::simulator::plan::Plan;
use systole::simulator::world::{Micros, World};

/// Does what the environment asks for.
struct Watch {
    trace: bool,
    digest: Option<Digest>,
}

impl Watch {
    fn new() -> Rc<Self> {
        let is_set = |name| std::env::var_os(name).is_some();
        Rc::new(Self {
            trace: is_set("SIM_TRACE"),
            digest: is_set("SIM_PRINTS").then(Digest::default),
        })
    }
}

impl Observer for Watch {
    fn note(&self, now: Micros, text: Arguments<'_>) {
        if self.trace {
            println!("{:>12.6} {text}", now as f64 / 1e6);
        }
    }

    fn action(&self, now: Micros, host: HostId, action: &Action) {
        if self.trace {
            self.note(now, format_args!("{host} {}", line_of(action)));
        }
        if let Some(digest) = &self.digest {
            digest.action(now, host, action);
        }
    }
}

/// A pair that is shown as the environment asks for.
pub fn world(plan: Plan, noise: u64) -> World {
    let mut world = World::new(plan, noise);
    world.observe(Watch::new());
    world
}

/// Runs a history and shows it; its digest is kept under this kind and name.
pub fn run(history: &History, kind: &str, name: &str) -> World {
    let watch = Watch::new();
    let world = history.observed(watch.clone());
    if let Some(digest) = &watch.digest {
        keep(kind, name, digest);
    }
    world
}

/// Adds a line to the file.
fn keep(kind: &str, name: &str, digest: &Digest) {
    static FILE: Mutex<()> = Mutex::new(());
    let Some(path) = std::env::var_os("SIM_PRINTS") else {
        return;
    };
    let _alone = FILE.lock().expect("no panic");
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    let (acts, words) = (digest.acts(), digest.words());
    let line = format!("{kind} {name} {acts:016x} {words:016x}\n");
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.expect("the file takes a line");
}
