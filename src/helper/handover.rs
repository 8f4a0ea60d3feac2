//! `mach_down`, `req_resource`, `hb_standby`, `hb_takeover`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use super::outcome::{self, Goal};
use super::{Call, log, wait};
use crate::clients::control::{Reply, Request};
use crate::notice::Severity;
use crate::protocol::field;
use crate::resources::holding::HoldingSet;

/// Longest wait for one group: above the longest run of a script with its repetitions.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);

/// How long a write to a full FIFO is tried; a living daemon empties it at once.
const FIFO_PATIENCE: Duration = Duration::from_secs(5);

/// Waits until the daemon's takeover of a node's groups is done. It never starts anything: the
/// daemon has begun that work before it ran the script that calls this. Always 0.
/// Spec: docs/protocol/resources.md, 9.8.
pub(super) fn mach_down(call: &mut Call<'_>) -> u8 {
    let node = call.args.first().cloned().unwrap_or_default();
    let node = node.to_ascii_lowercase();
    let of_ping = (call.variable)("HA_info").is_some_and(|info| info.contains("ping"));
    if node.is_empty() || node == call.current_host() || of_ping {
        return 0;
    }
    let view = call.ask(&Request::View, Duration::from_secs(10));
    let groups = match view.and_then(|reply| reply.map(Reply::view).transpose()) {
        Ok(Some(view)) => view.groups,
        Ok(None) => return 0,
        Err(reason) => {
            call.complain(&reason);
            return 0;
        }
    };
    for group in groups.into_iter().filter(|group| group.owner == node) {
        let request = Request::GroupStart { key: group.key };
        if let Err(reason) = call.ask(&request, PATIENCE) {
            call.complain(&reason);
        }
    }
    call.logged(|| {
        let text = format!("mach_down takeover complete for node {node}.");
        log("mach_down", Severity::Info, &text);
    });
    0
}

/// Does nothing: the daemon asks for its groups itself.
/// Spec: docs/protocol/resources.md, 5.3.
pub(super) fn req_resource(_: &mut Call<'_>) -> u8 {
    0
}

/// Asks this node to give groups away.
/// Spec: docs/protocol/tools.md, 4; docs/protocol/resources.md, 7.1.
pub(super) fn hb_standby(call: &mut Call<'_>) -> u8 {
    if from_takeover_hook(call) {
        return 0;
    }
    let waits = take(call, "--wait");
    let force = take(call, "--force");
    let set = match word(call) {
        Ok(set) => set,
        Err(code) => return code,
    };
    let set = if set == "failback" { "foreign" } else { set };
    let goal = waits.then(|| Goal::Given(holding(set)));
    request(call, goal, |call| ask_for_standby(call, set, force))
}

/// Writes the message that makes this node give a set away.
pub(super) fn ask_for_standby(call: &mut Call<'_>, set: &str, force: bool) -> u8 {
    let force = force_line(force);
    let text = format!(">>>\nt=ask_resources\nrsc_hold={set}\ninfo=me\n{force}<<<\n");
    let done = format!("Going standby [{set}].");
    send(call, "hb_standby", &text, &done)
}

/// Asks the other node to give groups away.
/// Spec: docs/protocol/tools.md, 4; docs/protocol/resources.md, 8.
pub(super) fn hb_takeover(call: &mut Call<'_>) -> u8 {
    if from_takeover_hook(call) {
        return 0;
    }
    let waits = take(call, "--wait");
    let force = take(call, "--force");
    let set = match word(call) {
        Ok(set) => set,
        Err(code) => return code,
    };
    // A legacy receiver does not know `failback` and would release everything.
    let set = if set == "failback" { "local" } else { set };
    let goal = waits.then(|| Goal::Taken(holding(set)));
    request(call, goal, |call| ask_for_takeover(call, set, force))
}

/// Writes the message that makes this node ask the other one for a set.
pub(super) fn ask_for_takeover(call: &mut Call<'_>, set: &str, force: bool) -> u8 {
    let force = force_line(force);
    let text = format!(">>>\nt=hb_takeover\nrsc_hold={set}\n{force}<<<\n");
    send(call, "hb_takeover", &text, "")
}

/// Whether this option was among the arguments; it is removed from them.
fn take(call: &mut Call<'_>, option: &str) -> bool {
    let before = call.args.len();
    call.args.retain(|word| word != option);
    call.args.len() != before
}

/// The line of a message that asks for a hand-over although haresources differ.
fn force_line(force: bool) -> String {
    if force {
        format!("{}=1\n", field::FORCE)
    } else {
        String::new()
    }
}

fn holding(set: &str) -> HoldingSet {
    HoldingSet::from_word(set).unwrap_or(HoldingSet::ALL)
}

/// Sends a message; with a goal, waits until the goal is reached or cannot be reached.
fn request(call: &mut Call<'_>, goal: Option<Goal>, send: impl Fn(&mut Call<'_>) -> u8) -> u8 {
    let Some(goal) = goal else {
        return send(call);
    };
    if let Some(reason) = outcome::obstacle(call) {
        let text = format!("{}: {reason}", call.program);
        call.complain(&text);
        return 1;
    }
    match send(call) {
        0 => outcome::outcome(call, goal),
        code => code,
    }
}

/// Whether the notification script of a takeover message calls us: then the daemon has already
/// acted.
fn from_takeover_hook(call: &Call<'_>) -> bool {
    (call.variable)("HA_t").as_deref() == Some("hb_takeover")
}

/// The one allowed word; default `all`. Else the exit code.
fn word(call: &mut Call<'_>) -> Result<&'static str, u8> {
    const WORDS: [&str; 4] = ["all", "foreign", "local", "failback"];
    let usage = |call: &mut Call<'_>| {
        call.print("usage:");
        let text = format!("{} [all|foreign|local|failback]", call.program);
        call.complain(&text);
        Err(1)
    };
    match call.args.as_slice() {
        [] => Ok("all"),
        [word] if word == "--help" => usage(call),
        [word] => match WORDS.into_iter().find(|known| known == word) {
            Some(known) => Ok(known),
            None => {
                let text = format!("{}: wrong resources({word}).", call.program);
                call.print(&text);
                usage(call)
            }
        },
        _ => {
            let text = format!("{}: too many arguments", call.program);
            call.print(&text);
            usage(call)
        }
    }
}

/// Writes a message to the daemon. Then `done`, if not empty, is logged.
pub(super) fn send(call: &mut Call<'_>, program: &str, text: &str, done: &str) -> u8 {
    let fifo = call.paths.fifo();
    match write_to_fifo(&fifo, text) {
        Ok(()) => {
            if !done.is_empty() {
                call.logged(|| log(program, Severity::Info, done));
            }
            0
        }
        Err(error) => {
            let text = match error.raw_os_error() {
                Some(nix::libc::ENXIO | nix::libc::ENOENT) => {
                    format!("{}: heartbeat is not running.", call.program)
                }
                _ => format!(
                    "{}: cannot write to {}: {error}",
                    call.program,
                    fifo.display()
                ),
            };
            call.complain(&text);
            1
        }
    }
}

/// Writes in one piece, and only to a FIFO that has a reader: never makes a file, never blocks.
fn write_to_fifo(path: &Path, text: &str) -> io::Result<()> {
    let mut fifo = OpenOptions::new()
        .write(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path)?;
    if !fifo.metadata()?.file_type().is_fifo() {
        // A file that a legacy script left behind.
        return Err(io::Error::from_raw_os_error(nix::libc::ENXIO));
    }
    let clock = crate::clock::Clock::start();
    loop {
        // Below the pipe's atomic size: all or nothing.
        match fifo.write(text.as_bytes()) {
            Ok(_) => return Ok(()),
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && clock.now().instant.since_start() < FIFO_PATIENCE =>
            {
                wait(Duration::from_millis(50));
            }
            Err(error) => return Err(error),
        }
    }
}
