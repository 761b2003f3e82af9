//! The tour's client: what an application would send, over a real socket.

use std::net::SocketAddr;
use std::time::Duration;

use awc::http::header::HeaderMap;
use serde_json::{Value, json};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Largest answer.
const MOST_BYTES: usize = 4 << 20;

/// An answer of the gateway.
pub(super) struct Reply {
    /// HTTP status.
    pub status: u16,
    headers: HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Reply {
    /// Returns a header, or an empty text.
    #[must_use]
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the body as JSON, or null.
    #[must_use]
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Returns the first choice's text.
    #[must_use]
    pub(super) fn content(&self) -> String {
        self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the JSON of every chunk of a stream, and whether it ended with `[DONE]`.
    #[must_use]
    pub(super) fn chunks(&self) -> (Vec<Value>, bool) {
        let data: Vec<&str> = self.text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let done = data.last() == Some(&"[DONE]");
        (data.iter().filter_map(|line| serde_json::from_str(line).ok()).collect(), done)
    }
}

/// Sends requests to the gateway.
pub(super) struct Client {
    base: String,
    http: awc::Client,
}

impl Client {
    /// Makes a client of a gateway.
    #[must_use]
    pub(super) fn new(address: SocketAddr) -> Self {
        let http = awc::Client::builder().timeout(PATIENCE).disable_redirects().finish();
        Self { base: format!("http://{address}"), http }
    }

    /// Gets a path.
    ///
    /// # Errors
    /// No answer.
    pub(super) async fn get(&self, path: &str) -> Result<Reply, String> {
        let sent = self.http.get(format!("{}{path}", self.base)).send().await;
        Self::read(sent.map_err(|error| error.to_string())?).await
    }

    /// Sends a chat request.
    ///
    /// # Errors
    /// No answer.
    pub(super) async fn chat(&self, body: &Value, headers: &[(&str, &str)]) -> Result<Reply, String> {
        let mut request = self.http.post(format!("{}/v1/chat/completions", self.base));
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        Self::read(request.send_json(body).await.map_err(|error| error.to_string())?).await
    }

    /// Asks a question with a model.
    ///
    /// # Errors
    /// No answer.
    pub(super) async fn ask(&self, model: &str, question: &str) -> Result<Reply, String> {
        self.chat(&json!({"model": model, "messages": [{"role": "user", "content": question}]}), &[]).await
    }

    async fn read<S>(mut response: awc::ClientResponse<S>) -> Result<Reply, String>
    where
        S: futures_util::Stream<Item = Result<actix_web::web::Bytes, awc::error::PayloadError>> + Unpin,
    {
        let body = response.body().limit(MOST_BYTES).await.map_err(|error| error.to_string())?;
        Ok(Reply {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    /// Sends one request of the gentle traffic. Its failure is part of the show.
    pub(super) async fn traffic(&self, turn: u64) {
        let models = ["assistant", "gpt-4o-mini", "claude-sonnet-4-5", "gpt-4o"];
        let index = usize::try_from(turn % 4).unwrap_or(0);
        let body = json!({
            "model": models.get(index).copied().unwrap_or("assistant"),
            "stream": turn.is_multiple_of(3),
            // Every fifth question is the same, so that the cache has something to do.
            "messages": [{"role": "user", "content": format!("What is the weather in city {}?", turn % 5 * turn)}],
        });
        drop(self.chat(&body, &[]).await);
    }
}
