//! The program on a pseudo-terminal. No daemon runs here.

use std::env;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use systole::cli::top::terminal::{self, NoAnswer};

use super::pty::Pty;

const NO_DAEMON: [&str; 3] = [
    "UNKNOWN: no daemon listens on ",
    "the daemon does not answer since ",
    "?: keys  q: leave",
];

/// `systole top`.
fn top() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_systole"));
    command.arg("top").env_remove("NO_COLOR");
    command
}

fn signal(pty: &Pty, signal: Signal) {
    let pid = i32::try_from(pty.child.id()).expect("a process");
    kill(Pid::from_raw(pid), signal).expect("sent");
}

#[test]
fn keys_leave_it_and_the_terminal_is_as_before() {
    for key in [&b"q"[..], b"\x1b", b"\x03"] {
        let mut pty = Pty::start(&top(), 24, 80);
        pty.shows_all(&NO_DAEMON);
        pty.press(b"?");
        pty.shows("KEYS");
        pty.press(key);
        assert_eq!(pty.ended().code(), Some(0));
        pty.is_as_before();
    }
}

/// An unfinished sequence of a key holds the keys back, but neither the screen nor a signal.
#[test]
fn signals_end_it_and_the_terminal_is_as_before() {
    for (number, ends) in [
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
    ]
    .into_iter()
    .enumerate()
    {
        let mut pty = Pty::start(&top(), 24, 80);
        pty.shows_all(&NO_DAEMON);
        if number % 2 == 0 {
            pty.press(b"\x1b[");
        }
        signal(&pty, ends);
        let ended = pty.ended();
        // Where this test runs in the background, SIGINT and SIGQUIT are ignored.
        let number = ended.signal().or_else(|| Some(ended.code()? - 128));
        assert_eq!(number, Some(ends as i32), "{ended:?}");
        pty.is_as_before();
    }
}

/// Somebody stops it, works in the shell, and lets it go on.
#[test]
fn after_a_stop_it_takes_the_terminal_again() {
    let mut pty = Pty::start(&top(), 24, 80);
    pty.shows_all(&NO_DAEMON);
    signal(&pty, Signal::SIGSTOP);
    pty.shell_takes_it();
    signal(&pty, Signal::SIGCONT);
    pty.is_raw();
    pty.shows_all(&NO_DAEMON);
    pty.press(b"q");
    let ended = pty.ended();
    assert_eq!(ended.code(), Some(0), "{ended}\n{}", pty.screen());
    pty.is_as_before();
}

#[test]
fn another_size_and_no_colours() {
    let mut command = top();
    command.env("NO_COLOR", "1");
    let mut pty = Pty::start(&command, 24, 80);
    pty.shows_all(&NO_DAEMON);
    pty.resize(6, 40);
    pty.shows("1 more below  ?: keys  q: leave");
    pty.resize(30, 100);
    pty.shows("; it is asked again each second");
    pty.press(b"q");
    assert_eq!(pty.ended().code(), Some(0));
    let text = String::from_utf8(pty.bytes()).expect("text");
    for paint in ["\u{1b}[1m", "\u{1b}[31m", "\u{1b}[33m", "38;5;"] {
        assert!(!text.contains(paint), "{text:?}");
    }
    let mut pty = Pty::start(&top(), 24, 80);
    pty.shows_all(&NO_DAEMON);
    pty.press(b"q");
    pty.ended();
    let text = String::from_utf8(pty.bytes()).expect("text");
    assert!(
        text.contains("UNKNOWN:") && text.contains("38;5;3"),
        "{text:?}"
    );
}

#[test]
fn without_a_terminal_it_says_so_in_one_line() {
    let expected = "systole: top needs a terminal; systole status prints the same once\n";
    let mut piped = top();
    let output = piped.stdin(Stdio::null()).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    assert!(output.stdout.is_empty());
    let mut dumb = top();
    dumb.env("TERM", "dumb");
    let mut pty = Pty::start(&dumb, 24, 80);
    assert_eq!(pty.ended().code(), Some(1));
    pty.shows(expected.trim_end());
    assert_eq!(
        String::from_utf8_lossy(&pty.bytes()).trim_end(),
        expected.trim_end()
    );
}

#[test]
fn it_ends_with_its_terminal() {
    let mut pty = Pty::start(&top(), 24, 80);
    pty.shows_all(&NO_DAEMON);
    pty.hang_up();
    pty.ended();
}

/// This program again, with the terminal and an answer as `kind` says.
fn with_answers(kind: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["--exact", "program::answers", "--ignored", "--nocapture"]);
    command.env("SYSTOLE_TOP_TEST", kind);
    command
}

#[test]
#[ignore = "a part of other tests, which run it on a pseudo-terminal"]
fn answers() {
    let Ok(kind) = env::var("SYSTOLE_TOP_TEST") else {
        // Called for itself, as by whoever runs all ignored tests.
        return;
    };
    let ended = terminal::run(move || match kind.as_str() {
        "hangs" => loop {
            thread::park();
        },
        "panics" => panic!("a panic in the middle"),
        _ => Err(NoAnswer::Refused("only root may ask".to_owned())),
    });
    match ended {
        Ok(()) => println!("it was left"),
        Err(error) => println!("it says: {error}"),
    }
}

#[test]
fn a_daemon_that_hangs_holds_no_key_back() {
    let mut pty = Pty::start(&with_answers("hangs"), 24, 80);
    pty.shows("asking the daemon");
    pty.press(b"?");
    pty.shows("KEYS");
    pty.press(b"q");
    pty.shows("it was left");
    pty.ended();
    pty.is_as_before();
}

#[test]
fn a_panic_is_read_on_the_terminal_as_it_was() {
    let mut pty = Pty::start(&with_answers("panics"), 24, 80);
    pty.shows_all(&[
        "it says: top has failed: panicked at ",
        "a panic in the middle",
    ]);
    pty.ended();
    pty.is_as_before();
}

#[test]
fn who_may_not_ask_is_told_so() {
    let mut pty = Pty::start(&with_answers("refuses"), 24, 80);
    pty.shows("it says: only root may ask");
    pty.ended();
    pty.is_as_before();
}
