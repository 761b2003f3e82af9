//! The HTTP face: routes, roles, errors, streams. The only place that knows HTTP statuses.

pub mod audit;
pub mod auth;
pub mod body;
pub mod breakers;
pub mod chat;
pub mod cors;
pub mod dashboard;
pub mod error;
pub mod exchange;
pub mod health;
pub mod inference;
pub mod limits;
pub mod models;
pub mod operator;
pub mod query;
pub mod routes;
pub mod sse;
pub mod usage;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};

use auth::Role;
use routes::{Surface, Table};

/// Registers every route of one listener.
pub fn configure(config: &mut ServiceConfig, surface: Surface) {
    let mut table = Table::new(config);
    let get = [Method::GET, Method::HEAD];
    table
        .path("/health", Role::Public, &get, health::depth)
        .path("/health/live", Role::Public, &get, health::live)
        .path("/health/ready", Role::Public, &get, health::ready);
    if surface != Surface::Operator {
        table
            .raw(chat::PATTERN, &[Method::POST], inference::serve)
            .path("/v1/models", Role::Caller, &get, models::list)
            .path("/v1/models/{id:.+}", Role::Caller, &get, models::one);
    }
    if surface != Surface::Public {
        table
            .path("/v1/usage", Role::Reader, &get, usage::report)
            .path("/v1/audit", Role::Reader, &get, audit::list)
            .path("/v1/audit/verify", Role::Reader, &get, audit::verify)
            .path("/v1/audit/{request_id}", Role::Reader, &get, audit::one)
            .path("/metrics", Role::Admin, &get, operator::metrics)
            .path("/metrics/prometheus", Role::Admin, &get, operator::prometheus)
            .path("/admin/actors", Role::Admin, &get, operator::actors)
            .path("/admin/actors/{name:.*}/restart", Role::Admin, &[Method::POST], operator::restart)
            .path("/admin/actors/{name:.*}/panic", Role::Admin, &[Method::POST], operator::panic)
            .path("/admin/breakers/{provider}/{model:.+}", Role::Admin, &[Method::POST], breakers::force)
            // The page decides itself, because those who are not logged in get a page too.
            .path("/dashboard", Role::Public, &get, dashboard::page)
            .path("/dashboard/", Role::Public, &get, dashboard::page)
            .path("/dashboard/assets/{file}", Role::Public, &get, dashboard::asset)
            .path("/dashboard/events", Role::Admin, &[Method::GET], dashboard::events)
            .path("/dashboard/login", Role::Public, &[Method::POST], dashboard::login)
            .path("/dashboard/logout", Role::Admin, &[Method::POST], dashboard::logout);
    }
    config.default_service(web::to(routes::unknown));
}
