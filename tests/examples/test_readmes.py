"""Every example's README works, command by command."""

import pytest
from readme import run_commands
from stack import ROOT

READMES = sorted(readme.parent.name for readme in (ROOT / "examples").glob("*/README.md"))


@pytest.mark.parametrize("example", READMES)
def test_the_commands_of_its_readme_work(example, tmp_path):
    run_commands(ROOT / "examples" / example / "README.md", tmp_path)
