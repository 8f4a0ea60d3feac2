//! A mark of what haresources says about owners, so that two nodes notice when their files differ.
//!
//! Legacy compares nothing. Between Systole nodes the status carries eight hex digits; beside a
//! legacy node nothing is sent.

use crc::{CRC_32_CKSUM, Crc, Table};

use super::group::ResourceGroup;

const CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_CKSUM);

/// Eight hex digits made of each group's owner and key. The order of the lines counts for nothing,
/// and so does all that stands behind the key: a node may well differ there.
#[must_use]
pub fn mark(groups: &[ResourceGroup]) -> String {
    let mut owners: Vec<_> = groups
        .iter()
        .map(|group| (group.owner.as_str(), group.key.as_str()))
        .collect();
    owners.sort_unstable();
    let mut digest = CRC.digest();
    for (owner, key) in owners {
        digest.update(owner.as_bytes());
        digest.update(b" ");
        digest.update(key.as_bytes());
        digest.update(b"\n");
    }
    format!("{:08x}", digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::group::GroupKey;
    use crate::protocol::name::NodeName;

    fn groups(lines: &[(&str, &str)]) -> Vec<ResourceGroup> {
        lines
            .iter()
            .map(|(owner, key)| ResourceGroup {
                key: GroupKey::new(key),
                owner: NodeName::new(owner).unwrap(),
                resources: vec![(*key).to_owned()],
            })
            .collect()
    }

    #[test]
    fn owners_and_keys_count_and_their_order_does_not() {
        let one = mark(&groups(&[("node1", "a"), ("node2", "b")]));
        assert_eq!(one.len(), 8);
        assert_eq!(one, mark(&groups(&[("node2", "b"), ("node1", "a")])));
        for other in [
            &[("node1", "a")][..],
            &[("node2", "a"), ("node2", "b")],
            &[("node1", "b"), ("node2", "a")],
            &[("node1", "a"), ("node2", "c")],
            &[],
        ] {
            assert_ne!(one, mark(&groups(other)), "{other:?}");
        }
    }
}
