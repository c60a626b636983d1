//! Generates the Rust code of the protocol. protox parses the files, so no
//! system `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 3] = [
    "danube/connector/v1/common.proto",
    "danube/connector/v1/sink.proto",
    "danube/connector/v1/source.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let descriptors = protox::compile(FILES, ["."])?;
    fs::write(out.join("danube.connector.v1.binpb"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().bytes(".danube.connector.v1").compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=danube");
    Ok(())
}
