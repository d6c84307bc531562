//! Which messages a sync delivers, and the cursor that says so exactly. Pure.

/// What a shard has for a user beyond the cursor.
#[derive(Debug, Clone, Default)]
pub struct News<T> {
    /// The cursor that was given.
    pub cursor: u64,
    /// Up to here `entries` is all that there is.
    pub complete_to: u64,
    /// Ascending by sequence, with the bytes of each.
    pub entries: Vec<(u64, usize, T)>,
    /// Whether there is more beyond `complete_to` already.
    pub more: bool,
}

/// What is delivered.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Per shard, how many of its entries: always the first ones.
    pub taken: Vec<usize>,
    /// The new cursor: everything of this user at or below it was delivered.
    pub cursor: Vec<u64>,
    /// Whether there is more already.
    pub more: bool,
}

/// Takes the shards' entries in turn, so that a busy shard does not starve the others, up to
/// `limit` and `bytes_max`, at least one.
pub fn plan<T>(shards: &[News<T>], limit: usize, bytes_max: usize) -> Plan {
    let known = |news: &News<T>| news.entries.partition_point(|(seq, ..)| *seq <= news.complete_to);
    let mut taken = vec![0; shards.len()];
    let (mut count, mut bytes) = (0, 0);
    'full: loop {
        let before = count;
        for (news, taken) in shards.iter().zip(&mut taken) {
            if *taken >= known(news) {
                continue;
            }
            bytes += news.entries[*taken].1;
            if count >= limit.max(1) || (bytes > bytes_max && count > 0) {
                break 'full;
            }
            *taken += 1;
            count += 1;
        }
        if count == before {
            break;
        }
    }
    let mut more = false;
    let cursor = shards
        .iter()
        .zip(&taken)
        .map(|(news, &taken)| {
            if taken == known(news) {
                more |= news.more || taken < news.entries.len();
                return news.complete_to.max(news.cursor);
            }
            more = true;
            taken
                .checked_sub(1)
                .map_or(news.cursor, |last| news.entries[last].0)
        })
        .collect();
    Plan { taken, cursor, more }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(cursor: u64, complete_to: u64, seqs: &[u64]) -> News<()> {
        News {
            cursor,
            complete_to,
            entries: seqs.iter().map(|&seq| (seq, 10, ())).collect(),
            more: false,
        }
    }

    #[test]
    fn everything_moves_the_cursor_to_where_it_is_complete() {
        let plan = plan(&[news(3, 20, &[5, 9]), news(7, 2, &[])], 10, 1_000);
        assert_eq!(
            (plan.taken, plan.cursor, plan.more),
            (vec![2, 0], vec![20, 7], false)
        );
    }

    #[test]
    fn a_full_page_stops_at_the_last_one_taken_and_shares_fairly() {
        let shards = [news(0, 50, &[1, 2, 3, 4]), news(0, 50, &[10, 20])];
        let full = plan(&shards, 3, 1_000);
        assert_eq!(
            (full.taken, full.cursor, full.more),
            (vec![2, 1], vec![2, 10], true)
        );
        let heavy = plan(&shards, 10, 25);
        assert_eq!(
            (heavy.taken, heavy.cursor, heavy.more),
            (vec![1, 1], vec![1, 10], true)
        );
        let one = plan(&shards, 10, 0);
        assert_eq!((one.taken, one.cursor), (vec![1, 0], vec![1, 0]));
    }

    #[test]
    fn what_is_beyond_the_complete_part_waits() {
        let plan = plan(&[news(0, 5, &[4, 6])], 10, 1_000);
        assert_eq!((plan.taken, plan.cursor, plan.more), (vec![1], vec![5], true));
    }
}
