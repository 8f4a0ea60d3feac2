//! `systole plan`: reads the files, lets the pair run in virtual time, and prints.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::control_commands::Answer;
use super::view::json_line;
use crate::config::environment::Machine;
use crate::config::load::{LoadOptions, Purpose, load};
use crate::foresight::{Forecast, Incident, Outcome, Pair, Step, foresee};
use crate::os::paths::Paths;

/// What `systole plan` is asked.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct PlanOptions {
    /// Show one incident step by step
    #[arg(long = "if", value_name = "INCIDENT")]
    pub incident: Option<String>,
    /// The node that runs the legacy program
    #[arg(long, value_name = "NODE")]
    pub legacy: Option<String>,
    /// How long each start and stop of a group takes
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    pub script: f64,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

impl Eq for PlanOptions {}

/// Everything as one object.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    pub(super) schema: u32,
    pub(super) assumes: &'a [String],
    pub(super) forecasts: &'a [Forecast],
}

/// Does it. Needs no daemon, and changes nothing.
#[must_use]
pub fn run(options: &PlanOptions) -> Answer {
    let refused = |reason: &str, code| Answer::err(format!("systole: {reason}\n"), code);
    let Ok(script) = Duration::try_from_secs_f64(options.script) else {
        return refused("a script takes from 1 ms to ten minutes", 2);
    };
    let check = LoadOptions {
        purpose: Purpose::Check,
        ..LoadOptions::default()
    };
    let config = match load(&Paths::default(), &Machine, &check) {
        Ok(loaded) => loaded.config,
        Err(failure) => {
            let lines = failure
                .lines
                .iter()
                .map(|line| format!("systole: {line}\n"));
            return Answer::err(lines.collect(), 3);
        }
    };
    let pair = match Pair::of(&config, options.legacy.as_deref(), script) {
        Ok(pair) => pair,
        Err(error) => return refused(&error.to_string(), 3),
    };
    let incidents = match &options.incident {
        None => Incident::all(&pair),
        Some(text) => match Incident::read(text, &pair) {
            Ok(incident) => vec![incident],
            Err(error) => return refused(&error.to_string(), 2),
        },
    };
    let forecasts: Vec<Forecast> = incidents.iter().map(|it| foresee(&pair, *it)).collect();
    let bad = |it: &&Forecast| it.has_two_owners() || it.leaves_one_down();
    let code = u8::from(forecasts.iter().any(|it| bad(&it)));
    let text = match (forecasts.as_slice(), &options.incident) {
        _ if options.json => json_line(&Report {
            schema: 1,
            assumes: pair.assumes(),
            forecasts: &forecasts,
        }),
        ([forecast], Some(_)) => story(forecast) + &advice(&forecasts) + &assumed(&pair),
        (all, _) => table(all) + &advice(all) + &assumed(&pair),
    };
    Answer::out(text, code)
}

fn seconds(ms: u64) -> String {
    format!("{}.{:02}", ms / 1_000, ms % 1_000 / 10)
}

/// What follows from the worst of it.
fn advice(forecasts: &[Forecast]) -> String {
    let mut text = String::new();
    if forecasts.iter().any(Forecast::has_two_owners) {
        text.push_str(
            "\nA fencing device prevents two owners; a second medium, or isolation_release with a ping node, makes \
             them rare.\n",
        );
    }
    if let Some(war) = forecasts.iter().find(|it| it.resets() > 1) {
        let _ = writeln!(
            text,
            "\n{}: the nodes reset each other in turn, for as long as it lasts. A second medium makes that rare.",
            war.incident
        );
    }
    text
}

fn assumed(pair: &Pair) -> String {
    let lines = pair.assumes().iter().map(|line| format!("  {line}\n"));
    std::iter::once("\nASSUMED\n".to_owned())
        .chain(lines)
        .collect()
}

/// Steps of one moment and node with the same text are shown once.
fn story(forecast: &Forecast) -> String {
    let mut text = format!("{}\n", forecast.incident);
    let wide = forecast
        .steps
        .iter()
        .map(|step| step.node.len())
        .max()
        .unwrap_or(0);
    let mut last: Option<&Step> = None;
    for step in &forecast.steps {
        if last == Some(step) {
            continue;
        }
        last = Some(step);
        let why = step
            .why
            .as_ref()
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        let _ = writeln!(
            text,
            "{:>8} s  {:wide$}  {}{why}",
            seconds(step.at_ms),
            step.node,
            step.what
        );
    }
    text.push_str("\nIN THE END\n");
    for group in &forecast.groups {
        let _ = writeln!(text, "  {}", result(group));
    }
    text
}

fn nodes(names: &[String]) -> String {
    if names.is_empty() {
        "nowhere".to_owned()
    } else {
        names.join(" and ")
    }
}

fn result(group: &Outcome) -> String {
    let mut text = format!("{} runs on {}", group.group, nodes(&group.after));
    if group.after.is_empty() {
        text = format!("{} runs nowhere", group.group);
    }
    if group.silent_ms > 0 {
        let _ = write!(text, ", ran nowhere for {} s", seconds(group.silent_ms));
    }
    if group.double_ms > 0 {
        let _ = write!(text, ", TWO OWNERS for {} s", seconds(group.double_ms));
    }
    text
}

/// One line for each incident and group.
fn table(forecasts: &[Forecast]) -> String {
    let rows = forecasts.iter().flat_map(|forecast| {
        forecast.groups.iter().enumerate().map(|(number, group)| {
            let incident = if number == 0 {
                forecast.incident.as_str()
            } else {
                ""
            };
            let double = match group.double_ms {
                0 => "-".to_owned(),
                ms => format!("{} s", seconds(ms)),
            };
            [
                incident.to_owned(),
                group.group.clone(),
                nodes(&group.before),
                nodes(&group.after),
                format!("{} s", seconds(group.silent_ms)),
                double,
            ]
        })
    });
    let heads = [
        "INCIDENT",
        "GROUP",
        "BEFORE",
        "IN THE END",
        "NOWHERE",
        "TWO OWNERS",
    ];
    let rows: Vec<[String; 6]> = std::iter::once(heads.map(str::to_owned))
        .chain(rows)
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, wide)| format!("{cell:wide$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests;
