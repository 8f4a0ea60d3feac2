//! Requests that only Systole answers: freeze, thaw and the last decisions, for root and the group
//! `haclient`. They have a type of their own, which a legacy daemon refuses as unknown.
//!
//! `t=hbapi-req reqtype=systole subt=freeze|thaw|why`; answered as every other request, `why` by
//! one `ok/more` for each decision (`ts` in hex seconds, `what`, `cause`) and an `OK` without one.

use super::super::decisions::Decision;
use super::super::field;
use super::super::message::{Message, Value};
use super::requests::Answers;
use super::{Client, ClientId, ClientOutput, MaintenanceRequest, Registry, word};

impl Registry {
    /// `None`: membership is asked.
    pub(super) fn maintenance(
        &self,
        id: ClientId,
        message: &Message,
        out: &mut Vec<ClientOutput>,
    ) -> Option<Answers> {
        let client = self.clients.get(&id)?;
        if !self.is_administrator(client) {
            let (pid, uid) = (client.credentials.pid, client.credentials.uid);
            let text = format!("maintenance request of pid {pid}, uid {uid} refused");
            out.push(ClientOutput::Warn("maintenance requests refused", text));
            return Some(Err("EPERM"));
        }
        let asked = message.text("subt").and_then(MaintenanceRequest::from_word);
        let Some(request) = asked else {
            return Some(Err(word::INVALID));
        };
        out.push(ClientOutput::Maintain(id, request));
        None
    }

    /// Other users that `apiauth anon` admits may read, but not change anything.
    fn is_administrator(&self, client: &Client) -> bool {
        let who = client.credentials;
        who.uid == 0 || who.uid == self.settings.own_uid || Some(who.gid) == self.settings.admin_gid
    }

    /// Answers a maintenance request with the answer of membership.
    pub fn maintained(
        &self,
        id: ClientId,
        request: MaintenanceRequest,
        answer: Result<Vec<Decision>, String>,
        out: &mut Vec<ClientOutput>,
    ) {
        if self.is_signed_on(id) != Some(true) {
            return;
        }
        let reply = || {
            Message::new(word::RESPONSE)
                .with(word::REQUEST_TYPE, word::MAINTENANCE)
                .with("subt", request.word())
        };
        let decisions = match answer {
            Ok(decisions) => decisions,
            Err(why) => {
                let refusal = reply()
                    .with(field::RESULT, word::BAD)
                    .with(field::INFO, &why);
                out.push(ClientOutput::Reply(id, refusal));
                return;
            }
        };
        for decision in decisions {
            let mut one = reply().with(field::TS, &format!("{:x}", decision.unix_s));
            // Names of groups come from a file and may contain any byte.
            one.push("what", Value::text(decision.what));
            one.push("cause", Value::text(decision.cause));
            let one = one.with(field::RESULT, word::MORE);
            out.push(ClientOutput::Reply(id, one));
        }
        out.push(ClientOutput::Reply(
            id,
            reply().with(field::RESULT, word::OK),
        ));
    }
}
