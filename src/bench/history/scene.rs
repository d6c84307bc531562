//! What is asked for: kinds of pages, each of many places in turn.

use anyhow::Context;
use natterjack_client::Account;
use natterjack_nats::{UserId, wire::HistoryQuery};
use natterjack_persister::sample::{Own, Sample};

/// Messages of a page.
pub const PAGE: usize = 50;
/// Conversations of a first page of the list.
pub const LIST: usize = 100;
/// The largest conversations of a reader that count as huge.
const HUGE: usize = 4;
/// Places that are asked for in turn.
const PLACES: usize = 1_000;

/// A kind of page.
pub struct Scene {
    /// What a person calls it.
    pub name: &'static str,
    /// What is asked for, one after the other and again from the first.
    pub asks: Vec<Ask>,
}

/// One question.
#[derive(Debug, Clone)]
pub enum Ask {
    /// A page of messages.
    Page(UserId, HistoryQuery),
    /// The first page of the conversation list.
    List(UserId),
}

impl Ask {
    /// Who asks.
    pub const fn user(&self) -> UserId {
        match self {
            Self::Page(user, _) | Self::List(user) => *user,
        }
    }
}

/// All of them.
pub async fn all(sample: &Sample, few: &Account, many: &Account) -> anyhow::Result<Vec<Scene>> {
    let user = many.user().id;
    let own = sample.conversations_of(user).await?;
    let (huge, small) = own.split_at(HUGE.min(own.len()));
    anyhow::ensure!(
        !huge.is_empty() && !small.is_empty(),
        "a reader has too few conversations"
    );
    let newest = own
        .iter()
        .map(|one| one.middle)
        .max()
        .context("no conversation")?;
    let query = |one: &Own| HistoryQuery {
        conversation: one.conversation,
        before: None,
        after: None,
        around: None,
        at: None,
        limit: Some(PAGE),
    };
    let page = |query: HistoryQuery| Ask::Page(user, query);
    // Places over all of a huge conversation's length: hardly one is asked for twice.
    let spread = |with: &dyn Fn(&Own, u64) -> HistoryQuery| -> Vec<Ask> {
        let places = (1..=PLACES as u64).map(|at| newest * at / PLACES as u64);
        places
            .zip(huge.iter().cycle())
            .map(|(seq, one)| page(with(one, seq)))
            .collect()
    };
    let scene = |name, asks| Scene { name, asks };
    Ok(vec![
        scene(
            "newest, small",
            small.iter().take(PLACES).map(|one| page(query(one))).collect(),
        ),
        scene("newest, huge", huge.iter().map(|one| page(query(one))).collect()),
        scene(
            "before, huge",
            spread(&|one, seq| HistoryQuery {
                before: Some(seq),
                ..query(one)
            }),
        ),
        scene(
            "around, huge",
            spread(&|one, seq| HistoryQuery {
                around: Some(seq),
                ..query(one)
            }),
        ),
        scene(
            "after, huge",
            spread(&|one, seq| HistoryQuery {
                after: Some(seq),
                ..query(one)
            }),
        ),
        scene(
            "after, small",
            small
                .iter()
                .take(PLACES)
                .map(|one| {
                    page(HistoryQuery {
                        after: Some(one.middle),
                        ..query(one)
                    })
                })
                .collect(),
        ),
        scene("list of 25", vec![Ask::List(few.user().id)]),
        scene("list, 100 of 2,000", vec![Ask::List(user)]),
    ])
}
