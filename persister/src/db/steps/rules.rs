//! What a step may do while the previous version of the program runs. Everything else needs a line
//! `-- contract: <why no running program needs it any more>` in its file, and raises the oldest program.

use std::collections::BTreeSet;

use super::{STEPS, Step, Way, statements};
use crate::db::migrate;

const MARK: &str = "-- contract: ";

/// Types of a column whose values are what is written there, and nothing that is counted or computed.
const TYPES: &[&str] = &[
    "smallint",
    "integer",
    "int",
    "bigint",
    "boolean",
    "text",
    "uuid",
    "bytea",
    "real",
    "double precision",
    "date",
    "timestamptz",
    "jsonb",
];

/// The statements that a program which does not know the step might trip over, or wait for.
fn dangers(sql: &str) -> Vec<String> {
    let statements: Vec<String> = statements(sql).iter().map(|sql| sql.to_lowercase()).collect();
    let new: BTreeSet<&str> = statements
        .iter()
        .filter_map(|sql| sql.strip_prefix("create table "))
        .map(name_made)
        .collect();
    let safe = |(at, sql): &(usize, &String)| {
        let before = statements.get(..*at).unwrap_or_default();
        let after = statements.get(*at..).unwrap_or_default();
        if sql.starts_with("comment on ") {
            return true;
        }
        if has_word(sql, "references") {
            // It locks the table that it points to, and refuses what is deleted there.
            return false;
        }
        if let Some(rest) = sql.strip_prefix("create table ") {
            // Of columns of its own, and no part of another.
            let (head, columns) = rest.split_once('(').unwrap_or((rest, ""));
            return name_made(rest) == head.strip_prefix("if not exists ").unwrap_or(head).trim_end()
                && closes_at_its_end(columns);
        }
        // Nobody reads or writes what is made in the same step.
        let into = |prefix: &str| Some(first_name(sql.strip_prefix(prefix)?));
        if let Some(table) = into("alter table ").or_else(|| into("insert into "))
            && new.contains(table)
        {
            return true;
        }
        if let Some(rest) = sql.strip_prefix("create index concurrently ") {
            // Where it was interrupted it left one that is of no use, and has the name.
            let drop = format!("drop index concurrently if exists {}", first_name(rest));
            return before.contains(&drop);
        }
        if sql.starts_with("create index ") || sql.starts_with("create unique index ") {
            // A unique one on a table that is in use refuses what the previous program may write.
            let table = sql.split(" on ").nth(1).map(first_name);
            return !sql.contains(" concurrently ") && table.is_some_and(|table| new.contains(table));
        }
        if let Some(name) = sql.strip_prefix("drop index concurrently if exists ") {
            // What an interrupted one left, before it is made anew.
            let again = format!("create index concurrently {name} on ");
            return after.iter().any(|other| other.starts_with(&again));
        }
        let change = sql
            .strip_prefix("alter table ")
            .and_then(|rest| rest.split_once(' '));
        change
            .is_some_and(|(_, change)| changes_settings(change) || change.split(", ").all(adds_or_validates))
    };
    let found = statements.iter().enumerate().filter(|each| !safe(each));
    found.map(|(_, sql)| sql.clone()).collect()
}

/// The name at the start of the text.
fn first_name(text: &str) -> &str {
    text.split([' ', '(']).next().unwrap_or_default()
}

/// The name that a `create table` gives.
fn name_made(rest: &str) -> &str {
    first_name(rest.strip_prefix("if not exists ").unwrap_or(rest))
}

/// Whether what stands behind an opening parenthesis ends with the one that closes it.
fn closes_at_its_end(text: &str) -> bool {
    let mut open = 1_i32;
    let closed = text.char_indices().find(|(_, c)| {
        open += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        open == 0
    });
    closed.is_some_and(|(at, _)| at + 1 == text.len())
}

fn has_word(sql: &str, word: &str) -> bool {
    sql.split(|c: char| !c.is_alphanumeric() && c != '_')
        .any(|part| part == word)
}

/// `set (…)`, and nothing behind it.
fn changes_settings(change: &str) -> bool {
    change.strip_prefix("set (").is_some_and(closes_at_its_end)
}

/// `validate constraint …`, or `add column …` that writes no row and refuses none.
fn adds_or_validates(change: &str) -> bool {
    if let Some(name) = change.strip_prefix("validate constraint ") {
        return name == first_name(name);
    }
    let Some(column) = change.strip_prefix("add column ") else {
        return false;
    };
    let column = column.strip_prefix("if not exists ").unwrap_or(column);
    let Some((_, kind)) = column.split_once(' ') else {
        return false;
    };
    let behind = |name: &&str| {
        let rest = kind.strip_prefix(*name)?;
        let rest = rest.strip_prefix("[]").unwrap_or(rest);
        (rest.is_empty() || rest.starts_with(' ')).then(|| rest.trim_start())
    };
    // No row has a value then that would have to be computed or checked.
    let constant = |rest: &str| rest.strip_prefix("default ").is_some_and(literal);
    TYPES.iter().filter_map(behind).any(|rest| {
        rest.is_empty()
            || constant(rest)
            || rest.strip_prefix("not null ").is_some_and(constant)
            || rest.strip_suffix(" not null").is_some_and(constant)
    })
}

/// A number, a text without quotes in it, or a truth value.
fn literal(value: &str) -> bool {
    let quoted = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    matches!(value, "true" | "false")
        || value.parse::<f64>().is_ok_and(f64::is_finite)
        || quoted.is_some_and(|text| !text.contains('\''))
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
    let tunes = |sql: &String| {
        let change = sql.strip_prefix("alter table {leaf} ");
        change.is_some_and(changes_settings)
    };
    let tuning = matches!(step.way, Way::Tuning(_));
    if tuning != statements(step.sql).iter().all(tunes) {
        return Some(format!(
            "{}: tuning, and nothing else, is `alter table {{leaf}} set (…)`",
            step.name
        ));
    }
    if step.way != Way::Alone && step.sql.to_lowercase().contains("concurrently") {
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
        "alter table users add column shoe_size smallint default 42 not null",
        "alter table users add column shoes text[], add column if not exists shoe double precision default -1.5",
        "alter table users add column shoe text not null default 'left', validate constraint short",
        "create table if not exists shoes (n bigserial primary key); alter table shoes add check (n > 0)",
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
        "alter table users add column n bigserial",
        "alter table users add column n bigint generated by default as identity",
        "alter table users add column n text generated always as (upper(name)) stored",
        "alter table users add column a int, add constraint c check (a > 0)",
        "alter table users add column a int check (a > 0)",
        "alter table users add column a int not null default null",
        "alter table users add column a timestamptz default now()",
        "alter table users add column a timestamptz default current_timestamp",
        "alter table users add column a text collate \"c\" default 'x'",
        "alter table users add column a shoe_size",
        "alter table users set (fillfactor = 90), add constraint c check (length(name) > 0)",
        "alter table users validate constraint c, drop column name",
        "create table x (u uuid references users)",
        "create table x partition of messages for values from (1) to (2)",
        "create table x (n int) inherits (users)",
        "create table x as select * from messages",
        "create index messages_sender on messages (sender)",
        "create index concurrently messages_sender on messages (sender)",
        "create index concurrently if not exists messages_sender on messages (sender)",
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
        way: Way::Together,
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
    let tuning = Step {
        way: Way::Tuning("users"),
        ..step(3, "alter table {leaf} set (fillfactor = 90)")
    };
    assert_eq!(wrong(&tuning, 4, 3), None);
    assert!(
        wrong(&Step { sql: add, ..tuning }, 4, 3).is_some(),
        "the program cannot do without a column"
    );
}
