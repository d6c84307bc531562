//! What a step may do while the previous version of the program runs. Everything else needs a line
//! `-- contract: <why no running program needs it any more>` in its file, and raises the oldest program.

use std::collections::BTreeSet;

use super::{STEPS, Step, statements};
use crate::db::migrate;

const MARK: &str = "-- contract: ";

/// The statements that a program which does not know the step might trip over, or wait for.
fn dangers(sql: &str) -> Vec<String> {
    let statements: Vec<String> = statements(sql).iter().map(|sql| sql.to_lowercase()).collect();
    let new: BTreeSet<&str> = statements
        .iter()
        .filter_map(|sql| sql.strip_prefix("create table "))
        .map(|rest| rest.strip_prefix("if not exists ").unwrap_or(rest))
        .filter_map(|rest| rest.split([' ', '(']).next())
        .collect();
    let safe = |sql: &&String| {
        let table = |prefix: &str| Some(sql.strip_prefix(prefix)?.split([' ', '(']).next()?.to_owned());
        let on = sql
            .split(" on ")
            .nth(1)
            .and_then(|rest| rest.split([' ', '(']).next());
        // Nobody reads or writes what is made in the same step.
        if let Some(table) = table("alter table ").or_else(|| table("insert into "))
            && new.contains(table.as_str())
        {
            return true;
        }
        if sql.starts_with("create table ") || sql.starts_with("comment on ") {
            return true;
        }
        if sql.starts_with("create index ") || sql.starts_with("create unique index ") {
            // A unique one refuses what the previous program may write.
            let unique = sql.starts_with("create unique");
            return on.is_some_and(|table| new.contains(table))
                || (!unique && sql.contains(" index concurrently "));
        }
        if sql.starts_with("drop index concurrently if exists ") {
            // Before it is made anew in the same step: what an interrupted one left.
            let name = sql.rsplit(' ').next().unwrap_or_default();
            let again = format!("create index concurrently {name} ");
            return statements.iter().any(|other| other.starts_with(&again));
        }
        let Some(rest) = sql.strip_prefix("alter table ") else {
            return false;
        };
        let change = rest.split_once(' ').map(|(_, change)| change).unwrap_or_default();
        if change.contains(", drop ") || change.contains(", alter ") || change.contains(", rename ") {
            return false;
        }
        // A default that is computed for each row rewrites the table under a lock.
        let column = change.starts_with("add column ")
            && !change.contains("default ")
            && !change.contains("not null")
            && !change.contains("unique")
            && !change.contains("primary key")
            && !change.contains("references");
        let constant = change.starts_with("add column ")
            && change.contains("default ")
            && !change.split("default ").nth(1).unwrap_or("(").contains('(')
            && !change.contains("unique")
            && !change.contains("references");
        column || constant || change.starts_with("set (") || change.starts_with("validate constraint ")
    };
    statements.iter().filter(|sql| !safe(sql)).cloned().collect()
}

/// What is wrong with a step that follows another.
fn wrong(step: &Step, before: i32, oldest_before: i32) -> Option<String> {
    let contracts = step.sql.lines().any(|line| line.trim().starts_with(MARK));
    let dangers = dangers(step.sql);
    if step.version != before + 1 {
        return Some(format!("{} does not follow {before}", step.version));
    }
    if !dangers.is_empty() && !contracts {
        return Some(format!("{}: without a line `{MARK}…`: {dangers:?}", step.name));
    }
    let raised = step.oldest > oldest_before;
    if raised != contracts || step.oldest < oldest_before || step.oldest > step.version {
        return Some(format!(
            "{}: a contract step, and no other, raises `oldest`",
            step.name
        ));
    }
    if !step.alone && step.sql.to_lowercase().contains("concurrently") {
        return Some(format!(
            "{}: `concurrently` cannot stand in a transaction",
            step.name
        ));
    }
    None
}

#[test]
fn every_step_expands_or_says_that_it_contracts() {
    let (mut version, mut oldest) = (migrate::LAST_MIGRATION, migrate::LAST_MIGRATION);
    for step in STEPS {
        assert_eq!(wrong(step, version, oldest), None);
        (version, oldest) = (step.version, step.oldest);
    }
}

#[test]
fn what_a_running_program_would_trip_over_is_found() {
    for safe in [
        "alter table users add column shoe_size smallint",
        "alter table users add column shoe_size smallint not null default 42",
        "create table shoes (owner uuid not null); create unique index shoes_owner on shoes (owner)",
        "create index concurrently messages_sender on messages (sender)",
        "drop index concurrently if exists x; create index concurrently x on messages (sender)",
        "-- drop table users;\ncomment on table users is 'people'",
        "alter table messages set (fillfactor = 90)",
    ] {
        assert_eq!(dangers(safe), Vec::<String>::new(), "{safe}");
    }
    for dangerous in [
        "alter table users drop column name",
        "alter table users rename column name to label",
        "alter table users rename to people",
        "alter table users add column shoe_size smallint not null",
        "alter table users add column made timestamptz not null default clock_timestamp()",
        "alter table users add column a int, drop column name",
        "alter table users alter column name type varchar(10)",
        "alter table users add constraint short check (length(name) < 10)",
        "create index messages_sender on messages (sender)",
        "create unique index concurrently users_name on users (name)",
        "drop index concurrently if exists messages_target",
        "drop table users",
        "update users set name = 'x'",
        "delete from users",
        "truncate users",
        "create or replace function f() returns int language sql as 'select 1'",
    ] {
        assert_eq!(dangers(dangerous).len(), 1, "{dangerous}");
    }
}

#[test]
fn a_contract_step_rules_old_programs_out_and_an_expand_step_does_not() {
    let step = |oldest, sql| Step {
        version: 5,
        name: "x",
        oldest,
        alone: false,
        sql,
    };
    let drop = "-- contract: since 4 nobody reads it\nalter table users drop column name";
    assert_eq!(wrong(&step(4, drop), 4, 3), None);
    assert!(
        wrong(&step(3, drop), 4, 3).is_some(),
        "who reads it still may start"
    );
    let add = "alter table users add column shoe_size smallint";
    assert_eq!(wrong(&step(3, add), 4, 3), None);
    assert!(
        wrong(&step(5, add), 4, 3).is_some(),
        "it rules out who could live with it"
    );
    assert!(wrong(&step(3, add), 3, 3).is_some(), "one is left out");
}
