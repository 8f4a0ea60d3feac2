//! `hb_addnode`, `hb_delnode`, `hb_setweight`, `hb_setsite`: changes of the node table while the
//! daemon runs. They are kept in memory only: ha.cf is not changed. Spec: docs/protocol/tools.md,
//! 4.

use std::time::Duration;

use super::Call;
use super::handover::send;
use crate::clients::control::{Reply, Request};
use crate::protocol::settings::GROUPS_NEED_A_PAIR;

/// How long the daemon may take to answer whether it has groups.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest message for the FIFO: below the pipe's atomic size.
const MAX_MESSAGE_BYTES: usize = 4000;

/// `program`: the name without its directory.
pub(super) fn change(call: &mut Call<'_>, program: &str) -> u8 {
    let args = call.args.clone();
    if args.is_empty() || args.iter().any(|word| word == "--help") {
        call.print(&format!("usage: {program} {}", form(program)));
        return 1;
    }
    if args.iter().any(|word| word.contains(['\n', '\0'])) {
        call.complain(&format!("{program}: a name cannot hold a line break"));
        return 1;
    }
    if program == "hb_addnode" && third_beside_groups(call, &args) {
        call.complain(&format!("{program}: refused: {GROUPS_NEED_A_PAIR}"));
        return 1;
    }
    let word = |number: usize| args.get(number).map_or("", String::as_str);
    let text = match program {
        "hb_addnode" => format!("t=addnode\nnodelist={}", args.join(" ")),
        "hb_delnode" => format!("t=delnode\nnodelist={}", args.join(" ")),
        "hb_setweight" => format!("t=setweight\nnode={}\nweight={}", word(0), word(1)),
        _ => format!("t=setsite\nnode={}\nsite={}", word(0), word(1)),
    };
    let text = format!(">>>\n{text}\n<<<\n");
    if text.len() > MAX_MESSAGE_BYTES {
        call.complain(&format!("{program}: too many names"));
        return 1;
    }
    send(call, program, &text, "")
}

/// Whether the daemon has groups and these names would make three nodes. The daemon refuses that
/// itself; with this check the caller learns of it. If the daemon does not answer, it decides
/// alone.
fn third_beside_groups(call: &Call<'_>, names: &[String]) -> bool {
    let Ok(Some(Reply::View(view))) = call.ask(&Request::View, PATIENCE) else {
        return false;
    };
    let Some(node) = view.node.filter(|_| !view.groups.is_empty()) else {
        return false;
    };
    let members: Vec<&str> = node
        .nodes
        .iter()
        .filter(|node| !node.ping)
        .map(|node| node.name.as_str())
        .collect();
    let is_new = |name: &&String| !members.iter().any(|known| name.eq_ignore_ascii_case(known));
    let new = names.iter().filter(is_new).count();
    new > 0 && members.len().saturating_add(new) > 2
}

fn form(program: &str) -> &'static str {
    match program {
        "hb_setweight" => "<node> <weight>",
        "hb_setsite" => "<node> <site>",
        _ => "<node> <node> ...",
    }
}
