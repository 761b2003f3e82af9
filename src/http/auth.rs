//! Who is calling, and whether the route is for them.
//!
//! Every spelling of a credential goes through [`credential`], every route through [`identify`]. Neither the path nor
//! the `Host` header decides anything here: the role comes with the route's registration.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;
use actix_web::http::header;
use sentinel_domain::ids::Caller;
use sentinel_domain::{ApiError, ErrorCode};
use sentinel_store::keys::KeyCheck;

use super::cors;
use crate::config::access::AuthMode;
use crate::gateway::identity::Identity;
use crate::gateway::{Gateway, Live};

/// Name of the cookie that the dashboard's login sets.
pub const SESSION_COOKIE: &str = "sentinel_session";

/// Header that a change by the dashboard's login needs; a foreign page cannot send it.
const CSRF_HEADER: &str = "x-sentinel-csrf";

/// Who a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everybody.
    Public,
    /// Callers of the models: a virtual key, or anybody in mode `none`.
    Caller,
    /// Readers of records: the admin, or a key for its own.
    Reader,
    /// The operator.
    Admin,
}

/// Decides who is calling and whether `role` lets them in.
///
/// # Errors
/// `missing_api_key`, `invalid_api_key`, `admin_required`, or `rate_limit_exceeded` after too many failures.
pub fn identify(
    request: &HttpRequest,
    client: IpAddr,
    role: Role,
    gateway: &Gateway,
    live: &Live,
) -> Result<Identity, ApiError> {
    if role == Role::Public {
        return Ok(Identity { caller: Caller::Address(client), key: None, admin: false });
    }
    check_failures(client, gateway)?;
    let verdict = decide(request, client, role, gateway, live);
    if let Err(error) = &verdict
        && error.code == ErrorCode::InvalidApiKey
    {
        gateway.failures.record(client, gateway.clock.now());
    }
    verdict
}

fn decide(
    request: &HttpRequest,
    client: IpAddr,
    role: Role,
    gateway: &Gateway,
    live: &Live,
) -> Result<Identity, ApiError> {
    let auth = &live.config.auth;
    let offered = credential(request)?;
    let is_admin = match (&auth.admin_token, &offered) {
        (Some(token), Some(text)) => token.matches(text),
        _ => false,
    } || (role != Role::Caller && session_counts(request, gateway)?);
    let anonymous = || Identity { caller: Caller::Address(client), key: None, admin: false };
    let key = match &offered {
        Some(text) if !is_admin => match gateway.stores.keys().check(text, gateway.clock.unix_ms()) {
            KeyCheck::Valid(key) => Some(key),
            KeyCheck::Invalid => None,
        },
        _ => None,
    };
    match role {
        Role::Public => Ok(anonymous()),
        Role::Caller => match (auth.mode, key) {
            (_, Some(key)) => {
                Ok(Identity { caller: Caller::Key(key.name.as_str().into()), key: Some(key), admin: false })
            }
            // SDKs insist on sending some key; in open mode it is not looked at.
            (AuthMode::None, None) => Ok(Identity { admin: is_admin, ..anonymous() }),
            (AuthMode::Keys, None) if offered.is_none() => Err(missing()),
            (AuthMode::Keys, None) => Err(invalid()),
        },
        Role::Reader | Role::Admin
            if is_admin || auth.admin_token.is_none() && key.is_none() && open_admin(auth.mode, role) =>
        {
            if !is_admin && !auth.allow_open {
                check_host(request)?;
            }
            Ok(Identity { admin: true, ..anonymous() })
        }
        Role::Reader => match key {
            Some(key) => {
                Ok(Identity { caller: Caller::Key(key.name.as_str().into()), key: Some(key), admin: false })
            }
            None if offered.is_none() => Err(missing()),
            None => Err(invalid()),
        },
        Role::Admin => match (offered, key) {
            (_, Some(_)) => Err(ApiError::new(ErrorCode::AdminRequired, "this route needs the admin token")),
            (None, None) => Err(missing()),
            (Some(_), None) => Err(invalid()),
        },
    }
}

/// Without an admin token (possible only on loopback, or where the operator allowed it) the operator's routes are open;
/// records stay closed where keys separate the callers.
fn open_admin(mode: AuthMode, role: Role) -> bool {
    role == Role::Admin || mode == AuthMode::None
}

/// Without a token only the address protects the operator's routes, so a name that a foreign site has pointed at this
/// machine must not reach them: the host has to be an address or `localhost`.
///
/// # Errors
/// `origin_not_allowed`.
fn check_host(request: &HttpRequest) -> Result<(), ApiError> {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if host.is_empty() || is_local_name(host) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::OriginNotAllowed,
        "without an admin token this route answers only to an address or localhost, not to a name; set auth.admin_token",
    ))
}

/// Says whether a `Host` header names an address or this machine, with or without a port.
fn is_local_name(host: &str) -> bool {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.split(']').next());
    let name = bracketed.unwrap_or_else(|| host.rsplit_once(':').map_or(host, |(name, _)| name));
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost") || name.parse::<IpAddr>().is_ok()
}

/// Says whether the request comes with a login of the dashboard. Browsers send cookies by themselves, so a change needs
/// proof that the gateway's own page asks for it.
///
/// # Errors
/// `origin_not_allowed` for a change without that proof.
fn session_counts(request: &HttpRequest, gateway: &Gateway) -> Result<bool, ApiError> {
    let now = gateway.clock.unix_ms();
    if !session_cookies(request).any(|session| gateway.sessions.is_valid(session, now)) {
        return Ok(false);
    }
    let has_header = request.headers().get(CSRF_HEADER).is_some_and(|value| value == "1");
    let origin = request.headers().get(header::ORIGIN);
    let is_own = origin.is_none_or(|origin| cors::is_own(origin.to_str().unwrap_or_default(), request));
    if request.method().is_safe() || has_header && is_own {
        return Ok(true);
    }
    Err(ApiError::new(
        ErrorCode::OriginNotAllowed,
        "a change by the dashboard's login needs the header \"x-sentinel-csrf: 1\" and this gateway's own origin",
    ))
}

/// Returns the sessions that the request's cookies name.
pub fn session_cookies(request: &HttpRequest) -> impl Iterator<Item = &str> {
    let cookies = request.headers().get_all(header::COOKIE).filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == SESSION_COOKIE).map(|(_, value)| value)
}

/// Compares what somebody offers at the login with the admin token.
///
/// # Errors
/// `invalid_api_key`; `rate_limit_exceeded` after too many failures.
pub fn log_in(token: &str, client: IpAddr, gateway: &Gateway, live: &Live) -> Result<(), ApiError> {
    check_failures(client, gateway)?;
    match &live.config.auth.admin_token {
        None => Ok(()),
        Some(secret) if secret.matches(token) => Ok(()),
        Some(_) => {
            gateway.failures.record(client, gateway.clock.now());
            Err(invalid())
        }
    }
}

fn check_failures(client: IpAddr, gateway: &Gateway) -> Result<(), ApiError> {
    let Some(wait) = gateway.failures.blocked(client, gateway.clock.now()) else { return Ok(()) };
    Err(ApiError::new(
        ErrorCode::RateLimitExceeded,
        "too many requests with wrong credentials from this address",
    )
    .param("authentication")
    .retry_after(wait))
}

/// Returns the credential that the client offers as `Authorization: Bearer` or `x-api-key`.
///
/// # Errors
/// `invalid_api_key` if there are several, or the header is something else.
pub fn credential(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let headers = request.headers();
    let mut offered: Option<String> = None;
    let bearers = headers.get_all(header::AUTHORIZATION).map(|value| {
        let text = value.to_str().ok()?;
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let api_keys = headers.get_all("x-api-key").map(|value| value.to_str().ok().map(str::trim));
    for candidate in bearers.chain(api_keys) {
        let candidate = candidate.filter(|text| !text.is_empty()).ok_or_else(invalid)?;
        if offered.as_deref().is_some_and(|earlier| earlier != candidate) {
            return Err(invalid());
        }
        offered = Some(candidate.to_owned());
    }
    Ok(offered)
}

fn missing() -> ApiError {
    ApiError::new(ErrorCode::MissingApiKey, "no API key was sent; send it as \"Authorization: Bearer KEY\"")
}

fn invalid() -> ApiError {
    ApiError::new(ErrorCode::InvalidApiKey, "the API key is not valid")
}

/// Returns the client's address: the peer's, or what a trusted proxy says of it.
#[must_use]
pub fn client_address(request: &HttpRequest, trusted: &[String]) -> IpAddr {
    let peer =
        request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical());
    let is_trusted = |ip: IpAddr| trusted.iter().any(|entry| entry.parse() == Ok(ip));
    if trusted.is_empty() || !is_trusted(peer) {
        return peer;
    }
    // Each proxy appends whom it heard from, so the last one that is not a trusted proxy is the client.
    let chain = request.headers().get_all("x-forwarded-for").filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = chain.flat_map(|line| line.split(',')).map(str::trim).collect();
    hops.iter().rev().map_while(|hop| hop.parse::<IpAddr>().ok()).find(|ip| !is_trusted(*ip)).unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_local_names() {
        for (host, expected) in [
            ("127.0.0.1:8000", true),
            ("[::1]:8000", true),
            ("localhost:8000", true),
            ("LOCALHOST", true),
            ("gateway.localhost:1", true),
            ("attacker.example:8000", false),
            ("localhost.attacker.example", false),
            ("127.0.0.1.attacker.example:8000", false),
        ] {
            assert_eq!(is_local_name(host), expected, "{host}");
        }
    }
}
