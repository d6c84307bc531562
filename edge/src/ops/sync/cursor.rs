//! The sync cursor as clients hold it: one sequence per shard, in a short text that they hand back
//! as it is. `1-` (the version), then the sequences in base 36, joined by `-`.

use std::fmt;

use natterjack_nats::{
    Shards,
    limits::WHOLE_MAX,
    wire::{Code, WireError},
};

const VERSION: &str = "1";
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// One sequence per shard, by the shard's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyncCursor(pub Vec<u64>);

impl SyncCursor {
    /// A cursor that a client handed back.
    pub fn parse(text: &str, shards: Shards) -> Result<Self, WireError> {
        Self::read(text, shards).ok_or_else(|| {
            WireError::new(
                Code::BadRequest,
                "this is not a sync cursor of this server: start anew without one",
            )
        })
    }

    fn read(text: &str, shards: Shards) -> Option<Self> {
        let count = usize::from(shards.count());
        let numbers = text.strip_prefix(VERSION)?.strip_prefix('-')?;
        // One more than there may be is enough to see that it is too many.
        let sequences = numbers
            .split('-')
            .take(count + 1)
            .map(number)
            .collect::<Option<Vec<u64>>>()?;
        (sequences.len() == count).then_some(Self(sequences))
    }
}

fn number(text: &str) -> Option<u64> {
    let canonical = !text.is_empty() && text.bytes().all(|byte| DIGITS.contains(&byte));
    let number = canonical.then(|| u64::from_str_radix(text, 36).ok())??;
    (number <= WHOLE_MAX).then_some(number)
}

impl fmt::Display for SyncCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERSION)?;
        for sequence in &self.0 {
            f.write_str("-")?;
            write_base_36(*sequence, f)?;
        }
        Ok(())
    }
}

fn write_base_36(mut number: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // u64::MAX has 13 digits.
    let mut text = [0; 13];
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] = DIGITS[(number % 36) as usize];
        number /= 36;
        if number == 0 {
            break;
        }
    }
    f.write_str(std::str::from_utf8(&text[start..]).unwrap_or_default())
}

#[cfg(test)]
#[path = "../../../fuzz/cursor.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cursor_round_trips(sequences in prop::collection::vec(0..=WHOLE_MAX, 1..=256)) {
            let shards = Shards::new(u16::try_from(sequences.len()).expect("few")).expect("in range");
            let cursor = SyncCursor(sequences);
            prop_assert_eq!(SyncCursor::parse(&cursor.to_string(), shards), Ok(cursor));
        }

        #[test]
        fn nothing_that_a_client_makes_up_panics(text in "\\PC{0,60}", count in 1..=Shards::MAX) {
            let shards = Shards::new(count).expect("in range");
            if let Ok(cursor) = SyncCursor::parse(&text, shards) {
                prop_assert_eq!(cursor.0.len(), usize::from(count));
            }
        }
    }

    #[test]
    fn cursors_of_other_servers_are_refused() {
        let shards = Shards::new(2).expect("in range");
        assert_eq!(
            SyncCursor::parse("1-a-zz", shards),
            Ok(SyncCursor(vec![10, 1_295]))
        );
        let bad = [
            "",
            "1",
            "1-",
            "1-a",
            "1-a-b-c",
            "2-a-b",
            "1-a-",
            "1-A-b",
            "1-+1-b",
            "1-a-zzzzzzzzzzz",
        ];
        for text in bad {
            assert_eq!(
                SyncCursor::parse(text, shards).expect_err(text).code,
                Code::BadRequest
            );
        }
    }
}
