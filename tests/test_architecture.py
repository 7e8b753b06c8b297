"""The rules of docs/ARCHITECTURE.md, checked on the syntax tree of every module; test_import_time.py runs them.

A rule that sees nothing would pass for ever, so each is also shown a few lines that break it.
"""

import ast
import graphlib
import pathlib
import re
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "sat2map"

# Room -> floor. A new file or folder directly under sat2map/ must be entered here and in docs/ARCHITECTURE.md.
FLOORS = {
    "": 0,  # sat2map/__init__.py
    "errors": 0,
    "storage": 0,
    "images": 0,
    "grid": 0,
    "mercator": 0,
    "network": 0,
    "palette": 1,
    "familiar": 1,
    "card": 1,
    "bundle": 1,
    "runtime": 1,
    "slider": 1,
    "scenes": 1,
    "worlds": 1,
    "batch": 2,
    "data": 2,
    "collect": 2,
    "models": 2,
    "losses": 2,
    "views": 2,
    "demo": 3,
    "tour": 3,
    "evaluation": 3,
    "training": 3,
    "serve": 4,
    "cli": 5,
    "__main__": 6,
}
# Room -> rooms on its own floor that it may lean on.
BESIDE = {
    "storage": {"errors"},
    "images": {"errors", "storage"},
    "grid": {"errors"},
    "mercator": {"errors", "grid"},
    "network": {"", "errors", "storage"},  # "": the version, for the user agent
    "familiar": {"palette"},
    "card": {"palette", "familiar"},
    "bundle": {"palette", "card"},
    "runtime": {"palette", "card", "bundle"},
    "slider": {"palette"},
    "worlds": {"palette", "scenes"},
    "scenes": {"slider", "palette", "familiar", "card", "bundle", "runtime"},
    "views": {"collect", "data"},  # imagery around a place, and sets of true photos
    "tour": {"evaluation"},  # how well the way back agrees
    "data": {"collect"},  # a collection as a set of views
    "training": {"evaluation"},  # figures on the development split while a run goes on
}
PACKAGE_DATA = {"backbones", "bundles", "recipes", "samples"}  # no code in there

# Library -> the files or folders (relative to src/sat2map) that may import it, lazily or not.
OWNERS = {
    "torch": {"models", "losses", "training", "data/batches.py"},
    "safetensors": {"training"},
    "onnx": {"training"},
    "onnxscript": {"training"},
    "tensorboard": {"training"},
    "yaml": {"training"},
    # export: parity of the model it has just written; features, networks: an extractor, detectors that the user names
    "onnxruntime": {
        "runtime.py",
        "training/export.py",
        "training/latent_export.py",
        "evaluation/features.py",
        "collect/funnel/networks.py",
    },
    "PIL": {"images", "evaluation"},  # evaluation: drawing
    "rasterio": {"scenes/raster"},
    "pmtiles": {"scenes/tiles"},
    "pebble": {"batch/local.py"},
    "ray": {"batch/ray_engine.py"},
    "sqlite3": {"scenes/tiles", "scenes/vectors"},
    "starlette": {"serve"},
    "uvicorn": {"serve/server.py", "serve/connections.py"},
    "h11": {"serve/connections.py"},
    "click": {"cli"},
    "rich": {"cli"},
    "torchmetrics": {"evaluation"},
    "urllib.request": {"data/download.py", "network/transport.py"},  # the latter: proxies of the environment
    "urllib3": {"network/transport.py"},
    "http.client": {"data/download.py"},
    "http.server": {"collect/review/server.py"},  # a page for one person on the loopback interface
    "tarfile": {"data"},
    "zipfile": {"data"},
}
NOWHERE = {"pickle", "shelve", "marshal", "argparse", "torchvision", "requests", "subprocess"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module of the package as (path relative to src/sat2map, syntax tree)."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text("utf-8"))


def dotted(relative: str) -> str:
    return ".".join(
        ["sat2map", *relative.removesuffix(".py").removesuffix("__init__").strip("/").split("/")]
    ).rstrip(".")


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, name) of everything imported anywhere in `tree`; `from a import b` gives `a.b`, for b may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


def room_of(name: str) -> str:
    """The room of a dotted name below `sat2map`; attributes of the package itself belong to the room ''."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOORS else ""


def wrong_directions(relative: str, tree: ast.AST) -> list[str]:
    here = relative.removesuffix(".py").split("/")[0].removesuffix("__init__")
    found = []
    for line, name in imported(tree):
        if name.startswith("."):
            found.append(f"{relative}:{line}: {name}: write the whole name")
        if not (name == "sat2map" or name.startswith("sat2map.")):
            continue
        there = room_of(name)
        below = FLOORS[there] < FLOORS[here] or there == here
        if not (below or there in BESIDE.get(here, ())):
            found.append(
                f"{relative}:{line}: {here} (floor {FLOORS[here]}) imports {name} (floor {FLOORS[there]})"
            )
    return found


def wrong_libraries(relative: str, tree: ast.AST) -> list[str]:
    found = []
    for line, name in imported(tree):
        prefixes = {name[: end.start()] for end in re.finditer(r"\.|$", name)}
        for library in prefixes & NOWHERE:
            found.append(f"{relative}:{line}: nobody imports {library}")
        for library in prefixes & OWNERS.keys():
            if not any(relative == owner or relative.startswith(owner + "/") for owner in OWNERS[library]):
                found.append(f"{relative}:{line}: {library} belongs to {sorted(OWNERS[library])}")
    return found


def callee(call: ast.Call) -> str:
    """The dotted name of what is called, as far as it can be read: `os.replace`, `?.write_text`."""
    parts: list[str] = []
    node = call.func
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    parts.append(node.id if isinstance(node, ast.Name) else "?")
    return ".".join(reversed(parts))


ALWAYS_WRITES = re.compile(
    r"(np|numpy)\.save|.*\.(write_text|write_bytes|hardlink_to|symlink_to|rename|tofile|open_memmap|save_file|savez|savez_compressed)"
    r"|os\.(replace|renames?|open|mkfifo|link|symlink|truncate|write)|shutil\.(move|copy\w*)|.*\.(SummaryWriter|ZipFile)"
    r"|tempfile\.(NamedTemporaryFile|mkstemp|mkdtemp)|torch\.(save|onnx\.export)"
)


def opens_for_writing(call: ast.Call) -> bool:
    name = callee(call).rpartition(".")[2]
    words = [*call.args[:2], *(k.value for k in call.keywords if k.arg == "mode")]
    modes = [w.value for w in words if isinstance(w, ast.Constant) and isinstance(w.value, str)]
    return name in {"open", "fdopen", "memmap", "GzipFile"} and any(
        re.fullmatch(r"[rwaxbt+:gz]{1,5}", mode) and set(mode) & set("wax+") for mode in modes
    )


def names_in(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def calls_in(tree: ast.AST) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def bound(tree: ast.AST, makers: set[str], known: set[str]) -> set[str]:
    """`known`, and names that `tree` binds to what a function in `makers` gives or to what is made of such a name."""
    pairs = [(n.value, t) for n in ast.walk(tree) if isinstance(n, ast.Assign) for t in n.targets]
    pairs += [
        (i.context_expr, i.optional_vars) for n in ast.walk(tree) if isinstance(n, ast.With) for i in n.items
    ]
    named = [(value, target.id) for value, target in pairs if isinstance(target, ast.Name)]
    made = {n for v, n in named if isinstance(v, ast.Call) and callee(v).rpartition(".")[2] in makers}
    before, found = set(), known | made
    while before != found:
        before, found = found, found | {name for value, name in named if names_in(value) & found}
    return found


def harmless_names(tree: ast.AST) -> dict[ast.AST, set[str]]:
    """For each function (and the module): names of buffers and of temporary paths that storage has handed out.

    A function of the same module to which such a name is passed on has it under the name of its parameter.
    """
    scopes = [tree, *(n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))]
    names = {
        scope: bound(scope, {"replacing", "committing_folder", "BytesIO"}, set()) for scope in scopes[1:]
    }
    for _ in range(3):  # passed on at most so often
        for caller, known in list(names.items()):
            for call in calls_in(caller):
                for scope in names:
                    if callee(call).rpartition(".")[2] == scope.name:
                        given = [
                            p.arg
                            for p, v in zip(scope.args.args, call.args, strict=False)
                            if names_in(v) & known
                        ]
                        given += [k.arg for k in call.keywords if k.arg and names_in(k.value) & known]
                        names[scope] = bound(scope, set(), names[scope] | set(given))
    return names


def stray_writes(relative: str, tree: ast.AST) -> list[str]:
    """Calls that make, change or remove a file by name, but for temporary names that storage has handed out."""
    if relative.startswith("storage/"):
        return []
    draws = any(name.startswith("PIL") for _, name in imported(tree))
    scopes = harmless_names(tree)
    fine = {id(c) for scope, names in scopes.items() for c in calls_in(scope) if names_in(c) & names}
    found = []
    for call in calls_in(tree):
        name = callee(call)
        method = name.rpartition(".")[2]
        if name.startswith("storage.") or id(call) in fine:
            continue
        # Path.replace has one argument; that of str has two, that of dataclasses has keywords.
        renames = method == "replace" and len(call.args) == 1 and not call.keywords
        saves = method == "save" and draws  # Image.save; a `save` of ours goes through storage itself
        if renames or saves or ALWAYS_WRITES.fullmatch(name) or opens_for_writing(call):
            found.append(f"{relative}:{call.lineno}: {name}: files are written through storage")
    return found


def forbidden_calls(relative: str, tree: ast.AST) -> list[str]:
    found = []
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = callee(call)
        shell = any(
            k.arg == "shell" and not (isinstance(k.value, ast.Constant) and k.value.value is False)
            for k in call.keywords
        )
        if (
            name
            in {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "breakpoint"}
            or shell
        ):
            found.append(f"{relative}:{call.lineno}: {name}{' with shell=' if shell else ''} is never used")
        if not relative.startswith("cli/") and (
            name == "print" or re.fullmatch(r"sys\.(stdout|stderr)\..*", name)
        ):
            found.append(f"{relative}:{call.lineno}: {name}: only cli/ prints")
    return found


RULES = [wrong_directions, wrong_libraries, stray_writes, forbidden_calls]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_module_keeps_the_rule(rule) -> None:
    assert [finding for relative, tree in modules() for finding in rule(relative, tree)] == []


@pytest.mark.parametrize(
    ("rule", "relative", "source"),
    [
        (wrong_directions, "storage.py", "from sat2map import bundle"),
        (wrong_directions, "scenes/translate.py", "def f():\n    from sat2map.training import loop"),
        (wrong_directions, "evaluation/report.py", "import sat2map.training.loop"),
        (wrong_directions, "bundle.py", "from sat2map.runtime import Translator"),
        (wrong_directions, "data/pairs.py", "from sat2map.models import layers"),
        (wrong_directions, "data/pairs.py", "from . import download"),
        (wrong_libraries, "scenes/translate.py", "def f():\n    import torch.nn"),
        (wrong_libraries, "evaluation/metrics.py", "from torch import nn"),
        (wrong_libraries, "data/pairs.py", "from PIL import Image"),
        (wrong_libraries, "scenes/translate.py", "import rasterio.windows"),
        (wrong_libraries, "bundle.py", "import click"),
        (wrong_libraries, "training/checkpoint.py", "import pickle"),
        (stray_writes, "data/pairs.py", "open(path, 'wb')"),
        (stray_writes, "data/pairs.py", "path.open(mode='a')"),
        (stray_writes, "data/pairs.py", "path.write_text('x')"),
        (stray_writes, "data/pairs.py", "draft.replace(path)"),
        (stray_writes, "data/pairs.py", "os.replace(draft, path)"),
        (stray_writes, "data/pairs.py", "shutil.move(a, b)"),
        (stray_writes, "data/pairs.py", "np.save(path, x)"),
        (stray_writes, "evaluation/report.py", "from PIL import Image\npicture.save(path)"),
        (stray_writes, "training/export.py", "torch.onnx.export(net, x, path)"),
        (stray_writes, "data/pairs.py", "def f(folder):\n    (folder / 'a').write_text('')\nf(anywhere)"),
        (stray_writes, "scenes/raster.py", "rasterio.open(path, 'w', driver='GTiff')"),
        (forbidden_calls, "bundle.py", "print('x')"),
        (forbidden_calls, "bundle.py", "sys.stderr.write('x')"),
        (forbidden_calls, "bundle.py", "eval('1')"),
        (forbidden_calls, "training/checkpoint.py", "torch.load(path)"),
        (forbidden_calls, "data/download.py", "run(command, shell=True)"),
    ],
)  # fmt: skip
def test_the_rule_sees_what_it_forbids(rule, relative, source) -> None:
    assert rule(relative, ast.parse(source)) != []


@pytest.mark.parametrize(
    "source",
    [
        "open(path)",
        "open(path, 'rb')",
        "text.replace('a', 'b')",
        "dataclasses.replace(card, id='x')",
        "from PIL import Image; buffer = io.BytesIO(); picture.save(buffer, 'PNG')",
        "with storage.replacing(path) as draft: np.save(draft, pixels)",
        "with storage.replacing(path) as draft, draft.open('wb') as file: pixels.tofile(file)",
        "with committing_folder(path) as draft: (draft / 'a').write_bytes(b'')",
        "with committing_folder(path) as draft: fill(1, draft)\ndef fill(n, folder): (folder / 'a').write_text('')",
    ],
)
def test_reading_and_storage_are_not_taken_for_stray_writes(source) -> None:
    first, _, second = source.partition("\n")
    assert stray_writes("data/pairs.py", ast.parse(f"def f():\n    {first}\n{second}")) == []


def test_every_room_is_in_the_table_and_in_the_document() -> None:
    document = (ROOT / "docs" / "ARCHITECTURE.md").read_text("utf-8")
    rooms = [p for p in PACKAGE.iterdir() if p.suffix == ".py" or (p.is_dir() and any(p.rglob("*.py")))]
    for room in rooms:
        assert room.stem.removesuffix("__init__") in FLOORS, f"{room.name}: which floor is it on?"
        written = f"`{room.name}{'/' if room.is_dir() else ''}`"
        assert room.stem.startswith("__") or written in document, f"{written} is not in ARCHITECTURE.md"
    assert not [p for name in PACKAGE_DATA for p in (PACKAGE / name).rglob("*.py")]


def test_no_modules_import_each_other_in_a_circle() -> None:
    """While they are imported, that is: an import inside a function waits until both are there."""
    names = {dotted(relative) for relative, _ in modules()}
    needs = {}
    for relative, tree in modules():
        first = [
            name for s in tree.body if isinstance(s, ast.Import | ast.ImportFrom) for _, name in imported(s)
        ]
        wanted = {*first, *(name.rpartition(".")[0] for name in first)}
        needs[dotted(relative)] = (wanted & names) - {"sat2map", dotted(relative)}
    graphlib.TopologicalSorter(needs).prepare()  # raises CycleError and names the circle


def test_files_stay_small_and_are_named_for_what_they_hold() -> None:
    for relative, _ in modules():
        lines = len((PACKAGE / relative).read_text("utf-8").splitlines())
        assert lines <= 350, f"{relative} has {lines} lines: is it still one concept?"
        assert not re.search(r"util|helper|misc|common|manager", relative), f"{relative}: name what it holds"


def test_every_package_folder_is_a_package() -> None:
    for folder in {p.parent for p in PACKAGE.rglob("*.py")}:
        assert (folder / "__init__.py").is_file(), f"{folder} lacks __init__.py"
