use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const SHAPE: Shape = Shape {
    edges: 2,
    persisters: 2,
    presences: 2,
    nats_nodes: 3,
    clients: 50,
    shards: 4,
};

fn draw(seed: u64, shape: Shape, length: Length) -> Plan {
    Plan::draw(seed, shape, &Kind::ALL, length)
}

#[test]
fn the_same_seed_gives_the_same_plan_and_another_seed_another() {
    let plan = draw(7, SHAPE, Length::Faults(200));
    assert_eq!(plan, draw(7, SHAPE, Length::Faults(200)));
    assert_eq!(plan.to_string(), draw(7, SHAPE, Length::Faults(200)).to_string());
    assert_ne!(plan.faults, draw(8, SHAPE, Length::Faults(200)).faults);
    // A longer run begins like a shorter one.
    assert_eq!(draw(7, SHAPE, Length::Faults(20)).faults, plan.faults[..20]);
}

#[test]
fn every_kind_of_fault_comes_in_a_short_run_and_only_those_that_were_asked_for() {
    let kinds = |plan: &Plan| {
        plan.faults
            .iter()
            .map(|planned| planned.fault.kind())
            .collect::<BTreeSet<_>>()
    };
    let plan = draw(1, SHAPE, Length::Faults(19));
    assert_eq!(kinds(&plan), BTreeSet::from(Kind::ALL));
    let single = draw(
        1,
        Shape {
            nats_nodes: 1,
            ..SHAPE
        },
        Length::Faults(50),
    );
    assert!(!kinds(&single).contains(&Kind::Cluster));
    let some = Plan::draw(1, SHAPE, &[Kind::Kill, Kind::Slow], Length::Faults(50));
    assert_eq!(kinds(&some), BTreeSet::from([Kind::Kill, Kind::Slow]));
    assert!(Plan::draw(1, SHAPE, &[], Length::Minutes(1)).faults.is_empty());
}

#[test]
fn minutes_are_filled() {
    let plan = draw(3, SHAPE, Length::Minutes(2));
    let last = plan.faults.last().expect("there are some");
    assert!((100_000..=125_000).contains(&last.at_ms), "{last}");
    assert!(plan.faults.is_sorted_by_key(|planned| planned.at_ms));
}

proptest! {
    #[test]
    fn faults_overlap_within_their_limits(seed: u64, cluster: bool) {
        let shape = Shape { nats_nodes: if cluster { 3 } else { 1 }, ..SHAPE };
        let plan = draw(seed, shape, Length::Faults(100));
        for (index, one) in plan.faults.iter().enumerate() {
            let others = plan.faults[..index].iter().filter(|other| other.end_ms() > one.at_ms);
            let others: Vec<_> = others.collect();
            prop_assert!(others.len() < AT_A_TIME, "{} overlaps {:?}", one, others);
            for other in others {
                let theirs = claims(&other.fault, shape);
                prop_assert!(claims(&one.fault, shape).iter().all(|claim| !theirs.contains(claim)));
            }
        }
    }
}
