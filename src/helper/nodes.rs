//! `hb_addnode`, `hb_delnode`, `hb_setweight`, `hb_setsite`: changes of the node table while the
//! daemon runs. They live in memory only: ha.cf is not changed. Spec: tools, section 4.

use super::Call;
use super::handover::send;

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

fn form(program: &str) -> &'static str {
    match program {
        "hb_setweight" => "<node> <weight>",
        "hb_setsite" => "<node> <site>",
        _ => "<node> <node> ...",
    }
}
