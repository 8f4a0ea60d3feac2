//! `cl_status`: asks the node on this machine, as scripts know it. Options, texts (spelling
//! included) and exit codes are the legacy ones; `--json` prints one object instead.
//! Spec: client API, section 14.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};
use systole::api_client::{ApiClient, ApiError};
use systole::ccm_client::{self, Answer};
use systole::ha_log::line::{self, FileKind, FileStyle, Record};
use systole::notice::Severity;
use systole::paths::Paths;
use systole::protocol::message::Message;

/// After which the program ends with [`EXIT_TIMEOUT`].
const ALARM: Duration = Duration::from_secs(5);

/// How long ccm may take to say who is a member.
const CCM_PATIENCE: Duration = Duration::from_secs(1);

/// What is asked for is down, not set, or the daemon is not there.
const EXIT_DOWN: u8 = 1;
const EXIT_PARAMETER: u8 = 11;
const EXIT_TIMEOUT: u8 = 12;
const EXIT_UNKNOWN: u8 = 13;

const USAGE: &str = "\
Usage: cl_status <sub-command> [<options>] [<parameters>]

Sub-commands:
clientstatus <node-name> <client-id> [<timeout>]
	Show the status of heartbeat clients.
hblinkstatus <node-name> <link-name>
	Show the status of a heartbeat link
hbstatus
	Indicate if heartbeat is running on the local system.
	Options:
		-v	verbose: also add \"listnodes -v\" output
listnodes [<option>]
	List the nodes in the cluster.
	Options:
		-p	list only 'ping' type nodes
		-n	list only 'normal' type nodes
		-v	verbose: also list type and status,
			then add \"listhblinks -v\" output
listhblinks <node-name>
	List the network interfaces used as hearbeat links.
	Options:
		-v	verbose: list link status as well
nodestatus <node-name>
	List the node status.
nodeweight <node-name>
	List the node weight.
nodesite <node-name>
	List the node site.
nodetype <node-name>
	List the nodes of a given type.
rscstatus
	Show the status of cluster resources.
hbparameter -p <parameter-name>
	Retrieve the value of a cluster parameter.
	As for the valid parameter names, please refer to the man page.
";

/// What a call comes to.
struct Outcome {
    code: u8,
    /// Standard output for people and scripts.
    text: String,
    /// Standard output with `--json`.
    json: Value,
    /// Plain lines on standard error.
    errors: Vec<String>,
    /// Log lines on standard error.
    logged: Vec<String>,
}

impl Outcome {
    fn said(code: u8, text: impl Into<String>, json: Value) -> Self {
        Self {
            code,
            text: text.into(),
            json,
            errors: Vec::new(),
            logged: Vec::new(),
        }
    }

    /// A plain line on standard error.
    fn complaint(code: u8, line: &str) -> Self {
        Self {
            errors: vec![line.to_owned()],
            ..Self::said(code, "", json!({ "error": line }))
        }
    }

    /// Log lines on standard error.
    fn logged<const N: usize>(code: u8, lines: [String; N]) -> Self {
        let error = lines.join(": ");
        Self {
            logged: lines.to_vec(),
            ..Self::said(code, "", json!({ "error": error }))
        }
    }
}

/// The options of one call.
#[derive(Default)]
struct Options {
    for_people: bool,
    verbose: bool,
    normal: bool,
    ping: bool,
    parameter: Option<String>,
    words: Vec<String>,
    /// What getopt says of an option that it does not know.
    bad: Option<String>,
}

/// The subcommands and the options that each takes; `p:` takes a value.
const COMMANDS: &[(&str, &str)] = &[
    ("clientstatus", "m"),
    ("hbstatus", "mv"),
    ("hblinkstatus", "m"),
    ("hbparameter", "mp:"),
    ("listhblinks", "mv"),
    ("listnodes", "mnpv"),
    ("nodestatus", "m"),
    ("nodeweight", "m"),
    ("nodesite", "m"),
    ("nodetype", "m"),
    ("rscstatus", "m"),
    ("test", "m"),
];

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let before = words.len();
    words.retain(|word| word != "--json");
    let as_json = words.len() < before;
    std::thread::spawn(|| {
        #[allow(
            clippy::disallowed_methods,
            reason = "the alarm of a short-lived program"
        )]
        std::thread::sleep(ALARM);
        std::process::exit(i32::from(EXIT_TIMEOUT));
    });
    let outcome = run(&words);
    let mut out = std::io::stdout().lock();
    let printed = if as_json {
        writeln!(out, "{}", outcome.json)
    } else {
        out.write_all(outcome.text.as_bytes())
    };
    // A reader that closes its end early is no reason to panic.
    let _ = printed.and_then(|()| out.flush());
    for text in outcome.errors {
        eprintln!("{text}");
    }
    for text in outcome.logged {
        eprint!("{}", log_line(text));
    }
    ExitCode::from(outcome.code)
}

/// A line as the legacy program logs it to standard error.
fn log_line(text: String) -> String {
    let record = Record {
        unix_s: systole::clock::wall_unix_s(),
        severity: Severity::Error,
        tag: None,
        entity: Some("cl_status".to_owned()),
        pid: std::process::id(),
        text,
    };
    let time = systole::sys::local_time(record.unix_s);
    let host = nix::unistd::gethostname().unwrap_or_default();
    let host = host.to_string_lossy();
    line::file_line(&record, time, &host, FileStyle::Syslog, FileKind::Log)
}

fn run(words: &[String]) -> Outcome {
    let Some((command, rest)) = words.split_first().filter(|(first, _)| *first != "-h") else {
        return Outcome::said(0, USAGE, json!({ "usage": USAGE }));
    };
    let Some((_, letters)) = COMMANDS.iter().find(|(name, _)| name == command) else {
        return Outcome::logged(EXIT_PARAMETER, [format!("{command}: invalid sub-command.")]);
    };
    let options = parse(command, letters, rest);
    let signed_on = ApiClient::sign_on(&Paths::default().register());
    if command == "hbstatus" {
        return hbstatus(signed_on, &options);
    }
    let mut client = match signed_on {
        Ok(client) => client,
        Err(error) => {
            return Outcome::logged(
                EXIT_DOWN,
                [
                    "Cannot signon with heartbeat".to_owned(),
                    format!("REASON: {error}"),
                ],
            );
        }
    };
    let outcome = if let Some(bad) = &options.bad {
        let code = if matches!(
            command.as_str(),
            "listnodes" | "listhblinks" | "hbparameter"
        ) {
            "code "
        } else {
            ""
        };
        let mut outcome = Outcome::logged(
            EXIT_PARAMETER,
            [format!("Error: getopt returnedcharacter {code}?.")],
        );
        outcome.errors.push(bad.clone());
        outcome
    } else {
        answer(command, &mut client, &options)
    };
    client.sign_off();
    outcome
}

/// Options and words in any order, as getopt takes them. The first bad option ends it.
fn parse(command: &str, letters: &str, words: &[String]) -> Options {
    let mut options = Options::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            options.words.extend(words.cloned());
            break;
        }
        let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty()) else {
            options.words.push(word.clone());
            continue;
        };
        for (at, flag) in flags.char_indices() {
            if flag == ':' || !letters.contains(flag) {
                let line = format!("{command}: invalid option -- '{flag}'");
                options.bad.get_or_insert(line);
                if command == "hbstatus" {
                    continue;
                }
                return options;
            }
            match flag {
                'm' => options.for_people = true,
                'v' => options.verbose = true,
                'n' => options.normal = true,
                'p' if letters.contains("p:") => {
                    let attached = flags.get(at + 1..).filter(|rest| !rest.is_empty());
                    options.parameter = match attached {
                        Some(value) => Some(value.to_owned()),
                        None => words.next().cloned(),
                    };
                    if options.parameter.is_none() {
                        let line = format!("{command}: option requires an argument -- 'p'");
                        options.bad.get_or_insert(line);
                        return options;
                    }
                    break;
                }
                _ => options.ping = true,
            }
        }
    }
    options
}

fn hbstatus(signed_on: Result<ApiClient, ApiError>, options: &Options) -> Outcome {
    let mut outcome = match signed_on {
        Ok(client) => running(client, options),
        Err(error @ ApiError::Refused(_)) => not_ours(
            0,
            "Heartbeat is apparently running on this machine, but refuses my connection",
            "refused",
            &error,
            options,
        ),
        Err(error) => not_ours(
            EXIT_DOWN,
            "Heartbeat is stopped on this machine.",
            "stopped",
            &error,
            options,
        ),
    };
    outcome.errors.extend(options.bad.clone());
    outcome
}

fn not_ours(code: u8, line: &str, word: &str, error: &ApiError, options: &Options) -> Outcome {
    let mut text = format!("{line}\n");
    if options.verbose {
        let _ = writeln!(text, "({error})");
    }
    Outcome::said(
        code,
        text,
        json!({ "status": word, "reason": error.to_string() }),
    )
}

fn running(mut client: ApiClient, options: &Options) -> Outcome {
    if !options.verbose {
        let text = "Heartbeat is running on this machine.\n";
        client.sign_off();
        return Outcome::said(0, text, json!({ "status": "running" }));
    }
    let hello = client.hello();
    let version = hello.text("hbversion").unwrap_or_default().to_owned();
    let pacemaker = hello.text("pacemaker").unwrap_or("false").to_owned();
    let by_us = systole::config::is_false(&pacemaker);
    let mut text = match (options.for_people, by_us) {
        (false, true) => format!("version:\t{version}\nmanaged by:\t\"haresources\"\n"),
        (false, false) => format!("version:\t{version}\nmanaged by:\tpacemaker\t({pacemaker})\n"),
        (true, true) => {
            format!("Heartbeat version {version}\nResources controlled by \"haresources\"\n")
        }
        (true, false) => {
            format!("Heartbeat version {version}\nResources controlled by Pacemaker.\n")
        }
    };
    let ccm = ccm_client::ask(&Paths::default().ccm(), CCM_PATIENCE);
    let own = client.hello().text("node").unwrap_or_default().to_owned();
    text.push_str(&ccm_text(ccm.as_ref(), &own));
    let nodes = listnodes(&mut client, options);
    text.push_str(&nodes.text);
    client.sign_off();
    let managed = if by_us { "haresources" } else { "pacemaker" };
    let json = json!({
        "status": "running",
        "version": version,
        "managed_by": managed,
        "ccm": ccm_json(ccm.as_ref()),
        "nodes": nodes.json["nodes"],
    });
    Outcome::said(nodes.code, text, json)
}

/// What ccm says, as `hbstatus -v` shows it; nothing without ccm.
fn ccm_text(answer: Option<&Answer>, own: &str) -> String {
    let found = match answer {
        None => return String::new(),
        Some(Answer::Evicted) => return "\nccm membership evicted\n".to_owned(),
        Some(Answer::Members(found)) => found,
    };
    let quorum = if found.quorum { "with" } else { "WITHOUT" };
    let count = found.members.len();
    let mut text = format!(
        "\nccm membership {quorum} quorum\n\tinstance {}\n\tmembers {count}\n",
        found.instance
    );
    for member in found.members.iter().rev() {
        let (id, name, born) = (member.id, &member.name, member.born);
        let _ = writeln!(text, "\t\t{id} {name}\t(born: {born})");
    }
    let inside = found.members.iter().any(|member| member.name == own);
    text.push_str(if inside {
        "\tmember of partition\n"
    } else {
        "\tNOT member of partition\n"
    });
    text
}

fn ccm_json(answer: Option<&Answer>) -> Value {
    match answer {
        None => Value::Null,
        Some(Answer::Evicted) => json!({ "evicted": true }),
        Some(Answer::Members(found)) => {
            let members = found
                .members
                .iter()
                .map(|member| json!({ "id": member.id, "name": member.name, "born": member.born }));
            json!({
                "quorum": found.quorum,
                "instance": found.instance,
                "members": members.collect::<Vec<_>>(),
            })
        }
    }
}

fn answer(command: &str, client: &mut ApiClient, options: &Options) -> Outcome {
    match command {
        "listnodes" => listnodes(client, options),
        "nodestatus" => nodestatus(client, options),
        "nodeweight" => {
            let wrong = "Error. Maybe due to incorrect node name.";
            of_node(
                client,
                options,
                "nodeweight",
                "weight",
                wrong,
                "Not enough parameters.",
                |n, v| format!("The weight of the cluster node {n} is {v}"),
            )
        }
        "nodesite" => of_node(
            client,
            options,
            "nodesite",
            "site",
            WRONG_NODE,
            "Not enough parameters.",
            |n, v| format!("The site of the cluster node {n} is {v}"),
        ),
        "nodetype" => of_node(
            client,
            options,
            "nodetype",
            "nodetype",
            WRONG_NODE,
            TOO_FEW,
            |n, v| format!("The node {n}'s type: {v}"),
        ),
        "listhblinks" => listhblinks(client, options),
        "hblinkstatus" => hblinkstatus(client, options),
        "clientstatus" => clientstatus(client, options),
        "rscstatus" => rscstatus(client, options),
        "hbparameter" => hbparameter(client, options),
        _ => test(client),
    }
}

const WRONG_NODE: &str = "Error. May be due to incorrect node name";
const TOO_FEW: &str = "No enough parameter.";

/// A question about one node with one answer.
fn of_node(
    client: &mut ApiClient,
    options: &Options,
    request: &str,
    field: &str,
    wrong: &str,
    too_few: &str,
    for_people: impl Fn(&str, &str) -> String,
) -> Outcome {
    let Some(node) = options.words.first() else {
        return Outcome::complaint(EXIT_PARAMETER, too_few);
    };
    let request = client.request(request).with("node", node);
    let Ok(answer) = client.ask_one(&request) else {
        return Outcome::complaint(EXIT_PARAMETER, wrong);
    };
    let value = answer.text(field).unwrap_or_default();
    let text = if options.for_people {
        for_people(node, value)
    } else {
        value.to_owned()
    };
    Outcome::said(
        0,
        format!("{text}\n"),
        json!({ "node": node, field: value }),
    )
}

fn nodestatus(client: &mut ApiClient, options: &Options) -> Outcome {
    let mut outcome = of_node(
        client,
        options,
        "nodestatus",
        "st",
        WRONG_NODE,
        "Not enough parameters.",
        |n, v| format!("The cluster node {n} is {v}"),
    );
    if outcome.code == 0 {
        let status = outcome.json["st"].take();
        let up = matches!(status.as_str(), Some("active" | "up" | "ping"));
        outcome.code = if up { 0 } else { EXIT_DOWN };
        outcome.json = json!({ "node": outcome.json["node"], "status": status });
    }
    outcome
}

/// The links of a node, the last first, each name once: (name, status).
fn links(client: &mut ApiClient, node: &str) -> Result<Vec<(String, String)>, ApiError> {
    let request = client.request("iflist").with("node", node);
    let mut links: Vec<(String, String)> = Vec::new();
    for answer in client.ask(&request)? {
        let text = |name| answer.text(name).unwrap_or_default().to_owned();
        let (name, status) = (text("ifname"), text("st"));
        // Legacy counts two lines of one interface as two links; the first is kept up to date.
        if links.iter().all(|(known, _)| *known != name) {
            links.push((name, status));
        }
    }
    links.reverse();
    Ok(links)
}

fn push_links(text: &mut String, links: &[(String, String)], verbose: bool, for_people: bool) {
    if for_people {
        text.push_str("\tthis node has the following heartbeat links:\n");
    }
    for (name, status) in links {
        let _ = if verbose {
            writeln!(text, "\t{name}\t{status}")
        } else {
            writeln!(text, "\t{name}")
        };
    }
}

fn links_as_json(links: &[(String, String)]) -> Value {
    links
        .iter()
        .map(|(name, status)| json!({ "name": name, "status": status }))
        .collect()
}

fn listnodes(client: &mut ApiClient, options: &Options) -> Outcome {
    let request = client.request("nodelist");
    let mut nodes = match client.ask(&request) {
        Ok(nodes) => nodes,
        Err(error) => return cannot("Cannot start node walk.", &error, EXIT_UNKNOWN),
    };
    nodes.reverse();
    let mut text = String::new();
    if options.for_people {
        text.push_str("The nodes are as follow:\n");
    }
    let mut list = Vec::new();
    for node in nodes {
        let name = node.text("node").unwrap_or_default();
        let kind = told(client, &node, name, "nodetype", "nodetype");
        let wanted = match (options.normal, options.ping) {
            (true, false) => kind == "normal",
            (false, true) => kind == "ping",
            _ => true,
        };
        if !wanted {
            continue;
        }
        let status = told(client, &node, name, "st", "nodestatus");
        let mut entry = json!({ "name": name, "type": kind, "status": status });
        if options.verbose {
            let _ = writeln!(text, "\n{name}\t{status}\t(nodetype: {kind})");
            let links = links(client, name).unwrap_or_default();
            push_links(&mut text, &links, true, options.for_people);
            entry["links"] = links_as_json(&links);
        } else {
            let _ = writeln!(text, "{name}");
        }
        list.push(entry);
    }
    Outcome::said(0, text, json!({ "nodes": list }))
}

/// A field of the node list, asked for singly where an older daemon does not list it.
fn told(client: &mut ApiClient, node: &Message, name: &str, field: &str, request: &str) -> String {
    if let Some(text) = node.text(field) {
        return text.to_owned();
    }
    let request = client.request(request).with("node", name);
    let answer = client.ask_one(&request).ok();
    let text = answer.as_ref().and_then(|answer| answer.text(field));
    text.unwrap_or("unknown").to_owned()
}

fn cannot(what: &str, error: &ApiError, code: u8) -> Outcome {
    Outcome::logged(code, [what.to_owned(), format!("REASON: {error}")])
}

fn listhblinks(client: &mut ApiClient, options: &Options) -> Outcome {
    let Some(node) = options.words.first() else {
        return Outcome::complaint(EXIT_PARAMETER, TOO_FEW);
    };
    match links(client, node) {
        Err(error) => cannot(
            "Cannot start heartbeat link interface walk.",
            &error,
            EXIT_UNKNOWN,
        ),
        Ok(links) => {
            let mut text = String::new();
            push_links(&mut text, &links, options.verbose, options.for_people);
            let json = json!({ "node": node, "links": links_as_json(&links) });
            Outcome::said(0, text, json)
        }
    }
}

fn hblinkstatus(client: &mut ApiClient, options: &Options) -> Outcome {
    let [node, link, ..] = options.words.as_slice() else {
        return Outcome::complaint(EXIT_PARAMETER, TOO_FEW);
    };
    let request = client
        .request("ifstatus")
        .with("node", node)
        .with("ifname", link);
    let Ok(answer) = client.ask_one(&request) else {
        // Without the daemon's reason, as legacy says it.
        return Outcome::logged(
            EXIT_UNKNOWN,
            [
                "Cannot get heartbeat link status".to_owned(),
                "REASON: ".to_owned(),
            ],
        );
    };
    let status = answer.text("st").unwrap_or_default();
    let text = if options.for_people {
        format!("The node {node}'s heartbeat link {link} is {status}\n")
    } else {
        format!("{status}\n")
    };
    let code = if status == "up" { 0 } else { EXIT_DOWN };
    Outcome::said(
        code,
        text,
        json!({ "node": node, "link": link, "status": status }),
    )
}

fn clientstatus(client: &mut ApiClient, options: &Options) -> Outcome {
    let [node, name, rest @ ..] = options.words.as_slice() else {
        return Outcome::complaint(EXIT_PARAMETER, TOO_FEW);
    };
    let patience = rest.first().and_then(|ms| ms.parse().ok()).unwrap_or(500);
    match client.client_status(node, name, Duration::from_millis(patience)) {
        Err(_) => Outcome::logged(
            EXIT_UNKNOWN,
            [
                format!("Cannot get heartbeat client {name}'s status"),
                "REASON: No timely response.".to_owned(),
            ],
        ),
        Ok(status) => {
            let code = match status.as_str() {
                "online" => 0,
                "offline" => 1,
                "join" => 2,
                "leave" => 3,
                _ => EXIT_UNKNOWN,
            };
            let json = json!({ "node": node, "client": name, "status": status });
            Outcome::said(code, format!("{status}\n"), json)
        }
    }
}

fn rscstatus(client: &mut ApiClient, options: &Options) -> Outcome {
    let pacemaker = client.hello().text("pacemaker").unwrap_or("false");
    if !systole::config::is_false(pacemaker) {
        let line = "Cannot get cluster resource status of a pacemaker cluster; try crm_mon";
        return Outcome::logged(EXIT_DOWN, [line.to_owned()]);
    }
    let request = client.request("getrsc");
    let answer = match client.ask_one(&request) {
        Ok(answer) => answer,
        Err(error) => {
            return cannot("Cannot get cluster resource status", &error, EXIT_DOWN);
        }
    };
    let held = answer.text("rsc_hold").unwrap_or_default();
    let text = if options.for_people {
        format!("This node is holding {held} resources.\n")
    } else {
        format!("{held}\n")
    };
    Outcome::said(0, text, json!({ "resources": held }))
}

fn hbparameter(client: &mut ApiClient, options: &Options) -> Outcome {
    let Some(name) = &options.parameter else {
        return Outcome::logged(EXIT_PARAMETER, ["parameter name required".to_owned()]);
    };
    let request = client.request("getparm").with("pname", name);
    let answer = client.ask_one(&request).ok();
    let Some(value) = answer.as_ref().and_then(|answer| answer.text("pvalue")) else {
        return Outcome::logged(
            EXIT_DOWN,
            [
                format!("Cannot get parameter {name}'s value"),
                "REASON: ".to_owned(),
            ],
        );
    };
    let text = if options.for_people {
        format!("Heartbeat parameter {name}'s value: {value}\n")
    } else {
        format!("{value}\n")
    };
    Outcome::said(0, text, json!({ "parameter": name, "value": value }))
}

/// Undocumented in legacy too.
fn test(client: &mut ApiClient) -> Outcome {
    let request = client.request("getrsc");
    let answer = client.ask_one(&request).ok();
    let held = answer.as_ref().and_then(|answer| answer.text("rsc_hold"));
    let hello = client.hello();
    let (dead, keep) = (
        hello.hex("deadtime").unwrap_or(0),
        hello.hex("keepalive").unwrap_or(0),
    );
    let (node, held) = (
        hello.text("node").unwrap_or_default(),
        held.unwrap_or_default(),
    );
    let text =
        format!("Dead time: {dead}\n keeplive time: {keep}\n mynodeid: {node}\n rsc: {held}\n");
    let json = json!({
        "deadtime_ms": dead,
        "keepalive_ms": keep,
        "node": node,
        "resources": held,
    });
    Outcome::said(0, text, json)
}
