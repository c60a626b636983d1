//! Whether each block of the guide is here, as printed.

use std::{collections::BTreeMap, fs, path::Path};

const GUIDE: &str = include_str!("../../connector-development-guide.md");
const README: &str = include_str!("../../README.md");
/// Stands before a line of the guide that had to be completed.
const COMPLETED: &str = "// guide: ";

/// The guide's Rust blocks, in order.
fn blocks() -> Vec<Vec<&'static str>> {
    let mut blocks = Vec::new();
    let mut lines = GUIDE.lines();
    while lines.by_ref().any(|line| line == "```rust") {
        blocks.push(lines.by_ref().take_while(|line| *line != "```").collect());
    }
    blocks
}

/// The modules, by the number of the block that they hold.
fn modules() -> BTreeMap<usize, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = [source.join("bin"), source].into_iter().flat_map(|folder| {
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path())
    });
    let mut modules = BTreeMap::new();
    for file in files {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix("block_") else { continue };
        let number = rest[..2].parse().expect("a number");
        let text = fs::read_to_string(&file).expect("text");
        assert!(text.starts_with(&format!("//! Block {number} of the guide")), "{name}");
        assert!(modules.insert(number, text).is_none(), "{name}: twice");
    }
    modules
}

/// The code of a line, without comment and space around.
fn code(line: &str) -> &str {
    if let Some(original) = line.trim().strip_prefix(COMPLETED) {
        return original;
    }
    line.split("//").next().unwrap_or_default().trim()
}

/// The first line of the block that the module does not have, in order.
fn missing<'a>(block: &[&'a str], module: &str) -> Option<&'a str> {
    let mut written = module.lines().map(code);
    block
        .iter()
        .map(|line| code(line))
        .filter(|line| !line.is_empty())
        .find(|line| !written.any(|own| own == *line))
}

#[test]
fn every_block_has_a_module_of_its_own() {
    let numbers: Vec<_> = modules().into_keys().collect();

    assert_eq!(numbers, (1..=blocks().len()).collect::<Vec<_>>());
}

#[test]
fn every_line_of_every_block_is_there_as_printed() {
    let modules = modules();
    for (number, block) in (1..).zip(blocks()) {
        assert_eq!(missing(&block, &modules[&number]), None, "block {number}");
    }
}

#[test]
fn a_line_that_is_not_there_would_be_found() {
    let module = "let a = 1;\n// guide: let b = ;\nlet b = 2;";

    assert_eq!(missing(&["let a = 1; // one", "let b = ;"], module), None);
    assert_eq!(missing(&["let b = ;", "let a = 1;"], module), Some("let a = 1;"));
    assert_eq!(missing(&["let c = 3;"], module), Some("let c = 3;"));
}

#[test]
fn every_completed_block_is_explained_in_the_readme() {
    for (number, module) in modules() {
        let explained = README.contains(&format!("\n| {number} |"));

        assert_eq!(explained, module.contains(COMPLETED), "block {number}");
    }
}
