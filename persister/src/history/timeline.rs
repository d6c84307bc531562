//! Joins the rows of Postgres and the stream's tail into a page. Pure.

use std::collections::BTreeMap;

use natterjack_nats::{
    Conversation,
    limits::PAGE_BYTES_MAX,
    wire::{Message, Page},
};

use super::tail::Tail;

/// Which part of a conversation a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// What stands right before a sequence.
    Before(u64),
    /// What stands right after a sequence.
    After(u64),
    /// What stands on both sides of a sequence, itself included.
    Around(u64),
}

/// What Postgres has for a window: without a hole up to the watermark.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    /// Ascending, without `prev`.
    pub messages: Vec<Message>,
    /// The highest sequence below all of them (or, without any, below the window); 0 if none.
    pub below: u64,
    /// The highest sequence of the conversation; 0 if none.
    pub head: u64,
    /// Whether there are more rows of the window below them.
    pub cut_low: bool,
    /// Whether there are more rows of the window above them.
    pub cut_high: bool,
}

/// The page of at most `limit` messages. `tail` is what the stream has beyond the watermark, read
/// after `rows`; `head` is the last sequence in the stream, if known.
pub fn page(
    conversation: Conversation,
    window: Window,
    limit: usize,
    mut rows: Rows,
    tail: &Tail,
    head: u64,
) -> Page {
    // Batches are committed in any order: beyond the watermark rows may have holes, which only the
    // tail fills, and only as far as it was read.
    if tail.more {
        rows.messages.retain(|message| message.seq < tail.next);
    }
    let tail = &tail.messages[..];
    let tail_head = tail.last().map_or(0, |last| last.seq);
    let head = head.max(rows.head).max(tail_head);
    let lowest = rows
        .messages
        .first()
        .filter(|_| rows.cut_low)
        .map_or(0, |first| first.seq);
    let highest = rows
        .messages
        .last()
        .filter(|_| rows.cut_high)
        .map_or(u64::MAX, |last| last.seq);
    let mut joined: BTreeMap<u64, Message> = tail
        .iter()
        .filter(|message| match window {
            Window::Before(seq) => message.seq < seq,
            Window::After(seq) => message.seq > seq,
            Window::Around(_) => true,
        })
        // Beyond a cut lie rows that were not read: what comes from the tail would leave a hole.
        .filter(|message| (lowest..=highest).contains(&message.seq))
        .map(|message| (message.seq, message.clone()))
        .collect();
    // A row knows its edits; the tail's copy of it does not.
    joined.extend(rows.messages.into_iter().map(|message| (message.seq, message)));
    let mut messages: Vec<Message> = joined.into_values().collect();
    let first = messages.first().map_or(
        match window {
            Window::After(seq) => seq.saturating_add(1),
            Window::Before(_) | Window::Around(_) => 0,
        },
        |first| first.seq,
    );
    let before_first = tail.iter().rev().find(|message| message.seq < first);
    let mut prev = rows.below.max(before_first.map_or(0, |message| message.seq));
    let earliest = prev;
    for message in &mut messages {
        message.prev = std::mem::replace(&mut prev, message.seq);
    }
    let (start, end) = choose(&messages, window, limit);
    messages.truncate(end);
    messages.drain(..start);
    let more_before = messages.first().map_or(earliest, |first| first.prev) > 0;
    let more_after = match messages.last() {
        Some(last) => head > last.seq,
        None => !matches!(window, Window::After(_)) && head > 0,
    };
    Page {
        conversation,
        messages,
        head,
        more_before,
        more_after,
    }
}

/// The range of the messages on the page: bounded in count and bytes, at least one.
fn choose(messages: &[Message], window: Window, limit: usize) -> (usize, usize) {
    let pivot = match window {
        Window::After(_) => 0,
        Window::Before(_) => messages.len(),
        Window::Around(seq) => messages.partition_point(|message| message.seq < seq),
    };
    let (mut start, mut end, mut bytes) = (pivot, pivot, 0);
    while end - start < limit.max(1) {
        let (lower, upper) = (start.checked_sub(1), Some(end).filter(|&at| at < messages.len()));
        // Both sides in turn, the named message itself first.
        let upward = upper.is_some() && (lower.is_none() || end - pivot <= pivot - start);
        let Some(at) = (if upward { upper } else { lower }) else {
            break;
        };
        bytes += cost(&messages[at]);
        if bytes > PAGE_BYTES_MAX && end > start {
            break;
        }
        if upward {
            end += 1;
        } else {
            start = at;
        }
    }
    (start, end)
}

/// About the bytes of a message as JSON: escaping makes six of one control character.
pub fn cost(message: &Message) -> usize {
    const ENVELOPE: usize = 400;
    let escaped = |character: char| match character {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf8(),
    };
    ENVELOPE
        + message
            .text
            .iter()
            .flat_map(|text| text.chars())
            .map(escaped)
            .sum::<usize>()
}

#[cfg(test)]
mod tests;
