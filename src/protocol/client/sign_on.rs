//! Sign-on and authorisation. Spec: docs/protocol/client-api.md, 4 and 5.

use super::super::event::Origin;
use super::super::field;
use super::super::message::Message;
use super::{ClientId, ClientOutput, MAX_NAME_BYTES, Phase, Registry, Surroundings, word};

/// The rule for clients without a name.
const CASUAL_RULE: &str = "anon";
/// The rule for names without a rule of their own.
const DEFAULT_RULE: &str = "default";

/// What a sign-on states about the client.
struct Claim {
    id: String,
    named: bool,
}

impl Registry {
    /// The first messages of a connection.
    pub(super) fn sign_on(
        &mut self,
        id: ClientId,
        message: &Message,
        around: &Surroundings<'_>,
        out: &mut Vec<ClientOutput>,
    ) {
        let is_sign_on = message.kind() == Some(word::REQUEST)
            && message.text(word::REQUEST_TYPE) == Some("signon")
            && (message.get(field::FROM_ID).is_some() || message.get(word::PID).is_some());
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        if !is_sign_on {
            let text = format!("msg from non-client (pid {})", client.credentials.pid);
            out.push(ClientOutput::Warn("messages of non-clients", text));
            return;
        }
        let verdict = self.judge(id, message, around);
        let mut answer = self.answer_to_sign_on();
        match verdict {
            Err(reason) => {
                // The reason stands before the result.
                answer = Message::new(word::RESPONSE)
                    .with(word::REQUEST_TYPE, "signon")
                    .with(field::INFO, reason)
                    .with(field::RESULT, word::BAD);
                self.describe(&mut answer);
                let text = self.refusal_line(id, message, reason);
                self.clients.remove(&id);
                out.push(ClientOutput::Reply(id, answer));
                out.push(ClientOutput::Close(id));
                out.push(ClientOutput::Warn("sign-ons refused", text));
            }
            Ok(claim) => {
                self.make_room(&claim.id, out);
                let Some(client) = self.clients.get_mut(&id) else {
                    return;
                };
                client.id = claim.id;
                client.named = claim.named;
                let gaps = around.view.nodes.iter().filter_map(|node| {
                    let (run, last) = node.gap_to?;
                    Some((node.name.clone(), run, last))
                });
                client.signed_on_after = gaps.collect();
                if !client.named {
                    client.phase = Phase::Member;
                    out.push(ClientOutput::Reply(id, answer));
                    return;
                }
                client.phase = Phase::Joining(answer);
                if let Some(client) = self.clients.get(&id) {
                    let join = self.notice("join", client, "signon");
                    out.push(ClientOutput::Inject(Origin::Daemon, join));
                }
            }
        }
    }

    /// An outside client replaces the one inside the daemon.
    fn make_room(&mut self, name: &str, out: &mut Vec<ClientOutput>) {
        let inside = |client: &super::Client| client.is_member() && client.id == name;
        let held = self.clients.iter().find(|(_, client)| inside(client));
        if let Some(id) = held.map(|(id, _)| *id) {
            self.sign_off(id, out);
        }
    }

    fn answer_to_sign_on(&self) -> Message {
        let mut answer = Message::new(word::RESPONSE)
            .with(word::REQUEST_TYPE, "signon")
            .with(field::RESULT, word::OK);
        self.describe(&mut answer);
        answer
    }

    /// The fields by which a client distinguishes "refused" from "does not exist": in every answer.
    fn describe(&self, answer: &mut Message) {
        let settings = &self.settings;
        let pacemaker = settings.parameters.get("pacemaker");
        for (name, text) in [
            ("deadtime", format!("{:x}", settings.deadtime_ms)),
            ("keepalive", format!("{:x}", settings.keepalive_ms)),
            (field::NODE, settings.local.clone()),
            ("hbversion", settings.version.clone()),
            (
                "pacemaker",
                pacemaker.cloned().unwrap_or_else(|| "false".to_owned()),
            ),
            ("logfacility", settings.facility.to_string()),
        ] {
            answer.set_text(name, &text);
        }
    }

    fn refusal_line(&self, id: ClientId, message: &Message, reason: &str) -> String {
        let name = message.text_bytes(field::FROM_ID).unwrap_or_default();
        let name = name.get(..name.len().min(64)).unwrap_or_default();
        let who = self.clients.get(&id).map(|client| client.credentials);
        let (pid, uid, gid) = who.map_or((0, 0, 0), |who| (who.pid, who.uid, who.gid));
        format!(
            "Client [{}] (pid {pid}, uid {uid}, gid {gid}) refused: {reason}",
            name.escape_ascii()
        )
    }

    /// The checks in their order; the first that fails is the reason.
    fn judge(
        &self,
        id: ClientId,
        message: &Message,
        around: &Surroundings<'_>,
    ) -> Result<Claim, &'static str> {
        let Some(client) = self.clients.get(&id) else {
            return Err("bad pid");
        };
        let who = client.credentials;
        let pid_text = message.text(word::PID).unwrap_or_default();
        let pid: i32 = pid_text.parse().unwrap_or(0);
        if pid <= 0 || !(around.lives)(pid) {
            return Err("bad pid");
        }
        let name = match message.get(field::FROM_ID) {
            None => pid_text,
            Some(_) => message.text(field::FROM_ID).unwrap_or_default(),
        };
        if name.len() > MAX_NAME_BYTES {
            return Err("client id too long");
        }
        let forbidden = |c: char| c == '=' || c.is_whitespace() || c.is_control();
        if name.is_empty() || name.contains(forbidden) {
            return Err("invalid client id");
        }
        let gives_way = |other: &super::Client| other.inside && !client.inside;
        let taken =
            |other: &super::Client| other.is_member() && other.id == name && !gives_way(other);
        if self.clients.values().any(taken) {
            return Err("duplicate add request");
        }
        let number = |field| {
            message
                .text(field)
                .and_then(|text| text.parse::<u32>().ok())
        };
        let (Some(uid), Some(gid)) = (number("uid"), number("gid")) else {
            return Err("invalid id info");
        };
        if (uid, gid) != (who.uid, who.gid) {
            return Err("incorrect/false credentials");
        }
        let named = name != pid_text;
        if client.inside {
            return Ok(Claim {
                id: name.to_owned(),
                named,
            });
        }
        let rules = &self.settings.rules;
        let rule = if named {
            rules
                .get(name)
                .or_else(|| rules.get(DEFAULT_RULE))
                .ok_or("no default client auth")?
        } else {
            rules.get(CASUAL_RULE).ok_or("apiauth anon missing")?
        };
        if !rule.uids.contains(&who.uid) && !rule.gids.contains(&who.gid) {
            return Err("client failed authorization");
        }
        if who.pid != 0 && pid != who.pid {
            return Err("pid mismatch");
        }
        Ok(Claim {
            id: name.to_owned(),
            named,
        })
    }
}
