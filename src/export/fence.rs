//! Fencing devices of ha.cf for Pacemaker.

use super::facts::Facts;
use crate::config::fencing::{AgentWords, FenceDriver, driver};

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) line: usize,
    pub(super) kind: String,
    /// The one node that may use it; `None`: all.
    pub(super) only: Option<String>,
    /// Names and values, or why nothing can be made of it.
    pub(super) params: Result<Vec<(String, String)>, String>,
}

/// Parameters of plugins by their place, as `stonith -t TYPE -n` names them.
const PLUGINS: &[(&str, &[&str])] = &[
    ("apcmaster", &["ipaddr", "login", "password"]),
    ("apcsmart", &["ttydev", "hostlist"]),
    ("baytech", &["ipaddr", "login", "password"]),
    (
        "external/ipmi",
        &["hostname", "ipaddr", "userid", "passwd", "interface"],
    ),
    (
        "external/libvirt",
        &["hostlist", "hypervisor_uri", "reboot_method"],
    ),
    ("external/rackpdu", &["hostlist", "pduip", "community"]),
    ("external/ssh", &["hostlist"]),
    ("ibmhmc", &["ipaddr"]),
    ("meatware", &["hostlist"]),
    ("null", &["hostlist"]),
    (
        "rcd_serial",
        &["hostlist", "ttydev", "dtr_rts", "msduration"],
    ),
    ("ssh", &["hostlist"]),
    ("wti_nps", &["ipaddr", "password"]),
];

/// The devices of all nodes, in the order of ha.cf.
pub(super) fn devices(facts: &Facts<'_>) -> Vec<Device> {
    let mut devices = Vec::new();
    for (line, value) in facts.lines("stonith_host") {
        let mut words = value.splitn(2, char::is_whitespace);
        let host = words.next().unwrap_or_default();
        let rest = words.next().unwrap_or_default().trim_start();
        let (kind, parameters) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let node = facts.config.nodes.iter();
        let only = node
            .map(|it| it.as_str())
            .find(|it| it.eq_ignore_ascii_case(host));
        let params = match driver(kind, parameters) {
            _ if host != "*" && only.is_none() => {
                Err("it is for a host that is no node".to_owned())
            }
            Some(FenceDriver::Agent(words)) => Ok(of_agent(&words)),
            Some(FenceDriver::PluginWords(words)) => of_plugin(kind, words.reveal()),
            Some(FenceDriver::PluginFile(_)) | None => {
                Err("its parameters cannot be understood".to_owned())
            }
        };
        devices.push(Device {
            line,
            kind: kind.to_owned(),
            only: only.map(str::to_owned),
            params,
        });
    }
    for (line, value) in facts.lines("stonith") {
        let (kind, file) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
        let text = facts.devices.get(std::path::Path::new(file.trim()));
        let words = text.and_then(|text| {
            let lines = text.lines().map(str::trim);
            lines
                .into_iter()
                .find(|it| !it.is_empty() && !it.starts_with('#'))
        });
        devices.push(Device {
            line,
            kind: kind.to_owned(),
            only: None,
            params: match words {
                Some(words) => of_plugin(kind, words),
                None => Err("its file cannot be read, or has no parameters".to_owned()),
            },
        });
    }
    devices.sort_by_key(|it| it.line);
    devices
}

fn of_agent(words: &AgentWords) -> Vec<(String, String)> {
    let pairs = words.words.iter();
    let mut params: Vec<(String, String)> = pairs
        .map(|(name, value)| (name.clone(), value.reveal().to_owned()))
        .collect();
    let hosts = words.hosts.iter().map(|it| it.host.as_str());
    let hosts: Vec<&str> = hosts.collect();
    if !hosts.is_empty() {
        params.push(("pcmk_host_list".to_owned(), hosts.join(" ")));
        params.push(("pcmk_host_check".to_owned(), "static-list".to_owned()));
    }
    let plugs = words.hosts.iter().filter_map(|it| {
        let plug = it.plug.as_ref()?;
        Some(format!("{}:{plug}", it.host))
    });
    let plugs: Vec<String> = plugs.collect();
    if !plugs.is_empty() {
        params.push(("pcmk_host_map".to_owned(), plugs.join(";")));
    }
    if let Some(file) = &words.password_file {
        let quoted = file.display().to_string().replace('\'', "'\\''");
        let script = format!("head -n 1 '{quoted}'");
        params.push(("password_script".to_owned(), script));
    }
    params
}

fn of_plugin(kind: &str, words: &str) -> Result<Vec<(String, String)>, String> {
    let Some((_, names)) = PLUGINS.iter().find(|row| row.0 == kind) else {
        return Err(format!(
            "the names of the parameters of the plugin {kind} are not known here (stonith -t {kind} -n tells them)"
        ));
    };
    let words: Vec<&str> = words.split_whitespace().collect();
    if let ["hostlist"] = names {
        return Ok(vec![("hostlist".to_owned(), words.join(" "))]);
    }
    if words.len() > names.len() || words.is_empty() {
        return Err(format!(
            "the plugin {kind} takes {} parameters",
            names.len()
        ));
    }
    let pairs = names.iter().zip(words);
    let pairs = pairs.map(|(name, value)| ((*name).to_owned(), value.to_owned()));
    Ok(pairs.collect())
}
