//! Service discovery.

use std::time::Duration;

use natterjack_nats::wire::EdgeInfo;

use super::{Api, Call, checked};
use crate::{error::ApiError, route};

/// How long one edge may take to answer, and all of them together.
const EDGE_TIMEOUT: Duration = Duration::from_secs(3);
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(8);

impl Api {
    /// The edges that take connections, the best first: those of the region, then by load.
    ///
    /// # Errors
    /// As the server says; see [`ApiError`].
    pub async fn edges(&self, region: Option<&str>) -> Result<Vec<EdgeInfo>, ApiError> {
        self.call(Call::get("/v1/edges").query("region", region)).await
    }

    /// The addresses of the edges that may be followed, from the first server that knows; the calls of
    /// this HTTP side may go there too from now on.
    ///
    /// # Errors
    /// Of the server that was asked last.
    pub(crate) async fn discover(&self, region: Option<&str>) -> Result<Vec<String>, ApiError> {
        let mut last = ApiError::BadAddress(String::new());
        let asking = async {
            for server in self.servers.in_turn() {
                match self.edges_of(server, region).await {
                    Ok(edges) => return Some(edges),
                    Err(error) => last = error,
                }
            }
            None
        };
        let edges = tokio::time::timeout(DISCOVERY_TIMEOUT, asking).await;
        let Ok(Some(edges)) = edges else {
            return Err(last);
        };
        let edges = route::followed(edges.into_iter().map(|edge| edge.url), self.servers());
        self.servers.found(edges.clone());
        Ok(edges)
    }

    async fn edges_of(&self, server: String, region: Option<&str>) -> Result<Vec<EdgeInfo>, ApiError> {
        let mut call = Call::get("/v1/edges").query("region", region);
        call.timeout = EDGE_TIMEOUT;
        let response = self.request(&server, &call, None).send().await;
        let response = match response {
            Ok(response) => response,
            Err(source) => {
                let source = source.without_url();
                return Err(ApiError::Unreachable { server, source });
            }
        };
        let (server, response) = checked(&server, response).await?;
        let status = response.status().as_u16();
        let garbled = |_| ApiError::Garbled { server, status };
        response.json().await.map_err(garbled)
    }
}
