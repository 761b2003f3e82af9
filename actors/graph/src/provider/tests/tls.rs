//! TLS: a certificate that is not trusted gets nothing, not even the credential.

use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sentinel_domain::outcome::FailureClass;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::support::*;

/// Serves one answer over TLS with a fresh self-signed certificate for `name`, and tells what it could read.
async fn secure(name: &str) -> (u16, rustls::RootCertStore, mpsc::Receiver<String>) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let ring = Arc::new(rustls::crypto::ring::default_provider());
    let settings = rustls::ServerConfig::builder_with_provider(ring)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(settings));
    let (heard, hears) = mpsc::channel(4);
    let (port, _) = upstream(move |_, socket| {
        let (acceptor, heard) = (acceptor.clone(), heard.clone());
        async move {
            let mut text = String::new();
            if let Ok(mut socket) = acceptor.accept(socket).await {
                let mut bytes = vec![0; 4096];
                while !text.contains("messages") {
                    match socket.read(&mut bytes).await {
                        Ok(read) if read > 0 => text.push_str(&String::from_utf8_lossy(&bytes[..read])),
                        _ => break,
                    }
                }
                let _ = socket.write_all(completion("secret hello").as_bytes()).await;
                let _ = socket.flush().await;
            }
            let _ = heard.send(text).await;
        }
    })
    .await;
    (port, roots, hears)
}

fn settings(roots: rustls::RootCertStore) -> Settings {
    Settings { scheme: "https", keys: vec!["sk-secret"], roots, ..Settings::default() }
}

#[actix_rt::test]
async fn a_trusted_certificate_is_talked_to() {
    let (port, roots, mut hears) = secure("localhost").await;
    assert_eq!(Gateway::new(port, settings(roots)).whole().await.unwrap(), "secret hello");
    assert!(hears.recv().await.unwrap().contains("sk-secret"));
}

#[actix_rt::test]
async fn an_untrusted_or_misnamed_certificate_gets_no_secret() {
    let (port, _, mut hears) = secure("localhost").await;
    let gateway = Gateway::new(port, settings(rustls::RootCertStore::empty()));
    assert_eq!(gateway.whole().await.unwrap_err().class, FailureClass::Tls, "self-signed");
    assert_eq!(hears.recv().await.unwrap(), "");

    let (port, roots, mut hears) = secure("elsewhere.example").await;
    let gateway = Gateway::new(port, settings(roots));
    assert_eq!(gateway.whole().await.unwrap_err().class, FailureClass::Tls, "wrong name");
    assert_eq!(hears.recv().await.unwrap(), "");
}

#[actix_rt::test]
async fn plain_http_on_a_tls_port_is_a_tls_failure() {
    let (port, _) = upstream(|_, mut socket| async move {
        write(&mut socket, answer("400 Bad Request", "", "plain")).await;
        closed(&mut socket).await;
    })
    .await;
    let gateway = Gateway::new(port, settings(rustls::RootCertStore::empty()));
    assert_eq!(gateway.whole().await.unwrap_err().class, FailureClass::Tls);
}
