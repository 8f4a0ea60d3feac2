//! `systole top`: the screen of `systole status` and the decisions below it, kept up to date. Here is what is shown
//! and what a key does; [`terminal`] owns the terminal and the threads. It only looks: a key changes what is shown,
//! and nothing else.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::style::{Color, Style};
use ratatui::text::{Line, Span};

use super::screen::{Row, Screen, Tone};
use super::{status, watch};
use crate::clients::control::{ControlError, DecisionReport, View};
use crate::clock::Now;

pub mod terminal;

/// After so long without an answer the screen says how old it is.
const OLD: Duration = Duration::from_secs(2);

/// After so long nothing of it is shown any more. A question has five seconds, and the next one is asked a second later.
const TOO_OLD: Duration = Duration::from_secs(7);

/// What the daemon says to one round of questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Everything that it knows now.
    pub view: View,
    /// Its last decisions, the oldest first; or why it does not tell them.
    pub decisions: Result<Vec<DecisionReport>, String>,
}

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// To leave.
    Leave,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// One screen up.
    PageUp,
    /// One screen down.
    PageDown,
    /// The first row.
    First,
    /// The last row.
    Last,
    /// The keys, or the node again.
    Help,
}

impl Key {
    /// What a key of the terminal asks for; `None`: nothing.
    #[must_use]
    pub fn of(event: KeyEvent) -> Option<Self> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Char('c') if control => Some(Self::Leave),
            KeyCode::Char(_) if control => None,
            KeyCode::Char('q') | KeyCode::Esc => Some(Self::Leave),
            KeyCode::Char('?') => Some(Self::Help),
            KeyCode::Up => Some(Self::Up),
            KeyCode::Down => Some(Self::Down),
            KeyCode::PageUp => Some(Self::PageUp),
            KeyCode::PageDown => Some(Self::PageDown),
            KeyCode::Home => Some(Self::First),
            KeyCode::End => Some(Self::Last),
            _ => None,
        }
    }
}

/// What is shown.
#[derive(Debug)]
pub struct Top {
    began: Now,
    /// The screen of the last answer, and when it came.
    answered: Option<(Now, Screen)>,
    /// Why the last question has no answer.
    unanswered: Option<String>,
    help: bool,
    /// The row that stands first.
    first: usize,
    /// Rows that fit, and how far one can go down: as drawn last.
    room: usize,
    furthest: usize,
}

impl Top {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(now: Now) -> Self {
        Self {
            began: now,
            answered: None,
            unanswered: None,
            help: false,
            first: 0,
            room: 0,
            furthest: 0,
        }
    }

    /// The daemon has answered, or why it has not.
    pub fn told(&mut self, answer: Result<Told, String>, now: Now) {
        match answer {
            Ok(told) => {
                let mut screen = status::screen(&told.view, now.unix_s);
                status::add_decisions(&told.decisions, now.unix_s, &mut screen);
                self.answered = Some((now, screen));
                self.unanswered = None;
            }
            Err(reason) => self.unanswered = Some(reason),
        }
    }

    /// Follows a key; false: it is the one to leave with.
    pub fn key(&mut self, key: Key) -> bool {
        let page = self.room.max(2).saturating_sub(1);
        let first = self.first;
        self.first = match key {
            Key::Leave => return false,
            Key::Up => first.saturating_sub(1),
            Key::Down => first.saturating_add(1),
            Key::PageUp => first.saturating_sub(page),
            Key::PageDown => first.saturating_add(page),
            Key::First => 0,
            Key::Last => self.furthest,
            Key::Help => {
                self.help = !self.help;
                0
            }
        };
        self.first = self.first.min(self.furthest);
        true
    }

    /// Fills a terminal of this size.
    pub fn draw(&mut self, now: Now, colour: bool, terminal: &mut Buffer) {
        let area = terminal.area;
        let columns = usize::from(area.width);
        // The last row says what is left out, where there is another one.
        let height = usize::from(area.height);
        self.room = height.saturating_sub(1).max(1);
        let screen = if self.help { help() } else { self.screen(now) };
        let rows = screen.words(Some(columns)).into_iter();
        let mut rows: Vec<Row> = rows.flat_map(|row| cut(row, columns)).collect();
        if rows.len() > self.room {
            rows.retain(|row| row.iter().any(|(_, text)| !text.trim().is_empty()));
        }
        self.furthest = rows.len().saturating_sub(self.room);
        self.first = self.first.min(self.furthest);
        let shown = rows.iter().skip(self.first).take(self.room);
        for (y, row) in (area.top()..area.bottom()).zip(shown) {
            terminal.set_line(area.left(), y, &line(row, colour), area.width);
        }
        if height > 1 {
            let foot = self.foot(&rows, columns, now);
            let y = area.bottom().saturating_sub(1);
            terminal.set_line(area.left(), y, &line(&foot, colour), area.width);
        }
    }

    fn screen(&self, now: Now) -> Screen {
        let since = self.answered.as_ref().map_or(self.began, |(at, _)| *at);
        let silent = now.instant.since(since.instant);
        let reason = match (&self.unanswered, &self.answered) {
            (Some(reason), _) => reason.clone(),
            (None, Some((_, screen))) if silent < TOO_OLD => return screen.clone(),
            (None, None) if silent < TOO_OLD => {
                let mut screen = Screen::default();
                screen.plain("asking the daemon");
                return screen;
            }
            (None, _) => {
                let seconds = silent.as_secs();
                ControlError::Late { seconds }.to_string()
            }
        };
        watch::no_answer(&reason, now.unix_s, since.unix_s)
    }

    /// The last row: what is old, what is left out, and the keys, as much of it as fits.
    fn foot(&self, rows: &[Row], columns: usize, now: Now) -> Row {
        let mut parts = Vec::new();
        if let (Some((at, _)), None, false) = (&self.answered, &self.unanswered, self.help) {
            let silent = now.instant.since(at.instant);
            if (OLD..TOO_OLD).contains(&silent) {
                let text = format!("no answer for {} s", silent.as_secs());
                parts.push((Tone::Warn, text));
            }
        }
        let below = self.furthest.saturating_sub(self.first);
        let left_out = match (self.first, below) {
            (0, 0) => None,
            (above, 0) => Some(format!("{above} above")),
            (0, below) => Some(format!("{below} more below")),
            (above, below) => Some(format!("{above} above, {below} below")),
        };
        parts.extend(left_out.map(|text| (Tone::Head, text)));
        let keys = if self.help {
            ["?: back", "q: leave"]
        } else {
            ["?: keys", "q: leave"]
        };
        parts.extend(keys.map(|text| (Tone::Plain, text.to_owned())));
        let end = self.first.saturating_add(self.room);
        let heads = rows.iter().skip(end).filter_map(heading);
        let heads: Vec<String> = heads.collect();
        if !heads.is_empty() {
            parts.push((Tone::Plain, format!("below: {}", heads.join(", "))));
        }
        let mut foot = Row::new();
        let mut used = 0_usize;
        for (tone, text) in parts {
            let gap = if used == 0 { 0 } else { 2 };
            let end = used.saturating_add(gap).saturating_add(text.len());
            if end > columns {
                break;
            }
            foot.push((Tone::Plain, " ".repeat(gap)));
            foot.push((tone, text));
            used = end;
        }
        foot
    }
}

/// The capitals of a heading.
fn heading(row: &Row) -> Option<String> {
    let (_, text) = row.first().filter(|(tone, _)| *tone == Tone::Head)?;
    let capitals = |word: &&str| word.bytes().all(|byte| byte.is_ascii_uppercase());
    let words: Vec<&str> = text.split_whitespace().take_while(capitals).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// A row as rows that are not wider than the terminal: a word may be longer than that.
fn cut(row: Row, columns: usize) -> Vec<Row> {
    let width = |text: &str| Span::raw(text).width();
    let whole = row.iter().map(|(_, text)| width(text)).sum::<usize>();
    if whole <= columns {
        return vec![row];
    }
    let mut rows = vec![Row::new()];
    let mut used = 0_usize;
    for (tone, text) in row {
        for c in text.chars() {
            let wide = width(c.encode_utf8(&mut [0; 4]));
            if used.saturating_add(wide) > columns && used > 0 {
                rows.push(Row::new());
                used = 0;
            }
            used = used.saturating_add(wide);
            if let Some(row) = rows.last_mut() {
                match row.last_mut() {
                    Some((last, text)) if *last == tone => text.push(c),
                    _ => row.push((tone, c.to_string())),
                }
            }
        }
    }
    rows
}

/// A row as the terminal is to paint it: the same colours as [`Screen::rows`].
fn line(row: &Row, colour: bool) -> Line<'_> {
    let style = |tone: Tone| match tone {
        _ if !colour => Style::new(),
        Tone::Plain => Style::new(),
        Tone::Head => Style::new().bold(),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Warn => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red).bold(),
    };
    let spans = row.iter();
    let spans = spans.map(|(tone, text)| Span::styled(text.as_str(), style(*tone)));
    spans.collect()
}

fn help() -> Screen {
    let mut screen = Screen::default();
    screen.line().add(Tone::Head, "systole top");
    screen.add(Tone::Plain, " asks the daemon each second and shows what it says, as systole status and systole why do. \
        It only looks: no key changes anything in the cluster.");
    screen.head("KEYS");
    for (keys, does) in [
        ("q, Esc, Ctrl-C", "leave"),
        ("Up, Down", "one row"),
        ("PageUp, PageDown", "one screen"),
        ("Home, End", "the first row, the last one"),
        ("?", "this page, or the node again"),
    ] {
        screen.plain(format!("  {keys:<16}  {does}"));
    }
    screen.head("TO DO SOMETHING");
    screen.plain("  leave, and call systole standby, takeover, freeze, thaw, clear or fence; systole --help shows all");
    screen
}
