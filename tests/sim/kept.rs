//! Histories that once failed, replayed unchanged.

use std::path::Path;

use systole::simulator::history::History;

use super::prints;

/// Histories that fail until a fault is fixed, of a core, the legacy model or the judge: the file,
/// and the finding. If only the finding is given, it is not known yet which of the three is at
/// fault.
const NOT_FIXED: &[(&str, &str)] = &[];

/// Whether this seed of a kind is kept as one that fails until a known fault is fixed.
pub fn waits_for_its_fix(kind: &str, seed: u64) -> bool {
    let file = format!("{kind}-{seed}.history");
    NOT_FIXED.iter().any(|(name, _)| *name == file)
}

fn kept() -> Vec<(String, History)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/histories");
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).expect("a file");
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let history = History::parse(&text);
        (
            name.clone(),
            history.unwrap_or_else(|line| panic!("{name}: {line}")),
        )
    };
    files.iter().map(|path| read(path)).collect()
}

/// All kept histories but those that wait for a fix.
pub fn all() -> Vec<History> {
    let waits = |name: &str| NOT_FIXED.iter().any(|(file, _)| *file == name);
    let kept = kept().into_iter();
    kept.filter(|(name, _)| !waits(name))
        .map(|(_, history)| history)
        .collect()
}

#[test]
fn histories_that_once_failed() {
    let waits = |name: &str| NOT_FIXED.iter().any(|(file, _)| *file == name);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let kept = kept();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let mine: Vec<_> = kept.iter().skip(worker).step_by(threads).cloned().collect();
                scope.spawn(move || {
                    let judged = mine.into_iter().filter(|(name, _)| !waits(name));
                    let failed = |(name, history): (String, History)| {
                        let world = prints::run(&history, "kept", &name);
                        world
                            .judge
                            .failure()
                            .map(|failure| format!("{name}: {failure}"))
                    };
                    judged.filter_map(failed).collect::<Vec<_>>()
                })
            })
            .collect();
        let ended = workers
            .into_iter()
            .map(|w| w.join().expect("a run panicked"));
        ended.flatten().collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
#[ignore = "each waits for its fix"]
fn long_histories_that_fail_until_they_are_fixed() {
    for (name, history) in kept() {
        if let Some((_, why)) = NOT_FIXED.iter().find(|(file, _)| *file == name) {
            assert_eq!(history.verdict(), Ok(()), "{name}: {why}");
        }
    }
}
