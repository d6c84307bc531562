//! What is refused for good is not stored, also where an earlier try of it is still on its way: what an
//! edge has handed to NATS may be held up on that connection while everything else changes.

use std::time::Duration;

use anyhow::{Context, ensure};
use natterjack::fleet::House;
use natterjack_nats::{Conversation, GroupId, MessageId};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::support::{
    PATIENCE,
    stage::{Play, Stage},
    until,
    user::{Answer, User, new_id},
};

/// A request of a user that names a message by a client's id.
#[derive(Clone)]
struct Try {
    user: User,
    method: Method,
    path: String,
    body: Option<Value>,
}

impl Try {
    fn text(user: &User, conversation: Conversation, id: MessageId, text: &str) -> Self {
        Self {
            user: user.clone(),
            method: Method::POST,
            path: format!("/v1/conversations/{conversation}/messages"),
            body: Some(json!({"id": id, "text": text})),
        }
    }

    fn deletion(user: &User, conversation: Conversation, id: MessageId, target: u64) -> Self {
        Self {
            user: user.clone(),
            method: Method::DELETE,
            path: format!("/v1/conversations/{conversation}/messages/{target}?id={id}"),
            body: None,
        }
    }

    /// As a client does: again, until the outcome is known.
    async fn on(&self, edge: usize) -> anyhow::Result<Answer> {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let (method, body) = (self.method.clone(), self.body.clone());
            let answer = self.user.request(edge, method, &self.path, body).await?;
            if answer.body["retryable"] != true {
                return Ok(answer);
            }
            ensure!(Instant::now() < deadline, "the outcome stays open: {answer:?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn begin_on(&self, edge: usize) -> JoinHandle<anyhow::Result<Answer>> {
        let this = self.clone();
        tokio::spawn(async move { this.on(edge).await })
    }
}

/// An owner, a member and a group of theirs.
async fn pair(house: &House) -> anyhow::Result<(User, User, Conversation, GroupId)> {
    let (alice, bob) = (
        User::sign_up(house, "alice").await?,
        User::sign_up(house, "bob").await?,
    );
    let group = alice.group("pair", &[&bob]).await?;
    let Conversation::Group(name) = group else {
        anyhow::bail!("{group}")
    };
    Ok((alice, bob, group, name))
}

/// Removes a member, over the second edge.
async fn remove(owner: &User, group: GroupId, member: &User) -> anyhow::Result<()> {
    let path = format!("/v1/groups/{group}/members/{}", member.id);
    owner.request(1, Method::DELETE, &path, None).await?.ok()?;
    Ok(())
}

async fn count(reader: &User, conversation: Conversation, id: MessageId) -> anyhow::Result<usize> {
    let history = reader.history(conversation).await?;
    Ok(history.iter().filter(|message| message.id == id).count())
}

fn seq(answer: &Answer) -> anyhow::Result<u64> {
    let seq = answer.body["seq"].as_u64();
    seq.with_context(|| format!("{answer:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_try_that_arrives_after_its_refusal_is_not_stored() -> anyhow::Result<()> {
    Stage::new()
        .first_edge_via_proxy()
        .run(async |Play { house, proxy, .. }| {
            let proxy = proxy.as_ref().unwrap();
            let (alice, bob, group, name) = pair(house).await?;
            let id = new_id();
            let message = Try::text(&bob, group, id, "held up");
            proxy.hold(" publish");
            let first = message.begin_on(0);
            until("the first try is held up", async || {
                Ok(proxy.holds(&id.to_string()).then_some(()))
            })
            .await?;
            remove(&alice, name, &bob).await?;
            for _ in 0..2 {
                message.on(1).await?.refused(403, "not_member")?;
            }
            proxy.let_go();
            first.await??.refused(403, "not_member")?;
            // Over the connection that was held up, behind all that it held.
            let after = alice.say(group, "after it").await?;
            for _ in 0..2 {
                ensure!(count(&alice, group, id).await? == 0);
                ensure!(
                    alice
                        .history(group)
                        .await?
                        .iter()
                        .any(|message| message.seq == after)
                );
                house.ground().persisted().await?;
            }

            // The refusal stays, also for who is a member again; a new id is a new message.
            let path = format!("/v1/groups/{name}/members");
            alice.post(&path, json!({"users": [bob.id]})).await?.ok()?;
            for edge in [0, 1] {
                message.on(edge).await?.refused(403, "not_member")?;
                seq(&Try::text(&bob, group, new_id(), "held up").on(edge).await?)?;
            }
            ensure!(count(&alice, group, id).await? == 0);
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_try_that_arrives_before_its_refusal_is_acknowledged() -> anyhow::Result<()> {
    Stage::new()
        .first_edge_via_proxy()
        .second_edge_via_proxy()
        .run(
            async |Play {
                       house,
                       proxy,
                       second_proxy,
                   }| {
                let (proxy, second_proxy) = (proxy.as_ref().unwrap(), second_proxy.as_ref().unwrap());
                let (alice, bob, group, name) = pair(house).await?;
                let id = new_id();
                let message = Try::text(&bob, group, id, "held up");
                proxy.hold(" publish");
                second_proxy.hold(" publish");
                let first = message.begin_on(0);
                until("the first try is held up", async || {
                    Ok(proxy.holds(&id.to_string()).then_some(()))
                })
                .await?;
                remove(&alice, name, &bob).await?;
                let second = message.begin_on(1);
                // It was looked for in vain, and is about to be refused.
                until("the refusal is held up", async || {
                    Ok(second_proxy.holds(&id.to_string()).then_some(()))
                })
                .await?;
                proxy.let_go();
                until("the first try is stored", async || {
                    Ok((count(&alice, group, id).await? > 0).then_some(()))
                })
                .await?;
                second_proxy.let_go();
                let (first, second) = (seq(&first.await??)?, seq(&second.await??)?);
                ensure!(first == second, "{first} {second}");
                for edge in [0, 1] {
                    ensure!(seq(&message.on(edge).await?)? == first);
                    Try::text(&bob, group, id, "another")
                        .on(edge)
                        .await?
                        .refused(409, "conflict")?;
                }
                ensure!(count(&alice, group, id).await? == 1);
                Ok(())
            },
        )
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_arrives_after_its_refusal_deletes_nothing() -> anyhow::Result<()> {
    Stage::new()
        .first_edge_via_proxy()
        .run(async |Play { house, proxy, .. }| {
            let proxy = proxy.as_ref().unwrap();
            let (alice, bob, group, name) = pair(house).await?;
            let role = format!("/v1/groups/{name}/members/{}", bob.id);
            alice.patch(&role, json!({"role": "admin"})).await?.ok()?;
            let target = alice.say(group, "this stays").await?;
            let id = new_id();
            let deletion = Try::deletion(&bob, group, id, target);
            proxy.hold(" publish");
            let first = deletion.begin_on(0);
            until("the first try is held up", async || {
                Ok(proxy.holds(&id.to_string()).then_some(()))
            })
            .await?;
            let member = Some(json!({"role": "member"}));
            alice.request(1, Method::PATCH, &role, member).await?.ok()?;
            deletion.on(1).await?.refused(403, "forbidden")?;
            proxy.let_go();
            first.await??.refused(403, "forbidden")?;
            alice.say(group, "after it").await?;
            for _ in 0..2 {
                ensure!(count(&alice, group, id).await? == 0);
                let history = alice.history(group).await?;
                let target = history.iter().find(|message| message.seq == target);
                let text = target.and_then(|message| message.text.as_deref());
                ensure!(text == Some("this stays"), "{history:?}");
                house.ground().persisted().await?;
            }
            Ok(())
        })
        .await
}
