//! The one table of routes: path, method, role and handler stand together.

use std::future::Future;

use actix_web::http::Method;
use actix_web::web::{self, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource};
use sentinel_domain::{ApiError, ErrorCode};

use super::auth::Role;
use super::exchange::{self, Answer, Exchange};

/// What one listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surface {
    /// Everything.
    All,
    /// Inference and health.
    Public,
    /// Everything else, and health.
    Operator,
}

/// Collects routes for one listener.
pub struct Table<'a> {
    config: &'a mut ServiceConfig,
}

impl<'a> Table<'a> {
    /// Begins a table.
    pub fn new(config: &'a mut ServiceConfig) -> Self {
        Self { config }
    }

    /// Registers a path with the methods that it answers, each with its handler. Other methods get 405.
    pub fn path<F, Fut>(
        &mut self,
        pattern: &'static str,
        role: Role,
        methods: &[Method],
        handler: F,
    ) -> &mut Self
    where
        F: Fn(Exchange) -> Fut + Copy + 'static,
        Fut: Future<Output = Answer> + 'static,
    {
        let mut resource = web::resource(pattern);
        for method in methods {
            resource = resource.route(web::method(method.clone()).to(
                move |request: HttpRequest, payload: Payload| {
                    exchange::run(request, payload, pattern, role, handler)
                },
            ));
        }
        self.finish(pattern, methods, resource)
    }

    /// Registers a path whose handler frames the exchange itself.
    pub fn raw<F, Fut>(&mut self, pattern: &'static str, methods: &[Method], handler: F) -> &mut Self
    where
        F: Fn(HttpRequest, Payload) -> Fut + Copy + 'static,
        Fut: Future<Output = HttpResponse> + 'static,
    {
        let mut resource = web::resource(pattern);
        for method in methods {
            resource = resource.route(web::method(method.clone()).to(handler));
        }
        self.finish(pattern, methods, resource)
    }

    fn finish(&mut self, pattern: &'static str, methods: &[Method], mut resource: Resource) -> &mut Self {
        let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        resource = resource.default_service(web::to(move |request: HttpRequest, payload: Payload| {
            let allowed = allowed.clone();
            async move { refuse_method(request, payload, pattern, allowed).await }
        }));
        self.config.service(resource);
        self
    }
}

async fn refuse_method(
    request: HttpRequest,
    payload: Payload,
    pattern: &'static str,
    allowed: String,
) -> HttpResponse {
    if request.method() == Method::OPTIONS && request.headers().contains_key("access-control-request-method")
    {
        return exchange::run(
            request,
            payload,
            pattern,
            Role::Public,
            async |_| Ok(super::cors::preflight()),
        )
        .await;
    }
    let mut response = exchange::run(request, payload, pattern, Role::Public, async |exchange: Exchange| {
        let method = exchange.request.method().as_str().chars().take(16).collect::<String>();
        Err(ApiError::new(ErrorCode::MethodNotAllowed, format!("{method} is not allowed here")))
    })
    .await;
    if let Ok(value) = allowed.parse() {
        response.headers_mut().insert(actix_web::http::header::ALLOW, value);
    }
    response
}

/// Answers a path that nobody has registered.
pub async fn unknown(request: HttpRequest, payload: Payload) -> HttpResponse {
    exchange::run(request, payload, "unmatched", Role::Public, async |exchange: Exchange| {
        let path: String = exchange.request.path().chars().filter(|c| !c.is_control()).take(100).collect();
        Err(ApiError::new(ErrorCode::UnknownRoute, format!("there is no route {path}")))
    })
    .await
}
