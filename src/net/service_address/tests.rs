use super::*;

#[test]
fn errors_name_what_failed_and_where() {
    let address = IpAddr::from([10, 0, 0, 1]);
    let refused = NetlinkError::Refused(std::io::Error::from_raw_os_error(libc::EPERM));
    let eth0 = Interface {
        index: 2,
        name: "eth0".into(),
        up: true,
        carrier: true,
        loopback: false,
        no_arp: false,
        mac: None,
    };
    assert_eq!(
        change(address, &eth0, "add it", refused).to_string(),
        "10.0.0.1 on eth0: cannot add it: Operation not permitted (os error 1)"
    );
    let read = AddressError::Read {
        address,
        what: "routes",
        source: NetlinkError::TimedOut,
    };
    assert_eq!(
        read.to_string(),
        "10.0.0.1: cannot read routes: no answer from the kernel within 3 s"
    );
}

#[tokio::test]
async fn a_connection_that_timed_out_is_not_used_again() {
    let failed = |source| {
        Err::<(), _>(AddressError::Read {
            address: IpAddr::from([10, 0, 0, 1]),
            what: "addresses",
            source,
        })
    };
    let refused = NetlinkError::Refused(std::io::Error::from_raw_os_error(libc::EPERM));
    for (result, kept) in [
        (Ok(()), true),
        (failed(refused), true),
        (failed(NetlinkError::TimedOut), false),
    ] {
        let mut held = None;
        keep(&mut held, Netlink::open().expect("a socket"), &result);
        assert_eq!(held.is_some(), kept, "{result:?}");
    }
}
