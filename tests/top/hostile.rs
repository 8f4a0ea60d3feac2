//! No view, size or key makes it fail, and nothing of a view steers the terminal.

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::LazyLock;

use proptest::prelude::*;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use serde_json::Value;
use systole::cli::top::{Key, Top};

use super::screens::{at, told, views};

/// What a daemon that was taken over would send.
const HOSTILE: [&str; 9] = [
    "\u{1b}[2J\u{1b}[31mOK\u{1b}]0;title\u{7}\u{1b}P1$r\u{1b}\\",
    "\u{9b}2J\u{90}q\u{9c}\u{85}",
    "alpha\r\nOK: all is well\u{b}\u{c}\u{8}\u{8}\u{7f}",
    "\u{202e}live\u{2066}\u{200b}\u{200f}\u{feff}\u{ad}\u{2028}\u{e0041}",
    "",
    " ",
    "界界界界界界界界界界界界界界界界界界界界界界界界界界界界界界",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
    "a b",
];

const KEYS: [Key; 8] = [
    Key::Leave,
    Key::Up,
    Key::Down,
    Key::PageUp,
    Key::PageDown,
    Key::First,
    Key::Last,
    Key::Help,
];

/// A change of a view: which of its values, and what becomes of it.
type Change = (prop::sample::Index, usize, String, u64);

/// The places of all values inside this one.
fn places(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    match value {
        Value::Array(list) => {
            for (number, value) in list.iter().enumerate() {
                places(value, &format!("{here}/{number}"), all);
            }
        }
        Value::Object(map) => {
            for (key, value) in map {
                // No key of a view has a character that would have to be escaped.
                places(value, &format!("{here}/{key}"), all);
            }
        }
        _ => {}
    }
}

/// Changes one value, or has a list shorter or twice as long.
fn change(view: &mut Value, (which, how, text, number): &Change) {
    let mut all = Vec::new();
    places(view, "", &mut all);
    let place = all[which.index(all.len())].clone();
    let Some(value) = view.pointer_mut(&place) else {
        return;
    };
    match value {
        Value::String(old) => {
            *old = match how % 4 {
                0 => text.clone(),
                1 => old.repeat(100),
                2 => format!("{old}{text}"),
                _ => HOSTILE[how % HOSTILE.len()].to_owned(),
            }
        }
        Value::Number(old) => *old = (*number).into(),
        Value::Bool(old) => *old = !*old,
        Value::Array(list) if how % 2 == 0 => drop(list.pop()),
        Value::Array(list) => list.extend(list.clone()),
        Value::Object(map) => {
            let key = map.keys().nth(how % map.len().max(1)).cloned();
            if let Some(key) = key {
                map.insert(key, Value::Null);
            }
        }
        Value::Null if how % 2 == 0 => *value = text.as_str().into(),
        Value::Null => *value = (*number).into(),
    }
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let text = prop_oneof![
        any::<String>(),
        prop::sample::select(&HOSTILE[..]).prop_map(str::to_owned)
    ];
    let number = prop_oneof![
        0_u64..3,
        any::<u64>(),
        Just(u64::MAX),
        Just(i64::MAX.unsigned_abs())
    ];
    let change = (any::<prop::sample::Index>(), any::<usize>(), text, number);
    prop::collection::vec(change, 0..40)
}

/// A terminal that keeps what it is told.
#[derive(Clone, Default)]
struct Line(Rc<RefCell<Vec<u8>>>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is left of the text when the places, colours and cursors that ratatui writes are taken out.
fn without_our_sequences(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut rest = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !(c.is_ascii_digit() || c == ';' || c == '?'));
        let (_, part) = part.split_at(end.expect("a whole sequence"));
        assert!(part.starts_with(['H', 'm', 'h', 'l', 'J']), "{part:?}");
        rest.push_str(&part[1..]);
    }
    rest
}

fn steers(c: char) -> bool {
    c.is_control() || HOSTILE[3].contains(c) && !c.is_ascii()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_view_makes_it_fail_or_steers_the_terminal(
        which in any::<prop::sample::Index>(),
        changes in changes(),
        sizes in prop::collection::vec((0_u16..140, 0_u16..60), 1..4),
        keys in prop::collection::vec(0..KEYS.len(), 0..20),
        colour in any::<bool>(),
        seconds in 0_u64..12,
    ) {
        static VIEWS: LazyLock<Vec<Value>> = LazyLock::new(|| views().into_values().collect());
        let mut value = which.get(&VIEWS).clone();
        for it in &changes {
            let mut next = value.clone();
            change(&mut next, it);
            // What no daemon of any version can say does not get so far.
            if told(&next).is_some() {
                value = next;
            }
        }
        let (told, unix_s) = told(&value).expect("as before");
        let mut top = Top::new(at(unix_s, 0));
        top.told(Ok(told), at(unix_s, 0));
        for (columns, rows) in sizes {
            let line = Line::default();
            let viewport = Viewport::Fixed(Rect::new(0, 0, columns, rows));
            let backend = CrosstermBackend::new(line.clone());
            let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport })?;
            terminal.draw(|frame| top.draw(at(unix_s, 0), colour, frame.buffer_mut()))?;
            for key in &keys {
                let leaves = KEYS[*key] == Key::Leave;
                prop_assert_eq!(top.key(KEYS[*key]), !leaves);
                terminal.draw(|frame| top.draw(at(unix_s, seconds), colour, frame.buffer_mut()))?;
            }
            let bytes = line.0.borrow().clone();
            let text = String::from_utf8(bytes).expect("text");
            if !colour {
                let plain = ["\u{1b}[39m", "\u{1b}[49m", "\u{1b}[59m", "\u{1b}[0m"];
                let rest = plain.iter().fold(text.clone(), |text, code| text.replace(code, ""));
                let painted = rest.split("\u{1b}[").skip(1).any(|part| {
                    part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
                });
                prop_assert!(!painted, "{:?}", rest);
            }
            let rest = without_our_sequences(&text);
            prop_assert!(!rest.contains(steers), "{:?}", rest);
        }
    }
}

/// The keys of the help, and no others.
#[test]
fn each_key_does_one_thing() {
    let of = |code, with| Key::of(KeyEvent::new(code, with));
    let plain = KeyModifiers::NONE;
    for (code, key) in [
        (KeyCode::Char('q'), Key::Leave),
        (KeyCode::Esc, Key::Leave),
        (KeyCode::Char('?'), Key::Help),
        (KeyCode::Up, Key::Up),
        (KeyCode::Down, Key::Down),
        (KeyCode::PageUp, Key::PageUp),
        (KeyCode::PageDown, Key::PageDown),
        (KeyCode::Home, Key::First),
        (KeyCode::End, Key::Last),
    ] {
        assert_eq!(of(code, plain), Some(key));
    }
    assert_eq!(
        of(KeyCode::Char('c'), KeyModifiers::CONTROL),
        Some(Key::Leave)
    );
    for code in ('a'..='z').filter(|c| *c != 'q').map(KeyCode::Char) {
        assert_eq!(of(code, plain), None);
    }
    for code in ('a'..='z').filter(|c| *c != 'c').map(KeyCode::Char) {
        assert_eq!(of(code, KeyModifiers::CONTROL), None);
    }
    for code in [KeyCode::Enter, KeyCode::Delete, KeyCode::F(1), KeyCode::Tab] {
        assert_eq!(of(code, plain), None);
    }
}
