"""The documents say what is there: commands parse, links lead somewhere, names exist."""

import pathlib
import re
import shlex
import tomllib

import click
import pytest

from sat2map.cli.main import VERBS, cli

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text("utf-8")


ROUTES = ("tiles", "tilejson", "wmts", "jobs", "towns", "extract")  # of the server


def commands(name: str) -> list[str]:
    """Every line of shell in README and documents that starts with `name`, and those quoted in a sentence."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text("utf-8")
        blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        found += [line for block in blocks for line in block.splitlines() if line.startswith(f"{name} ")]
        found += [quoted for quoted in re.findall(r"`([^`\n]+)`", text) if quoted.startswith(f"{name} ")]
    return sorted(set(found))


def parse(line: str) -> str:
    """Let click parse a command without running it; return the verbs. Raises click.UsageError where it is wrong."""
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = cli
    context = click.Context(cli, info_name="sat2map")
    path = []
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, found, words = command.resolve_command(context, words)
        assert name is not None and found is not None
        command = found
        path.append(name)
    if words and not isinstance(command, click.Group):  # without words, a sentence merely names the verb
        command.make_context(path[-1], words, parent=context)
    return " ".join(path)


@pytest.mark.parametrize("line", commands("sat2map"))
def test_every_command_in_the_documents_parses(
    line: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no command may depend on files that happen to lie here
    if line.split()[1] == "VERB":
        return
    parse(line)


@pytest.mark.parametrize(
    "line", ["sat2map translat a b", "sat2map export --nonsense a b", "sat2map export a"]
)
def test_a_wrong_command_would_be_noticed(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line)


def test_the_readme_says_what_the_result_of_every_verb_is() -> None:
    for name, verb in VERBS.items():
        assert f"| `sat2map {name}` | {verb.result} |" in README
    assert set(re.findall(r"\| `sat2map (\w+)`", README)) == set(VERBS)


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {"demo", "test", "lint", "bench", "clean"} <= targets
    named = {line.split()[1] for line in commands("make")}
    assert {"demo", "test"} <= named <= targets


def test_every_extra_in_the_documents_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {e for d in DOCUMENTS for e in re.findall(r"pip install '[\w.]+\[(\w+)\]'", d.read_text("utf-8"))}
    assert named and named <= set(project["optional-dependencies"])


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["train"]]
    table = (ROOT / "docs" / "ARCHITECTURE.md").read_text("utf-8").partition("## Dependencies")[2]
    for name in (re.split(r"[<>=~!\[]", requirement)[0] for requirement in wanted):
        assert re.search(rf"^\|[^|]*\b{name}\b", table, re.MULTILINE), f"{name}: why is it here?"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_to_files_lead_to_files(document: pathlib.Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if not target.startswith(("http:", "https:", "#", "mailto:")):
            file = document.parent / target.partition("#")[0]
            assert file.exists(), f"{document.name} links to {target}, which is not there"


def test_the_file_tree_in_the_readme_is_the_tree() -> None:
    tree = README.partition("## Where things are")[2].partition("```\n")[2].partition("```")[0]
    inside = {line.split()[0].rstrip("/") for line in tree.splitlines() if line.startswith("  ")}
    package = ROOT / "src" / "sat2map"
    there = {p.name for p in package.iterdir() if not p.name.startswith("_")}
    assert inside == there
    for line in tree.splitlines():
        assert line.startswith("  ") or (ROOT / line.split()[0]).is_dir()


def test_no_document_names_a_machine_of_ours() -> None:
    # Absolute paths help nobody else; those below are what a reader's own system has.
    for document in DOCUMENTS:
        for path in re.findall(r"(?<![\w.)\]:/])/(?:[a-z]\w*/)+\w*", document.read_text("utf-8")):
            known = ("/tmp/", "/path/to/", "/usr/", *(f"/{route}/" for route in ROUTES))
            assert path.startswith(known), f"{document.name}: {path}"
