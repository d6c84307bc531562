//! What becomes of origins: tables of what happens and what follows, and a property over any course.

use proptest::prelude::*;
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;

const IN_FLIGHT_MAX: usize = 8;
const PER_ORIGIN_MAX: usize = 2;

struct World {
    origins: Origins,
    now: Instant,
    random: StdRng,
}

impl World {
    fn new() -> Self {
        Self {
            origins: Origins::new(IN_FLIGHT_MAX, PER_ORIGIN_MAX, MISCONFIGURED_USERS),
            now: Instant::now(),
            random: StdRng::seed_from_u64(1),
        }
    }

    fn admit(&mut self, origin: &str) -> Admission {
        self.admit_for(origin, 1)
    }

    fn admit_for(&mut self, origin: &str, number: u128) -> Admission {
        let user = UserId::from_parts(1, number);
        self.origins
            .admit(&origin.into(), user, 1, self.now, &mut self.random)
    }

    fn go(&mut self, origin: &str) -> Permit {
        self.go_for(origin, 1)
    }

    fn go_for(&mut self, origin: &str, user: u128) -> Permit {
        match self.admit_for(origin, user) {
            Admission::Go(permit) => permit,
            other => panic!("{origin}: {other:?}"),
        }
    }

    fn ended(&mut self, permit: &Permit, verdict: Verdict) {
        self.origins.ended(permit, verdict, self.now, &mut self.random);
    }

    fn tell(&mut self, origin: &str, verdict: Verdict) {
        let permit = self.go(origin);
        self.ended(&permit, verdict);
    }

    fn put_off(&mut self, origin: &str) -> (&'static str, Duration) {
        match self.admit(origin) {
            Admission::PutOff { why, after } => (why, after),
            other => panic!("{origin}: {other:?}"),
        }
    }
}

const FAILED: Verdict = Verdict::Failed { after: None };

#[test]
fn failures_in_a_row_pause_and_a_probe_ends_or_prolongs_it() {
    let mut world = World::new();
    for _ in 1..FAILURES_MAX {
        world.tell("a", FAILED);
    }
    // An answer in between: it begins anew.
    world.tell("a", Verdict::Answered);
    for _ in 0..FAILURES_MAX {
        world.tell("a", FAILED);
    }
    let (why, after) = world.put_off("a");
    assert_eq!(why, "paused");
    assert!(after >= PAUSE / 2);
    let first = world.go("b");
    world.now += PAUSE;
    let probe = world.go("a");
    assert_eq!(world.put_off("a").0, "probed", "one probe at a time");
    world.ended(&probe, FAILED);
    let (_, longer) = world.put_off("a");
    assert!(longer >= PAUSE, "{longer:?}");
    world.now += Duration::from_secs(300);
    let probe = world.go("a");
    world.ended(&probe, Verdict::Answered);
    let again = world.go("a");
    assert_eq!(world.origins.paused(), 0);
    world.ended(&again, Verdict::Answered);
    world.ended(&first, Verdict::Answered);
    assert_eq!(world.origins.in_flight(), 0);
}

#[test]
fn a_pause_that_is_asked_for_begins_at_once_and_is_not_cut_short() {
    let mut world = World::new();
    let early = world.go("a");
    let asked = Duration::from_secs(120);
    world.tell("a", Verdict::Failed { after: Some(asked) });
    // Sent before, answered after.
    world.ended(&early, Verdict::Answered);
    assert!(world.put_off("a").1 >= asked);
    world.now += asked - Duration::from_secs(1);
    assert_eq!(world.put_off("a").0, "paused");
}

#[test]
fn a_long_pause_is_not_forgotten() {
    let mut world = World::new();
    let asked = IDLE * 3;
    world.tell("a", Verdict::Failed { after: Some(asked) });
    world.now += IDLE * 2;
    world.origins.forget_idle(world.now);
    assert_eq!(world.put_off("a").0, "paused");
    world.now += IDLE * 4;
    world.origins.forget_idle(world.now);
    assert!(world.origins.states.is_empty());
}

#[test]
fn one_that_hangs_keeps_its_places_and_no_more() {
    let mut world = World::new();
    world.tell("alive", Verdict::Answered);
    world.tell("hangs", Verdict::Answered);
    let hanging = [world.go("hangs"), world.go("hangs")];
    assert!(matches!(world.admit("hangs"), Admission::Wait), "it may be busy");
    world.now += STALL * 2;
    assert_eq!(world.put_off("hangs").0, "stalled");
    for _ in 0..100 {
        world.tell("alive", Verdict::Answered);
    }
    for permit in &hanging {
        world.ended(permit, FAILED);
    }
    assert_eq!(world.origins.in_flight(), 0);
}

#[test]
fn for_a_slow_one_fewer_may_wait() {
    let mut world = World::new();
    world.tell("quick", Verdict::Answered);
    for _ in 0..20 {
        let permit = world.go("slow");
        world.now += Duration::from_secs(5);
        world.ended(&permit, Verdict::Answered);
    }
    assert_eq!(
        world.origins.waiting_max("slow"),
        PER_ORIGIN_MAX * WAITING_PER_PLACE
    );
    assert!(world.origins.waiting_max("quick") > 1_000);
    for _ in 0..40 {
        let permit = world.go("slow");
        world.now += Duration::from_millis(100);
        world.ended(&permit, Verdict::Answered);
    }
    let again = world.origins.waiting_max("slow");
    assert!(
        (PER_ORIGIN_MAX * 19..=PER_ORIGIN_MAX * 20).contains(&again),
        "{again}"
    );
}

#[test]
fn those_that_never_answered_share_half_of_the_places() {
    let mut world = World::new();
    world.tell("alive", Verdict::Answered);
    let strangers: Vec<_> = (0..IN_FLIGHT_MAX / 2)
        .map(|number| world.go(&format!("tarpit {number}")))
        .collect();
    assert_eq!(world.put_off("one more").0, "unproven");
    let alive = [world.go("alive"), world.go("alive")];
    for permit in strangers.iter().chain(&alive) {
        world.ended(permit, Verdict::Answered);
    }
    assert_eq!(world.origins.unproven_in_flight, 0);
}

#[test]
fn a_single_user_cannot_make_an_origin_misconfigured_for_all() {
    let mut world = World::new();
    for _ in 0..10 {
        world.tell("a", Verdict::Misconfigured);
    }
    assert!(!world.origins.misconfigured(), "anybody can name an origin");
    assert_eq!(world.origins.paused(), 0);
    world.tell("a", Verdict::Answered);
    world.tell("a", Verdict::Misconfigured);
    assert!(world.origins.misconfigured(), "an operator should look");
    assert_eq!(world.origins.paused(), 0);
    world.tell("a", Verdict::Answered);
    assert!(!world.origins.misconfigured());
    for user in 0..MISCONFIGURED_USERS as u128 {
        let permit = world.go_for("a", user);
        world.ended(&permit, Verdict::Misconfigured);
    }
    assert!(world.put_off("a").1 >= MISCONFIGURED_PAUSE / 2);
    world.now += MISCONFIGURED_PAUSE;
    let probe = world.go("a");
    world.ended(&probe, Verdict::Answered);
    assert!(!world.origins.misconfigured());
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut world = World::new();
    let kept = world.go("in use");
    for number in 0..ORIGINS_MAX * 2 {
        world.tell(&number.to_string(), FAILED);
        world.now += Duration::from_micros(1);
    }
    assert_eq!(world.origins.states.len(), ORIGINS_MAX);
    world.now += IDLE;
    world.origins.forget_idle(world.now);
    assert_eq!(world.origins.states.len(), 1);
    world.ended(&kept, Verdict::Answered);
    assert_eq!(world.origins.in_flight(), 0);
}

fn any_verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Answered),
        Just(FAILED),
        (0..4_000_u64).prop_map(|s| Verdict::Failed {
            after: Some(Duration::from_secs(s))
        }),
        Just(Verdict::Misconfigured),
        Just(Verdict::Unknown),
    ]
}

proptest! {
    /// Whatever happens: no place is lost or given twice, no bound is passed, and an origin that answers
    /// again is asked again within the longest pause.
    #[test]
    fn any_course_stays_within_bounds_and_ends_well(
        steps in proptest::collection::vec((0..4_usize, 0..6_u128, any_verdict(), any::<bool>(), 0..20_000_u64), 0..200),
    ) {
        let mut world = World::new();
        let mut under_way: Vec<Permit> = Vec::new();
        for (origin, user, verdict, end, pass_ms) in steps {
            world.now += Duration::from_millis(pass_ms);
            if end && !under_way.is_empty() {
                let permit = under_way.remove(origin % under_way.len());
                world.ended(&permit, verdict);
            } else if let Admission::Go(permit) = world.admit_for(&origin.to_string(), user) {
                under_way.push(permit);
            }
            prop_assert_eq!(world.origins.in_flight(), under_way.len());
            prop_assert!(under_way.len() <= IN_FLIGHT_MAX);
            for origin in 0..4_usize {
                let name = origin.to_string();
                let of_it = under_way.iter().filter(|permit| *permit.origin == *name).count();
                prop_assert!(of_it <= PER_ORIGIN_MAX + 1, "its places, and a probe");
            }
            let unproven = under_way.iter().filter(|permit| !permit.proven).count();
            prop_assert!(unproven <= IN_FLIGHT_MAX / 2);
        }
        for permit in under_way.drain(..) {
            world.ended(&permit, Verdict::Unknown);
        }
        world.now += backoff::RETRY_AFTER_MAX * 2;
        for origin in 0..4_usize {
            let name = origin.to_string();
            world.tell(&name, Verdict::Answered);
            world.tell(&name, Verdict::Answered);
        }
        prop_assert_eq!(world.origins.paused(), 0);
        prop_assert_eq!(world.origins.unproven_in_flight, 0);
    }
}
