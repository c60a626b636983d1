"""Code in README.md is that of files which the other tests run: `python tests/test_readme.py` copies it."""

import pathlib
import re

HOME = pathlib.Path(__file__).resolve().parents[1]
README = HOME / "README.md"
BLOCK = re.compile(r"(<!-- file: (\S+) -->\n```\w+\n)(.*?)(```\n)", re.DOTALL)


def with_files(text: str) -> str:
    """The text, with what the files say now."""
    return BLOCK.sub(lambda block: block[1] + (HOME / block[2]).read_text() + block[4], text)


def test_the_readme_shows_files_as_they_are():
    text = README.read_text()
    assert len(BLOCK.findall(text)) == 4
    assert with_files(text) == text


if __name__ == "__main__":
    README.write_text(with_files(README.read_text()))
