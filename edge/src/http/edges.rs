//! The route of service discovery.

use std::sync::Arc;

use axum::{Json, extract::State};
use natterjack_nats::wire::EdgeInfo;
use serde::Deserialize;

use super::{
    error::Answer,
    extract::{Address, Query},
};
use crate::app::App;

#[derive(Deserialize)]
pub(super) struct EdgesQuery {
    region: Option<String>,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Address(address): Address,
    Query(query): Query<EdgesQuery>,
) -> Answer<Vec<EdgeInfo>> {
    app.limits.discovery_from(address)?;
    Ok(Json(app.discovery.ranked(query.region.as_deref(), None)?))
}
