//! Defaults and semantic checks, after the whole of `ha.cf` has been read.
//!
//! Spec: docs/protocol/config.md, 3, step 3.

use std::time::Duration;

use super::clients;
use super::directives::DIRECTIVES;
use super::draft::Draft;
use super::handlers::LOGD_DISABLED;
use super::media;
use super::report::Refusal;
use super::types::MediumConfig;
use crate::notice::Severity;
use crate::protocol::name::NodeName;
use crate::protocol::settings::{AutoFailback, Autojoin, Timing};

/// An initdead below this causes a warning.
const SMALL_INITDEAD: Duration = Duration::from_secs(10);

/// Baud rate without a `baud` line.
const DEFAULT_BAUD: u32 = 19_200;

/// The reason for refusing a dead time.
const TOO_SMALL: &str = "it must be longer than two keepalives";

/// Fills in the defaults of directives that the file does not contain.
fn fill_in_defaults(draft: &mut Draft<'_>) {
    for row in DIRECTIVES {
        let Some(default) = row.default else {
            continue;
        };
        if draft.parameters.contains_key(row.name) {
            continue;
        }
        draft
            .parameters
            .insert(row.name.to_owned(), default.to_owned());
        match row.name {
            "coredumps" => draft.tell_of_core_settings(Severity::Info),
            "pacemaker" => draft.report.info(format!("Pacemaker support: {default}")),
            _ => {}
        }
    }
    let debug = draft.log.debug.to_string();
    draft.parameters.entry("debug".to_owned()).or_insert(debug);
    let baud = draft.baud.unwrap_or(DEFAULT_BAUD);
    for medium in &mut draft.media {
        if let MediumConfig::Serial { baud: rate, .. } = medium {
            *rate = baud;
        }
    }
}

/// Runs all checks. Without a local node (`None`) the daemon cannot run.
pub(super) fn finish(draft: &mut Draft<'_>, manage_resources: bool) -> (Timing, Option<NodeName>) {
    fill_in_defaults(draft);
    if draft.channels.is_empty() {
        let refusal = Refusal::legacy("No heartbeat media defined", "no line names a medium");
        draft.refuse_whole(&[], refusal);
    }
    let warntime = or_computed(draft, draft.warntime, "warntime", draft.deadtime / 2);
    if draft.nodes.is_empty() && draft.autojoin != Autojoin::Any {
        let refusal = Refusal::legacy("no nodes defined", "no node line");
        draft.refuse_whole(&[], refusal);
    }
    let local = local_node(draft);
    let timing = times(draft, warntime);
    if !draft.parameters.contains_key("udpport") {
        let port = media::default_port(draft).to_string();
        draft.parameters.insert("udpport".to_owned(), port);
    }
    ping_names(draft);
    let own_resources = manage_resources && draft.pacemaker != Some(true);
    if own_resources && draft.auto_failback == AutoFailback::Legacy {
        for text in [
            "Deprecated 'legacy' auto_failback option selected.",
            "Please convert to 'auto_failback on'.",
            "See documentation for conversion details.",
        ] {
            draft.report.say_as_legacy(Severity::Warn, text);
        }
    }
    log_targets(draft);
    if own_resources && draft.autojoin != Autojoin::None {
        let refusal = Refusal::legacy(
            "R1 style resource management conflicts with  autojoin set",
            "resources of haresources need nodes that are all named",
        )
        .and(
            Severity::Error,
            "You need either unset autojoin or enable crm",
        );
        draft.refuse_whole(&["autojoin"], refusal);
    }
    clients::add_default_rules(draft);
    (timing, local)
}

fn ms(time: Duration) -> u128 {
    time.as_millis()
}

/// The given time, or the computed one, which clients then read in milliseconds.
fn or_computed(
    draft: &mut Draft<'_>,
    given: Option<Duration>,
    name: &str,
    computed: Duration,
) -> Duration {
    given.unwrap_or_else(|| {
        let computed = Duration::from_millis(u64::try_from(ms(computed)).unwrap_or(u64::MAX));
        draft
            .parameters
            .insert(name.to_owned(), format!("{}ms", ms(computed)));
        computed
    })
}

/// Finds the local node among the nodes. Spec: docs/protocol/config.md, 2.5.
fn local_node(draft: &mut Draft<'_>) -> Option<NodeName> {
    let local = match NodeName::new(&draft.local) {
        Ok(local) => local,
        Err(error) => {
            let text = format!("Current node [{}] not in configuration!", draft.local);
            draft.refuse_whole(&[], Refusal::legacy(text, error.to_string()));
            return None;
        }
    };
    if draft.nodes.contains(&local) {
        return Some(local);
    }
    if draft.autojoin == Autojoin::Any {
        draft.report.say(
            Severity::Notice,
            format!("Current node [{local}] added to configuration."),
        );
        if let Err(refusal) = draft.enter_node_table(&local) {
            draft.report.refuse(local.as_str(), refusal);
        }
        draft.nodes.push(local.clone());
        return Some(local);
    }
    let text = format!("Current node [{local}] not in configuration!");
    let label = |name: &NodeName| name.as_str().split('.').next().map(str::to_owned);
    let other_form = draft.nodes.iter().find(|node| label(node) == label(&local));
    let reason = other_form.map_or_else(
        || "no node line names it".to_owned(),
        |node| {
            format!("it names {node}, and `uname -n` says {local}: write the same form everywhere")
        },
    );
    draft.refuse_whole(&["node"], Refusal::legacy(text, reason));
    draft.report.info(
        "By default, cluster nodes are named by `uname -n` and must be declared with a 'node' \
         directive in the ha.cf file.",
    );
    draft
        .report
        .info("See also: http://linux-ha.org/wiki/Ha.cf#node_directive");
    None
}

fn times(draft: &mut Draft<'_>, warntime: Duration) -> Timing {
    let (keepalive, deadtime) = (draft.keepalive, draft.deadtime);
    let least = keepalive.saturating_mul(2);
    if deadtime <= least {
        let text = format!(
            "Dead time [{}] is too small compared to keeplive [{}]",
            ms(deadtime),
            ms(keepalive)
        );
        draft.refuse_whole(&["deadtime", "keepalive"], Refusal::legacy(text, TOO_SMALL));
    }
    let computed = if deadtime > Duration::from_secs(10) {
        deadtime
    } else if deadtime < Duration::from_secs(6) {
        Duration::from_secs(12)
    } else {
        deadtime * 2
    };
    let initdead = or_computed(draft, draft.initdead, "initdead", computed);
    if initdead < deadtime {
        let text = format!(
            "Initial dead time [{}] is smaller than deadtime [{}]",
            ms(initdead),
            ms(deadtime)
        );
        let refusal = Refusal::legacy(text, "it must be as long at least");
        draft.refuse_whole(&["initdead"], refusal);
    } else if initdead < SMALL_INITDEAD {
        let place = draft.place_of("initdead");
        draft.report.warn(format!(
            "Initial dead time [{} ms] may be too small! ({place})",
            ms(initdead)
        ));
        draft
            .report
            .info("Initial dead time accounts for slow network startup time");
        draft
            .report
            .info("It should be >= deadtime and >= 10 seconds");
    }
    let deadping = or_computed(draft, draft.deadping, "deadping", deadtime);
    if deadping <= least {
        let text = format!(
            "Ping dead time [{}] is too small compared to keeplive [{}]",
            ms(deadping),
            ms(keepalive)
        );
        let places = ["deadping", "deadtime", "keepalive"];
        draft.refuse_whole(&places, Refusal::legacy(text, TOO_SMALL));
    }
    Timing {
        keepalive,
        deadtime,
        warntime,
        initdead,
        deadping,
        max_rexmit_delay: draft.max_rexmit_delay,
    }
}

/// A ping node with the name of a real node would be two nodes in one. A group is refused (spec:
/// docs/protocol/config.md, 11); a single host, which legacy accepts, is left out.
fn ping_names(draft: &mut Draft<'_>) {
    let pings = std::mem::take(&mut draft.pings);
    let places = std::mem::take(&mut draft.ping_places);
    for (ping, place) in pings.into_iter().zip(places) {
        if !draft.nodes.contains(&ping.name) {
            draft.pings.push(ping);
            continue;
        }
        let text = format!("the ping node {} has the name of a cluster node", ping.name);
        if ping.medium == "ping_group" {
            draft.report.refuse(&place, Refusal::silent(text));
        } else {
            draft.report.warn(format!("{place}: {text}; left out"));
        }
    }
}

/// Decides about the logging daemon and logs what the combination means.
fn log_targets(draft: &mut Draft<'_>) {
    let has_facility = draft.log.facility.is_some();
    let has_target = draft.log.logfile.is_some() || draft.log.debugfile.is_some() || has_facility;
    match (has_target, draft.use_logd) {
        (false, None) => {
            draft.report.info("No log entry found in ha.cf -- use logd");
            draft.use_logd = Some(true);
            draft
                .parameters
                .insert("use_logd".to_owned(), "yes".to_owned());
            draft.connect_to_logd();
        }
        (false, Some(false)) => {
            let text = "No log entry found in ha.cf and use_logd is set to off";
            let refusal = Refusal::legacy(text, "nowhere to log to");
            draft.refuse_whole(&["use_logd"], refusal);
            draft.warn_without_logd();
        }
        (false, Some(true)) => {}
        (true, Some(true)) => {
            let facility = if has_facility { "/logfacility" } else { "" };
            let place = draft.place_of("use_logd");
            draft.report.warn(format!(
                "logd is enabled but logfile/debugfile{facility} is still configured in ha.cf \
                 ({place}: used for what the logging daemon does not take)"
            ));
        }
        (true, _) => draft.report.info(LOGD_DISABLED),
    }
    if has_facility {
        for name in ["logfile", "debugfile"] {
            draft
                .parameters
                .entry(name.to_owned())
                .or_insert_with(|| "/dev/null".to_owned());
        }
    }
    draft.log.use_logd = draft.use_logd.unwrap_or(false);
}
