//! Under which name a caller means to reach us.
//!
//! A page in somebody's browser can have a name of its own resolve to our address, and
//! then talk to us as if we were its own server (DNS rebinding). It cannot have an
//! address do that, or `localhost`: so these, and the names that the operator lists,
//! are ours, and a call by any other name is refused. A page of elsewhere that calls us
//! by our own name says so in `Origin`.

use std::{net::IpAddr, sync::Arc};

use danube_sidecar_text::Foreign;
use http::{HeaderMap, Uri, header, uri::Authority};

/// The names that a caller may use besides addresses and `localhost`.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    names: Arc<[String]>,
}

/// A name that is not ours, or none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{field} {:?} is not this sidecar: call it by an address, as localhost, or by a name that \
     [sidecar] allowed_hosts lists",
    Foreign(value)
)]
pub struct ForeignHost {
    /// Where it stands.
    pub field: &'static str,
    /// What it says.
    pub value: String,
}

impl Hosts {
    /// These names are ours too.
    pub fn new(names: &[String]) -> Self {
        Self { names: names.iter().map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// Checks what a request says of whom it is for, and of where it comes from.
    ///
    /// # Errors
    /// With what is not ours.
    pub fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ForeignHost> {
        let mut called = None;
        if let Some(authority) = uri.authority() {
            called = Some(self.ours("host", authority.as_str())?);
        }
        for host in headers.get_all(header::HOST) {
            called = Some(self.ours("host", &lossy(host.as_bytes()))?);
        }
        let Some(called) = called else { return Err(foreign("host", "")) };
        for origin in headers.get_all(header::ORIGIN) {
            let origin = lossy(origin.as_bytes());
            let same = origin.parse::<Uri>().ok().and_then(|uri| uri.into_parts().authority);
            if same.is_none_or(|same| same != called) {
                return Err(foreign("origin", &origin));
            }
        }
        Ok(())
    }

    fn ours(&self, field: &'static str, text: &str) -> Result<Authority, ForeignHost> {
        let authority = text.parse::<Authority>().map_err(|_| foreign(field, text))?;
        let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
        if address || name == "localhost" || self.names.contains(&name) {
            return Ok(authority);
        }
        Err(foreign(field, text))
    }
}

fn foreign(field: &'static str, value: &str) -> ForeignHost {
    ForeignHost { field, value: value.chars().take(256).collect() }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: Option<&str>) -> Result<(), ForeignHost> {
        let hosts = Hosts::new(&["Sidecar.example".to_owned()]);
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        hosts.check(&Uri::from_static("/status"), &headers)
    }

    #[test]
    fn addresses_localhost_and_the_names_of_the_file_are_ours() {
        for host in [
            "127.0.0.1:6671",
            "localhost",
            "LOCALHOST.:6671",
            "[::1]:6671",
            "10.42.0.7:6671",
            "sidecar.example:6671",
        ] {
            assert_eq!(check(host, None), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_foreign_name_is_refused_whatever_it_looks_like() {
        for host in [
            "evil.example:6671",
            "",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "127.0.0.1@evil.example",
            "sidecar.example.evil",
            "unix:/run/x",
        ] {
            assert_eq!(check(host, None).unwrap_err().field, "host", "{host}");
        }
        assert!(Hosts::default().check(&Uri::from_static("/"), &HeaderMap::new()).is_err());
    }

    #[test]
    fn a_name_that_is_ours_in_one_place_does_not_hide_another_one() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "localhost".parse().unwrap());
        let uri = Uri::from_static("http://evil.example/status");
        assert!(Hosts::default().check(&uri, &headers).is_err());
        headers.append(header::HOST, "evil.example".parse().unwrap());
        assert!(Hosts::default().check(&Uri::from_static("/status"), &headers).is_err());
    }

    #[test]
    fn a_page_of_elsewhere_is_refused_though_it_calls_us_by_our_name() {
        assert_eq!(check("127.0.0.1:6671", Some("http://127.0.0.1:6671")), Ok(()));
        for origin in
            ["http://evil.example", "null", "http://127.0.0.1:3000", "http://localhost:6671"]
        {
            let refused = check("127.0.0.1:6671", Some(origin)).unwrap_err();
            assert_eq!(refused.field, "origin", "{origin}");
        }
    }
}
