//! The command lines and inputs of fencing programs, and the meaning of their lists of hosts.

use std::net::IpAddr;
use std::path::PathBuf;

use super::private::Private;
use super::{Ask, FenceContext, FenceFailure, Hosts};
use crate::agents::script::HIDDEN;
use crate::config::fencing::{AgentWords, FenceDevice, FenceDriver, HostPlug};
use crate::protocol::name::NodeName;

/// Where a program finds its standard input.
const INPUT: &str = "/dev/stdin";

/// Lines of a list that are read.
const MAX_LINES: usize = 4096;

/// Parameters of agents that are no secret. Any other value is hidden.
const PLAIN: [&str; 34] = [
    "auth",
    "cipher",
    "delay",
    "disable_timeout",
    "hexadecimal_kg",
    "inet4_only",
    "inet6_only",
    "ip",
    "ipaddr",
    "ipport",
    "lanplus",
    "login",
    "login_timeout",
    "method",
    "missing_as_off",
    "plug",
    "port",
    "port_as_ip",
    "power_timeout",
    "power_wait",
    "privlvl",
    "quiet",
    "retry_on",
    "separator",
    "shell_timeout",
    "snmp_version",
    "ssh",
    "ssl",
    "ssl_insecure",
    "stonith_status_sleep",
    "target",
    "type",
    "username",
    "verbose",
];

/// One call of a program.
#[derive(Default)]
pub(super) struct Call {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    pub(super) input: Vec<u8>,
    /// Secrets, which the program may print.
    pub(super) hidden: Vec<String>,
    /// The input for people.
    shown_input: Vec<String>,
}

impl Call {
    /// What asks `device`.
    pub(super) fn of(
        device: &FenceDevice,
        context: &FenceContext,
        ask: &Ask,
        private: &Private,
    ) -> Result<Self, FenceFailure> {
        let mut call = match &device.driver {
            FenceDriver::PluginFile(path) => {
                let mut call = Self::of_plugin(&device.kind, context, &path.display().to_string());
                call.hide_words(&private.parameters, context);
                call
            }
            FenceDriver::PluginWords(words) => {
                let mut call = Self::of_plugin(&device.kind, context, INPUT);
                call.input = format!("{}\n", words.reveal()).into_bytes();
                call.hide_words(words.reveal(), context);
                let shown = crate::agents::script::without(words.reveal().as_bytes(), &call.hidden);
                call.shown_input.push(shown);
                // Some plugins print the line as it is.
                call.hidden.push(words.reveal().to_owned());
                call
            }
            FenceDriver::Agent(words) => {
                return Ok(Self::of_agent(&device.kind, context, words, ask, private));
            }
        };
        match ask {
            Ask::Status => call.args.push("-S".to_owned()),
            Ask::List => call.args.push("-l".to_owned()),
            Ask::Reset(host) => {
                let name = host.plug.as_deref().unwrap_or(host.host.as_str());
                if !is_safe(name) {
                    return Err(FenceFailure::Name);
                }
                call.args.extend(["-T", "reset", name].map(str::to_owned));
            }
        }
        Ok(call)
    }

    fn of_plugin(kind: &str, context: &FenceContext, file: &str) -> Self {
        Self {
            program: context.stonith.clone(),
            args: ["-t", kind, "-F", file].map(str::to_owned).to_vec(),
            ..Self::default()
        }
    }

    /// The parameters of a plugin have no names: only nodes and addresses are known to be no secret.
    fn hide_words(&mut self, text: &str, context: &FenceContext) {
        let plain = |word: &&str| {
            word.parse::<IpAddr>().is_ok()
                || NodeName::new(word).is_ok_and(|name| context.nodes.contains(&name))
        };
        let words = text.split_whitespace().filter(|word| !plain(word));
        self.hidden.extend(words.map(str::to_owned));
    }

    fn of_agent(
        kind: &str,
        context: &FenceContext,
        words: &AgentWords,
        ask: &Ask,
        private: &Private,
    ) -> Self {
        let mut call = Self {
            program: context.agents.join(kind),
            ..Self::default()
        };
        // First, and with nothing around the sign: an agent resets when it does not understand it.
        call.tell("action", agent_action(ask));
        for (name, value) in &words.words {
            call.tell(name, value.reveal());
        }
        if let Some(password) = &private.password {
            call.tell("password", password);
        }
        if let Ask::Reset(host) = ask {
            if let Some(plug) = &host.plug {
                call.tell("plug", plug);
            }
            call.tell("nodename", host.host.as_str());
        }
        call
    }

    fn tell(&mut self, name: &str, value: &str) {
        self.input.extend(format!("{name}={value}\n").into_bytes());
        let plain = matches!(name, "action" | "nodename") || PLAIN.contains(&name);
        if !plain {
            self.hidden.push(value.to_owned());
        }
        let shown = if plain { value } else { HIDDEN };
        self.shown_input.push(format!("{name}={shown}"));
    }

    /// Lines for people: the command, then its input.
    pub(super) fn shown(&self) -> Vec<String> {
        let program = self.program.display().to_string();
        let words = std::iter::once(program).chain(self.args.iter().cloned());
        let command = words.collect::<Vec<_>>().join(" ");
        let input = self.shown_input.iter().map(|line| format!("< {line}"));
        std::iter::once(command).chain(input).collect()
    }
}

const fn agent_action(ask: &Ask) -> &'static str {
    match ask {
        Ask::Status => "monitor",
        Ask::List => "list",
        Ask::Reset(_) => "reboot",
    }
}

/// Whether a shell takes the name for nothing but a word, and a program for no option.
fn is_safe(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !name.is_empty() && !name.starts_with('-') && name.chars().all(plain)
}

/// The hosts in a list that a device printed: one name a line, from an agent `PLUG,NAME`.
pub(super) fn hosts(output: &[u8], driver: &FenceDriver, nodes: &[NodeName]) -> Hosts {
    let agent = matches!(driver, FenceDriver::Agent(_));
    let mut hosts = Hosts::default();
    let text = String::from_utf8_lossy(output);
    for line in text.lines().take(MAX_LINES) {
        let line = line.trim();
        if line.is_empty() || line.contains(char::is_control) {
            continue;
        }
        let (plug, name) = match line.split_once(',').filter(|_| agent) {
            Some((plug, name)) => (plug.trim(), name.trim()),
            None => (line, line),
        };
        let named = [name, plug].into_iter().find_map(|word| {
            let name = NodeName::new(word).ok()?;
            nodes.contains(&name).then_some(name)
        });
        match named {
            Some(host) if !hosts.nodes.iter().any(|it| it.host == host) => {
                hosts.nodes.push(HostPlug {
                    host,
                    plug: Some(plug.to_owned()),
                });
            }
            Some(_) => {}
            None => hosts.others = hosts.others.saturating_add(1),
        }
    }
    hosts
}
