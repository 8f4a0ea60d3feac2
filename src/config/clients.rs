//! The directives about programs around the daemon: clients, children, pacemaker.
//!
//! Spec: docs/protocol/config.md, 4.5, 4.6 and 4.8.

use std::path::Path;

use super::draft::{Draft, Verdict, shown_path};
use super::lines::{first_word, line_words};
use super::report::{Refusal, quote};
use super::types::RespawnConfig;
use crate::notice::Severity;
use crate::protocol::boolean::boolean;
use crate::protocol::client::{ApiAuth, MAX_NAME_BYTES};

/// Longest user name of a child in bytes: the legacy buffer without its final NUL.
/// Spec: docs/protocol/config.md, 4.5.
const MAX_CHILD_USER_BYTES: usize = 63;

/// The membership program that pacemaker mode starts.
const CCM: &str = "/usr/libexec/heartbeat/ccm";

/// Largest number of users or groups in one rule: far more than any cluster has.
const MAX_RULE_ENTRIES: usize = 1024;

/// `apiauth CLIENT [uid=U,U...] [gid=G,G...]`.
pub(super) fn apiauth(draft: &mut Draft<'_>, value: &str) -> Verdict {
    read_apiauth(draft, value).map_err(|refusal| {
        refusal
            .and(
                Severity::Error,
                format!("Invalid apiauth directive [{}]", quote(value)),
            )
            .and(
                Severity::Info,
                "Syntax: apiauth client [uid=uidlist] [gid=gidlist]",
            )
            .and(
                Severity::Info,
                "Where uidlist is a comma-separated list of uids,",
            )
            .and(
                Severity::Info,
                "and gidlist is a comma-separated list of gids",
            )
            .and(Severity::Info, "One or the other must be specified.")
    })
}

fn read_apiauth(draft: &mut Draft<'_>, value: &str) -> Verdict {
    let (client, rules) = first_word(value);
    if client.is_empty() {
        return Err(Refusal::silent(
            "a client name and uid= or gid= must follow",
        ));
    }
    if client.len() > MAX_NAME_BYTES {
        return Err(Refusal::legacy(
            format!("client name [{}] too long", quote(value)),
            format!("at most {MAX_NAME_BYTES} bytes"),
        ));
    }
    if rules.is_empty() {
        return Err(Refusal::silent("uid= or gid= must follow the client name"));
    }
    let (mut uids, mut gids) = (None, None);
    for word in line_words(rules) {
        if let Some(list) = word.strip_prefix("uid=") {
            if uids.is_some() {
                return Err(Refusal::legacy(
                    "Duplicate uid list in apiauth",
                    "one uid list per line",
                ));
            }
            uids = Some(ids(list, "user id", "uid", |name| {
                draft.env_of.user_id(name)
            })?);
        } else if let Some(list) = word.strip_prefix("gid=") {
            if gids.is_some() {
                return Err(Refusal::legacy(
                    "Duplicate gid list in apiauth",
                    "one gid list per line",
                ));
            }
            gids = Some(ids(list, "group", "gid", |name| {
                draft.env_of.group_id(name)
            })?);
        } else {
            return Err(Refusal::legacy(
                "Missing uid or gid in apiauth",
                format!("{} is neither uid= nor gid=", quote(word)),
            ));
        }
    }
    if draft.api_auth.contains_key(client) {
        return Err(Refusal::legacy(
            format!(
                "Duplicate apiauth directive for API client {client}: [{}]",
                quote(value)
            ),
            "one rule per client",
        ));
    }
    draft.api_auth.insert(
        client.to_owned(),
        ApiAuth {
            uids: uids.unwrap_or_default(),
            gids: gids.unwrap_or_default(),
        },
    );
    Ok(())
}

/// Names or numbers, separated by commas.
fn ids(
    list: &str,
    what: &str,
    short: &str,
    look_up: impl Fn(&str) -> Option<u32>,
) -> Result<Vec<u32>, Refusal> {
    let names: Vec<&str> = list.split(',').filter(|name| !name.is_empty()).collect();
    if names.len() > MAX_RULE_ENTRIES {
        return Err(Refusal::silent(format!(
            "more than {MAX_RULE_ENTRIES} entries"
        )));
    }
    names
        .into_iter()
        .map(|name| {
            let number = name.parse().ok();
            number.or_else(|| look_up(name)).ok_or_else(|| {
                Refusal::legacy(
                    format!("Invalid {what} name [{name}]"),
                    "this machine does not know it",
                )
                .and(Severity::Error, format!("Bad {short} list [{list}]"))
            })
        })
        .collect()
}

/// Adds the rules that exist unless the file has one of that name. Spec: docs/protocol/config.md,
/// 4.6.
pub(super) fn add_default_rules(draft: &mut Draft<'_>) {
    const RULES: &[(&str, &str, &str)] = &[
        ("ipfail", "hacluster", ""),
        ("ccm", "hacluster", ""),
        ("ping", "", "haclient"),
        ("lha-snmpagent", "root", ""),
        ("anon", "root", "haclient"),
    ];
    for (client, user, group) in RULES {
        add_rule(draft, client, user, group);
    }
}

/// Adds a built-in rule. A user or group that the machine does not have leaves its list empty.
fn add_rule(draft: &mut Draft<'_>, client: &str, user: &str, group: &str) {
    if draft.api_auth.contains_key(client) {
        return;
    }
    let rule = ApiAuth {
        uids: draft.env_of.user_id(user).into_iter().collect(),
        gids: draft.env_of.group_id(group).into_iter().collect(),
    };
    draft.api_auth.insert(client.to_owned(), rule);
}

/// `respawn USER COMMAND [ARGS]`.
pub(super) fn respawn(draft: &mut Draft<'_>, value: &str) -> Verdict {
    child(draft, value, false)
}

/// `failfast USER COMMAND [ARGS]`.
pub(super) fn failfast(draft: &mut Draft<'_>, value: &str) -> Verdict {
    child(draft, value, true)
}

fn child(draft: &mut Draft<'_>, value: &str, failfast: bool) -> Verdict {
    let (user, command) = first_word(value);
    if user.len() > MAX_CHILD_USER_BYTES {
        return Err(Refusal::legacy(
            "UID specified for client child is too long",
            format!("at most {MAX_CHILD_USER_BYTES} bytes"),
        ));
    }
    if draft.env_of.user_id(user).is_none() {
        return Err(Refusal::legacy(
            format!("Invalid uid [{user}] specified for client child"),
            if user.starts_with('/') {
                "the user is missing: write `respawn hacluster /path/of/the/program`"
            } else {
                "no such user"
            },
        ));
    }
    if !command.starts_with('/') {
        return Err(Refusal::legacy(
            format!(
                "Client child command [{}] is not full pathname",
                quote(command)
            ),
            "the command must start with a slash",
        ));
    }
    let (program, _) = first_word(command);
    if !draft.env_of.is_executable(Path::new(program)) {
        return Err(Refusal::legacy(
            format!("Client child command [{program}] is not executable"),
            "no such program, or it may not be run",
        ));
    }
    draft.respawn.push(RespawnConfig {
        user: user.to_owned(),
        command: command.to_owned(),
        failfast,
    });
    Ok(())
}

/// `pacemaker` or `crm`. Of the values that switch it on Systole supports only `ccm-only`.
pub(super) fn pacemaker(draft: &mut Draft<'_>, word: &str) -> Verdict {
    if draft.pacemaker.is_some() {
        return Err(Refusal::legacy(
            "pacemaker/crm directive used multiple times!",
            "crm and pacemaker are the same directive",
        ));
    }
    draft.report.info(format!("Pacemaker support: {word}"));
    draft
        .parameters
        .insert("pacemaker".to_owned(), word.to_owned());
    let lower = word.to_ascii_lowercase();
    match boolean(word) {
        Some(on) => draft.pacemaker = Some(on),
        None => match lower.as_str() {
            "minimal" | "manual" | "respawn" | "valgrind" | "ccm-only" => {
                draft.pacemaker = Some(true);
            }
            _ => {
                return Err(Refusal::silent(
                    "not a boolean, nor ccm-only; the other modes are not supported",
                ));
            }
        },
    }
    if draft.pacemaker != Some(true) {
        return Ok(());
    }
    if draft.env_of.read_file(&draft.paths.haresources()).is_ok() {
        let path = shown_path(draft.paths, "haresources");
        draft.report.warn(format!("File {path} exists."));
        draft.report.say_as_legacy(
            Severity::Warn,
            "This file is not used because pacemaker is enabled",
        );
    }
    if !draft.env_of.is_executable(Path::new(CCM)) {
        return Err(Refusal::legacy(
            "Failed to add pacemaker client child \"ccm\"",
            format!("{CCM} is not executable"),
        ));
    }
    if lower != "ccm-only" {
        return Err(Refusal::legacy(
            "Failed to add pacemaker client child \"cib\"",
            "pacemaker is not started by this program; use ccm-only and start it as a service \
             of its own",
        ));
    }
    draft.respawn.push(RespawnConfig {
        user: "hacluster".to_owned(),
        command: CCM.to_owned(),
        failfast: false,
    });
    for client in ["cib", "crmd"] {
        if draft.api_auth.contains_key(client) {
            return Err(Refusal::legacy(
                format!("Duplicate apiauth directive for API client {client}: [uid=hacluster]"),
                "pacemaker mode makes this rule itself; drop the apiauth line",
            ));
        }
        add_rule(draft, client, "hacluster", "");
    }
    for (client, user) in [
        ("attrd", "hacluster"),
        ("stonithd", "root"),
        ("stonith-ng", "root"),
        ("pingd", "root"),
    ] {
        add_rule(draft, client, user, "");
    }
    Ok(())
}
