//! `init`: a new connector, from a template.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use danube_sidecar_conformance::Kind;
use include_dir::{Dir, DirEntry, include_dir};
use serde::Deserialize;

/// A folder per language, with one per kind, one for what is the same, and an `init.toml`.
static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");
/// How the language is used; it is not copied.
const COMMANDS: &str = "init.toml";
/// What a sink and a source of a language have in common.
const BOTH: &str = "both";
/// Files whose names would mean something in this repository begin with this instead of a dot.
const DOT: &str = "dot-";
/// Longest name: that of a DNS label, which pods and hosts must have.
const LONGEST_NAME: usize = 63;

/// `init`.
#[derive(Clone, Debug, Args)]
pub struct InitCommand {
    /// The language
    #[arg(long, value_enum)]
    pub lang: Language,
    /// Does it write what Danube has (sink), or publish to Danube (source)?
    #[arg(long, value_enum)]
    pub kind: Kind,
    /// The SDK's folder [default: the one of the checkout that this program was built in]
    #[arg(long, value_name = "DIR")]
    pub sdk: Option<PathBuf>,
    /// The connector's name and its new folder: lower-case letters, digits and dashes
    #[arg(value_parser = name)]
    pub name: String,
}

/// Languages with an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Language {
    Python,
    Go,
    Typescript,
    Java,
    Rust,
}

/// Why there is no new connector.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something is there already.
    #[error("{0} exists already: choose another name, or remove it")]
    Exists(PathBuf),
    /// The SDK is not found.
    #[error(
        "the SDK ({folder}) is not beside this program: name its folder with --sdk DIR; it is in \
         the sidecar's repository"
    )]
    NoSdk {
        /// The folder's name.
        folder: String,
    },
    /// The SDK is not there.
    #[error("--sdk {0}: no such folder")]
    WrongSdk(PathBuf),
    /// A file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// How a template's language is used: shell lines for the new folder.
#[derive(Debug, Deserialize)]
struct Commands {
    /// Empty if there is nothing to build.
    build: String,
    run: String,
    test: String,
}

/// Makes the folder `NAME` in `parent`, and says what to do next.
///
/// # Errors
/// When the folder exists, the SDK is not found, or something cannot be written.
///
/// # Panics
/// Never: that every template is there is tested.
pub fn run(command: &InitCommand, parent: &Path) -> Result<String, Error> {
    let sdk = match &command.sdk {
        Some(folder) => folder.canonicalize().map_err(|_| Error::WrongSdk(folder.clone()))?,
        None => find_sdk(command.lang)?,
    };
    let target = parent.join(&command.name);
    if target.exists() {
        return Err(Error::Exists(target));
    }
    let names = Names::new(&command.name, &sdk);
    for part in [BOTH.to_owned(), word(command.kind)] {
        write(template(command.lang, &part), &target, &names)?;
    }
    Ok(next_steps(command, &names))
}

fn template(language: Language, part: &str) -> &'static Dir<'static> {
    TEMPLATES.get_dir(format!("{}/{part}", word(language))).expect("every pair has a template")
}

/// A value as it is written on the command line, and as its folder is called.
fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl Language {
    fn title(self) -> &'static str {
        match self {
            Self::Python => "Python",
            Self::Go => "Go",
            Self::Typescript => "TypeScript",
            Self::Java => "Java",
            Self::Rust => "Rust",
        }
    }

    fn commands(self) -> Commands {
        let file = TEMPLATES.get_file(format!("{}/{COMMANDS}", word(self)));
        let text = file.and_then(|file| file.contents_utf8()).expect("every language has commands");
        toml::from_str(text).expect("they are tested")
    }
}

/// Looks for the SDK beside this program, then beside the working folder.
fn find_sdk(language: Language) -> Result<PathBuf, Error> {
    let folder = format!("sdk-{}", word(language));
    let program = env::current_exe().and_then(|path| path.canonicalize()).ok();
    let starts = [program, env::current_dir().ok()];
    let found = starts.iter().flatten().flat_map(|start| start.ancestors()).find_map(|above| {
        // Any folder can have such a name; the protocol stands beside ours.
        let sdk = above.join(&folder);
        (sdk.is_dir() && above.join("proto/danube/connector/v1").is_dir()).then_some(sdk)
    });
    found.ok_or(Error::NoSdk { folder })
}

/// What stands for what in a template.
struct Names(Vec<(&'static str, String)>);

impl Names {
    fn new(name: &str, sdk: &Path) -> Self {
        let pascal = name.split('-').map(capitalized).collect();
        Self(vec![
            ("{{name}}", name.to_owned()),
            ("{{name_snake}}", name.replace('-', "_")),
            ("{{name_pascal}}", pascal),
            ("{{sdk}}", sdk.display().to_string()),
            ("{{version}}", env!("CARGO_PKG_VERSION").to_owned()),
        ])
    }

    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value))
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn write(template: &Dir<'_>, target: &Path, names: &Names) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    fs::create_dir_all(target).map_err(failed(target))?;
    for entry in template.entries() {
        let name = entry.path().file_name().unwrap_or_default().to_string_lossy();
        let name = match name.strip_prefix(DOT) {
            Some(rest) => format!(".{rest}"),
            None => names.fill(&name),
        };
        let path = target.join(name);
        match entry {
            DirEntry::Dir(folder) => write(folder, &path, names)?,
            DirEntry::File(file) => {
                let text = names.fill(&String::from_utf8_lossy(file.contents()));
                fs::write(&path, text).map_err(failed(&path))?;
            }
        }
    }
    Ok(())
}

fn next_steps(command: &InitCommand, names: &Names) -> String {
    let InitCommand { lang, kind, name, .. } = command;
    let Commands { build, run, test } = lang.commands();
    let (what, look) = match kind {
        Kind::Sink => (
            "sink",
            format!(
                "danube-sidecar publish /default/{name} 'hello, Danube'   # in another terminal; \
                 look into {name}.jsonl"
            ),
        ),
        Kind::Source => (
            "source",
            "danube-sidecar status --config sidecar.toml   # in another terminal: what Danube has confirmed"
                .to_owned(),
        ),
    };
    let mut lines = vec![format!("cd {name}")];
    lines.extend((!build.is_empty()).then(|| names.fill(&build)));
    lines.push(format!("danube-sidecar dev --config sidecar.toml -- {}", names.fill(&run)));
    lines.push(look);
    lines.push(format!("{}   # its unit tests", names.fill(&test)));
    format!(
        "{name}: a {what} in {}, with a README.md. Next:\n\n  {}\n",
        lang.title(),
        lines.join("\n  ")
    )
}

fn name(text: &str) -> Result<String, String> {
    let starts_well = text.starts_with(|first: char| first.is_ascii_lowercase());
    let is_plain =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if starts_well
        && text.chars().all(is_plain)
        && text.len() <= LONGEST_NAME
        && !text.ends_with('-')
        && !text.contains("--")
    {
        return Ok(text.to_owned());
    }
    Err(format!(
        "a name has lower-case letters, digits and single dashes between them, begins with a \
         letter, and has at most {LONGEST_NAME} of them, like orders-sink"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(lang: Language, kind: Kind) -> InitCommand {
        let sdk = Some(env!("CARGO_MANIFEST_DIR").into());
        InitCommand { lang, kind, sdk, name: "orders-sink".to_owned() }
    }

    fn all_text(folder: &Path) -> String {
        let entries = fs::read_dir(folder).expect("a folder");
        let text = |entry: io::Result<fs::DirEntry>| {
            let path = entry.expect("an entry").path();
            let own = path.display().to_string();
            if path.is_dir() {
                own + &all_text(&path)
            } else {
                own + &fs::read_to_string(path).expect("text")
            }
        };
        entries.map(text).collect()
    }

    #[test]
    fn every_pair_has_a_template_and_nothing_is_left_to_fill() {
        for lang in Language::value_variants() {
            for kind in Kind::value_variants() {
                let parent = tempfile::tempdir().expect("a folder");
                let next = run(&command(*lang, *kind), parent.path()).expect("a connector");
                let target = parent.path().join("orders-sink");
                let text = all_text(&target);

                for mark in ["{{name", "{{sdk", "{{version"] {
                    let left = [&text, &next].map(|text| text.contains(mark));
                    assert_eq!(left, [false, false], "{lang:?} {kind:?}: {mark}");
                }
                assert!(text.contains("orders-sink"), "{lang:?} {kind:?}");
                for file in ["README.md", "sidecar.toml", ".gitignore", "Containerfile"] {
                    assert!(target.join(file).exists(), "{lang:?} {kind:?}: no {file}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let parent = tempfile::tempdir().expect("a folder");
        let command = command(Language::Python, Kind::Sink);
        run(&command, parent.path()).expect("a connector");
        let error = run(&command, parent.path()).expect_err("it is there");

        assert!(error.to_string().contains("exists already"), "{error}");
    }

    #[test]
    fn an_sdk_that_is_not_there_is_named() {
        let missing =
            InitCommand { sdk: Some("/nowhere".into()), ..command(Language::Go, Kind::Sink) };
        let error = run(&missing, Path::new("/")).expect_err("no SDK");

        assert_eq!(error.to_string(), "--sdk /nowhere: no such folder");
    }

    #[test]
    fn names_become_folders_hosts_and_types() {
        assert_eq!(name("orders-2-sink"), Ok("orders-2-sink".to_owned()));
        for wrong in ["", "Orders", "2orders", "a_b", "a--b", "a-", "../a", &"a".repeat(64)] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
        let names = Names::new("orders-sink", Path::new("/sdk"));
        assert_eq!(names.fill("{{name_pascal}} {{name_snake}}"), "OrdersSink orders_sink");
    }
}
