//! Which host ran what and when: the calls of the dummy scripts and the changes of addresses.

use std::collections::BTreeMap;
use std::fs;

use super::host::Lab;

/// One call of the dummy resource script, or a remark of the test.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Seconds since 1970 at the begin of the call.
    pub at: f64,
    /// Host.
    pub host: String,
    /// `start`, `stop`, `status`, `poweroff`.
    pub operation: String,
    /// Resource name.
    pub resource: String,
    /// `begin` or `end`.
    pub edge: String,
}

/// A time in which a host ran (or might have run) a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// Host.
    pub host: String,
    /// Begin of its start.
    pub from: f64,
    /// End of its stop, its death, or infinity.
    pub to: f64,
}

/// The dummy resource: keeps a flag file, logs begin and end of each call, takes `name [seconds]`.
pub const DUMMY: &str = r#"#!/bin/sh
# dummy NAME [START-SECONDS [STOP-SECONDS]] start|stop|status
name=$1; for last; do :; done; op=$last
slow=0; halt=0
[ $# -ge 3 ] && slow=$2; [ $# -ge 4 ] && halt=$3
note() { echo "$(date +%s.%3N) $(uname -n) $op $name $1" >>@SHARED@/calls; }
[ $op = status ] || note begin
case $op in
  start) sleep $slow; [ -e @SHARED@/fail-$name-$(uname -n) ] && { note failed; exit 1; }; touch /run/dummy-$name ;;
  stop) sleep $halt; rm -f /run/dummy-$name ;;
  status) if [ -e /run/dummy-$name ]; then echo running; else echo stopped; fi ;;
esac
[ $op = status ] || note end
exit 0
"#;

/// All calls so far, in the order of time.
pub fn calls(lab: &Lab) -> Vec<Call> {
    let text = fs::read_to_string(lab.shared().join("calls")).unwrap_or_default();
    let mut calls: Vec<Call> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(Call {
                at: words.next()?.parse().ok()?,
                host: words.next()?.into(),
                operation: words.next()?.into(),
                resource: words.next()?.into(),
                edge: words.next()?.into(),
            })
        })
        .collect();
    calls.sort_by(|a, b| a.at.total_cmp(&b.at));
    calls
}

/// For each resource, when each host had it: from the begin of a start to the end of the stop.
pub fn spans(calls: &[Call]) -> BTreeMap<String, Vec<Span>> {
    let mut open: BTreeMap<(String, String), f64> = BTreeMap::new();
    let mut done: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for call in calls {
        let key = (call.resource.clone(), call.host.clone());
        match (call.operation.as_str(), call.edge.as_str()) {
            ("start", "begin") => {
                open.entry(key).or_insert(call.at);
            }
            ("start", "failed") => {
                open.remove(&key);
            }
            ("stop", "end") => {
                if let Some(from) = open.remove(&key) {
                    let span = Span {
                        host: call.host.clone(),
                        from,
                        to: call.at,
                    };
                    done.entry(call.resource.clone()).or_default().push(span);
                }
            }
            ("poweroff", _) => {
                let mine: Vec<_> = open
                    .keys()
                    .filter(|(_, h)| *h == call.host)
                    .cloned()
                    .collect();
                for key in mine {
                    let from = open.remove(&key).expect("listed");
                    let span = Span {
                        host: key.1.clone(),
                        from,
                        to: call.at,
                    };
                    done.entry(key.0).or_default().push(span);
                }
            }
            _ => {}
        }
    }
    for ((resource, host), from) in open {
        done.entry(resource).or_default().push(Span {
            host,
            from,
            to: f64::INFINITY,
        });
    }
    done
}

/// Panics if two hosts ever had one dummy resource at once.
pub fn assert_never_two_owners(lab: &Lab) {
    for (resource, spans) in spans(&calls(lab)) {
        for (i, a) in spans.iter().enumerate() {
            for b in &spans[i + 1..] {
                let apart = a.to <= b.from || b.to <= a.from;
                assert!(
                    a.host == b.host || apart,
                    "two owners of {resource}: {a:?} and {b:?}"
                );
            }
        }
    }
}

/// How often a host called `operation` for `resource`.
pub fn count(lab: &Lab, host: &str, operation: &str, resource: &str) -> usize {
    calls(lab)
        .iter()
        .filter(|c| {
            c.host == host
                && c.operation == operation
                && c.resource == resource
                && c.edge == "begin"
        })
        .count()
}

/// Every change of `address` on `host`: seconds since 1970 and whether it was added.
pub fn address_changes(lab: &Lab, host: &str, address: &str) -> Vec<(f64, bool)> {
    let text =
        fs::read_to_string(lab.shared().join(format!("{host}.addresses"))).unwrap_or_default();
    let wanted = format!(" {address}/");
    text.lines()
        .filter(|line| line.contains(&wanted))
        .filter_map(|line| {
            let stamp = line.split_once('[')?.1.split_once(']')?.0;
            Some((seconds_of_day(stamp)?, !line.contains("Deleted")))
        })
        .collect()
}

/// `2026-11-21T03:35:00.123456` as seconds of that day (enough to compare within one test).
pub fn seconds_of_day(stamp: &str) -> Option<f64> {
    let clock = stamp.split_once('T')?.1;
    let mut parts = clock.split(':');
    let hours: f64 = parts.next()?.parse().ok()?;
    let minutes: f64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next()?.parse().ok()?;
    Some(hours * 3600.0 + minutes * 60.0 + seconds)
}
