//! `/mcp`: the same as the API, for agents, as a Model Context Protocol server (streamable HTTP, revision 2025-11-25, answers
//! as plain JSON, no sessions). Owns the door of this route and the tools; what they do is the desk's (`callbacks`).
//!
//! An agent's calls carry no word about whose session they come from: whom a tool means is an argument, or the owner.

mod tools;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use rmcp::ErrorData;
use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::{RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};

use crate::api::Api;
use crate::config::McpDoor;
use crate::console::{is_authorised, unauthorised};
use crate::redact::Secret;

const BODY_BYTES_MAX: usize = 64 * 1024;
const INSTRUCTIONS: &str = "The telephone of the person you work for. Call them when something can't wait for a chat \
    message, or when they asked to be called; send a text for everything else. A call begins with what you say and then \
    becomes a conversation with them, so say the one thing that matters first, in one or two short sentences for the ear: \
    no lists, no links, no Markdown.";

/// Who may come in.
#[derive(Clone)]
pub struct Door {
    pub rule: McpDoor,
    pub api_token: Secret,
    /// A token for this route alone.
    pub own_token: Option<Secret>,
}

/// The route, with its door; nothing where it is switched off. `addresses` are where we listen: requests that name another
/// host, or come from a web page, are refused, so that no page can reach us through a name of its own (DNS rebinding).
pub fn routes<S: Clone + Send + Sync + 'static>(
    api: Api,
    door: Door,
    addresses: &[SocketAddr],
) -> Router<S> {
    if door.rule == McpDoor::Off {
        return Router::new();
    }
    let hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let hosts = hosts.into_iter().chain(
        addresses
            .iter()
            .map(|address| address.ip())
            .filter(|ip| !ip.is_unspecified())
            .map(|ip: IpAddr| ip.to_string()),
    );
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(hosts)
        .enforce_origin_validation()
        .with_max_request_body_bytes(BODY_BYTES_MAX);
    let server = Server { api };
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(server.clone()), sessions, config);
    Router::new()
        .route_service("/mcp", service)
        .route_layer(middleware::from_fn_with_state(door, guard))
}

async fn guard(State(door): State<Door>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let has_token = is_authorised(headers, &door.api_token)
        || door
            .own_token
            .as_ref()
            .is_some_and(|token| is_authorised(headers, token));
    let is_here = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .is_some_and(|ConnectInfo(from)| from.ip().to_canonical().is_loopback());
    match door.rule {
        McpDoor::Token if has_token => next.run(request).await,
        McpDoor::Loopback if has_token || is_here => next.run(request).await,
        McpDoor::Token | McpDoor::Loopback => unauthorised(),
        McpDoor::Off => StatusCode::NOT_FOUND.into_response(),
    }
}

#[derive(Clone)]
struct Server {
    api: Api,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("offhook", env!("CARGO_PKG_VERSION"));
        info.with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        Ok(tools::call(&self.api, &request.name, arguments)
            .await
            .into())
    }
}
