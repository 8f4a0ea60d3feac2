//! `ResourceManager`. Spec: docs/protocol/resources.md, 9.1.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::{Call, log, verdict, wait};
use crate::actors::resource_group::{Bare, ChecksOfGroup, GroupRun, Permit};
use crate::clients::control::{GroupAnswer, Request};
use crate::config::group_lines::{self, GroupLine};
use crate::notice::Severity;
use crate::protocol::event::{GroupOrder, GroupOutcome};
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::name::NodeName;

/// The name in log lines.
const NAME: &str = "ResourceManager";

/// Longest wait for the daemon's answer.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);

/// How long to wait for an order for the group while the node is in transition.
const TRANSITION_PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two queries while the node is in transition.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// Exit code of `status` for a resource that does not run.
const CODE_NOT_RUNNING: u8 = 3;

pub(super) fn resource_manager(call: &mut Call<'_>) -> u8 {
    let args = call.args.clone();
    let command = args.first().map(String::as_str);
    let word = args.get(1).map_or("", String::as_str);
    match command {
        Some("listkeys") => list(call, |line| owner_is(line, word), GroupLine::key),
        Some("allkeys") => list(call, |_| true, GroupLine::key),
        Some("ourkeys") => list_groups(call, true),
        Some("otherkeys") => list_groups(call, false),
        Some("status") => {
            if running(call, &[word.to_owned()]).iter().any(|runs| *runs) {
                0
            } else {
                CODE_NOT_RUNNING
            }
        }
        Some("takegroup") => change(call, word, GroupOrder::Start),
        Some("givegroup") => change(call, word, GroupOrder::Stop),
        Some("statgroup") => group_state(call, word),
        Some("verifyallidle") => verify_all_idle(call),
        Some(_) | None => {
            let program = call.program.clone();
            call.complain(&format!(
                "usage: {program} listkeys machine | takegroup key | givegroup key|status resource\n"
            ));
            1
        }
    }
}

/// All groups. If the file cannot be read, none, with a message.
fn read(call: &mut Call<'_>) -> Vec<GroupLine> {
    try_read(call).unwrap_or_default()
}

/// `None`: the file cannot be read; a message says so.
fn try_read(call: &mut Call<'_>) -> Option<Vec<GroupLine>> {
    let path = call.paths.haresources();
    group_lines::load(&path)
        .map_err(|error| call.complain(&format!("{}: {error}", path.display())))
        .ok()
}

/// Exact comparison; legacy uses the name as a regular expression, of which `.*` is in use.
fn owner_is(line: &GroupLine, name: &str) -> bool {
    name == ".*" || line.owner.eq_ignore_ascii_case(name)
}

fn list(
    call: &mut Call<'_>,
    wanted: impl Fn(&GroupLine) -> bool,
    shown: impl Fn(&GroupLine) -> Option<&str>,
) -> u8 {
    for line in read(call) {
        if wanted(&line)
            && let Some(text) = shown(&line)
        {
            call.print(text);
        }
    }
    0
}

fn list_groups(call: &mut Call<'_>, ours: bool) -> u8 {
    let host = call.current_host();
    for line in read(call) {
        if (line.owner == host) == ours && !line.resources.is_empty() {
            // The blank at the end is legacy's.
            call.print(&format!("{} ", line.words()));
        }
    }
    0
}

/// A group to be started, stopped or looked at without a daemon.
fn group_run(call: &mut Call<'_>, line: &GroupLine) -> Option<GroupRun> {
    let group = ResourceGroup {
        key: GroupKey::new(line.key()?),
        owner: NodeName::new(&line.owner).ok()?,
        resources: line.resources.clone(),
    };
    Some(GroupRun {
        context: Arc::new(call.group_context()),
        group,
        turn: Arc::new(Mutex::new(())),
        checks: ChecksOfGroup::default(),
        bare: Bare::default(),
    })
}

/// Asks the scripts of some resources for their status, one after another.
fn running(call: &mut Call<'_>, words: &[String]) -> Vec<bool> {
    let line = GroupLine {
        owner: call.current_host(),
        resources: words.to_vec(),
    };
    let Some(run) = group_run(call, &line) else {
        return vec![false; words.len()];
    };
    call.logged(|| {
        actix_rt::System::new().block_on(async {
            let mut found = Vec::new();
            for word in words {
                found.push(run.is_running(word).await);
            }
            found
        })
    })
}

/// The first group that has `word` among its words.
fn group_of(call: &mut Call<'_>, lines: Vec<GroupLine>, word: &str) -> Option<GroupLine> {
    let has = |line: &GroupLine| line.resources.iter().any(|resource| resource == word);
    let mut found = lines.into_iter().filter(has);
    let first = found.next();
    if found.next().is_some() {
        call.complain(&format!(
            "WARN: {word} stands in several lines of haresources: the first counts"
        ));
    }
    first
}

/// Starts or stops the group of `word`. An unknown group is no error, and nothing is done.
///
/// Legacy also ends with 0 when it cannot read haresources. A caller that gives a group away would
/// conclude that the group is stopped; so this ends with 1.
fn change(call: &mut Call<'_>, word: &str, what: GroupOrder) -> u8 {
    let Some(lines) = try_read(call) else {
        return 1;
    };
    let Some(line) = group_of(call, lines, word) else {
        return 0;
    };
    let Some(key) = line.key().map(str::to_owned) else {
        return 0;
    };
    let answer = match outcome(call, &key, what) {
        Ok(Some(answer)) => answer,
        // The node has left, and the group runs elsewhere by now.
        Ok(None) if what == GroupOrder::Start && is_notified(call) => {
            call.complain(&format!(
                "{NAME}: group {key} is not started: the daemon that called this script has ended"
            ));
            return 1;
        }
        Ok(None) => alone(call, &line, what),
        Err(reason) => {
            call.complain(&format!("{NAME}: {reason}"));
            return 1;
        }
    };
    let (code, words) = verdict(&answer, &key);
    if let Some(words) = words {
        call.complain(&format!("{NAME}: {words}"));
    }
    code
}

/// Whether a notification script of the daemon called this program: only those have this variable.
fn is_notified(call: &Call<'_>) -> bool {
    (call.variable)("HA_OSTATUS").is_some()
}

/// The daemon's answer about the group; `None`: no daemon runs.
fn outcome(call: &Call<'_>, key: &str, what: GroupOrder) -> Result<Option<GroupAnswer>, String> {
    let key = key.to_owned();
    let request = match what {
        GroupOrder::Start | GroupOrder::Restart => Request::GroupStart { key },
        GroupOrder::Stop => Request::GroupStop { key },
    };
    let clock = crate::clock::Clock::start();
    loop {
        let Some(reply) = call.ask(&request, PATIENCE)? else {
            return Ok(None);
        };
        let answer = reply.group()?;
        // The order may still wait behind others.
        let open = matches!(
            answer,
            GroupAnswer::NotHeld | GroupAnswer::Held | GroupAnswer::Busy
        );
        let waited = clock.now().instant.since_start();
        if !open || waited >= TRANSITION_PATIENCE || !in_transition(call)? {
            return Ok(Some(answer));
        }
        wait(LOOK_PAUSE);
    }
}

fn in_transition(call: &Call<'_>) -> Result<bool, String> {
    let reply = call.ask(&Request::View, Duration::from_secs(10))?;
    // A view that is refused tells nothing: what was asked for is not waited for.
    let node = reply.and_then(|reply| reply.view().ok()?.node);
    Ok(node.and_then(|node| node.rscstatus) == Some("transition".to_owned()))
}

/// No daemon runs: the scripts are run from here, and no other process runs them.
fn alone(call: &mut Call<'_>, line: &GroupLine, what: GroupOrder) -> GroupAnswer {
    let Some(run) = group_run(call, line) else {
        return GroupAnswer::Unknown;
    };
    let outcome: GroupOutcome = call.logged(|| {
        actix_rt::System::new().block_on(async {
            let mut outcome = GroupOutcome::Stopped;
            match what {
                GroupOrder::Start | GroupOrder::Restart => {
                    run.start(&Permit::Always, |done, _| outcome = done).await;
                }
                GroupOrder::Stop => run.stop(|done, _| outcome = done).await,
            }
            outcome
        })
    });
    GroupAnswer::from(&outcome)
}

/// Writes `ALL`, `SOME` or `NONE` to the debug log, and nothing to standard output, as in legacy.
fn group_state(call: &mut Call<'_>, word: &str) -> u8 {
    let lines = read(call);
    let Some(line) = group_of(call, lines, word) else {
        return 0;
    };
    let states = running(call, &line.resources);
    let state = match (states.contains(&true), states.contains(&false)) {
        (true, false) => "ALL",
        (true, true) => "SOME",
        (false, _) => "NONE",
    };
    if let Some(path) = call.log_targets().debugfile {
        let file = fs::OpenOptions::new().append(true).create(true).open(path);
        if let Ok(mut file) = file {
            let _ = std::io::Write::write_all(&mut file, format!("{state}\n").as_bytes());
        }
    }
    0
}

/// Names every group whose first resource runs; their number is the exit code.
fn verify_all_idle(call: &mut Call<'_>) -> u8 {
    let keys: Vec<String> = read(call)
        .iter()
        .filter_map(|line| line.key().map(str::to_owned))
        .collect();
    let states = running(call, &keys);
    let mut active: u8 = 0;
    for (key, _) in keys.iter().zip(states).filter(|(_, runs)| *runs) {
        active = active.saturating_add(1);
        let words = [
            (
                Severity::Crit,
                format!("Resource {key} is active, and should not be!"),
            ),
            (
                Severity::Crit,
                "Non-idle resources can affect data integrity!".to_owned(),
            ),
            (
                Severity::Info,
                "If you don't know what this means, then get help!".to_owned(),
            ),
        ];
        for (severity, text) in &words {
            // Legacy writes this one word in full.
            let level = if *severity == Severity::Crit {
                "CRITICAL"
            } else {
                severity.word()
            };
            call.complain(&format!("{level}: {text}"));
        }
        call.logged(|| {
            for (severity, text) in &words {
                log(NAME, *severity, text);
            }
        });
    }
    active
}
