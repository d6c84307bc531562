//! From a handle to an account: the saved login, a password, or a new account.

use anyhow::{anyhow, bail};
use natterjack_client::{Account, Api, ApiError, TokenError, TokenSource as _};
use natterjack_nats::{
    services::accounts::{LogIn, SignUp, Tokens},
    wire::{Code, HelloDevice},
};

use super::{Args, input, state::State};

pub(super) async fn log_in(args: &Args, api: &Api, state: &State, terminal: bool) -> anyhow::Result<Account> {
    if let Some(tokens) = state.tokens() {
        let account = account(api, state, tokens);
        match account.token(false).await {
            Ok(_) => return Ok(account),
            // Logged out or revoked: the password helps.
            Err(TokenError::Refused(_)) => {}
            Err(TokenError::Unavailable(_)) => return Err(no_server(args)),
        }
    }
    let tokens = with_password(args, api, state, terminal).await?;
    state.set_login(&tokens)?;
    Ok(account(api, state, tokens))
}

fn account(api: &Api, state: &State, tokens: Tokens) -> Account {
    let state = state.clone();
    let save = move |tokens: &Tokens| {
        if let Err(error) = state.set_login(tokens) {
            tracing::warn!(error = format!("{error:#}"), "the login could not be saved");
        }
    };
    Account::restore(api, tokens, Some(Box::new(save)))
}

async fn with_password(args: &Args, api: &Api, state: &State, terminal: bool) -> anyhow::Result<Tokens> {
    let (handle, server) = (args.handle.clone(), args.server.join(", "));
    let password = match &args.password {
        Some(password) => password.clone(),
        None if terminal => input::password(&format!("password of {handle} (8 characters or more): "))?,
        None => bail!("there is no password for {handle}: set NATTERJACK_PASSWORD, or --password"),
    };
    let device = HelloDevice {
        id: state.tokens().map(|tokens| tokens.device),
        name: "terminal".to_owned(),
        platform: "terminal".to_owned(),
    };
    let sign_up = async || {
        let (handle, password, device) = (handle.clone(), password.clone(), device.clone());
        api.sign_up(&SignUp {
            handle,
            password,
            name: None,
            device,
        })
        .await
    };
    if args.create {
        match sign_up().await {
            // It is there already: the same command again means the same account.
            Err(ApiError::Wire(error)) if error.code == Code::HandleTaken => {}
            answer => return answer.map_err(|error| explained(args, error)),
        }
    }
    let login = LogIn {
        handle: handle.clone(),
        password: password.clone(),
        device: device.clone(),
    };
    match api.log_in(&login).await {
        Err(ApiError::Wire(error)) if error.code == Code::Unauthorized => {
            if args.create {
                bail!("there is an account {handle} on {server} already, with another password");
            }
            let question =
                format!("There is no account {handle} with this password on {server}. Make a new one?");
            if !terminal || !input::yes(&question)? {
                bail!(
                    "there is no account {handle} on {server}, or the password is another one: \
                     to make the account, add --create"
                );
            }
            match sign_up().await {
                Err(ApiError::Wire(error)) if error.code == Code::HandleTaken => {
                    bail!("there is an account {handle} already: try again with its password")
                }
                answer => answer.map_err(|error| explained(args, error)),
            }
        }
        answer => answer.map_err(|error| explained(args, error)),
    }
}

fn explained(args: &Args, error: ApiError) -> anyhow::Error {
    match error {
        ApiError::Unreachable { .. } => no_server(args),
        other => other.into(),
    }
}

fn no_server(args: &Args) -> anyhow::Error {
    let server = args.server.join(", ");
    anyhow!(
        "no server answers at {server}: start one on this machine with `cargo run --release`, \
         or name another with --server"
    )
}
