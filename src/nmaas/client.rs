//! The one request.

use super::error::Said;
use super::{BaseUrl, ClientError, Tls, Token};
use crate::model::{DomainId, limits};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

/// How long one request may take, from the look-up of the name to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// NMaaS, as it is asked.
#[derive(Clone, Debug)]
pub struct Client {
    base: BaseUrl,
    tls: Option<Tls>,
    timeout: Duration,
}

impl Client {
    /// Asks at `base`, over `tls` where its URL says so.
    pub const fn new(base: BaseUrl, tls: Option<Tls>) -> Self {
        Self { base, tls, timeout: TIMEOUT }
    }

    /// Waits so long for an answer.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Where it asks.
    pub const fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Says whether the network of `domain` is configured. The same may be said again: NMaaS
    /// takes it as it did the first time.
    ///
    /// # Errors
    /// When it was not taken.
    pub async fn tell(
        &self,
        domain: DomainId,
        is_configured: bool,
        token: &Token,
    ) -> Result<(), ClientError> {
        let path = self.base.path(&format!("/domains/{domain}/dcn?configured={is_configured}"));
        let (response, body) = tokio::time::timeout(self.timeout, self.patch(&path, token))
            .await
            .map_err(|_| ClientError::Timeout {
                at: self.base.to_string(),
                seconds: self.timeout.as_secs(),
            })??;
        self.judge(domain, &response, Said::new(&body))
    }

    fn judge<T>(
        &self,
        domain: DomainId,
        response: &Response<T>,
        said: Said,
    ) -> Result<(), ClientError> {
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        if status.is_redirection() {
            let to = response.headers().get(header::LOCATION).map(HeaderValue::as_bytes);
            let to = String::from_utf8_lossy(to.unwrap_or(b"elsewhere"));
            let to = to.chars().filter(|it| !it.is_control()).take(200).collect();
            return Err(ClientError::Redirect { status, to });
        }
        if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status) {
            return Err(ClientError::Token { status, said });
        }
        if status == StatusCode::NOT_FOUND {
            let at = self.base.to_string();
            return Err(ClientError::NoDomain { status, domain, at, said });
        }
        Err(ClientError::Refused { status, said })
    }

    async fn patch(&self, path: &str, token: &Token) -> Result<(Response<()>, Bytes), ClientError> {
        let at = || self.base.to_string();
        let stream = TcpStream::connect((self.base.host(), self.base.port()))
            .await
            .map_err(|error| ClientError::Connect { at: at(), error })?;
        if !self.base.is_tls {
            return self.exchange(stream, path, token).await;
        }
        let Some(tls) = &self.tls else {
            let error = io::Error::from(io::ErrorKind::Unsupported);
            return Err(ClientError::Tls { at: at(), error });
        };
        let name = ServerName::try_from(self.base.host().to_owned())
            .map_err(|_| ClientError::ServerName(self.base.host().to_owned()))?;
        let connect = tls.connector().connect(name, stream);
        let stream = connect.await.map_err(|error| ClientError::Tls { at: at(), error })?;
        self.exchange(stream, path, token).await
    }

    async fn exchange<S>(
        &self,
        stream: S,
        path: &str,
        token: &Token,
    ) -> Result<(Response<()>, Bytes), ClientError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let broken = |error: Box<dyn std::error::Error + Send + Sync>| ClientError::Exchange {
            at: self.base.to_string(),
            error,
        };
        let request = self.request(path, token).map_err(|error| broken(error.into()))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(error.into()))?;
        let exchange = async {
            let response = sender.send_request(request).await;
            let response = response.map_err(|error| broken(error.into()))?;
            let (head, body) = response.into_parts();
            // What is too long to be read was an answer all the same.
            let body = Limited::new(body, limits::NMAAS_ANSWER_BYTES).collect().await;
            let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            Ok((Response::from_parts(head, ()), body))
        };
        // The connection does the reading and writing; it need not end by itself.
        tokio::pin!(exchange);
        tokio::pin!(connection);
        tokio::select! {
            biased;
            answer = &mut exchange => answer,
            _ = &mut connection => exchange.await,
        }
    }

    fn request(
        &self,
        path: &str,
        token: &Token,
    ) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
        let mut bearer = HeaderValue::try_from(
            zeroize::Zeroizing::new(format!("Bearer {}", token.as_str())).as_str(),
        )?;
        bearer.set_sensitive(true);
        Request::builder()
            .method(Method::PATCH)
            .uri(path)
            .header(header::HOST, self.base.authority())
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_LENGTH, 0)
            .header(header::CONNECTION, "close")
            .body(Empty::new())
    }
}
