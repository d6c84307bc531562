//! Edits and deletions, applied to their targets' rows.
//!
//! Each is judged once, when the later of it and its target comes in: an edit counts if its
//! sender sent the target, and so does a deletion; in a group any deletion counts. Who may delete
//! there was asked when it was sent, and who listened has seen it: a role that changed before it was
//! written must not give the text back. What does not count stays in the history as an inert
//! record. The outcome depends on sequences alone, not on the order of arrival: the first deletion
//! and, without one, the last edit.

use natterjack_nats::{Conversation, wire::Kind};
use uuid::Uuid;

use super::decode::Entry;
use crate::db::{DbError, Tx};

/// The same as [`natterjack_nats::wire::Fingerprint::of`]; a test compares them. The bytes of a text are those of
/// a database in UTF-8; `convert_to` says so too, but is not immutable, and Citus wants that.
macro_rules! fingerprint {
    ($row:literal) => {
        concat!(
            "coalesce(",
            $row,
            ".fingerprint, substring(sha256(set_byte('\\x00'::bytea, 0, ",
            $row,
            ".kind::int) || int8send(coalesce(",
            $row,
            ".reply_to, 0)) || int8send(coalesce(",
            $row,
            ".target, 0)) || decode(replace(coalesce(",
            $row,
            ".text, ''), '\\', '\\\\'), 'escape')) for 16))"
        )
    };
}

const JUDGE: &str = concat!(
    "with placed as ( \
      select * from unnest($1::uuid[], $2::bigint[], $3::boolean[]) as placed (conversation, seq, in_group) \
    ), \
    change as ( \
      select c.conversation, c.target, c.seq, c.kind, c.sender, in_group \
      from placed join messages c using (conversation, seq) where c.kind in (1, 2) \
      union \
      select c.conversation, c.target, c.seq, c.kind, c.sender, p.in_group \
      from placed p join messages c on c.conversation = p.conversation and c.target = p.seq \
      where c.target is not null and c.kind in (1, 2) \
    ), \
    state as ( \
      select t.conversation, t.seq, \
        least(t.deleted, min(c.seq) filter (where c.kind = 2)) as deleted, \
        greatest(t.edited, max(c.seq) filter (where c.kind = 1)) as edited \
      from change c \
      join messages t on t.conversation = c.conversation and t.seq = c.target and t.kind = 0 \
      where c.seq > t.seq and (c.sender = t.sender or (c.kind = 2 and c.in_group)) \
      group by t.conversation, t.seq \
    ) \
    update messages t set \
      fingerprint = ",
    fingerprint!("t"),
    ", \
      deleted = s.deleted, \
      edited = case when s.deleted is null then s.edited end, \
      text = case when s.deleted is null then e.text end \
    from state s \
    left join messages e on e.conversation = s.conversation and e.seq = s.edited \
    where t.conversation = s.conversation and t.seq = s.seq \
      and (s.deleted is distinct from t.deleted or (s.deleted is null and s.edited is distinct from t.edited)) \
    returning t.conversation, t.seq",
);

/// A deletion takes the text of the target's edits along, earlier and later ones.
const SILENCE: &str = concat!(
    "update messages e set text = null, fingerprint = ",
    fingerprint!("e"),
    " from unnest($1::uuid[], $2::bigint[]) as gone (conversation, seq) \
    join messages t using (conversation, seq) \
    where t.deleted is not null and e.conversation = t.conversation and e.target = t.seq \
      and e.target is not null and e.kind = 1 and e.text is not null",
);

/// Applies what the newly placed `entries` (texts, edits, deletions) change, or are changed by.
pub async fn changes(tx: &Tx, entries: impl Iterator<Item = (Uuid, &Entry)>) -> Result<(), DbError> {
    let (mut keys, mut seqs, mut in_group) = (Vec::new(), Vec::new(), Vec::new());
    let (mut target_keys, mut targets) = (Vec::new(), Vec::new());
    for (key, entry) in entries {
        keys.push(key);
        seqs.push(entry.seq);
        in_group.push(matches!(entry.stored.conversation, Conversation::Group(_)));
        if entry.stored.kind == Kind::Edit
            && let Some(target) = entry.target
        {
            target_keys.push(key);
            targets.push(target);
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    for row in tx.query(JUDGE, &[&keys, &seqs, &in_group]).await? {
        target_keys.push(row.get(0));
        targets.push(row.get(1));
    }
    if !targets.is_empty() {
        tx.execute(SILENCE, &[&target_keys, &targets]).await?;
    }
    Ok(())
}
