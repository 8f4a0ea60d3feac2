//! Simulated pairs: real cores in virtual time under faults drawn from a seed, and histories that
//! once failed.
//!
//! `SIM_SEEDS=20000 cargo test --test sim` runs more of each kind, `SIM_FIRST=1000` begins elsewhere.
//! The kind `near` changes times and noise of the histories that once failed.
//! `SIM_KIND=revived SIM_SEED=17 SIM_TRACE=1 cargo test --test sim one_seed -- --nocapture` shows one
//! run; with `SIM_RECORD=FILE` it is kept, with as few acts as still fail, for `tests/sim/histories`.
//! `SIM_FILE=FILE` replays one.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "a test program"
)]

mod fencing;
mod halves;
mod kept;
mod pair;
mod partition;
mod prints;
mod scenarios;
mod timelines;

use std::sync::Arc;

use systole::simulator::faults::Kind;
use systole::simulator::history::History;

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Where the histories of seeds come from.
#[derive(Clone)]
enum Source {
    /// Drawn by the generator.
    Drawn(Kind),
    /// Neighbours of the kept ones.
    Near(Arc<[History]>),
}

impl Source {
    fn near() -> Self {
        Self::Near(kept::all().into())
    }

    /// The source that a word names.
    fn named(word: &str) -> Option<Self> {
        if word == "near" {
            return Some(Self::near());
        }
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word);
        kind.map(Self::Drawn)
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Drawn(kind) => kind.word(),
            Self::Near(_) => "near",
        }
    }

    fn history(&self, seed: u64) -> History {
        match self {
            Self::Drawn(kind) => kind.history(seed),
            Self::Near(kept) => kept[(seed % kept.len() as u64) as usize].near(seed),
        }
    }
}

/// Runs so many seeds of a source on all processors.
fn many(source: &Source) {
    let (first, count) = (number("SIM_FIRST", 1), number("SIM_SEEDS", 60));
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let word = source.word();
    let one = |seed: u64| -> Option<String> {
        if kept::waits_for_its_fix(word, seed) {
            return None;
        }
        let history = source.history(seed);
        let world = prints::run(&history, word, &seed.to_string());
        let failure = world.judge.failure()?;
        let text = format!("{word} seed {seed}: {failure} ({})", history.plan);
        println!("{text}");
        Some(text)
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || {
                    let seeds = (first..first + count).filter(|seed| seed % threads == worker);
                    seeds.filter_map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        let ended = workers
            .into_iter()
            .map(|w| w.join().expect("a run panicked"));
        ended.flatten().collect()
    });
    println!(
        "{word}: {count} seeds from {first}: {} failed",
        failures.len()
    );
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn random_faults() {
    many(&Source::Drawn(Kind::Pure));
}

#[test]
fn random_faults_beside_legacy() {
    many(&Source::Drawn(Kind::Mixed));
}

#[test]
fn random_faults_and_isolation() {
    many(&Source::Drawn(Kind::Isolation));
}

#[test]
fn random_faults_and_maintenance() {
    many(&Source::Drawn(Kind::Maintenance));
}

#[test]
fn random_faults_and_legacy_failback() {
    many(&Source::Drawn(Kind::LegacyFailback));
}

#[test]
fn random_faults_and_dying_daemons() {
    many(&Source::Drawn(Kind::Revived));
}

#[test]
fn random_faults_and_fencing() {
    many(&Source::Drawn(Kind::Fencing));
}

#[test]
fn random_faults_beside_legacy_and_dying_daemons() {
    many(&Source::Drawn(Kind::MixedRevived));
}

#[test]
fn one_fault_at_a_time() {
    many(&Source::Drawn(Kind::Single));
}

#[test]
fn near_histories_that_once_failed() {
    many(&Source::near());
}

/// For `scripts/sim-worth`: how many histories until one fails, of all kinds in turn or of those that `SIM_KINDS`
/// names, `near` among them.
#[test]
#[ignore = "a measurement"]
fn long_until_one_fails() {
    let (first, count) = (number("SIM_FIRST", 1), number("SIM_SEEDS", 60));
    let named = std::env::var("SIM_KINDS").unwrap_or_default();
    let kinds: Vec<Source> = match named.trim() {
        "" => Kind::ALL.into_iter().map(Source::Drawn).collect(),
        words => {
            let named =
                |word| Source::named(word).unwrap_or_else(|| panic!("no kind is called {word}"));
            words.split(' ').map(named).collect()
        }
    };
    let (kinds, of) = (&kinds, kinds.len() as u64);
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let found = std::sync::Mutex::new(None::<(u64, String)>);
    let earliest = || {
        found
            .lock()
            .expect("no panic")
            .as_ref()
            .map_or(u64::MAX, |(at, _)| *at)
    };
    std::thread::scope(|scope| {
        for worker in 0..threads {
            let (found, earliest) = (&found, &earliest);
            scope.spawn(move || {
                let mut at = worker;
                while at < count * of && at < earliest() {
                    let kind = &kinds[(at % of) as usize];
                    let seed = first + at / of;
                    if let Err(failure) = kind.history(seed).verdict()
                        && at < earliest()
                    {
                        let text = format!("{} seed {seed}: {failure}", kind.word());
                        *found.lock().expect("no panic") = Some((at, text));
                    }
                    at += threads;
                }
            });
        }
    });
    let found = found.into_inner().expect("no panic");
    match found {
        Some((at, text)) => println!("first failure: {} histories after {text}", at + 1),
        None => println!("first failure: none in {} histories", count * of),
    }
}

/// Not a check of its own: shows one run, or keeps it.
#[test]
fn one_seed() {
    let history = if let Some(file) = std::env::var_os("SIM_FILE") {
        let text = std::fs::read_to_string(file).expect("the file is there");
        History::parse(&text).expect("a history")
    } else if std::env::var_os("SIM_SEED").is_some() {
        let word = std::env::var("SIM_KIND").unwrap_or_else(|_| "pure".to_owned());
        Source::named(&word)
            .expect("a kind")
            .history(number("SIM_SEED", 1))
    } else {
        return;
    };
    let world = prints::run(&history, "one", "seed");
    let verdict = world
        .judge
        .failure()
        .map_or(Ok(()), |it| Err(it.to_owned()));
    if let (Some(file), Err(failure)) = (std::env::var_os("SIM_RECORD"), &verdict) {
        let mut kept = history.shrunk(usize::try_from(number("SIM_TRIES", 300)).unwrap_or(300));
        let now = kept.verdict().err().unwrap_or_else(|| failure.clone());
        kept.remark = format!("{}: {now}", history.remark.trim_end());
        std::fs::write(file, kept.to_string()).expect("the history is written");
    }
    assert_eq!(verdict, Ok(()));
}

#[test]
fn a_history_replays_bit_for_bit() {
    for seed in 1..4 {
        let history = Kind::Revived.history(seed);
        let read = History::parse(&history.to_string()).expect("what was written");
        assert_eq!((&read.plan, &read.acts), (&history.plan, &history.acts));
        assert_eq!(read.run().fingerprint(), history.run().fingerprint());
    }
    let print = |seed| Kind::Pure.history(seed).run().fingerprint();
    assert_ne!(print(1), print(2));
}
