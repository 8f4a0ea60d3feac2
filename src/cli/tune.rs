//! `systole tune`: what the gaps that the daemon has sampled ask for, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::control_commands::Answer;
use super::status::full_time;
use super::view::as_json;
use crate::clients::control::{GapsReport, NodeReport, PeerReport, TimesReport, View};
use crate::tune::{Asked, Bucket, MONTH_MS, Proposal, Reason, Series, TooFew, propose};

const HOUR_MS: u64 = 3_600_000;
const WEEK_MS: u64 = 168 * HOUR_MS;

/// What `systole tune` is asked.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct TuneOptions {
    /// Mistakes that are allowed in a day, week, month or year
    #[arg(long, value_name = "N/PERIOD", default_value = "1/month", value_parser = Rate::read)]
    pub mistakes: Rate,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A rate of mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    text: String,
    a_month: f64,
}

impl Eq for Rate {}

impl Rate {
    /// Reads `1/month`.
    ///
    /// # Errors
    /// What may be asked.
    pub fn read(text: &str) -> Result<Self, String> {
        let refused = || "from 1/year to 100/day".to_owned();
        let (number, period) = text.split_once('/').ok_or_else(refused)?;
        let number: f64 = number.parse().map_err(|_| refused())?;
        let in_a_month = match period {
            "day" => 30.0,
            "week" => 30.0 / 7.0,
            "month" => 1.0,
            "year" => 1.0 / 12.0,
            _ => return Err(refused()),
        };
        let a_month = number * in_a_month;
        if !(1.0 / 12.0..=3_000.0).contains(&a_month) {
            return Err(refused());
        }
        Ok(Self {
            text: text.to_owned(),
            a_month,
        })
    }
}

/// Everything as one object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Report {
    pub(super) mistakes_per_month: f64,
    pub(super) samples: Vec<Sample>,
    pub(super) covered_ms: u64,
    pub(super) needed_ms: u64,
    pub(super) proposal: Option<Times>,
    pub(super) rows: Vec<Row>,
    pub(super) remarks: Vec<String>,
}

/// The gaps of one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Sample {
    pub(super) node: String,
    pub(super) own: bool,
    pub(super) since_unix_s: u64,
    pub(super) covered_ms: u64,
    pub(super) gaps: u64,
    pub(super) usual_ms: u64,
    pub(super) longest_ms: u64,
    pub(super) longest_unix_s: u64,
}

/// Lines of ha.cf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Times {
    pub(super) keepalive_ms: u64,
    pub(super) warntime_ms: u64,
    pub(super) deadtime_ms: u64,
}

/// A dead time, and what it brings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) deadtime_ms: u64,
    pub(super) detected_from_ms: u64,
    pub(super) mistakes_per_month: f64,
    pub(super) reasons: Vec<&'static str>,
    pub(super) in_force: bool,
}

/// What comes of a view of the daemon. `virtual_machine`: this host is one.
#[must_use]
pub fn answer(view: &View, options: &TuneOptions, virtual_machine: bool) -> Answer {
    let failed = |reason: &str, code| Answer::err(format!("systole: {reason}\n"), code);
    let Some(node) = &view.node else {
        return failed("membership does not answer", 3);
    };
    let Some(times) = node.times else {
        let reason = "the daemon is of an older version and samples nothing (heartbeat -r takes up this one)";
        return failed(reason, 1);
    };
    let lease = view.lease.as_ref().map(|lease| u64::from(lease.seconds));
    let asked = Asked {
        mistakes: options.mistakes.a_month,
        keepalive_ms: times.keepalive_ms,
        deadtime_ms: times.deadtime_ms,
        lease_ms: lease.map(|seconds| seconds.saturating_mul(1_000)),
        virtual_machine,
        legacy: node.nodes.iter().any(is_legacy),
    };
    let report = report(node, times, &asked);
    let code = u8::from(report.proposal.is_none());
    let text = if options.json {
        as_json(&report)
    } else {
        for_people(&report, &options.mistakes.text)
    };
    Answer::out(text, code)
}

/// Whether this host is a virtual machine, as far as its processor tells.
#[must_use]
pub fn is_virtual_machine() -> bool {
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    flags.split_whitespace().any(|word| word == "hypervisor")
}

fn report(node: &NodeReport, times: TimesReport, asked: &Asked) -> Report {
    let members = || node.nodes.iter().filter(|it| !it.ping);
    let (own, others): (Vec<_>, Vec<_>) = members().partition(|it| it.name == node.name);
    let all = |nodes: &[&PeerReport]| -> Vec<Series> {
        let gaps = nodes.iter().map(|it| it.gaps.as_ref());
        gaps.map(|gaps| gaps.map(series).unwrap_or_default())
            .collect()
    };
    let found = propose(&all(&others), &all(&own), asked);
    let samples = others.iter().chain(&own).filter_map(|it| {
        let (gaps, name) = (it.gaps.as_ref()?, it.name.clone());
        Some(sample(gaps, name, it.name == node.name))
    });
    let covered = others.iter().map(|it| it.gaps.as_ref());
    let covered = covered.map(|gaps| gaps.map_or(0, |it| it.covered_ms)).min();
    let covered_ms = covered.unwrap_or(0);
    let legacy = others.iter().filter(|it| is_legacy(it));
    let mut report = Report {
        mistakes_per_month: rounded(asked.mistakes),
        samples: samples.collect(),
        covered_ms,
        needed_ms: asked.needed_ms(),
        proposal: None,
        rows: Vec::new(),
        remarks: Vec::new(),
    };
    match found {
        Err(TooFew { .. }) => {}
        Ok(proposal) => {
            report.remarks = remarks(&proposal, covered_ms, times);
            let deaths = others
                .iter()
                .map(|it| it.deaths)
                .fold(0, u64::saturating_add);
            if deaths > 0 {
                report.remarks.push(format!(
                    "{deaths} times another node was declared dead here since the daemon began. What led to that is not \
                     among the samples if that node began a new run then: no deadtime below the one in force is \
                     advisable, unless each of these was a real death"
                ));
            }
            report.remarks.extend(legacy.map(|it| {
                let node = &it.name;
                format!(
                    "{node} is a legacy node: it judges this node by the deadtime of its own ha.cf"
                )
            }));
            report.rows = proposal.rows.iter().map(|it| row(it, times)).collect();
            report.proposal = Some(Times {
                keepalive_ms: proposal.keepalive_ms,
                warntime_ms: proposal.warntime_ms,
                deadtime_ms: proposal.deadtime_ms,
            });
        }
    }
    report
}

fn is_legacy(node: &PeerReport) -> bool {
    node.program.as_deref() == Some("legacy")
}

fn series(gaps: &GapsReport) -> Series {
    let buckets = gaps.counts.iter().map(|(from_ms, below_ms, count)| Bucket {
        from_ms: *from_ms,
        below_ms: *below_ms,
        count: *count,
    });
    Series {
        covered_ms: gaps.covered_ms,
        longest_ms: gaps.longest_ms,
        buckets: buckets.collect(),
    }
}

fn sample(gaps: &GapsReport, node: String, own: bool) -> Sample {
    let series = series(gaps);
    Sample {
        node,
        own,
        since_unix_s: gaps.since_unix_s,
        covered_ms: gaps.covered_ms,
        gaps: series.gaps(),
        usual_ms: series.usual_ms(),
        longest_ms: gaps.longest_ms,
        longest_unix_s: gaps.longest_unix_s,
    }
}

fn row(row: &crate::tune::Row, times: TimesReport) -> Row {
    let word = |reason: &Reason| match reason {
        Reason::Estimate => "estimate",
        Reason::Keepalives => "keepalives",
        Reason::Longest => "longest",
        Reason::Lease => "lease",
        Reason::Machine => "machine",
        Reason::Legacy => "legacy",
    };
    Row {
        deadtime_ms: row.deadtime_ms,
        detected_from_ms: row.deadtime_ms.saturating_sub(times.keepalive_ms),
        mistakes_per_month: rounded(row.mistakes),
        reasons: row.reasons.iter().map(word).collect(),
        in_force: row.deadtime_ms == times.deadtime_ms,
    }
}

/// What people have to know beside the numbers.
fn remarks(proposal: &Proposal, covered_ms: u64, times: TimesReport) -> Vec<String> {
    let mut remarks = vec![
        "this is how the heartbeats look from here: call it on the other node too, the longer deadtime counts"
            .to_owned(),
    ];
    if covered_ms < WEEK_MS {
        remarks.push(
            "less than a week was seen: nothing is known of what happens once a week, such as a backup"
                .to_owned(),
        );
    } else if covered_ms < MONTH_MS {
        remarks.push(
            "less than a month was seen: nothing is known of what happens once a month".to_owned(),
        );
    }
    if proposal.reason == Reason::Keepalives {
        remarks.push("a shorter keepalive would allow a shorter deadtime".to_owned());
    }
    let twice = proposal.deadtime_ms.saturating_mul(2);
    if times.initdead_ms < twice {
        remarks.push(format!(
            "initdead is {} and should be at least twice deadtime: write initdead {}",
            word(times.initdead_ms),
            word(twice)
        ));
    }
    remarks
}

/// A time as ha.cf takes it.
fn word(ms: u64) -> String {
    if ms.is_multiple_of(1_000) {
        (ms / 1_000).to_string()
    } else {
        format!("{ms}ms")
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{}", ms / 1_000, ms % 1_000 / 100)
}

fn hundredths(ms: u64) -> String {
    format!("{}.{:02}", ms / 1_000, ms % 1_000 / 10)
}

fn hours(ms: u64) -> String {
    format!("{} h", ms / HOUR_MS)
}

/// A number for people and programs: no more digits than mean anything.
fn rounded(mistakes: f64) -> f64 {
    (mistakes * 1_000.0).round() / 1_000.0
}

fn for_people(report: &Report, allowed: &str) -> String {
    let mut text = samples(&report.samples);
    let Some(times) = report.proposal else {
        let (covered, needed) = (hours(report.covered_ms), hours(report.needed_ms));
        let _ = writeln!(text, "not enough samples: {covered} of {needed}");
        if report.covered_ms >= report.needed_ms {
            text.push_str("fewer than a thousand heartbeats of a node were heard\n");
        }
        return text;
    };
    text.push_str("\nDEADTIME  A DEATH IS SEEN IN  MISTAKES A MONTH\n");
    for row in &report.rows {
        let within = format!(
            "{} to {} s",
            seconds(row.detected_from_ms),
            seconds(row.deadtime_ms)
        );
        let line = format!(
            "{:>6} s  {within:<18}  {:<16}  {}",
            seconds(row.deadtime_ms),
            mistakes(row.mistakes_per_month),
            notes(row, times)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(
        text,
        "\nFOR {allowed}, IN ha.cf OF BOTH NODES\n  keepalive {}\n  warntime {}\n  deadtime {}",
        word(times.keepalive_ms),
        word(times.warntime_ms),
        word(times.deadtime_ms)
    );
    text.push('\n');
    for remark in &report.remarks {
        let _ = writeln!(text, "{remark}");
    }
    text.push_str(
        "nothing was changed; after a change: systole doctor, and systole reload on both nodes\n",
    );
    text
}

fn samples(samples: &[Sample]) -> String {
    let wide = samples.iter().map(|it| it.node.len()).max().unwrap_or(0);
    let wide = wide.max(4);
    let mut text = format!(
        "{:wide$}  {:>6}  {:>8}  {:>7}  LONGEST GAP\n",
        "NODE", "SEEN", "GAPS", "99.9 %"
    );
    for it in samples {
        let how = if it.own {
            "as it sends"
        } else {
            "as heard here"
        };
        let _ = writeln!(
            text,
            "{:wide$}  {:>6}  {:>8}  {:>5} s  {} s on {}, {how}",
            it.node,
            hours(it.covered_ms),
            it.gaps,
            hundredths(it.usual_ms),
            hundredths(it.longest_ms),
            full_time(it.longest_unix_s)
        );
    }
    text
}

fn mistakes(a_month: f64) -> String {
    if a_month < 0.01 {
        "under 0.01".to_owned()
    } else if a_month < 10.0 {
        format!("{a_month:.2}")
    } else {
        format!("{a_month:.0}")
    }
}

fn notes(row: &Row, times: Times) -> String {
    let said = row.reasons.iter().map(|reason| match *reason {
        "keepalives" => "four keepalives",
        "longest" => "a heartbeat twice as late as the latest one",
        "lease" => "longer than the lease of service addresses",
        "machine" => "a virtual machine",
        "legacy" => "a legacy node",
        _ => "by the samples alone",
    });
    let in_force = row.in_force.then_some("in force");
    let proposed = (row.deadtime_ms == times.deadtime_ms).then_some("proposed");
    let all: Vec<&str> = proposed.into_iter().chain(in_force).chain(said).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests;
