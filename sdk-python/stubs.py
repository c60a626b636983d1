"""Generates the stubs of the protocol into src/danube: `python stubs.py`.

They are not in the repository, but in every package that is built of it. Where ../proto is missing (in a source package), those
that are there are kept.
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROTO = HERE.parent / "proto"
FILES = [f"danube/connector/v1/{name}.proto" for name in ("common", "sink", "source")]


def generate() -> None:
    """Generates the stubs, unless there is nothing to generate them from."""
    if not PROTO.is_dir():
        if not (HERE / "src" / "danube").is_dir():
            raise SystemExit(f"stubs: neither {PROTO} nor generated stubs are there")
        return
    import grpc_tools
    from grpc_tools import protoc

    out = HERE / "src"
    google = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{PROTO}", f"-I{google}", f"--python_out={out}", f"--pyi_out={out}", f"--grpc_python_out={out}"]
    if protoc.main([*arguments, *FILES]) != 0:
        raise SystemExit("stubs: protoc failed")


if __name__ == "__main__":
    sys.exit(generate())
