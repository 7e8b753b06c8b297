"""The command line as a process: what it prints where, and with which exit code it leaves."""

import io
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import tomllib
import types
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner

import sat2map
from pairs import write_toy_set
from sat2map.cli import main as command_line
from sat2map.cli.main import VERBS, Verb, cli, main
from sat2map.cli.progress import progress
from sat2map.cli.train import Stopped, stopping_between_steps

FakeVerb = Callable[[Callable[[], None]], None]


@pytest.fixture
def fake_verb(monkeypatch: pytest.MonkeyPatch) -> FakeVerb:
    """Make `sat2map fake` run the function given."""

    def install(body: Callable[[], None]) -> None:
        module = types.ModuleType("fake_verb")
        module.fake = click.command("fake")(lambda: body())  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "fake_verb", module)
        monkeypatch.setitem(VERBS, "fake", Verb("fake_verb:fake", "Use", "nothing"))

    return install


def raising(error: BaseException) -> Callable[[], None]:
    def body() -> None:
        raise error

    return body


def test_help_names_every_verb_and_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    for name, verb in VERBS.items():
        assert f"{name} {verb.result}" in words
    assert "Completion" in words


def every_command(*verbs: str) -> list[tuple[str, click.Command]]:
    """(name, command) of these verbs (all, if none is named) and of what is below them."""
    context = click.Context(cli)
    waiting = [(name, cli.get_command(context, name)) for name in verbs or VERBS]
    found = []
    while waiting:
        name, command = waiting.pop(0)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            waiting += [
                (f"{name} {n}", command.get_command(context, n)) for n in command.list_commands(context)
            ]
    return found


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_teaches_its_result_and_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = [name for name, command in every_command(verb) if not isinstance(command, click.Group)]
    assert names
    for name in names:
        assert main([*name.split(), "--help"]) == 0
        shown = " ".join(capsys.readouterr().out.split())
        assert "The result of" in shown, f"sat2map {name} --help: what does one get?"
        assert f"sat2map {name}" in shown.partition("Usage:")[2].partition("Example")[2]


def test_every_option_says_what_it_does() -> None:
    for name, command in every_command():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"sat2map {name} {parameter.opts[0]} has no help"


def test_one_spelling_has_one_meaning_in_all_verbs() -> None:
    short = {"-q": "quiet", "-j": "jobs", "-h": "help"}
    for name, command in every_command():
        for parameter in command.params:
            for opt in set(parameter.opts) & short.keys():
                assert f"--{short[opt]}" in parameter.opts, f"sat2map {name}: {opt} is not --{short[opt]}"


def test_version_names_what_results_depend_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"sat2map {sat2map.__version__}"
    assert [line.split()[0] for line in lines[1:]] == ["python", "numpy", "onnxruntime", "torch"]


@pytest.mark.parametrize("arguments", [["tranlsate"], ["--nonsense"], ["train"], ["export", "onlyone"]])
def test_wrong_use_leaves_with_2_and_says_how_to_get_help(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "--help" in shown.err and "Traceback" not in shown.err


def test_unexpected_error_is_one_message_and_the_way_to_its_traceback(
    fake_verb: FakeVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_verb(raising(ZeroDivisionError("one\ntwo")))
    assert main(["fake"]) == 1
    shown = capsys.readouterr().err
    assert "ZeroDivisionError: one two" in shown and "Traceback" not in shown
    assert "sat2map fake --debug" in shown
    for arguments in (["fake", "--debug"], ["--debug", "fake"]):
        assert main(arguments) == 1
        assert "Traceback" in capsys.readouterr().err


def test_a_missing_package_of_the_train_extra_is_named_with_its_remedy(
    fake_verb: FakeVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_verb(raising(ModuleNotFoundError("No module named 'torch'", name="torch.nn")))
    assert main(["fake"]) == 2
    assert "pip install 'sat2map[train]'" in capsys.readouterr().err


def test_the_train_extra_is_the_one_of_the_package() -> None:
    project = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))[
        "project"
    ]
    named = {re.split(r"[<>=~!]", r)[0].lower() for r in project["optional-dependencies"]["train"]}
    assert {name.replace("pyyaml", "yaml") for name in named} == command_line.TRAIN_EXTRA


def test_ctrl_c_leaves_with_130_and_no_traceback(
    fake_verb: FakeVerb, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_verb(raising(KeyboardInterrupt()))
    assert main(["fake"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sat2map", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(timeout=60)


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="no device that is always full")
def test_an_output_on_a_full_disk_is_no_fault_of_ours() -> None:
    with pathlib.Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "sat2map", "--version"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
    assert process.returncode == 1
    assert process.stderr.startswith("error: cannot write to standard output: No space left on device. Check")
    assert process.stderr.count("\n") == 1


def test_completion_lists_the_verbs() -> None:
    environment = {"_SAT2MAP_COMPLETE": "bash_complete", "COMP_WORDS": "sat2map e", "COMP_CWORD": "1"}
    shown = CliRunner().invoke(cli, env=environment, prog_name="sat2map").output
    assert {line.partition(",")[2] for line in shown.splitlines()} == {"export", "evaluate"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "quiet", "silent"),
    [(Terminal, False, False), (Terminal, True, True), (io.StringIO, False, True)],
)
def test_progress_shows_on_a_terminal_only(
    stream: type[io.StringIO], quiet: bool, silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", shown := stream())
    with progress("painting", quiet=quiet) as move:
        move(1, 0, "unknown yet")
        move(2, 3, "second")
    assert ("painting" in shown.getvalue() and "2/3" in shown.getvalue()) is not silent
    assert bool(shown.getvalue()) is not silent


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_the_work_between_two_steps(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    seen = []
    with (
        pytest.raises(Stopped) as stopped,
        stopping_between_steps(lambda done, total, note: seen.append(done)) as step,
    ):
        step(1, 9, "")
        os.kill(os.getpid(), number)
        seen.append("the step in hand goes on to its end")
        step(2, 9, "")
    assert stopped.value.code == code
    assert seen == [1, "the step in hand goes on to its end", 2]
    assert signal.getsignal(number) is before


def test_the_second_signal_acts_at_once() -> None:
    with pytest.raises(KeyboardInterrupt), stopping_between_steps(lambda done, total, note: None):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("unreachable")


def test_sigterm_leaves_a_run_that_can_be_resumed(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("torch", reason="training needs the [train] extra")
    run, data = tmp_path / "run", write_toy_set(tmp_path / "toy")
    network = "generator.parameters={widths: [8, 16], encoder: [1, 1], decoder: [1], head: 8}"
    settings = [
        network,
        "objective.palette=5",
        "data.crop=64",
        "data.batch=2",
        "data.development=0.25",
        "data.finish=null",
    ]
    command = [
        sys.executable,
        "-m",
        "sat2map",
        "train",
        "carto",
        "--data",
        str(data),
        "--run",
        str(run),
        *settings,
    ]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    process = subprocess.Popen(
        [*command, "run.images=1000000", "run.log_every=2"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(600):
        if (log := run / "log.jsonl").exists() and '"train"' in log.read_text():
            break
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, shown = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "--resume" in shown and "Traceback" not in shown
    assert len(list((run / "checkpoints").glob("step-*"))) == 1
