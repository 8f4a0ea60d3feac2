use std::sync::mpsc;

use actix::prelude::*;

use super::*;
use crate::protocol::message::Message;

/// Stands for the registry: keeps what is sent to it.
struct Probe(mpsc::Sender<InsideSays>);

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Handler<InsideSays> for Probe {
    type Result = ();

    fn handle(&mut self, said: InsideSays, _: &mut Self::Context) {
        let _ = self.0.send(said);
    }
}

struct Fixture {
    ipfail: Addr<IpfailActor>,
    said: mpsc::Receiver<InsideSays>,
}

impl Fixture {
    fn new() -> Self {
        let (sender, said) = mpsc::channel();
        let probe = Probe(sender).start();
        Self {
            ipfail: start(probe.recipient()),
            said,
        }
    }

    async fn next(&self) -> InsideSays {
        for _ in 0..5000 {
            if let Ok(said) = self.said.try_recv() {
                return said;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("nothing said");
    }

    async fn quiet(&self) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(self.said.try_recv().is_err());
    }

    async fn connected(&self) {
        assert!(matches!(self.next().await, InsideSays::Connect(_)));
        self.ipfail.do_send(InsideHears::Connected);
        self.expect("signon").await;
    }

    async fn expect(&self, request: &str) {
        match self.next().await {
            InsideSays::Message(message) => assert_eq!(message.text("reqtype"), Some(request)),
            InsideSays::Connect(_) => panic!("connects instead of {request}"),
        }
    }

    fn answer(&self, fields: &[(&str, &str)]) {
        let mut message = Message::new("hbapi-resp");
        for (name, value) in fields {
            message = message.with(name, value);
        }
        self.ipfail.do_send(InsideHears::Message(message));
    }
}

#[actix::test]
async fn signs_on_and_goes_on_asking() {
    let fixture = Fixture::new();
    fixture.connected().await;
    fixture.answer(&[("result", "OK"), ("node", "node1"), ("keepalive", "64")]);
    fixture.expect("getrsc").await;
    fixture.answer(&[("result", "OK"), ("rsc_hold", "local")]);
    fixture.expect("getparm").await;
}

#[actix::test]
async fn connects_again_when_it_lost_its_place() {
    let fixture = Fixture::new();
    fixture.connected().await;
    fixture.ipfail.do_send(InsideHears::Closed);
    fixture.connected().await;
}

#[actix::test]
async fn stays_away_where_it_has_nothing_to_do() {
    let fixture = Fixture::new();
    fixture.connected().await;
    fixture.answer(&[("result", "OK"), ("node", "node1")]);
    fixture.expect("getrsc").await;
    fixture.answer(&[("result", "badreq")]);
    fixture.quiet().await;
}

#[actix::test]
async fn signs_off_at_the_stop_and_stays_off() {
    let fixture = Fixture::new();
    fixture.connected().await;
    fixture.ipfail.do_send(StopIpfail);
    fixture.expect("signoff").await;
    fixture.ipfail.do_send(InsideHears::Closed);
    fixture.quiet().await;
}

#[test]
fn a_respawned_program_of_the_name_keeps_it_off() {
    use crate::config::types::RespawnConfig;
    let mut config = crate::config::Config::for_tests("node1");
    assert!(!is_wanted(&config), "off by default");
    config.settings.ipfail = true;
    assert!(is_wanted(&config));
    let client = |command: &str| RespawnConfig {
        user: "hacluster".to_owned(),
        command: command.to_owned(),
        failfast: false,
    };
    config.respawn = vec![client("/usr/lib/heartbeat/ccm"), client("/opt/no-ipfail")];
    assert!(is_wanted(&config));
    config.respawn.push(client("/usr/lib/heartbeat/ipfail -v"));
    assert!(!is_wanted(&config));
}
