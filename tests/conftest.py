"""The stubs are generated afresh for every run: what is tested is the protocol as it stands."""

import pathlib
import sys
import tempfile

import grpc_tools
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[1] / "proto"


def generate_stubs():
    out = tempfile.mkdtemp(prefix="danube-stubs-")
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    files = [f"danube/connector/v1/{name}.proto" for name in ("common", "sink", "source")]
    flags = [f"-I{PROTO}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}"]
    assert protoc.main(["protoc", *flags, *files]) == 0, "the protocol does not compile"
    return out


sys.path.insert(0, generate_stubs())
