//! Lines of words for people, each word with a tone. Colours only where they are wanted: what they say,
//! the words say too.

use std::fmt::Write as _;

/// How a word is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As any text.
    Plain,
    /// A heading.
    Head,
    /// As it should be.
    Good,
    /// Somebody should look.
    Warn,
    /// Somebody must act.
    Bad,
}

impl Tone {
    /// The colour of a terminal, in the 16 that every terminal has.
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Head => Some("1"),
            Self::Good => Some("32"),
            Self::Warn => Some("33"),
            Self::Bad => Some("1;31"),
        }
    }
}

/// How lines are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// With colours.
    pub colour: bool,
    /// Longer lines go on in the next one; `None`: they are not broken.
    pub columns: Option<usize>,
}

/// Where lines that go on in the next one begin there.
const INDENT: usize = 6;

/// Narrower terminals get lines as if they were so wide.
const NARROWEST: usize = 20;

/// The words of a row, each with its tone.
pub type Row = Vec<(Tone, String)>;

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Screen {
    lines: Vec<Row>,
}

impl Screen {
    /// Begins a line.
    pub fn line(&mut self) -> &mut Self {
        self.lines.push(Vec::new());
        self
    }

    /// Adds to the line. Names come from files and from the network: characters that steer a terminal, or
    /// change the order or the place of others, are left out.
    pub fn add(&mut self, tone: Tone, text: impl AsRef<str>) -> &mut Self {
        let text = text.as_ref().chars().filter(|c| !steers(*c));
        let text: String = text.collect();
        if let Some(line) = self.lines.last_mut() {
            line.push((tone, text));
        }
        self
    }

    /// A line of plain text.
    pub fn plain(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.line().add(Tone::Plain, text)
    }

    /// A heading, with an empty line before it.
    pub fn head(&mut self, text: impl AsRef<str>) -> &mut Self {
        self.line().line().add(Tone::Head, text)
    }

    /// The text, each line with its end.
    #[must_use]
    pub fn text(&self, layout: Layout) -> String {
        let mut text = String::new();
        for line in self.rows(layout) {
            let _ = writeln!(text, "{line}");
        }
        text
    }

    /// The rows of a terminal.
    #[must_use]
    pub fn rows(&self, layout: Layout) -> Vec<String> {
        let rows = self.words(layout.columns);
        let rows = rows.iter().map(|row| painted(row, layout.colour));
        rows.collect()
    }

    /// The rows of a terminal of so many columns, not yet painted.
    #[must_use]
    pub fn words(&self, columns: Option<usize>) -> Vec<Row> {
        let columns = columns.map(|columns| columns.max(NARROWEST));
        let rows = self.lines.iter().flat_map(|line| broken(line, columns));
        rows.collect()
    }
}

/// Control characters; marks of direction, joiners and other characters without a place of their own; and the
/// ends of line and paragraph of Unicode.
#[must_use]
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The rows of one line: broken at blanks where it can be.
fn broken(line: &[(Tone, String)], columns: Option<usize>) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![Vec::new()];
    let mut used = 0_usize;
    for (tone, text) in line {
        for word in text.split_inclusive(' ') {
            let length = word.trim_end().chars().count();
            let full = columns.is_some_and(|columns| used.saturating_add(length) > columns);
            if full && used > INDENT {
                rows.push(vec![(Tone::Plain, " ".repeat(INDENT))]);
                used = INDENT;
            }
            used = used.saturating_add(word.chars().count());
            if let Some(row) = rows.last_mut() {
                match row.last_mut() {
                    Some((last, text)) if last == tone => text.push_str(word),
                    _ => row.push((*tone, word.to_owned())),
                }
            }
        }
    }
    rows
}

fn painted(row: &[(Tone, String)], colour: bool) -> String {
    let mut text = String::new();
    for (tone, words) in row {
        let _ = match tone.code().filter(|_| colour) {
            Some(code) => write!(text, "\u{1b}[{code}m{words}\u{1b}[0m"),
            None => write!(text, "{words}"),
        };
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> Screen {
        let mut screen = Screen::default();
        screen.line().add(Tone::Bad, "CRITICAL").add(
            Tone::Plain,
            ": the web\u{1b}[2J\u{202e} server\r\n\u{9b}does not run and cannot be started here",
        );
        screen.head("NODES").plain("  alpha   ");
        screen
    }

    #[test]
    fn words_say_it_without_colours_and_names_cannot_paint() {
        assert_eq!(
            screen().text(Layout::default()),
            "CRITICAL: the web[2J serverdoes not run and cannot be started here\n\nNODES\n  alpha\n"
        );
        let colour = Layout {
            colour: true,
            ..Layout::default()
        };
        let text = screen().text(colour);
        assert!(text.starts_with("\u{1b}[1;31mCRITICAL\u{1b}[0m: the web"));
        assert!(text.contains("\u{1b}[1mNODES\u{1b}[0m\n"), "{text:?}");
    }

    #[test]
    fn long_lines_go_on_below() {
        let narrow = Layout {
            columns: Some(30),
            ..Layout::default()
        };
        let rows = screen().rows(narrow);
        assert_eq!(
            rows,
            [
                "CRITICAL: the web[2J",
                "      serverdoes not run and",
                "      cannot be started here",
                "",
                "NODES",
                "  alpha"
            ]
        );
        let mut screen = Screen::default();
        screen.plain("x".repeat(50));
        assert_eq!(
            screen.rows(narrow),
            ["x".repeat(50)],
            "one word stays whole"
        );
    }
}
