//! The terminal: how wide it is, whether it is painted, and `systole status --watch`.

use std::io::{self, IsTerminal as _, Write as _};

use super::screen::{Layout, Screen, Tone};
use super::status;
use crate::clients::control::View;
use crate::clock::Clock;

/// How standard output is to be printed: colours and line breaks for a terminal only. A variable
/// `NO_COLOR` that is not empty, or the terminal `dumb`, takes the colours away (no-color.org).
#[must_use]
pub fn layout() -> Layout {
    let out = io::stdout();
    if !out.is_terminal() {
        return Layout::default();
    }
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    Layout {
        colour: set("NO_COLOR").is_none() && !is_dumb(),
        columns: size().map(|(columns, _)| columns),
    }
}

/// Whether the terminal says that it can only print.
pub(super) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Columns and rows of the terminal, if it tells.
fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (columns > 0 && rows > 0).then_some((columns, rows))
}

/// Shows the screen again and again, until standard output is closed or the program is ended. `ask`
/// gets a view or says why there is none; `pause` waits between two.
pub fn watch(mut ask: impl FnMut() -> Result<View, String>, mut pause: impl FnMut()) {
    let clock = Clock::start();
    let terminal = io::stdout().is_terminal();
    let mut answered = clock.now().unix_s;
    let mut first = true;
    loop {
        let now = clock.now().unix_s;
        let screen = match ask() {
            Ok(view) => {
                answered = now;
                status::screen(&view, now)
            }
            Err(reason) => no_answer(&reason, now, answered),
        };
        let rows = screen.rows(layout());
        let frame = if terminal {
            frame(rows, size().map(|(_, rows)| rows), first)
        } else {
            rows.join("\n") + "\n\n"
        };
        let mut out = io::stdout().lock();
        let written = out.write_all(frame.as_bytes()).and_then(|()| out.flush());
        drop(out);
        if written.is_err() {
            return;
        }
        first = false;
        pause();
    }
}

/// What is shown while there is no answer. `answered`: when the last one came, or the first was asked for.
pub(super) fn no_answer(reason: &str, now: u64, answered: u64) -> Screen {
    let mut screen = Screen::default();
    screen.plain(status::full_time(now));
    screen.line().add(Tone::Warn, "UNKNOWN:");
    screen.add(Tone::Plain, format!(" {reason}"));
    let at = status::full_time(answered);
    screen.plain(format!(
        "  the daemon does not answer since {at}; it is asked again each second"
    ));
    screen
}

/// Over what was shown before, from the upper left corner: nothing flickers and nothing scrolls.
fn frame(mut rows: Vec<String>, height: Option<usize>, first: bool) -> String {
    let height = height.unwrap_or(usize::MAX).max(2);
    // The last row stays free for the cursor.
    let room = height.saturating_sub(1);
    if rows.len() > room {
        let more = rows.len().saturating_sub(room).saturating_add(1);
        rows.truncate(room.saturating_sub(1));
        rows.push(format!("({more} more lines: make the window higher)"));
    }
    let clear = if first { "\u{1b}[2J" } else { "" };
    let rows: Vec<String> = rows.iter().map(|row| format!("{row}\u{1b}[K\n")).collect();
    format!("{clear}\u{1b}[H{}\u{1b}[J", rows.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_never_scrolls() {
        let rows = || ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let line = |text: &str| format!("{text}\u{1b}[K\n");
        let whole = frame(rows(), Some(5), false);
        let expected = ["a", "b", "c", "d"].map(line).concat();
        assert_eq!(whole, format!("\u{1b}[H{expected}\u{1b}[J"));
        let cut = frame(rows(), Some(4), true);
        let expected = ["a", "b", "(2 more lines: make the window higher)"].map(line);
        assert_eq!(
            cut,
            format!("\u{1b}[2J\u{1b}[H{}\u{1b}[J", expected.concat())
        );
        assert!(frame(rows(), Some(0), false).contains("4 more lines"));
        assert!(frame(rows(), None, false).contains('d'));
    }

    #[test]
    fn without_an_answer_it_says_since_when() {
        let screen = no_answer("no daemon", 9, 0);
        let text = screen.text(Layout::default());
        let since = status::full_time(0);
        let second = format!("UNKNOWN: no daemon\n  the daemon does not answer since {since};");
        assert!(text.contains(&second), "{text}");
    }
}
