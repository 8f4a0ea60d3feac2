//! What a word of haresources is for Pacemaker.

use super::cib::is_text;
use super::facts::{Facts, Script};
use crate::agents::script::ScriptCall;
use crate::net::address::{AddressResource, parse_word};

/// A resource agent with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) class: &'static str,
    pub(super) provider: Option<String>,
    pub(super) kind: String,
    pub(super) params: Vec<(String, String)>,
    /// Something to do before it can run.
    pub(super) todo: Option<String>,
    pub(super) is_address: bool,
}

/// The meaning of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A resource.
    Agent(Agent),
    /// A resource of DRBD, which is promoted where the group runs.
    Drbd(String),
    /// Nothing does it; why.
    Lost(String),
}

/// Agents that haresources calls with words by their place: name, fewest words, parameters.
const BY_PLACE: &[(&str, usize, &[&str])] = &[
    (
        "Filesystem",
        2,
        &["device", "directory", "fstype", "options"],
    ),
    ("LVM", 1, &["volgrpname"]),
    ("Raid1", 2, &["raidconf", "raiddev"]),
    ("MailTo", 1, &["email", "subject"]),
    ("Delay", 0, &["startdelay", "stopdelay"]),
    ("apache", 0, &["configfile"]),
    ("portblock", 3, &["protocol", "portno", "action"]),
    ("Xinetd", 1, &["service"]),
    ("IPsrcaddr", 1, &["ipaddress"]),
    ("ServeRAID", 2, &["serveraid", "mergegroup"]),
    ("LinuxSCSI", 1, &["scsi"]),
    ("WinPopup", 0, &["hostfile"]),
    ("db2", 1, &["instance"]),
    ("ICP", 2, &["driveid", "device"]),
    ("ids", 0, &["informixdir", "informixserver", "onconfig"]),
];

impl Agent {
    fn ocf(kind: &str, params: Vec<(String, String)>) -> Self {
        Self {
            class: "ocf",
            provider: Some("heartbeat".to_owned()),
            kind: kind.to_owned(),
            params,
            todo: None,
            is_address: false,
        }
    }

    fn of_class(class: &'static str, kind: &str) -> Self {
        Self {
            class,
            provider: None,
            ..Self::ocf(kind, Vec::new())
        }
    }

    /// `ocf:heartbeat:IPaddr2`.
    pub(super) fn name(&self) -> String {
        let parts = [Some(self.class), self.provider.as_deref(), Some(&self.kind)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(":")
    }
}

/// The meaning of a word.
pub(super) fn meaning(word: &str, facts: &Facts<'_>) -> Meaning {
    if !is_text(word) {
        return Meaning::Lost("it has a character that XML does not allow".to_owned());
    }
    match parse_word(word) {
        Ok(Some(address)) => return Meaning::Agent(of_address(&address)),
        Err(error) => return Meaning::Lost(error.to_string()),
        Ok(None) => {}
    }
    let call = ScriptCall::parse(word);
    let name = call.name.as_str();
    let args: Vec<&str> = call.args.iter().map(String::as_str).collect();
    if let Some((_, fewest, names)) = BY_PLACE.iter().find(|row| row.0 == name) {
        if args.len() < *fewest || args.len() > names.len() {
            return Meaning::Lost(format!("{name} is not called like this"));
        }
        let params = names.iter().zip(&args);
        let params = params.map(|(name, value)| pair(name, value)).collect();
        return Meaning::Agent(Agent::ocf(name, params));
    }
    match (name, args.as_slice()) {
        ("AudibleAlarm", nodes) => {
            Meaning::Agent(Agent::ocf(name, vec![pair("nodelist", &nodes.join(" "))]))
        }
        ("SendArp", [value]) => {
            let (ip, nic) = value.split_once('/').unwrap_or((value, ""));
            Meaning::Agent(Agent::ocf(name, vec![pair("ip", ip), pair("nic", nic)]))
        }
        ("WAS", []) => Meaning::Agent(Agent::ocf(name, Vec::new())),
        ("WAS", [value]) => {
            let key = if value.bytes().all(|it| it.is_ascii_digit()) {
                "port"
            } else {
                "config"
            };
            Meaning::Agent(Agent::ocf(name, vec![pair(key, value)]))
        }
        ("drbddisk", [resource]) => Meaning::Drbd((*resource).to_owned()),
        ("drbddisk", _) => Meaning::Lost(
            "drbddisk without the name of a resource promotes all of them; Pacemaker needs one resource each".to_owned(),
        ),
        ("systemd", [unit]) => {
            let unit = unit.strip_suffix(".service").unwrap_or(unit);
            let mut agent = Agent::of_class("systemd", unit);
            agent.todo = Some(format!("keep {unit} from being started at boot: systemctl disable {unit} on both nodes"));
            Meaning::Agent(agent)
        }
        ("OCF", [kind, instance]) => of_file(kind, instance, facts),
        _ => of_script(&call, facts),
    }
}

fn of_address(address: &AddressResource) -> Agent {
    let mut params = vec![pair("ip", &address.address.to_string())];
    if let Some(prefix) = address.prefix {
        params.push(pair("cidr_netmask", &prefix.to_string()));
    }
    if let Some(nic) = &address.interface {
        params.push(pair("nic", nic));
    }
    if let Some(broadcast) = address.broadcast {
        params.push(pair("broadcast", &broadcast.to_string()));
    }
    let label = address.label.as_ref().and_then(|it| it.split_once(':'));
    if let Some((_, label)) = label {
        params.push(pair("iflabel", label));
    }
    Agent {
        is_address: true,
        ..Agent::ocf("IPaddr2", params)
    }
}

/// `OCF::TYPE::INSTANCE`, whose parameters are in a file.
fn of_file(kind: &str, instance: &str, facts: &Facts<'_>) -> Meaning {
    let file = format!("conf/OCF/{kind}/{instance}");
    let Some(text) = facts.ocf.get(&(kind.to_owned(), instance.to_owned())) else {
        return Meaning::Lost(format!(
            "its parameters are in {file}, which cannot be read"
        ));
    };
    let mut params = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let value = line.strip_prefix("OCF_RESKEY_");
        let read = value.and_then(|it| it.split_once('='));
        let read = read.and_then(|(name, value)| Some((name, unquoted(value)?)));
        let Some((name, value)) = read else {
            return Meaning::Lost(format!(
                "{file} has more than lines OCF_RESKEY_name=value: only a shell can read it"
            ));
        };
        params.push(pair(name, value));
    }
    let mut agent = Agent::ocf(kind, params);
    if let Some(provider) = facts.providers.get(kind) {
        agent.provider = Some(provider.clone());
    }
    Meaning::Agent(agent)
}

/// The value of a shell assignment that is only text.
fn unquoted(value: &str) -> Option<&str> {
    let value = value.trim();
    let inside = ['"', '\''].into_iter().find_map(|quote| {
        let inside = value.strip_prefix(quote)?.strip_suffix(quote)?;
        (!inside.contains(quote)).then_some(inside)
    });
    let special = |c: char| "$`\\\"'".contains(c);
    match inside {
        Some(inside) => (!inside.contains(special)).then_some(inside),
        None => {
            let more = |c: char| special(c) || c.is_whitespace() || ";&|<>()".contains(c);
            (!value.contains(more)).then_some(value)
        }
    }
}

fn of_script(call: &ScriptCall, facts: &Facts<'_>) -> Meaning {
    let name = &call.name;
    let place = facts.scripts.get(name);
    if place == Some(&Script::Agent) {
        if let Some(word) = call.not_parameters().next() {
            return Meaning::Lost(format!("{word} is no name=value, which OCF agents take"));
        }
        let params = call.args.iter().filter_map(|it| it.split_once('='));
        let params = params.map(|(name, value)| pair(name, value)).collect();
        return Meaning::Agent(Agent::ocf(name, params));
    }
    if !call.args.is_empty() {
        return Meaning::Lost(format!(
            "no class of agents of Pacemaker calls the script {name} with arguments: write an OCF agent of it"
        ));
    }
    let mut agent = Agent::of_class("lsb", name);
    agent.todo = Some(match place {
        Some(Script::InitD) => format!(
            "see that /etc/init.d/{name} ends with the exit codes of LSB: status 0 runs, 3 does not; stop 0 when it \
             does not run; and does not start at boot"
        ),
        Some(Script::ResourceD) => format!(
            "link /etc/init.d/{name} to a copy of /etc/ha.d/resource.d/{name} on both nodes, and see that it ends with \
             the exit codes of LSB: status 0 runs, 3 does not; stop 0 when it does not run"
        ),
        Some(Script::Agent) | None => format!(
            "there is no script {name} here: Pacemaker looks for /etc/init.d/{name} on both nodes"
        ),
    });
    Meaning::Agent(agent)
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
