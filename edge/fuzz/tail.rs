//! Fuzz target of the order of what a session hears: the model of streams, live feed and history,
//! driven by what the fuzzer makes up. The model asserts after every step that what the client hears
//! is the next message and no other, and at the end that nothing is missing.

use bolero::{check, generator::*};

use super::{HELD_BYTES_MAX, Op, World, play};

/// A step, in numbers of which every value means something.
#[derive(Debug, Clone, TypeGenerator)]
enum Act {
    Publish(u8),
    Arrive,
    Swap,
    Lose,
    Repeat,
    Answer(u8, u8),
    Fail(u8),
    Retry,
    Heads,
    Trim(u8),
    Nudge(u8),
}

impl Act {
    fn op(&self) -> Op {
        let of = |number: &u8| usize::from(*number) % 3;
        match self {
            Self::Publish(conversation) => Op::Publish(of(conversation)),
            Self::Arrive => Op::Arrive,
            Self::Swap => Op::Swap,
            Self::Lose => Op::Lose,
            Self::Repeat => Op::Repeat,
            Self::Answer(index, size) => Op::Answer(usize::from(*index), 1 + usize::from(size % 5)),
            Self::Fail(index) => Op::Fail(usize::from(*index)),
            Self::Retry => Op::Retry,
            Self::Heads => Op::Heads,
            Self::Nudge(conversation) => Op::Nudge(of(conversation)),
            Self::Trim(conversation) => Op::Trim(of(conversation)),
        }
    }
}

#[test]
fn nothing_missing_doubled_or_out_of_order() {
    let few = || produce::<Vec<u8>>().with().len(0..20_usize);
    let acts = produce::<Vec<Act>>().with().len(0..150_usize);
    let cursors = produce::<Option<[u8; 3]>>();
    check!()
        .with_generator((few(), cursors, few(), produce::<bool>(), acts))
        .for_each(|(published, cursors, early, trims, acts)| {
            let of = |numbers: &[u8]| -> Vec<usize> { numbers.iter().map(|n| usize::from(*n) % 3).collect() };
            let cursors = cursors.map(|cursors| cursors.map(usize::from));
            let cursors = cursors.as_ref().map(<[usize; 3]>::as_slice);
            let mut world = World::new(&of(published), cursors, &of(early), *trims);
            for act in acts {
                play(&mut world, act.op());
                assert!(world.tail.held_bytes <= HELD_BYTES_MAX);
            }
            world.settle();
        });
}
