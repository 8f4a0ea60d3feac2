//! A program on a pseudo-terminal: what somebody in front of it sees, and what it leaves behind.
//!
//! Not part of `common`: the tests that use it say so with a path.
#![allow(dead_code, reason = "each test uses its part")]

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::num::NonZero;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    LocalModes, OptionalActions, Termios, Winsize, tcgetattr, tcsetattr, tcsetwinsize,
};

/// The limit for anything that a program does at once, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// What has arrived, and the screen that it makes.
struct Seen {
    bytes: Vec<u8>,
    screen: vt100::Parser,
}

/// A program and its terminal.
pub struct Pty {
    far: Option<File>,
    /// Keeps the terminal after the program has ended.
    near: File,
    settings: String,
    first: Termios,
    seen: Arc<Mutex<Seen>>,
    reader: Option<JoinHandle<()>>,
    over: Arc<AtomicBool>,
    /// The program.
    pub child: Child,
}

impl Pty {
    /// Starts `command`, whose program is the leader of the terminal's session, on a terminal of `rows` and `columns`.
    pub fn start(command: &Command, rows: u16, columns: u16) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let far = openpt(flags).expect("a pseudo-terminal");
        grantpt(&far).expect("granted");
        unlockpt(&far).expect("unlocked");
        let name = ptsname(&far, Vec::new()).expect("a name");
        let mut near = OpenOptions::new();
        near.read(true).write(true).custom_flags(libc::O_NOCTTY);
        let near = near
            .open(name.to_str().expect("text"))
            .expect("the terminal");
        tcsetwinsize(&near, winsize(rows, columns)).expect("a size");
        let settings = settings(&near);
        let first = tcgetattr(&near).expect("its settings");
        let stdio = || near.try_clone().expect("a copy");
        let mut leader = Command::new("setsid");
        leader.arg("--ctty").arg(command.get_program());
        leader.args(command.get_args()).env("TERM", "xterm");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => leader.env(name, value),
                None => leader.env_remove(name),
            };
        }
        leader.stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = leader.spawn().expect("setsid of util-linux");
        drop(leader);
        let far = File::from(far);
        let seen = Arc::new(Mutex::new(Seen {
            bytes: Vec::new(),
            screen: vt100::Parser::new(some(rows), some(columns), 0),
        }));
        let (from, to) = (far.try_clone().expect("a copy"), Arc::clone(&seen));
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let reader = thread::spawn(move || read(from, &to, &ends));
        Self {
            far: Some(far),
            over,
            reader: Some(reader),
            near,
            settings,
            first,
            seen,
            child,
        }
    }

    /// Presses keys.
    pub fn press(&self, keys: &[u8]) {
        let mut far = self.far.as_ref().expect("the terminal is there");
        far.write_all(keys).expect("it takes keys");
    }

    /// Makes the window another size.
    pub fn resize(&self, rows: u16, columns: u16) {
        let mut seen = self.seen.lock().expect("not poisoned");
        seen.screen.screen_mut().set_size(some(rows), some(columns));
        drop(seen);
        tcsetwinsize(&self.near, winsize(rows, columns)).expect("a size");
    }

    /// Gives the terminal its first settings, as a shell does when its program is stopped.
    pub fn shell_takes_it(&self) {
        tcsetattr(&self.near, OptionalActions::Now, &self.first).expect("settings");
    }

    /// Waits until the program gets each key at once.
    pub fn is_raw(&self) {
        let until = Instant::now() + LIMIT;
        let lines = || tcgetattr(&self.near).expect("its settings").local_modes;
        while lines().contains(LocalModes::ICANON) {
            assert!(Instant::now() < until, "{}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Takes the terminal away.
    pub fn hang_up(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it reads");
        }
        self.far = None;
    }

    /// The text of the screen.
    pub fn screen(&self) -> String {
        let seen = self.seen.lock().expect("not poisoned");
        seen.screen.screen().contents()
    }

    /// Everything that was written.
    pub fn bytes(&self) -> Vec<u8> {
        self.seen.lock().expect("not poisoned").bytes.clone()
    }

    /// Waits until the screen has this text.
    pub fn shows(&self, text: &str) {
        self.shows_all(&[text]);
    }

    /// Waits until the screen has all these texts.
    pub fn shows_all(&self, texts: &[&str]) {
        let until = Instant::now() + LIMIT;
        loop {
            let screen = self.screen();
            if texts.iter().all(|text| screen.contains(text)) {
                return;
            }
            assert!(Instant::now() < until, "not seen: {texts:?}\n{screen}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for the end of the program.
    pub fn ended(&mut self) -> ExitStatus {
        let until = Instant::now() + LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            let late = Instant::now() > until;
            assert!(!late, "it does not end\n{}", self.screen());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Checks that the terminal is as it was: its settings, its first screen, and the cursor.
    pub fn is_as_before(&self) {
        assert_eq!(settings(&self.near), self.settings);
        let until = Instant::now() + LIMIT;
        loop {
            let seen = self.seen.lock().expect("not poisoned");
            let screen = seen.screen.screen();
            if !screen.alternate_screen() && !screen.hide_cursor() {
                return;
            }
            assert!(Instant::now() < until, "{}", screen.contents());
            drop(seen);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Reads until the other end is closed, or the terminal is taken away.
fn read(mut from: File, to: &Mutex<Seen>, over: &AtomicBool) {
    rustix::io::ioctl_fionbio(&from, true).expect("not blocking");
    let mut bytes = [0; 4096];
    while !over.load(Ordering::SeqCst) {
        match from.read(&mut bytes) {
            Ok(0) => return,
            Ok(count) => {
                let mut seen = to.lock().expect("not poisoned");
                seen.bytes.extend_from_slice(&bytes[..count]);
                seen.screen.process(&bytes[..count]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(_) => return,
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn some(number: u16) -> NonZero<u16> {
    NonZero::new(number).expect("not nothing")
}

fn winsize(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// All of them, as text.
fn settings(terminal: &File) -> String {
    let settings = tcgetattr(terminal).expect("a terminal");
    format!("{settings:?}")
}
