//! Devices that can reset a node: the directives `stonith` and `stonith_host`.
//!
//! A type that begins with `fence_` is an agent of the fence-agents family; any other type is a
//! plugin of the `stonith` command. Parameters may be passwords, so no error quotes them.
//!
//! Spec: docs/protocol/resources.md, 10.3; docs/protocol/config.md, 4.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use super::draft::{Draft, Verdict};
use super::lines::first_word;
use super::report::Refusal;
use crate::notice::Severity;
use crate::protocol::name::NodeName;

/// Longest host name of a fencing line in bytes.
const MAX_STONITH_HOST_BYTES: usize = 99;

/// Longest parameters of a plugin in bytes: the `stonith` command cuts a longer line without a word.
const MAX_PLUGIN_BYTES: usize = 1000;

/// Begin of the name of an agent.
pub const AGENT_PREFIX: &str = "fence_";

/// Parameters of an agent that the node sets itself, and their older names.
const SET_BY_THE_NODE: [&str; 3] = ["action", "option", "nodename"];

/// Parameters of an agent that name what it resets.
const PLUGS: [&str; 2] = ["plug", "port"];

/// A text that no log line, no report and no list of processes may contain.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text itself, for the device only.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// A line that counts on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceDevice {
    /// `file:line`.
    pub place: String,
    /// Its type.
    pub kind: String,
    /// Whether the line is for this host alone: `stonith_host` with a name.
    pub only_here: bool,
    /// How it is driven.
    pub driver: FenceDriver,
}

/// How a device is driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FenceDriver {
    /// A plugin of the `stonith` command, with a file of parameters.
    PluginFile(PathBuf),
    /// The same, with parameters in the line.
    PluginWords(Secret),
    /// An agent of the fence-agents family.
    Agent(AgentWords),
}

/// What an agent is given, and which hosts it resets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentWords {
    /// Names and values, for the agent.
    pub words: Vec<(String, Secret)>,
    /// `hosts=HOST[:PLUG],...`. Empty: the agent is asked.
    pub hosts: Vec<HostPlug>,
    /// `password_file=`: its first line becomes the parameter `password`.
    pub password_file: Option<PathBuf>,
}

impl AgentWords {
    /// Whether a parameter names the one plug that is meant.
    #[must_use]
    pub fn names_plug(&self) -> bool {
        let names = self.words.iter().map(|(name, _)| name.as_str());
        names.into_iter().any(|name| PLUGS.contains(&name))
    }
}

/// A host that a device resets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPlug {
    /// The host.
    pub host: NodeName,
    /// What the device calls it, if that has to be said.
    pub plug: Option<String>,
}

/// The hosts that these devices can reset, as far as the lines say: `None`: a device has to be
/// asked, so it may be any host.
#[must_use]
pub fn named_hosts(devices: &[FenceDevice]) -> Option<BTreeSet<NodeName>> {
    let mut hosts = BTreeSet::new();
    for device in devices {
        match &device.driver {
            FenceDriver::Agent(words) if !words.hosts.is_empty() => {
                hosts.extend(words.hosts.iter().map(|it| it.host.clone()));
            }
            FenceDriver::Agent(_) | FenceDriver::PluginFile(_) | FenceDriver::PluginWords(_) => {
                return None;
            }
        }
    }
    Some(hosts)
}

/// The part of a line that a log line may quote: no parameters.
pub(super) fn quotable<'a>(directive: &str, value: &'a str) -> &'a str {
    let (_, rest) = first_word(value);
    // `stonith TYPE FILE`, and what follows may be the parameters of a `stonith_host` line.
    let (_, parameters) = match directive {
        "stonith" | "stonith_host" => first_word(rest),
        _ => return value,
    };
    let end = value.len().saturating_sub(parameters.len());
    value.get(..end).unwrap_or_default().trim_end()
}

/// `stonith TYPE CONFIGFILE`.
pub(super) fn stonith(draft: &mut Draft<'_>, value: &str) -> Verdict {
    let (kind, file) = first_word(value);
    stonith_type(draft, kind)?;
    if draft.env_of.read_file(Path::new(file)).is_err() {
        // What follows a blank may be the parameters of a stonith_host line, a password among them.
        let file = match first_word(file) {
            (file, "") => file.to_owned(),
            (file, _) => format!("{file} ..."),
        };
        return Err(
            Refusal::legacy(format!("glib: Cannot open {file}"), "cannot be read").and(
                Severity::Error,
                format!("Invalid Stonith config file [{file}]"),
            ),
        );
    }
    if is_agent(kind) {
        return Err(Refusal::silent(
            "the parameters of a fence agent must stand in a stonith_host line",
        ));
    }
    keep(draft, kind, false, FenceDriver::PluginFile(file.into()));
    Ok(())
}

/// `stonith_host HOST TYPE PARAMS...`.
pub(super) fn stonith_host(draft: &mut Draft<'_>, value: &str) -> Verdict {
    let (host, rest) = first_word(value);
    if host.is_empty() {
        return Err(Refusal::legacy(
            "No Stonith hostname argument given",
            "a host name, a type and its parameters must follow",
        ));
    }
    if host.len() > MAX_STONITH_HOST_BYTES {
        return Err(Refusal::legacy(
            "Stonith hostname too long",
            format!("at most {MAX_STONITH_HOST_BYTES} bytes"),
        ));
    }
    // Quirk: the lines of other hosts are not checked at all.
    if host != "*" && !host.eq_ignore_ascii_case(&draft.local) {
        return Ok(());
    }
    let (kind, parameters) = first_word(rest);
    stonith_type(draft, kind)?;
    if parameters.is_empty() {
        return Err(Refusal::legacy(
            "Invalid Stonith configuration parameter []",
            "the parameters of the device are missing",
        ));
    }
    let driver = if is_agent(kind) {
        FenceDriver::Agent(read_words(parameters).map_err(|bad| bad.of(kind))?)
    } else if parameters.len() > MAX_PLUGIN_BYTES {
        return Err(Refusal::silent(format!(
            "the parameters are {} bytes long; the stonith command takes {MAX_PLUGIN_BYTES}",
            parameters.len()
        )));
    } else {
        FenceDriver::PluginWords(Secret::new(parameters))
    };
    keep(draft, kind, host != "*", driver);
    Ok(())
}

/// How a `stonith_host` line with these parameters is driven, on whichever host; `None`: they cannot be read.
#[must_use]
pub fn driver(kind: &str, parameters: &str) -> Option<FenceDriver> {
    if is_agent(kind) {
        return read_words(parameters).ok().map(FenceDriver::Agent);
    }
    (!parameters.is_empty()).then(|| FenceDriver::PluginWords(Secret::new(parameters)))
}

fn keep(draft: &mut Draft<'_>, kind: &str, only_here: bool, driver: FenceDriver) {
    let place = draft.place();
    let place = place.rsplit_once(": ").map_or(place, |(place, _)| place);
    let device = FenceDevice {
        place: place.to_owned(),
        kind: kind.to_owned(),
        only_here,
        driver,
    };
    draft.fence_devices.push(device);
}

fn is_agent(kind: &str) -> bool {
    kind.starts_with(AGENT_PREFIX)
}

fn stonith_type(draft: &Draft<'_>, kind: &str) -> Verdict {
    if kind.is_empty() {
        return Err(Refusal::legacy(
            "No Stonith type given",
            "a type must follow",
        ));
    }
    if !draft.env_of.has_stonith_type(kind) {
        return Err(Refusal::legacy(
            format!("Invalid Stonith type [{kind}]"),
            if is_agent(kind) {
                "no such fence agent is installed"
            } else {
                "no such plugin is installed"
            },
        ));
    }
    Ok(())
}

/// Why a parameter of an agent is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum BadWord {
    #[error("it is not of the form name=value")]
    NotAPair,
    #[error("the quotation mark is not closed, or something follows it without a blank")]
    Quote,
    #[error("the node sets this parameter itself")]
    SetByTheNode,
    #[error("it is given twice")]
    Twice,
    #[error("it is not a list HOST[:PLUG],...")]
    Hosts,
    #[error("it is not an absolute path")]
    Path,
    #[error("the password is given as well")]
    TwoPasswords,
    #[error("hosts names a plug as well")]
    TwoPlugs,
}

/// The parameter, counted from 1, and what is wrong. Its text may be a part of a password.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bad(usize, BadWord);

impl Bad {
    fn of(self, kind: &str) -> Refusal {
        let Self(number, why) = self;
        let legacy = format!("Invalid Stonith configuration parameter [number {number} of {kind}]");
        Refusal::legacy(legacy, why.to_string())
    }
}

fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0c')
}

/// The next `name=value` or `name="value"`, and what follows it.
fn next_pair(text: &str) -> Result<(&str, &str, &str), BadWord> {
    let (name, rest) = text.split_once('=').ok_or(BadWord::NotAPair)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(BadWord::NotAPair);
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, rest) = quoted.split_once('"').ok_or(BadWord::Quote)?;
        if !rest.is_empty() && !rest.starts_with(is_white) {
            return Err(BadWord::Quote);
        }
        return Ok((name, value, rest));
    }
    let (value, rest) = rest.split_once(is_white).unwrap_or((rest, ""));
    Ok((name, value, rest))
}

fn read_words(text: &str) -> Result<AgentWords, Bad> {
    let mut words = AgentWords::default();
    let mut seen = BTreeSet::new();
    let mut rest = text.trim_matches(is_white);
    let mut number: usize = 0;
    while !rest.is_empty() {
        number = number.saturating_add(1);
        let bad = |why| Bad(number, why);
        let (name, value, after) = next_pair(rest).map_err(bad)?;
        rest = after.trim_start_matches(is_white);
        if !seen.insert(name) {
            return Err(bad(BadWord::Twice));
        }
        if SET_BY_THE_NODE.contains(&name) {
            return Err(bad(BadWord::SetByTheNode));
        }
        match name {
            "hosts" => words.hosts = read_hosts(value).ok_or(bad(BadWord::Hosts))?,
            "password_file" => {
                let path = Path::new(value);
                if !path.is_absolute() {
                    return Err(bad(BadWord::Path));
                }
                words.password_file = Some(path.to_owned());
            }
            _ => words.words.push((name.to_owned(), Secret::new(value))),
        }
    }
    let has = |names: [&str; 2]| seen.iter().any(|name| names.contains(name));
    if words.password_file.is_some() && has(["password", "passwd"]) {
        return Err(Bad(number, BadWord::TwoPasswords));
    }
    if words.names_plug() && words.hosts.iter().any(|it| it.plug.is_some()) {
        return Err(Bad(number, BadWord::TwoPlugs));
    }
    Ok(words)
}

fn read_hosts(text: &str) -> Option<Vec<HostPlug>> {
    let mut hosts: Vec<HostPlug> = Vec::new();
    for word in text.split(',') {
        let (host, plug) = match word.split_once(':') {
            Some((_, "")) => return None,
            Some((host, plug)) => (host, Some(plug.to_owned())),
            None => (word, None),
        };
        let host = NodeName::new(host).ok()?;
        if hosts.iter().any(|known| known.host == host) {
            return None;
        }
        hosts.push(HostPlug { host, plug });
    }
    Some(hosts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugs(words: &AgentWords) -> Vec<(&str, Option<&str>)> {
        let hosts = words.hosts.iter();
        hosts
            .map(|it| (it.host.as_str(), it.plug.as_deref()))
            .collect()
    }

    #[test]
    fn an_agent_takes_pairs_and_our_two_parameters_are_not_for_it() {
        let words = read_words(
            "ip=10.0.0.3  username=admin\tpassword_file=/etc/ha.d/ipmi ssh_options=\"-t a=b\" \
             lanplus=1 empty= hosts=Beta,gamma:3",
        )
        .expect("good");
        let shown: Vec<(&str, &str)> = words
            .words
            .iter()
            .map(|(name, value)| (name.as_str(), value.reveal()))
            .collect();
        assert_eq!(
            shown,
            [
                ("ip", "10.0.0.3"),
                ("username", "admin"),
                ("ssh_options", "-t a=b"),
                ("lanplus", "1"),
                ("empty", ""),
            ]
        );
        assert_eq!(plugs(&words), [("beta", None), ("gamma", Some("3"))]);
        assert_eq!(
            words.password_file.as_deref(),
            Some(Path::new("/etc/ha.d/ipmi"))
        );
        assert!(!words.names_plug());
        assert!(read_words("port=3").expect("good").names_plug());
    }

    #[test]
    fn a_bad_parameter_is_named_by_its_number_alone() {
        for (text, number, why) in [
            ("secret", 1, BadWord::NotAPair),
            ("ip=1 my secret", 2, BadWord::NotAPair),
            ("ip=1 =secret", 2, BadWord::NotAPair),
            ("ip=1 pass word=secret", 2, BadWord::NotAPair),
            ("ip=1 \"password\"=secret", 2, BadWord::NotAPair),
            ("ip=1 password=\"secret", 2, BadWord::Quote),
            ("ip=1 password=\"sec\"ret x=1", 2, BadWord::Quote),
            ("ip=1 action=off", 2, BadWord::SetByTheNode),
            ("option=off", 1, BadWord::SetByTheNode),
            ("nodename=beta", 1, BadWord::SetByTheNode),
            ("ip=1 ip=2", 2, BadWord::Twice),
            ("hosts=", 1, BadWord::Hosts),
            ("hosts=a,,b", 1, BadWord::Hosts),
            ("hosts=a:", 1, BadWord::Hosts),
            ("hosts=a,a:2", 1, BadWord::Hosts),
            ("password_file=ipmi", 1, BadWord::Path),
            (
                "password=secret password_file=/a ip=1",
                3,
                BadWord::TwoPasswords,
            ),
            ("plug=1 hosts=a:2", 2, BadWord::TwoPlugs),
        ] {
            let bad = read_words(text).expect_err(text);
            assert_eq!(bad, Bad(number, why), "{text}");
            let refusal = format!("{:?}", bad.of("fence_x"));
            assert!(!refusal.contains("secret"), "{refusal}");
        }
    }

    #[test]
    fn only_the_host_and_the_type_of_a_line_are_quoted() {
        for (line, shown) in [
            (
                "* external/ipmi beta 10.0.0.3 admin secret",
                "* external/ipmi",
            ),
            ("*  external/ipmi\tsecret", "*  external/ipmi"),
            ("* external/ipmi", "* external/ipmi"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(quotable("stonith_host", line), shown);
        }
        assert_eq!(quotable("stonith", "null /etc/x"), "null /etc/x");
        assert_eq!(format!("{:?}", Secret::new("secret")), "(hidden)");
    }

    #[test]
    fn lines_name_hosts_only_if_every_one_does() {
        let agent = |hosts: &str| FenceDevice {
            place: "ha.cf:1".to_owned(),
            kind: "fence_x".to_owned(),
            only_here: false,
            driver: FenceDriver::Agent(read_words(hosts).expect("good")),
        };
        let named = named_hosts(&[agent("hosts=b"), agent("hosts=c,b")]).expect("all named");
        let named: Vec<&str> = named.iter().map(NodeName::as_str).collect();
        assert_eq!(named, ["b", "c"]);
        assert_eq!(named_hosts(&[agent("hosts=b"), agent("ip=1")]), None);
    }
}
