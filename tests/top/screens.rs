//! What is shown of recorded views, on terminals of several sizes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::Value;
use systole::cli::screen::Layout;
use systole::cli::status;
use systole::cli::top::{Key, Told, Top};
use systole::clock::{Monotonic, Now};

/// Columns and rows.
const SIZES: [(u16, u16); 4] = [(80, 24), (40, 10), (120, 40), (60, 20)];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/top")
        .join(name)
}

/// All recorded views by their name.
pub(crate) fn views() -> BTreeMap<String, Value> {
    let entries = fs::read_dir(folder("views")).expect("views");
    let read = |entry: fs::DirEntry| {
        let path = entry.path();
        let text = fs::read_to_string(&path).expect("a view");
        let name = path.file_stem().expect("a name").to_string_lossy();
        let value = serde_json::from_str(&text).expect("JSON");
        (name.into_owned(), value)
    };
    entries
        .map(|entry| read(entry.expect("an entry")))
        .collect()
}

/// What the daemon told; `None` if it cannot be.
pub(crate) fn told(value: &Value) -> Option<(Told, u64)> {
    let told = Told {
        view: serde_json::from_value(value["view"].clone()).ok()?,
        decisions: Ok(serde_json::from_value(value["decisions"].clone()).ok()?),
    };
    Some((told, value["now"].as_u64()?))
}

/// `seconds` after the beginning, which was at `unix_s`.
pub(crate) fn at(unix_s: u64, seconds: u64) -> Now {
    Now {
        instant: Monotonic::from_duration(Duration::from_secs(seconds)),
        unix_s: unix_s.saturating_add(seconds),
    }
}

/// The rows of a terminal, without blanks at their end.
fn drawn(top: &mut Top, now: Now, colour: bool, (columns, rows): (u16, u16)) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("a terminal");
    let draw = |frame: &mut ratatui::Frame<'_>| top.draw(now, colour, frame.buffer_mut());
    terminal.draw(draw).expect("it takes everything");
    let buffer = terminal.backend().buffer();
    let cells = buffer.content().chunks(usize::from(columns));
    let text = |cells: &[ratatui::buffer::Cell]| {
        let text: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.trim_end().to_owned()
    };
    cells.map(text).collect()
}

/// Times are shown as local ones. In another process, because this one has other threads.
fn in_utc(test: &str) -> bool {
    if env::var_os("TZ").is_some_and(|zone| zone == "UTC0") {
        return true;
    }
    let mut again = Command::new(env::current_exe().expect("this program"));
    again.args(["--exact", test]).env("TZ", "UTC0");
    let output = again.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    false
}

/// One picture of a terminal.
fn picture(title: &str, top: &mut Top, now: Now, size: (u16, u16)) -> String {
    let plain = drawn(top, now, false, size);
    assert_eq!(
        drawn(top, now, true, size),
        plain,
        "colours say nothing more"
    );
    let (columns, rows) = size;
    let plain: Vec<String> = plain.into_iter().map(|row| format!("|{row}\n")).collect();
    format!("== {title}, {columns} x {rows}\n{}\n", plain.concat())
}

fn compare(name: &str, text: &str) {
    let file = folder("screens").join(name).with_extension("txt");
    if env::var_os("SYSTOLE_WRITE").is_some() {
        fs::write(&file, text).expect("written");
    }
    let there = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(there, text, "{name}");
}

#[test]
fn recorded_views_on_terminals_of_several_sizes() {
    if !in_utc("screens::recorded_views_on_terminals_of_several_sizes") {
        return;
    }
    let views = views();
    assert!(views.len() >= 9, "{}", views.len());
    for (name, value) in views {
        let (told, unix_s) = told(&value).expect("a view");
        let mut top = Top::new(at(unix_s, 0));
        top.told(Ok(told), at(unix_s, 0));
        let mut text = String::new();
        for size in SIZES {
            text += &picture("first", &mut top, at(unix_s, 0), size);
        }
        for key in [Key::PageDown, Key::Last] {
            assert!(top.key(key));
            let title = format!("{key:?}").to_lowercase();
            text += &picture(&title, &mut top, at(unix_s, 0), (40, 10));
        }
        compare(&name, &text);
    }
}

#[test]
fn without_an_answer_it_says_since_when() {
    if !in_utc("screens::without_an_answer_it_says_since_when") {
        return;
    }
    let views = views();
    let (told, unix_s) = told(&views["healthy"]).expect("a view");
    let size = (80, 24);
    let mut text = String::new();
    let mut top = Top::new(at(unix_s, 0));
    text += &picture("not asked yet", &mut top, at(unix_s, 0), size);
    text += &picture("a daemon that hangs", &mut top, at(unix_s, 9), size);
    let no_daemon = || Err("no daemon listens on /run/heartbeat/systole.ctl".to_owned());
    top.told(no_daemon(), at(unix_s, 10));
    text += &picture("no daemon yet", &mut top, at(unix_s, 10), size);
    top.told(Ok(told.clone()), at(unix_s, 20));
    text += &picture("it answers", &mut top, at(unix_s, 21), size);
    text += &picture("it is slow", &mut top, at(unix_s, 23), size);
    text += &picture("it hangs", &mut top, at(unix_s, 27), size);
    top.told(no_daemon(), at(unix_s, 28));
    text += &picture("it is gone", &mut top, at(unix_s, 29), size);
    text += &picture("it is gone", &mut top, at(unix_s, 29), (40, 10));
    let refused = Err("membership does not answer".to_owned());
    let silent = Told {
        decisions: refused,
        ..told.clone()
    };
    top.told(Ok(silent), at(unix_s, 30));
    text += &picture("without decisions", &mut top, at(unix_s, 30), size);
    let before = Told {
        view: systole::clients::control::View {
            node: None,
            ..told.view
        },
        ..told
    };
    top.told(Ok(before), at(unix_s, 31));
    text += &picture("membership is silent", &mut top, at(unix_s, 31), size);
    assert!(top.key(Key::Help));
    text += &picture("keys", &mut top, at(unix_s, 60), size);
    text += &picture("keys", &mut top, at(unix_s, 60), (40, 10));
    compare("no-answer", &text);
}

/// One source of all words: what `systole status` shows stands there as it is, and the decisions of `systole why` below it.
#[test]
fn it_shows_what_status_and_why_show() {
    for (name, value) in views() {
        let (told, unix_s) = told(&value).expect("a view");
        let status = status::screen(&told.view, unix_s).text(Layout::default());
        let decisions = told.decisions.clone().expect("decisions");
        let mut top = Top::new(at(unix_s, 0));
        top.told(Ok(told), at(unix_s, 0));
        let rows = drawn(&mut top, at(unix_s, 0), false, (400, 150));
        let status: Vec<&str> = status.lines().collect();
        assert_eq!(rows[..status.len()], status, "{name}");
        let below = &rows[status.len()..];
        for decision in decisions {
            let text = format!("  {}: {}", decision.what, decision.cause);
            assert!(
                below.iter().any(|row| row.ends_with(&text)),
                "{name}: {text}"
            );
        }
    }
}
