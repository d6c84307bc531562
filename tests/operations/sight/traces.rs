//! One message from the client's frame to the commit and the push, through four processes.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};

use super::{receiver::Span, scene::Scene, until};

/// A way through a trace: service and name of each span, from the first to the last.
type Way = &'static [(&'static str, &'static str)];

const EDGE: &str = "natterjack-edge";
const PERSISTER: &str = "natterjack-persister";
const NOTIFIER: &str = "natterjack-notifier";

/// What becomes of the first text that somebody sends.
const OF_A_SEND: &[Way] = &[
    // Whether there is such a user is asked before it is published.
    &[
        (EDGE, "send"),
        (PERSISTER, "service"),
        (PERSISTER, "db.transaction"),
    ],
    &[
        (EDGE, "send"),
        (EDGE, "publish"),
        (PERSISTER, "persist"),
        (PERSISTER, "db.transaction"),
        (PERSISTER, "db.commit"),
    ],
    &[
        (EDGE, "send"),
        (EDGE, "publish"),
        (NOTIFIER, "push.decide"),
        (NOTIFIER, "push.request"),
    ],
];

/// What else is asked for.
const OF_OTHERS: &[Way] = &[
    &[
        (EDGE, "open"),
        (PERSISTER, "service"),
        (PERSISTER, "db.transaction"),
    ],
    &[
        (EDGE, "http"),
        (PERSISTER, "service"),
        (PERSISTER, "db.transaction"),
    ],
    &[(EDGE, "http"), (EDGE, "publish"), (PERSISTER, "persist")],
];

/// Waits until the trees are whole, and looks at what they say.
pub async fn look(scene: &Scene) -> anyhow::Result<()> {
    let seq = scene.seq.to_string();
    let spans = until("the whole trace of a send", async || {
        let spans = scene.receiver.spans();
        let sent = first_send(&spans, &seq);
        let whole = sent.is_some_and(|sent| OF_A_SEND.iter().all(|way| goes(&spans, sent, way)));
        let others = OF_OTHERS.iter().all(|way| {
            let mut roots = spans.iter().filter(|span| span.parent.is_empty());
            roots.any(|root| goes(&spans, root, way))
        });
        Ok((whole && others).then_some(spans))
    })
    .await
    .with_context(|| sketch(&scene.receiver.spans()))?;
    let sent = first_send(&spans, &seq).context("it was there")?;
    let of_it: Vec<&Span> = spans.iter().filter(|span| span.trace == sent.trace).collect();
    let ids: BTreeSet<&[u8]> = of_it.iter().map(|span| span.id.as_slice()).collect();
    ensure!(ids.len() == of_it.len(), "two spans with one id");
    let orphans: Vec<_> = of_it
        .iter()
        .filter(|span| !span.parent.is_empty() && !ids.contains(span.parent.as_slice()))
        .collect();
    ensure!(orphans.is_empty(), "{orphans:?}");
    for span in &of_it {
        ensure!(!span.failed, "{span:?}");
        ensure!(span.times.0 <= span.times.1, "it ended before it began: {span:?}");
        ensure!(
            span.times.0 >= sent.times.0,
            "it began before the frame came: {span:?}"
        );
    }
    let persisted = of_it
        .iter()
        .find(|span| span.name == "persist")
        .context("it was there")?;
    ensure!(
        persisted.notes.get("natterjack.seq") == Some(&seq),
        "{persisted:?}"
    );
    for span in &spans {
        let told = format!("{} {:?}", span.name, span.notes);
        for (what, secret) in &scene.secrets {
            ensure!(!told.contains(secret.as_str()), "{what} in a trace: {told}");
        }
        for person in &scene.people {
            ensure!(!told.contains(person.as_str()), "somebody in a trace: {told}");
        }
    }
    Ok(())
}

/// The first span of the send that got this place.
fn first_send<'a>(spans: &'a [Span], seq: &str) -> Option<&'a Span> {
    // Another shard may have the same place, but nothing of it went over the socket.
    spans
        .iter()
        .filter(|span| {
            span.name == "publish" && span.notes.get("natterjack.seq").is_some_and(|found| found == seq)
        })
        .find_map(|published| {
            spans
                .iter()
                .find(|span| span.id == published.parent && span.parent.is_empty() && span.name == "send")
        })
}

/// Whether there is a way from this span downwards, each span the parent of the next.
fn goes(spans: &[Span], from: &Span, way: Way) -> bool {
    let Some(((service, name), rest)) = way.split_first() else {
        return true;
    };
    let next = rest.is_empty()
        || spans
            .iter()
            .filter(|span| span.trace == from.trace && span.parent == from.id)
            .any(|span| goes(spans, span, rest));
    from.service == *service && from.name == *name && next
}

fn sketch(spans: &[Span]) -> String {
    let parent = |span: &Span| {
        let parent = spans.iter().find(|other| other.id == span.parent);
        parent.map_or("nothing", |parent| parent.name.as_str())
    };
    let lines = spans
        .iter()
        .map(|span| format!("{} {} below {}", span.service, span.name, parent(span)));
    let lines: BTreeSet<String> = lines.collect();
    format!("{lines:#?}")
}
