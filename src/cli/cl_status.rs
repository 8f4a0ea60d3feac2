//! `cl_status`: asks the node on this machine, with the options that scripts know. Options, texts
//! (with their spelling) and exit codes are the legacy ones; every answer is also available as
//! JSON.
//! Spec: docs/protocol/client-api.md, 14.

mod hbstatus;
mod links;
mod local;
mod nodes;
mod options;
mod outcome;

use serde_json::json;

use crate::clients::api_client::ApiClient;
use crate::os::paths::Paths;
use hbstatus::hbstatus;
use options::{COMMANDS, Options};
use outcome::{EXIT_DOWN, EXIT_PARAMETER};
pub use outcome::{EXIT_TIMEOUT, Outcome};

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

/// Does what `words` ask for. The program's name is not among them.
#[must_use]
pub fn run(words: &[String]) -> Outcome {
    let Some((command, rest)) = words.split_first().filter(|(first, _)| *first != "-h") else {
        return Outcome::said(0, USAGE, json!({ "usage": USAGE }));
    };
    let Some((_, letters)) = COMMANDS.iter().find(|(name, _)| name == command) else {
        return Outcome::logged(EXIT_PARAMETER, [format!("{command}: invalid sub-command.")]);
    };
    let options = Options::of(command, letters, rest);
    let signed_on = ApiClient::sign_on(&Paths::default().register());
    if command == "hbstatus" {
        return hbstatus(signed_on, &options);
    }
    let mut client = match signed_on {
        Ok(client) => client,
        Err(error) => return Outcome::cannot(EXIT_DOWN, "Cannot signon with heartbeat", &error),
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

fn answer(command: &str, client: &mut ApiClient, options: &Options) -> Outcome {
    match command {
        "listnodes" => nodes::listnodes(client, options),
        "nodestatus" => nodes::nodestatus(client, options),
        "nodeweight" => nodes::nodeweight(client, options),
        "nodesite" => nodes::nodesite(client, options),
        "nodetype" => nodes::nodetype(client, options),
        "listhblinks" => links::listhblinks(client, options),
        "hblinkstatus" => links::hblinkstatus(client, options),
        "clientstatus" => local::clientstatus(client, options),
        "rscstatus" => local::rscstatus(client, options),
        "hbparameter" => local::hbparameter(client, options),
        _ => local::test(client),
    }
}
