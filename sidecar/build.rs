//! The templates of `init` are compiled in: have a change of them noticed.

fn main() {
    println!("cargo::rerun-if-changed=templates");
}
