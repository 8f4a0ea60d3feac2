//! Which gaps between heartbeats are sampled.

use crate::protocol::gaps::Sampled;
use crate::protocol::name::Generation;

use super::harness::*;

/// What a node has sampled of another one, or of itself.
fn sampled(cluster: &mut Cluster, by: &str, of: &str) -> Sampled {
    let now = cluster.now().instant;
    let core = &cluster.host(by).core;
    core.gaps(&name(of), now).expect("sampled")
}

#[test]
fn a_quiet_pair_has_gaps_of_a_keepalive() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    cluster.start_all();
    cluster.run_to(60_000);
    for of in ["alpha", "beta"] {
        let sampled = sampled(&mut cluster, "alpha", of);
        assert!((58_000..=60_000).contains(&sampled.covered_ms), "{of}");
        assert_eq!(sampled.longest_ms, 500, "{of}");
    }
}

#[test]
fn a_death_and_a_new_run_are_no_gap() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    cluster.start_all();
    cluster.run_to(10_000);
    cluster.kill("beta");
    cluster.run_to(20_000);
    cluster.install("beta", &settings("beta", &["alpha", "beta"]), 2_000);
    cluster.start("beta");
    cluster.run_to(30_000);
    cluster.with_core("beta", |core, now, out| {
        core.begin_new_generation(Generation(2_001), now, out);
    });
    cluster.run_to(40_000);
    let beta = sampled(&mut cluster, "alpha", "beta");
    assert_eq!(beta.longest_ms, 500);
    assert!(beta.covered_ms < 30_000, "{beta:?}");
}

/// Declared dead and received again in the same run: it lived, and a longer dead time would have waited.
#[test]
fn a_mistake_is_a_gap_and_a_cut_that_lasts_is_none() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    cluster.start_all();
    cluster.run_to(10_000);
    cluster.cut();
    cluster.run_to(16_000);
    cluster.heal();
    cluster.run_to(30_000);
    let beta = sampled(&mut cluster, "alpha", "beta");
    assert!((6_000..=6_600).contains(&beta.longest_ms), "{beta:?}");
    cluster.cut();
    cluster.run_to(120_000);
    cluster.heal();
    cluster.run_to(130_000);
    let later = sampled(&mut cluster, "alpha", "beta");
    assert_eq!(later.longest_ms, beta.longest_ms);
}

#[test]
fn our_own_stall_is_a_gap_of_ours_and_not_of_the_other_node() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    cluster.start_all();
    cluster.run_to(10_250);
    cluster.freeze("alpha");
    cluster.run_for(3_000);
    cluster.thaw("alpha");
    cluster.run_for(10_000);
    let beta = sampled(&mut cluster, "alpha", "beta");
    assert!(beta.longest_ms <= 1_000, "{beta:?}");
    for by in ["alpha", "beta"] {
        let alpha = sampled(&mut cluster, by, "alpha");
        assert!((3_000..=3_500).contains(&alpha.longest_ms), "{alpha:?}");
    }
}
