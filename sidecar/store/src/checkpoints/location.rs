//! Where an object store is, and how to get in.

use std::{collections::BTreeMap, fmt, path::PathBuf, str::FromStr, sync::Arc};

use object_store::{
    ClientConfigKey, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    path::Path,
};
use url::Url;

use super::{blobs::Place, directory::Directory};

/// Bounds of one request; the whole operation is bounded too.
const REQUEST: [(ClientConfigKey, &str); 2] =
    [(ClientConfigKey::Timeout, "5 seconds"), (ClientConfigKey::ConnectTimeout, "3 seconds")];

/// The url of an object store (`s3://bucket/prefix`, `gs://…`, `az://…`) or a shared
/// directory (`file:///path`), with the options of its client: for S3 `endpoint`,
/// `region`, `allow_http`, `access_key_id`, `secret_access_key`, …; what is not
/// given comes from the environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`), a role or the
/// instance.
#[derive(Clone, PartialEq, Eq)]
pub struct ObjectLocation {
    url: Url,
    scheme: Scheme,
    options: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Directory,
    S3,
    Gcs,
    Azure,
}

/// Why a location cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    /// Not a url of a store that is known.
    #[error("write file:///path, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix")]
    Url,
    /// Secrets do not belong into urls: those are logged.
    #[error("leave user and password out of the url: give credentials as options")]
    Credentials,
    /// The client does not know the option.
    #[error(
        "there is no option `{0}` for it: options are for example endpoint, region, allow_http, \
         access_key_id, secret_access_key"
    )]
    Option(String),
    /// An endpoint without TLS.
    #[error("its endpoint is http://: use https://, or set allow_http = true in its options")]
    PlainHttp,
    /// The client refuses the options.
    #[error("its options are refused: {0}")]
    Refused(#[source] Arc<object_store::Error>),
}

impl ObjectLocation {
    /// Parses and checks; nothing is contacted.
    ///
    /// # Errors
    /// When the url names no store that is known, or an option is not the store's.
    pub fn new(url: &str, options: BTreeMap<String, String>) -> Result<Self, LocationError> {
        let url = Url::parse(url).map_err(|_| LocationError::Url)?;
        let scheme = match (url.scheme(), url.host_str().is_some()) {
            ("file", false) => Scheme::Directory,
            ("s3", true) => Scheme::S3,
            ("gs", true) => Scheme::Gcs,
            ("az", true) => Scheme::Azure,
            _ => return Err(LocationError::Url),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(LocationError::Credentials);
        }
        let location = Self { url, scheme, options };
        location.open()?;
        Ok(location)
    }

    /// The url; it holds no secrets.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }

    /// The store, and the prefix of the objects in it.
    pub(super) fn open(&self) -> Result<(Place, Path), LocationError> {
        let prefix = Path::from_url_path(self.url.path()).map_err(|_| LocationError::Url)?;
        let store: Arc<dyn ObjectStore> = match self.scheme {
            Scheme::Directory => return self.directory(),
            Scheme::S3 => Arc::new(self.s3()?),
            Scheme::Gcs => Arc::new(self.gcs()?),
            Scheme::Azure => Arc::new(self.azure()?),
        };
        Ok((Place::Store(store), prefix))
    }

    fn directory(&self) -> Result<(Place, Path), LocationError> {
        if let Some(option) = self.options.keys().next() {
            return Err(LocationError::Option(option.clone()));
        }
        let root: PathBuf = self.url.to_file_path().map_err(|()| LocationError::Url)?;
        Ok((Place::Directory(Directory(root)), Path::default()))
    }

    fn s3(&self) -> Result<object_store::aws::AmazonS3, LocationError> {
        let option = |name: &str| self.options.get(name).map(String::as_str);
        let plain = option("endpoint").is_some_and(|endpoint| endpoint.starts_with("http://"));
        if plain && option("allow_http") != Some("true") {
            return Err(LocationError::PlainHttp);
        }
        let mut builder = AmazonS3Builder::from_env().with_url(self.url()).with_retry(retries());
        for (key, value) in REQUEST {
            builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
        }
        for (key, value) in self.parsed::<AmazonS3ConfigKey>()? {
            builder = builder.with_config(key, value);
        }
        builder.build().map_err(refused)
    }

    fn gcs(&self) -> Result<object_store::gcp::GoogleCloudStorage, LocationError> {
        let mut builder =
            GoogleCloudStorageBuilder::from_env().with_url(self.url()).with_retry(retries());
        for (key, value) in REQUEST {
            builder = builder.with_config(GoogleConfigKey::Client(key), value);
        }
        for (key, value) in self.parsed::<GoogleConfigKey>()? {
            builder = builder.with_config(key, value);
        }
        builder.build().map_err(refused)
    }

    fn azure(&self) -> Result<object_store::azure::MicrosoftAzure, LocationError> {
        let mut builder =
            MicrosoftAzureBuilder::from_env().with_url(self.url()).with_retry(retries());
        for (key, value) in REQUEST {
            builder = builder.with_config(AzureConfigKey::Client(key), value);
        }
        for (key, value) in self.parsed::<AzureConfigKey>()? {
            builder = builder.with_config(key, value);
        }
        builder.build().map_err(refused)
    }

    fn parsed<K: FromStr>(&self) -> Result<Vec<(K, &str)>, LocationError> {
        let parsed = self.options.iter().map(|(name, value)| {
            let key = name.parse().map_err(|_| LocationError::Option(name.clone()))?;
            Ok((key, value.as_str()))
        });
        parsed.collect()
    }
}

impl fmt::Debug for ObjectLocation {
    /// The options may hold secrets: their names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectLocation")
            .field("url", &self.url())
            .field("options", &self.options.keys())
            .finish()
    }
}

/// Within the operation's bound; the callers go on trying after it.
fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: 2,
        retry_timeout: std::time::Duration::from_secs(8),
        ..RetryConfig::default()
    }
}

fn refused(error: object_store::Error) -> LocationError {
    LocationError::Refused(Arc::new(error))
}
