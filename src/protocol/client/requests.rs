//! Every request of a signed-on client and its answer. Spec: docs/protocol/client-api.md, 6.

use super::super::event::Origin;
use super::super::field::{self, kind};
use super::super::message::{Message, Value};
use super::super::name::NodeUuid;
use super::super::status::NodeStatus;
use super::{
    ClientId, ClientOutput, ClusterNode, ClusterView, MAX_SEND_QUEUE, Registry, mask, word,
};

/// The result of a query: the fields of each answer, or why there is none.
pub(super) type Answers = Result<Vec<Vec<(&'static str, Value)>>, &'static str>;

fn text(name: &'static str, value: impl Into<String>) -> (&'static str, Value) {
    (name, Value::text(value.into()))
}

/// One answer without fields of its own.
fn done() -> Answers {
    Ok(vec![Vec::new()])
}

fn one(field: (&'static str, Value)) -> Answers {
    Ok(vec![vec![field]])
}

impl Registry {
    /// Takes one `hbapi-req`.
    pub(super) fn request(
        &mut self,
        id: ClientId,
        message: &Message,
        view: &ClusterView,
        out: &mut Vec<ClientOutput>,
    ) {
        self.offer(message, mask::API_CALL, out);
        let Some(client) = self.clients.get(&id) else {
            return;
        };
        let pid = client.credentials.pid.to_string();
        let is_own = message.text(word::PID) == Some(pid.as_str())
            || message.text(field::FROM_ID) == Some(client.id.as_str());
        let Some(request) = message.text(word::REQUEST_TYPE).filter(|_| is_own) else {
            let text = format!(
                "Client mismatch! (impersonation?) pid {pid} is {}",
                client.id
            );
            out.push(ClientOutput::Warn(
                "requests that are not the client's",
                text,
            ));
            return;
        };
        let answers = match request {
            "signoff" => return self.sign_off(id, out),
            "set_sendqlen" => return set_queue(id, message, out),
            "setfilter" => self.set_filter(id, message),
            word::MAINTENANCE => match self.maintenance(id, message, out) {
                Some(answers) => answers,
                // Membership answers.
                None => return,
            },
            "setsignal" => set_signal(id, message, out),
            "clientstatus" => match self.client_status(id, message, view, out) {
                Some(answers) => answers,
                // The other node answers.
                None => return,
            },
            "nodelist" => node_list(view),
            "numnodes" => {
                let count = view.nodes.iter().filter(|node| !node.ping).count();
                one(text("numnodes", count.to_string()))
            }
            "nodestatus" => {
                node(message, view).and_then(|node| one(text(field::ST, node.status.as_str())))
            }
            "nodetype" => {
                node(message, view).and_then(|node| one(text("nodetype", node_type(node))))
            }
            "nodeweight" => node(message, view)
                .and_then(|node| one(text(field::WEIGHT, node.weight.to_string()))),
            "nodesite" => {
                node(message, view).and_then(|node| one(text(field::SITE, node.site.as_str())))
            }
            "iflist" => node(message, view).and_then(links),
            "ifstatus" => node(message, view).and_then(|node| link(node, message)),
            "getparm" => self.parameter(message),
            "getrsc" => match view.rscstatus {
                Some(held) => one(text(field::RSC_HOLD, held)),
                None if self.settings.pacemaker => {
                    Err("Resource is managed by crm. Use crm tool to query resource")
                }
                None => one(text(field::RSC_HOLD, "none")),
            },
            "getuuid" => uuid(message, view),
            "getnodename" => node_name(message, view),
            // A second sign-on as well.
            _ => Err(""),
        };
        let answer = || Message::new(word::RESPONSE).with(word::REQUEST_TYPE, request);
        match answers {
            Err("") => {
                let refusal = answer().with(field::RESULT, word::BAD);
                out.push(ClientOutput::Reply(id, refusal));
            }
            Err(info) => {
                let refusal = answer()
                    .with(field::RESULT, word::BAD)
                    .with(field::INFO, info);
                out.push(ClientOutput::Reply(id, refusal));
            }
            Ok(answers) => {
                let mut rest = answers.len();
                for fields in answers {
                    rest = rest.saturating_sub(1);
                    let mut reply = answer();
                    for (name, value) in fields {
                        reply.push(name, value);
                    }
                    let result = if rest == 0 { word::OK } else { word::MORE };
                    out.push(ClientOutput::Reply(id, reply.with(field::RESULT, result)));
                }
            }
        }
    }

    pub(super) fn sign_off(&mut self, id: ClientId, out: &mut Vec<ClientOutput>) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        if client.named {
            let leave = self.notice("leave", &client, "signoff");
            out.push(ClientOutput::Reply(id, leave.clone()));
            out.push(ClientOutput::Inject(Origin::Daemon, leave));
        }
        out.push(ClientOutput::Close(id));
    }

    fn set_filter(&mut self, id: ClientId, message: &Message) -> Answers {
        let wanted = message
            .text("fmask")
            .map(|text| text.strip_prefix("0x").unwrap_or(text))
            .and_then(|text| u64::from_str_radix(text, 16).ok())
            .map(|bits| bits & mask::ALL)
            .filter(|bits| *bits != 0)
            .ok_or(word::INVALID)?;
        let own_uid = self.settings.own_uid;
        let Some(client) = self.clients.get_mut(&id) else {
            return done();
        };
        let uid = client.credentials.uid;
        if wanted != mask::KEEP && uid != 0 && uid != own_uid {
            return Err("EPERM");
        }
        client.mask = wanted;
        done()
    }

    /// `None`: the other node is asked. Spec: docs/protocol/client-api.md, 6.2.
    fn client_status(
        &self,
        id: ClientId,
        message: &Message,
        view: &ClusterView,
        out: &mut Vec<ClientOutput>,
    ) -> Option<Answers> {
        let (Ok(node), Some(name)) = (node(message, view), message.text(field::CLIENT_NAME)) else {
            return Some(Err(word::INVALID));
        };
        let status = if node.own {
            self.status_of(name)
        } else if node.ping || node.status != NodeStatus::Active {
            "offline"
        } else {
            let asker = self.clients.get(&id).map(|client| client.id.as_str())?;
            let query = Message::new(kind::QUERY_CLIENT_STATUS)
                .with(field::DEST, node.name.as_str())
                .with(field::CLIENT_NAME, name)
                .with(field::FROM_ID, asker);
            out.push(ClientOutput::Inject(Origin::Daemon, query));
            return None;
        };
        Some(Ok(vec![vec![
            text("subt", kind::RESPOND_CLIENT_STATUS),
            text(field::CLIENT_STATUS, status),
        ]]))
    }

    /// Spec: docs/protocol/client-api.md, 6.3.
    fn parameter(&self, message: &Message) -> Answers {
        let name = message.text("pname").ok_or(word::INVALID)?;
        // The bare number; the long form is in the answer to a sign-on.
        if name == "hbversion" {
            let number = self.settings.version.split(' ').next().unwrap_or_default();
            return one(text("pvalue", number));
        }
        let name = if name == "crm" { "pacemaker" } else { name };
        match self.settings.parameters.get(name) {
            Some(value) => one(text("pvalue", value.as_str())),
            None => done(),
        }
    }
}

fn node<'a>(message: &Message, view: &'a ClusterView) -> Result<&'a ClusterNode, &'static str> {
    message
        .text(field::NODE)
        .and_then(|name| view.node(name))
        .ok_or(word::INVALID)
}

const fn node_type(node: &ClusterNode) -> &'static str {
    if node.ping { "ping" } else { "normal" }
}

const fn link_status(up: bool) -> &'static str {
    if up { "up" } else { "dead" }
}

fn node_list(view: &ClusterView) -> Answers {
    let nodes = view.nodes.iter().map(|node| {
        vec![
            text(field::NODE, node.name.as_str()),
            text("nodetype", node_type(node)),
            text(field::ST, node.status.as_str()),
        ]
    });
    Ok(nodes.collect())
}

/// Always answers: a client without an answer would wait for ever.
fn links(node: &ClusterNode) -> Answers {
    if node.links.is_empty() {
        return Err(word::INVALID);
    }
    let links = node.links.iter().map(|(name, up)| {
        vec![
            text(field::IFNAME, name.as_str()),
            text(field::ST, link_status(*up)),
        ]
    });
    Ok(links.collect())
}

fn link(node: &ClusterNode, message: &Message) -> Answers {
    let wanted = message.text(field::IFNAME).ok_or(word::INVALID)?;
    let (_, up) = node
        .links
        .iter()
        .find(|(name, _)| name == wanted)
        .ok_or(word::INVALID)?;
    one(text(field::ST, link_status(*up)))
}

const NO_NAME: &str = "no query node name found";

fn uuid(message: &Message, view: &ClusterView) -> Answers {
    let name = message.text("queryname").ok_or(NO_NAME)?;
    let uuid = view.node(name).and_then(|node| match node.uuid {
        None if node.ping => Some(NodeUuid::NIL),
        uuid => uuid,
    });
    match uuid {
        Some(uuid) => one(("queryuuid", Value::Binary(uuid.0.to_vec()))),
        None => done(),
    }
}

fn node_name(message: &Message, view: &ClusterView) -> Answers {
    let wanted = message.binary("queryuuid").ok_or(NO_NAME)?;
    let known = view
        .nodes
        .iter()
        .find(|node| node.uuid.is_some_and(|u| !u.is_nil() && u.0 == wanted));
    match known {
        Some(node) => one(text("queryname", node.name.as_str())),
        None => done(),
    }
}

/// Never answered. Spec: docs/protocol/client-api.md, 6.
fn set_queue(id: ClientId, message: &Message, out: &mut Vec<ClientOutput>) {
    match message.dec("sendqlen").filter(|length| *length > 0) {
        Some(length) => {
            let length = usize::try_from(length.min(MAX_SEND_QUEUE)).unwrap_or(0);
            out.push(ClientOutput::QueueLimit(id, length));
        }
        None => out.push(ClientOutput::Warn(
            "invalid queue lengths",
            "invalid sendqlen of a client ignored".to_owned(),
        )),
    }
}

fn set_signal(id: ClientId, message: &Message, out: &mut Vec<ClientOutput>) -> Answers {
    let signal = message
        .text("signal")
        .and_then(|text| text.parse::<i64>().ok());
    match signal {
        None => Err(""),
        Some(9 | 19) => Err(word::INVALID),
        Some(signal) => match i32::try_from(signal) {
            Ok(signal @ 0..=31) => {
                // It takes effect with its own answer.
                out.push(ClientOutput::Signal(id, signal));
                done()
            }
            _ => Err(word::INVALID),
        },
    }
}
