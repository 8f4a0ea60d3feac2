//! The handlers of the word-list directives that set one value.
//!
//! Spec: docs/protocol/config.md, 4.1, 4.2, 4.4, 4.5 and 4.7.

use std::time::Duration;

use super::draft::{Draft, Verdict};
use super::report::Refusal;
use super::types::{GenerationMethod, UuidFrom};
use super::values::{self, NOT_A_BOOLEAN, NOT_A_TIME};
use crate::notice::Severity;
use crate::os::sys::MAX_RESERVE_KB;
use crate::protocol::boolean::boolean;
use crate::protocol::settings::{AutoFailback, Autojoin};
use crate::protocol::wire::MessageFormat;

fn time(word: &str) -> Result<Duration, Refusal> {
    values::time(word).ok_or_else(|| Refusal::silent(NOT_A_TIME))
}

fn positive_time(word: &str) -> Result<Duration, Refusal> {
    let time = time(word)?;
    if time.is_zero() {
        return Err(Refusal::silent("must be at least 1 ms"));
    }
    Ok(time)
}

/// Accepts every value.
pub(super) fn accept(_: &mut Draft<'_>, _: &str) -> Verdict {
    Ok(())
}

pub(super) fn node(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.add_node(word)
}

pub(super) fn hopfudge(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.hopfudge = u8::try_from(values::leading_integer(word))
        .map_err(|_| Refusal::silent("must be between 0 and 255"))?;
    Ok(())
}

pub(super) fn keepalive(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.keepalive = positive_time(word)?;
    Ok(())
}

pub(super) fn deadtime(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.deadtime = time(word)?;
    Ok(())
}

pub(super) fn deadping(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.deadping = Some(time(word)?);
    Ok(())
}

pub(super) fn initdead(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.initdead = Some(time(word)?);
    Ok(())
}

pub(super) fn warntime(draft: &mut Draft<'_>, word: &str) -> Verdict {
    let warntime = positive_time(word).map_err(|refusal| {
        refusal.and(Severity::Error, format!("Warn time [{word}] is invalid."))
    })?;
    draft.warntime = Some(warntime);
    Ok(())
}

pub(super) fn watchdog(draft: &mut Draft<'_>, word: &str) -> Verdict {
    if draft.watchdog.is_some() {
        return Err(Refusal::legacy(
            "heartbeat: Watchdog device multiply specified.",
            "given before",
        ));
    }
    draft.watchdog = Some(word.into());
    Ok(())
}

/// Syslog facilities, spelt as in the directive.
const FACILITIES: [&str; 23] = [
    "none", "kern", "auth", "authpriv", "cron", "daemon", "ftp", "lpr", "mail", "mark", "news",
    "security", "syslog", "user", "uucp", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

pub(super) fn logfacility(draft: &mut Draft<'_>, word: &str) -> Verdict {
    if !FACILITIES.contains(&word) {
        return Err(Refusal::legacy(
            format!("Log facility({word}) not valid"),
            "not a syslog facility in lower case, nor none",
        ));
    }
    draft.log.facility = match word {
        // Quirk: number 0 counts as "no syslog", and kern has that number.
        "none" | "kern" => None,
        "security" => Some("auth".to_owned()),
        "mark" => {
            draft.warn_here("no program may log as mark; going on without syslog");
            None
        }
        facility => Some(facility.to_owned()),
    };
    Ok(())
}

pub(super) fn logfile(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.log.logfile = Some(word.into());
    Ok(())
}

pub(super) fn debugfile(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.log.debugfile = Some(word.into());
    Ok(())
}

/// Quirk: the value does not matter, only whether the nice model is already on. The nodes of a
/// cluster share the file and must agree, so Systole reads it the same way and logs what it means.
/// Spec: docs/protocol/config.md, 4.5.
pub(super) fn nice_failback(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.report.say_as_legacy(
        Severity::Error,
        "nice_failback flag is obsolete.. Use auto_failback {on, off, legacy} instead.",
    );
    const SEE: &str = "See documentation for details.";
    if boolean(word).is_none() {
        return Err(Refusal::legacy(SEE, NOT_A_BOOLEAN));
    }
    if draft.auto_failback.is_nice() {
        draft.auto_failback = AutoFailback::Off;
        draft.report.say_as_legacy(
            Severity::Error,
            format!("'nice_failback {word}' has been changed to 'auto_failback off'"),
        );
    } else {
        draft.auto_failback = AutoFailback::Legacy;
        for text in [
            &format!(
                "nice_failback {word} has been strictly interpreted as 'auto_failback legacy'"
            ),
            "Consider converting to 'auto_failback on'.",
            "When you do, then you can use ipfail, and hb_standby",
        ] {
            draft.report.say_as_legacy(Severity::Error, text);
        }
    }
    draft.report.say_as_legacy(Severity::Error, SEE);
    let meaning = if draft.auto_failback.is_nice() {
        "off"
    } else {
        "legacy"
    };
    draft.warn_here(&format!(
        "the word behind nice_failback has no influence; this file means \"auto_failback \
         {meaning}\" on every node: write that, or what you want instead"
    ));
    Ok(())
}

pub(super) fn auto_failback(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.auto_failback = match boolean(word) {
        Some(true) => AutoFailback::On,
        Some(false) => AutoFailback::Off,
        None if word.eq_ignore_ascii_case("legacy") => AutoFailback::Legacy,
        None => return Err(Refusal::silent(format!("{NOT_A_BOOLEAN}, or legacy"))),
    };
    Ok(())
}

pub(super) fn rtprio(draft: &mut Draft<'_>, word: &str) -> Verdict {
    let priority = u8::try_from(values::leading_integer(word))
        .ok()
        .filter(|priority| (1..=99).contains(priority))
        .ok_or_else(|| {
            Refusal::legacy(
                format!("Illegal realtime priority [{word}]"),
                "must be between 1 and 99",
            )
        })?;
    draft.realtime_priority = Some(priority);
    Ok(())
}

pub(super) fn hbgenmethod(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.generation_method = match word {
        "file" => GenerationMethod::File,
        "time" => GenerationMethod::Time,
        _ => {
            return Err(Refusal::legacy(
                format!("Illegal hb generation method [{word}]"),
                "must be file or time",
            ));
        }
    };
    Ok(())
}

pub(super) fn realtime(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.realtime = values::required_boolean(word)?;
    Ok(())
}

pub(super) fn debug(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.log.debug = u8::try_from(values::leading_integer(word))
        .map_err(|_| Refusal::silent("must be between 0 and 255"))?;
    Ok(())
}

pub(super) fn msgfmt(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.message_format = match word {
        "classic" => MessageFormat::Classic,
        "netstring" => MessageFormat::Netstring,
        _ => return Err(Refusal::silent("must be classic or netstring")),
    };
    Ok(())
}

/// Legacy logs this as a warning on every node without the logging daemon. It recommends a program
/// that Systole does not use.
pub(super) const LOGD_DISABLED: &str =
    "Logging daemon is disabled --enabling logging daemon is recommended";

pub(super) fn use_logd(draft: &mut Draft<'_>, word: &str) -> Verdict {
    if boolean(word) == Some(true) {
        draft.connect_to_logd();
    } else {
        draft.report.info(LOGD_DISABLED);
    }
    draft.use_logd = Some(values::required_boolean(word)?);
    Ok(())
}

pub(super) fn conn_logd_time(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.log.conn_logd_time = positive_time(word)?;
    Ok(())
}

pub(super) fn use_apphbd(_: &mut Draft<'_>, word: &str) -> Verdict {
    values::required_boolean(word).map(|_| ())
}

pub(super) fn log_badpack(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.log_bad_packets = values::required_boolean(word)?;
    Ok(())
}

pub(super) fn syslogmsgfmt(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.log.syslog_format = values::required_boolean(word)?;
    Ok(())
}

pub(super) fn coredumps(draft: &mut Draft<'_>, word: &str) -> Verdict {
    // Quirk: legacy warns even for "off".
    let wanted = boolean(word) == Some(true);
    draft.tell_of_core_settings(if wanted {
        Severity::Warn
    } else {
        Severity::Info
    });
    values::required_boolean(word).map(|_| ())
}

pub(super) fn coreroot(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.core_root = Some(word.into());
    Ok(())
}

fn before_pacemaker(word: &str) -> String {
    format!("If you specify {word}, it must come before the pacemaker directive")
}

/// Legacy has inverted the check of the order: a line before the `pacemaker` line, which is the
/// right place, refuses the start. Systole accepts it there. Spec: docs/protocol/config.md, 4.8.
pub(super) fn crm_daemon_dir(draft: &mut Draft<'_>, word: &str) -> Verdict {
    if draft.pacemaker.is_some() {
        draft.report.say(Severity::Error, before_pacemaker(word));
    }
    Ok(())
}

pub(super) fn crmd_spawns_pengine(draft: &mut Draft<'_>, word: &str) -> Verdict {
    if draft.pacemaker.is_some() {
        return Err(Refusal::legacy(
            before_pacemaker(word),
            "the pacemaker or crm directive came before",
        ));
    }
    values::required_boolean(word).map(|_| ())
}

pub(super) fn autojoin(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.autojoin = match word.to_ascii_lowercase().as_str() {
        "none" => Autojoin::None,
        "other" => Autojoin::Other,
        "any" => Autojoin::Any,
        _ => {
            return Err(Refusal::legacy(
                format!("Invalid autojoin directive [{word}]"),
                "must be none, other or any",
            ));
        }
    };
    Ok(())
}

pub(super) fn uuidfrom(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.uuid_from = match word {
        "file" => UuidFrom::File,
        "nodename" => UuidFrom::NodeName,
        _ => {
            return Err(Refusal::legacy(
                format!("Invalid uuidfrom directive [{word}]"),
                "must be file or nodename",
            ));
        }
    };
    Ok(())
}

pub(super) fn compression(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.compression.algorithm = word.parse().map_err(|_| {
        Refusal::legacy(
            format!("Compression module({word}) not found"),
            "must be zlib or bz2",
        )
    })?;
    Ok(())
}

pub(super) fn compression_threshold(draft: &mut Draft<'_>, word: &str) -> Verdict {
    let kib = positive(word).ok_or_else(|| {
        Refusal::legacy(
            format!("set_compression_threshold: compress_threshhold({word}) invalid"),
            "must be a number of kB above 0",
        )
    })?;
    let bytes = usize::try_from(kib).unwrap_or(usize::MAX);
    draft.compression.threshold_bytes = bytes.saturating_mul(1024);
    Ok(())
}

pub(super) fn traditional_compression(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.compression.traditional = boolean(word).ok_or_else(|| {
        Refusal::legacy(
            format!("set_traditional_compression:Invalid directive value {word}"),
            NOT_A_BOOLEAN,
        )
    })?;
    Ok(())
}

/// `NAME=VALUE`. Legacy reads beyond the end of a word without `=`; Systole refuses it.
pub(super) fn env(draft: &mut Draft<'_>, word: &str) -> Verdict {
    match word.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            draft.env.push((name.to_owned(), value.to_owned()));
            Ok(())
        }
        _ => Err(Refusal::legacy(
            format!("set_env: invalid nvpair({word})"),
            "must be NAME=VALUE",
        )),
    }
}

pub(super) fn max_rexmit_delay(draft: &mut Draft<'_>, word: &str) -> Verdict {
    let ms = positive(word).ok_or_else(|| {
        Refusal::legacy(
            format!("Invalid max_rexmit_delay time({word})"),
            "must be a number of milliseconds above 0",
        )
    })?;
    draft.max_rexmit_delay = Duration::from_millis(ms);
    Ok(())
}

pub(super) fn pacemaker_switch(_: &mut Draft<'_>, word: &str) -> Verdict {
    if boolean(word).is_none() {
        return Err(Refusal::legacy(
            format!("ha_config_check_boolean:Invalid directive value {word}"),
            NOT_A_BOOLEAN,
        ));
    }
    Ok(())
}

pub(super) fn memreserve(draft: &mut Draft<'_>, word: &str) -> Verdict {
    draft.memreserve_kb =
        positive(word).ok_or_else(|| Refusal::silent("must be a number of kB above 0"))?;
    if draft.memreserve_kb > MAX_RESERVE_KB {
        draft.memreserve_kb = MAX_RESERVE_KB;
        draft.warn_here(&format!(
            "{word} kB is too much; {MAX_RESERVE_KB} kB are reserved"
        ));
    }
    Ok(())
}

/// The leading integer of `word` if it is above 0 and fits the legacy program's `int`.
fn positive(word: &str) -> Option<u64> {
    let number = values::leading_integer(word);
    let number = i32::try_from(number).ok().filter(|number| *number > 0)?;
    u64::try_from(number).ok()
}
