//! The terminal of `systole top`, and what happens while it is open: keys, answers and signals come from a thread each,
//! so that none of them waits for another one. The terminal is as before when the program leaves, also by a signal or a panic.

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal, raise};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use super::{Key, Told, Top};
use crate::cli::watch;
use crate::clients::control::ControlError;
use crate::clock::Clock;

/// Pause between two questions, and the longest time between two screens.
const EACH: Duration = Duration::from_secs(1);

/// How long a signal waits for a terminal that takes nothing.
const GRACE: Duration = Duration::from_secs(5);

/// The signals that end the program.
const ENDS: [Signal; 4] = [
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
];

/// The signals that the program waits for: those, and the one with which a shell makes it go on after a stop.
fn awaited() -> SigSet {
    ENDS.into_iter().chain([Signal::SIGCONT]).collect()
}

/// Why the daemon has not answered.
#[derive(Debug)]
pub enum NoAnswer {
    /// It never will: this user may not ask.
    Refused(String),
    /// It may next time.
    NotNow(String),
}

impl From<ControlError> for NoAnswer {
    fn from(error: ControlError) -> Self {
        let reason = error.to_string();
        match error {
            ControlError::NotRoot | ControlError::NotViewer | ControlError::Stranger { .. } => {
                Self::Refused(reason)
            }
            _ => Self::NotNow(reason),
        }
    }
}

/// Why there is no screen, or none any more, although nobody has left it.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// Standard input or output is none.
    #[error("top needs a terminal; systole status prints the same once")]
    NoTerminal,
    /// This user may not ask.
    #[error("{0}")]
    Refused(String),
    /// The terminal takes nothing, or is gone.
    #[error("the terminal does not work: {0}")]
    Terminal(#[from] io::Error),
    /// A thread has panicked.
    #[error("top has failed: {0}")]
    Failed(String),
}

/// What happens.
enum Happens {
    Key(Key),
    /// Another size, or a key that asks for nothing.
    Nothing,
    Answer(Box<Told>),
    NoAnswer(NoAnswer),
    Signal(Signal),
    /// The process was stopped, and a shell may have used the terminal meanwhile.
    Continued,
    Gone(io::Error),
    Failed(String),
}

/// Shows the node until somebody leaves. `ask` gets one answer; it may take its time.
///
/// # Errors
/// [`TopError`]. A signal ends the process here, as it would without a terminal to restore.
pub fn run(ask: impl FnMut() -> Result<Told, NoAnswer> + Send + 'static) -> Result<(), TopError> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() || watch::is_dumb() {
        return Err(TopError::NoTerminal);
    }
    // Before there is another thread, which would take them.
    awaited().thread_block().map_err(io::Error::from)?;
    let (tell, told) = mpsc::channel();
    let held = Held::take(tell.clone())?;
    let (keys, signals) = (tell.clone(), tell.clone());
    start("keys", move || read_keys(&keys))?;
    start("asks", move || ask_again(ask, &tell))?;
    start("signals", move || wait_for_signal(&signals))?;
    let ended = show(&told);
    drop(held);
    if let Ended::Signal(signal) = ended? {
        die_of(signal);
    }
    Ok(())
}

/// How it came to an end.
enum Ended {
    Left,
    Signal(Signal),
}

/// A screen on which nothing is drawn yet.
fn empty() -> io::Result<Terminal<CrosstermBackend<BufWriter<Stdout>>>> {
    Terminal::new(CrosstermBackend::new(BufWriter::new(io::stdout())))
}

fn show(told: &Receiver<Happens>) -> Result<Ended, TopError> {
    let clock = Clock::start();
    let colour = watch::layout().colour;
    let mut terminal = empty()?;
    let mut top = Top::new(clock.now());
    loop {
        terminal.draw(|frame| top.draw(clock.now(), colour, frame.buffer_mut()))?;
        let mut next = told.recv_timeout(EACH).ok();
        // Everything that is there already, then one screen.
        while let Some(happens) = next {
            match happens {
                Happens::Key(key) if !top.key(key) => return Ok(Ended::Left),
                Happens::Key(_) | Happens::Nothing => {}
                Happens::Answer(told) => top.told(Ok(*told), clock.now()),
                Happens::NoAnswer(NoAnswer::NotNow(reason)) => top.told(Err(reason), clock.now()),
                Happens::NoAnswer(NoAnswer::Refused(reason)) => {
                    return Err(TopError::Refused(reason));
                }
                Happens::Signal(signal) => return Ok(Ended::Signal(signal)),
                Happens::Continued => {
                    take_again()?;
                    terminal = empty()?;
                }
                Happens::Gone(error) => return Err(error.into()),
                Happens::Failed(why) => return Err(TopError::Failed(why)),
            }
            next = told.try_recv().ok();
        }
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map(drop)
}

fn read_keys(tell: &Sender<Happens>) {
    loop {
        let (happens, end) = match event::read() {
            Ok(Event::Key(event)) => (Key::of(event).map_or(Happens::Nothing, Happens::Key), false),
            Ok(_) => (Happens::Nothing, false),
            Err(error) => (Happens::Gone(error), true),
        };
        if tell.send(happens).is_err() || end {
            return;
        }
    }
}

fn ask_again(mut ask: impl FnMut() -> Result<Told, NoAnswer>, tell: &Sender<Happens>) {
    loop {
        let happens = match ask() {
            Ok(told) => Happens::Answer(Box::new(told)),
            Err(error) => Happens::NoAnswer(error),
        };
        if tell.send(happens).is_err() {
            return;
        }
        thread::park_timeout(EACH);
    }
}

fn wait_for_signal(tell: &Sender<Happens>) {
    let signal = loop {
        match awaited().wait() {
            Ok(Signal::SIGCONT) => {
                if tell.send(Happens::Continued).is_err() {
                    return;
                }
            }
            Ok(signal) => break signal,
            Err(_) => return,
        }
    };
    let _ = tell.send(Happens::Signal(signal));
    // The main thread ends the process, unless it waits for a terminal that takes nothing.
    // A thread may be woken early, but not that often.
    for _ in 0..10 {
        thread::park_timeout(GRACE / 10);
    }
    let _ = disable_raw_mode();
    die_of(signal);
}

/// Ends the process as the signal does. Whoever started it may have it ignored, as a shell does with SIGINT for what runs in
/// the background: then it ends with the code that a shell shows for the signal.
fn die_of(signal: Signal) {
    let _ = awaited().thread_unblock();
    let _ = raise(signal);
    std::process::exit(128 + signal as i32);
}

/// Whether the terminal is ours.
static HELD: AtomicBool = AtomicBool::new(false);

/// The terminal, until this is dropped.
struct Held;

impl Held {
    fn take(tell: Sender<Happens>) -> io::Result<Self> {
        enable_raw_mode()?;
        HELD.store(true, Ordering::SeqCst);
        let held = Self;
        let (draws, before) = (thread::current().id(), panic::take_hook());
        panic::set_hook(Box::new(move |info| {
            // The message is to be read: first the terminal, and only the thread that draws can give it back.
            if thread::current().id() == draws {
                restore();
                before(info);
            } else {
                let _ = tell.send(Happens::Failed(info.to_string()));
            }
        }));
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(held)
    }
}

/// Takes the terminal again that another program has had.
fn take_again() -> io::Result<()> {
    // Whoever is known to have set the raw mode sets nothing: so the first settings come before it.
    disable_raw_mode()?;
    enable_raw_mode()?;
    execute!(
        io::stdout(),
        EnterAlternateScreen,
        Clear(ClearType::All),
        Hide
    )
}

impl Drop for Held {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, once.
fn restore() {
    if HELD.swap(false, Ordering::SeqCst) {
        let _ = disable_raw_mode();
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        let _ = io::stdout().flush();
    }
}
