//! A third host that asks for an address all the time, and how long it had no answer.

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::pair::Pair;

/// Asks a hundred times a second until it is dropped with its lab.
pub struct Poll {
    answers: PathBuf,
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs_f64()
}

impl Poll {
    /// Begins.
    pub fn begin(pair: &Pair, address: &str) -> Self {
        let answers = pair.lab.shared().join(format!("answers-{address}"));
        let script = format!("ping -n -D -i 0.01 {address} >{} 2>&1 &", answers.display());
        pair.lab.sh("client", &script);
        Self { answers }
    }

    /// When an answer came, in order.
    fn answered(&self) -> Vec<f64> {
        let text = fs::read_to_string(&self.answers).unwrap_or_default();
        let mut times: Vec<f64> = text
            .lines()
            .filter(|line| line.contains(" bytes from "))
            .filter_map(|line| line.strip_prefix('[')?.split_once(']')?.0.parse().ok())
            .collect();
        times.sort_by(f64::total_cmp);
        times
    }

    /// Seconds of the longest time without an answer between two instants.
    pub fn longest_silence(&self, from: f64, to: f64) -> f64 {
        let inside = self
            .answered()
            .into_iter()
            .filter(|at| (from..=to).contains(at));
        let mut last = from;
        let mut longest = 0.0_f64;
        for at in inside.chain([to]) {
            longest = longest.max(at - last);
            last = at;
        }
        longest
    }
}
