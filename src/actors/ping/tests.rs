//! One real echo, and what the kernel filters out. They need a raw socket.

use std::net::SocketAddr;

use bytes::Bytes;

use super::*;
use crate::actors::messages::Outgoing;
use crate::protocol::auth::Method;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::ping::Identifier;

/// Passes on what it is sent.
struct Probe(tokio::sync::mpsc::UnboundedSender<Received>);

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Handler<Received> for Probe {
    type Result = ();
    fn handle(&mut self, heard: Received, _: &mut Self::Context) {
        let _ = self.0.send(heard);
    }
}

fn config(medium: &'static str, host: &str) -> PingConfig {
    PingConfig {
        name: NodeName::new(host).expect("a name"),
        hosts: vec![host.parse().expect("an address")],
        interface: None,
        medium,
    }
}

/// Sends one request to the loopback address and returns what membership would receive.
async fn asks(config: PingConfig) -> Option<Received> {
    let keys = KeyRing::new(1, vec![(1, Method::Sha1, b"secret".to_vec())]);
    let keys = Arc::new(keys.expect("a key ring"));
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let opened = open(&config).ok()?;
    let setup = PingSetup {
        config,
        opened,
        keys: Arc::clone(&keys),
        deadping: Duration::from_secs(5),
        to: Probe(tell).start().recipient(),
    };
    let ping = start(&actix_rt::Arbiter::current(), setup);
    for kind in ["NS_ackmsg", "status"] {
        let message = Message::new(kind).with("ts", "6b00c544");
        let datagram = Bytes::new();
        ping.do_send(Transmit(Arc::new(Outgoing {
            message,
            datagram,
            keys: Arc::clone(&keys),
        })));
    }
    let heard = tokio::time::timeout(Duration::from_secs(5), told.recv()).await;
    let heard = heard.expect("an answer in time").expect("an answer");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(told.try_recv().is_err(), "a reply counts once");
    Some(heard)
}

/// Sends one echo request to the loopback address; returns whether the reply is received.
fn hears(family: Family, identifier: Identifier) -> Option<bool> {
    let OpenPing(socket) = open_socket(family).ok()?;
    let to: IpAddr = match family {
        Family::V4 => "127.0.0.1".parse().expect("an address"),
        Family::V6 => "::1".parse().expect("an address"),
    };
    let payload: &[u8] = b"the filter's test";
    let packet = ping::request(family, identifier, 1, payload).expect("fits");
    let to = SocketAddr::new(to, 0);
    SockRef::from(&socket)
        .send_to(&packet, &to.into())
        .expect("sent");
    socket.set_nonblocking(false).expect("an option");
    let limit = Some(Duration::from_millis(200));
    socket.set_read_timeout(limit).expect("an option");
    let mut heard = false;
    let mut buffer = [0; 200];
    while let Ok((length, _)) = socket.recv_from(&mut buffer) {
        let reply = ping::reply(family, &buffer[..length]).expect("a reply, nothing else");
        assert_eq!(reply.identifier, own_identifier());
        // Another test of this process may ask at the same time.
        heard |= reply.payload == payload;
    }
    Some(heard)
}

/// A link-local address may be on every interface.
#[test]
fn a_link_local_address_is_asked_on_its_interface() {
    let lo = nix::net::if_::if_nametoindex("lo").expect("there is one");
    let host: IpAddr = "fe80::1".parse().expect("an address");
    for (interface, scope) in [
        (Some("lo"), lo),
        (Some("7"), 7),
        (Some("nosuch0"), 0),
        (None, 0),
    ] {
        let SocketAddr::V6(to) = destination(host, interface) else {
            panic!("another family");
        };
        assert_eq!((IpAddr::V6(*to.ip()), to.scope_id()), (host, scope));
    }
    let host: IpAddr = "10.0.0.1".parse().expect("an address");
    assert_eq!(destination(host, None), SocketAddr::new(host, 0));
}

#[test]
fn the_kernel_drops_what_is_not_for_us() {
    for family in [Family::V4, Family::V6] {
        let Identifier(own) = own_identifier();
        if let Some(heard) = hears(family, Identifier(own ^ 1)) {
            assert!(!heard, "{family:?}: a reply to somebody else");
            assert_eq!(hears(family, Identifier(own)), Some(true), "{family:?}");
        }
    }
}

#[actix::test]
#[ignore = "needs root: run by scripts/test"]
async fn the_loopback_answers_with_what_we_sent() {
    for (medium, host) in [
        ("ping", "127.0.0.1"),
        ("ping_group", "127.0.0.1"),
        ("ping6", "::1"),
    ] {
        let heard = asks(config(medium, host)).await.expect("a raw socket");
        assert_eq!(heard.medium.as_str(), host);
        assert_eq!(heard.messages[0].kind(), Some("NS_st"));
        assert_eq!(heard.messages[0].text("src"), Some(host));
        assert_eq!(heard.messages[0].text("info"), Some(medium));
    }
}
