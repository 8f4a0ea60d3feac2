use std::time::Duration;

use tokio::time::sleep;

use super::*;
use crate::actors::groups::AskAllKept;
use crate::actors::groups::tests::Cluster;
use crate::actors::messages::MoveAddresses;
use crate::actors::resource_group::tests::Scripts;
use crate::protocol::event::{GroupOrder, GroupOutcome};

const ADDRESS: &str = "10.0.0.1";
const LINES: [&str; 1] = ["alpha 10.0.0.1 good::a"];

fn order() -> PutBack {
    PutBack {
        group: GroupKey::new(ADDRESS),
        address: IpAddr::from([10, 0, 0, 1]),
        spot: None,
    }
}

async fn put_back(cluster: &Cluster) -> Tried {
    cluster.groups.send(order()).await.expect("the groups")
}

async fn kept(cluster: &Cluster) -> Vec<KeptAddress> {
    let all = cluster.groups.send(AskAllKept).await;
    all.expect("the groups").addresses
}

fn remove(scripts: &Scripts) {
    scripts.addresses.drop_all();
}

/// Its addresses are found out after the start.
async fn started(scripts: &Scripts) -> Cluster {
    let mut cluster = Cluster::new(scripts, &LINES);
    assert_eq!(kept(&cluster).await, []);
    assert_eq!(put_back(&cluster).await, Tried::NotNeeded);
    cluster.order(1, ADDRESS, GroupOrder::Start);
    assert_eq!(cluster.outcome().await, (1, GroupOutcome::Started));
    for _ in 0..1000 {
        if !kept(&cluster).await.is_empty() {
            return cluster;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("nothing is kept");
}

#[actix::test]
async fn an_address_of_a_group_that_runs_is_put_back_when_it_is_gone() {
    let scripts = Scripts::new();
    let mut cluster = started(&scripts).await;
    assert_eq!(put_back(&cluster).await, Tried::NotNeeded, "it is there");
    remove(&scripts);
    assert_eq!(put_back(&cluster).await, Tried::PutBack);
    assert_eq!(scripts.addresses.up(), [ADDRESS]);
    cluster.order(2, ADDRESS, GroupOrder::Stop);
    assert_eq!(put_back(&cluster).await, Tried::NotNeeded, "it is to stop");
    assert_eq!(cluster.outcome().await, (2, GroupOutcome::Stopped));
    assert_eq!(kept(&cluster).await, []);
    assert_eq!(put_back(&cluster).await, Tried::NotNeeded);
    assert!(scripts.addresses.up().is_empty());
}

#[actix::test]
async fn what_is_withdrawn_is_not_put_back_until_it_is_restored() {
    let scripts = Scripts::new();
    let cluster = started(&scripts).await;
    let withdraw = |withdraw| MoveAddresses {
        group: GroupKey::new(ADDRESS),
        withdraw,
    };
    cluster.groups.do_send(withdraw(true));
    assert_eq!(put_back(&cluster).await, Tried::NotNeeded);
    sleep(Duration::from_millis(100)).await;
    assert_eq!(kept(&cluster).await, []);
    assert_eq!(put_back(&cluster).await, Tried::NotNeeded);
    assert!(scripts.addresses.up().is_empty());
    cluster.groups.do_send(withdraw(false));
    sleep(Duration::from_millis(100)).await;
    assert_eq!(scripts.addresses.up(), [ADDRESS]);
    remove(&scripts);
    assert_eq!(put_back(&cluster).await, Tried::PutBack);
}
