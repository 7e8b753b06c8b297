"""The funnel: what each stage keeps, that nothing is measured twice, and that real detectors see what is there."""

import json
import pathlib
import re

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageFilter

import photos
import places365
from sat2map.cli.main import main
from sat2map.collect.collection import Collection
from sat2map.collect.funnel import boxes, measuring
from sat2map.collect.funnel.duplicates import as_words, distances, groups
from sat2map.collect.funnel.faces import Faces
from sat2map.collect.funnel.measuring import Detectors
from sat2map.collect.funnel.people import People
from sat2map.collect.funnel.picture import look, perceptual_hash
from sat2map.collect.funnel.run import Funnel
from sat2map.collect.funnel.scene import NATURAL, Scenes
from sat2map.collect.funnel.settings import Settings
from sat2map.collect.funnel.stages import STAGES
from sat2map.collect.manifest import Decision
from sat2map.errors import BadNetwork

# -- boxes --------------------------------------------------------------------------------------------------------


def suppressed_slowly(found: np.ndarray, scores: np.ndarray, overlap: float) -> list[int]:
    """Non-maximum suppression by its definition, box by box."""

    def iou(a: np.ndarray, b: np.ndarray) -> float:
        width, height = (max(0.0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in (0, 1))
        areas = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
        return width * height / (areas - width * height) if areas else 0.0

    kept: list[int] = []
    for index in sorted(range(len(found)), key=lambda i: (-scores[i], i)):
        if all(iou(found[index], found[other]) <= overlap for other in kept):
            kept.append(index)
    return kept


@given(seed=st.integers(0, 10_000), count=st.integers(0, 30), overlap=st.sampled_from([0.0, 0.3, 0.45, 0.9]))
def test_suppression_is_that_of_the_definition(seed, count, overlap):
    random = np.random.default_rng(seed)
    low = random.integers(0, 20, (count, 2))
    found = np.concatenate([low, low + random.integers(1, 12, (count, 2))], 1).astype(np.float32)
    scores = random.integers(0, 6, count).astype(np.float32)
    assert boxes.suppressed(found, scores, overlap).tolist() == suppressed_slowly(found, scores, overlap)


@pytest.mark.parametrize("shape", [(100, 300), (300, 100), (50, 50), (1000, 700)])
def test_letterboxes_keep_the_aspect_and_boxes_come_back(shape):
    pixels = np.full((*shape, 3), 200, np.uint8)
    canvas, factor = boxes.letterboxed(pixels, 128, 128, 7)
    is_picture = (canvas == 200).all(2)
    rows, cols = is_picture.any(1).sum(), is_picture.any(0).sum()
    assert is_picture[:rows, :cols].all() and max(rows, cols) == 128
    assert rows / cols == pytest.approx(shape[0] / shape[1], rel=0.03)
    whole = np.array([[0, 0, shape[1], shape[0]]], np.float32) * factor
    back = boxes.found(whole / factor, np.ones(1, np.float32), shape, 0.5, 0.5)
    assert back.boxes[0] == pytest.approx([0, 0, 1, 1])


def test_quarters_find_what_is_small_and_say_where_it_is_in_the_whole():
    pixels = np.zeros((400, 600, 3), np.uint8)
    pixels[300:310, 500:520] = 255

    def detect(part: np.ndarray) -> boxes.Found:
        """Sees what is at least a twentieth of the picture's width."""
        rows, cols = np.nonzero(part[:, :, 0])
        if not len(rows) or np.ptp(cols) + 1 < part.shape[1] / 20:
            return boxes.Found(np.empty((0, 4), np.float32), np.empty(0, np.float32))
        box = [cols.min(), rows.min(), cols.max() + 1, rows.max() + 1]
        return boxes.Found(np.array([box], np.float32) / (part.shape[1::-1] * 2), np.ones(1, np.float32))

    assert len(detect(pixels).scores) == 0
    seen = boxes.closely(detect, pixels, 300, 0.5)
    assert seen.boxes.tolist() == [pytest.approx([500 / 600, 300 / 400, 520 / 600, 310 / 400])]
    assert len(boxes.closely(detect, pixels, 600, 0.5).scores) == 0, (
        "small pictures have nothing more to show"
    )


# -- copies, light, sharpness -------------------------------------------------------------------------------------


def variants(pixels: np.ndarray) -> list[np.ndarray]:
    image = Image.fromarray(pixels)
    small = image.resize((image.width // 2, image.height // 2))
    darker = Image.fromarray((pixels * 0.8).astype(np.uint8))
    return [np.asarray(i) for i in (small, darker, image.filter(ImageFilter.GaussianBlur(1)))]


def test_copies_share_their_hash_and_other_pictures_do_not():
    pictures = [photos.landscape(seed) for seed in range(12)]
    words = as_words([perceptual_hash(picture) for picture in pictures])
    between = distances(words, words)[np.triu_indices(12, 1)]
    assert between.min() > Settings.distance
    for picture in pictures[:4]:
        own = as_words([perceptual_hash(p) for p in [picture, *variants(picture)]])
        assert distances(own, own).max() <= Settings.distance


@given(seed=st.integers(0, 1000), count=st.integers(0, 40), distance=st.integers(0, 60))
def test_groups_are_the_connected_components(seed, count, distance):
    random = np.random.default_rng(seed)
    centres = random.integers(0, 2, (4, 256))
    bits = centres[random.integers(0, 4, count)] ^ (random.random((count, 256)) < 0.08)
    hashes = [np.packbits(row.astype(np.uint8)).tobytes().hex() for row in bits]
    near = (bits[:, None] != bits[None]).sum(2) <= distance
    expected, left = [], set(range(count))
    while left:
        group, frontier = set(), {min(left)}
        while frontier:
            group |= frontier
            frontier = {j for i in frontier for j in np.flatnonzero(near[i]).tolist()} - group
        left -= group
        expected += [sorted(group)] if len(group) > 1 else []
    assert sorted(groups(hashes, distance)) == sorted(expected)


def test_blur_lowers_sharpness_and_a_sharp_corner_saves_a_foggy_picture():
    sharp = photos.landscape(1)
    values = [
        look(np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(radius)))).sharpness
        for radius in (0, 1, 2, 4, 8)
    ]
    assert values == sorted(values, reverse=True) and values[0] > Settings.sharpness > values[-1]
    foggy = np.full((300, 400, 3), 180, np.uint8)
    foggy[200:] = sharp[200:]
    assert look(foggy).sharpness > Settings.sharpness
    assert look(sharp // 6).light < Settings.light < look(sharp).light
    assert look(foggy[:200]).contrast < Settings.contrast


# -- networks -----------------------------------------------------------------------------------------------------


def network(path: pathlib.Path, outputs: dict[str, np.ndarray], shape=(1, 3, 64, 64), kind=TensorProto.FLOAT):
    """An ONNX file that answers every picture with the same arrays."""
    image = helper.make_tensor_value_info("image", kind, list(shape))
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(a.shape)) for n, a in outputs.items()]
    nodes = [
        helper.make_node("Constant", [], [n], value=numpy_helper.from_array(a.astype(np.float32), n))
        for n, a in outputs.items()
    ]
    graph = helper.make_graph(nodes, "fixed", [image], infos)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), str(path))
    return path


def yolox(path: pathlib.Path, found: list[tuple[float, float, float, float, float, int]]) -> pathlib.Path:
    """A YOLOX that always finds these: middle x, y, width, height in px of 64, score, class; at stride 8."""
    rows = np.zeros((1, 64 + 16 + 4, 8), np.float32)
    rows[:, :, 2:4] = -5
    for x, y, width, height, score, kind in found:
        cell = int(y // 8) * 8 + int(x // 8)
        rows[0, cell, :2] = x / 8 - x // 8, y / 8 - y // 8
        rows[0, cell, 2:4] = np.log([width / 8, height / 8])
        rows[0, cell, 4], rows[0, cell, 5 + kind] = score, 1
    return network(path, {"output": rows})


def yunet(path: pathlib.Path, found: list[tuple[float, float, float, float, float]]) -> pathlib.Path:
    outputs = {}
    for stride, count in ((8, 64), (16, 16), (32, 4)):
        outputs |= {
            f"{n}_{stride}": np.zeros((1, count, k)) for n, k in (("cls", 1), ("obj", 1), ("bbox", 4))
        }
    for x, y, width, height, score in found:
        cell = int(y // 8) * 8 + int(x // 8)
        outputs["cls_8"][0, cell], outputs["obj_8"][0, cell] = score, score
        outputs["bbox_8"][0, cell] = [x / 8 - x // 8, y / 8 - y // 8, np.log(width / 8), np.log(height / 8)]
    return network(path, outputs)


@pytest.mark.parametrize("size", [(64, 64), (128, 64), (32, 64)])
def test_detectors_give_boxes_in_shares_of_the_picture(tmp_path, size):
    pixels = np.zeros((*size, 3), np.uint8)
    height = min(64, 64 * size[0] // size[1])  # of the picture in the square of 64 px that the networks see
    width = min(64, 64 * size[1] // size[0])
    twice = [(20, 12, 16, 16, 0.9, 0), (20, 16.5, 16, 16, 0.8, 0), (8, 8, 9, 9, 0.9, 2)]
    people = People(yolox(tmp_path / "a.onnx", twice))
    faces = Faces(yunet(tmp_path / "b.onnx", [(20, 12, 16, 16, 0.81)]))
    for detector, score in ((people, 0.9), (faces, 0.81)):
        found = detector(pixels)
        assert found.scores == pytest.approx([score])
        assert found.boxes[0] == pytest.approx([12 / width, 4 / height, 28 / width, 20 / height], abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "outputs", "shape"),
    [
        (People, {"output": np.zeros((1, 7, 85))}, (1, 3, 64, 64)),
        (People, {"output": np.zeros((1, 84, 5))}, (1, 3, 64, 64)),
        (People, {"output": np.zeros((1, 84, 85))}, (1, 3, 60, 60)),
        (People, {"output": np.zeros((1, 84, 85))}, (1, 1, 64, 64)),
        (Faces, {"boxes": np.zeros((1, 84, 4))}, (1, 3, 64, 64)),
    ],
)
def test_other_networks_are_refused_with_what_they_give(tmp_path, kind, outputs, shape):
    with pytest.raises(BadNetwork, match=r"a\.onnx"):
        kind(network(tmp_path / "a.onnx", outputs, shape))(np.zeros((10, 10, 3), np.uint8))


def test_scores_and_probabilities_are_told_apart_and_labels_must_fit(tmp_path):
    (tmp_path / "labels.txt").write_text("/b/beach 0\n/f/forest/broadleaf 1\n/s/street 2\n")
    picture = np.zeros((10, 20, 3), np.uint8)
    for scores in ([[0.2, 0.7, 0.1]], [np.log([0.2, 0.7, 0.1]) + 5]):
        scenes = Scenes(network(tmp_path / "s.onnx", {"scene": np.array(scores)}), tmp_path / "labels.txt")
        found = scenes(picture)
        assert list(found) == ["forest/broadleaf", "beach", "street"]
        assert list(found.values()) == pytest.approx([0.7, 0.2, 0.1], abs=1e-3)
    wrong = Scenes(network(tmp_path / "s.onnx", {"scene": np.zeros((1, 4))}), tmp_path / "labels.txt")
    with pytest.raises(BadNetwork, match="4 scores"):
        wrong(picture)


# -- the whole ----------------------------------------------------------------------------------------------------


@pytest.fixture
def collection(tmp_path) -> pathlib.Path:
    """One photo for every reason to reject it, and two good ones."""
    album, here = tmp_path / "album", (38.0, 56.0)
    soft = Image.fromarray(photos.landscape(7)).filter(ImageFilter.GaussianBlur(8))
    photos.write(album / "a-good.jpg", photos.landscape(1), photos.exif(here))
    photos.write(album / "b-nowhere.jpg", photos.landscape(2), photos.exif(None))
    photos.write(album / "c-far.jpg", photos.landscape(3), photos.exif((10.0, 56.0)))
    photos.write(album / "d-winter.jpg", photos.landscape(4), photos.exif(here, "2023:01:10 13:00:00"))
    photos.write(album / "e-night.jpg", photos.landscape(5), photos.exif(here, "2023:07:01 00:30:00"))
    photos.write(album / "f-small.jpg", photos.landscape(6, 100, 100), photos.exif(here))
    photos.write(album / "g-blurred.jpg", np.asarray(soft), photos.exif(here))
    photos.write(album / "h-dark.jpg", (photos.landscape(8) * 0.3).astype(np.uint8), photos.exif(here))
    photos.write(
        album / "i-copy.jpg",
        np.asarray(Image.fromarray(photos.landscape(1)).resize((360, 270))),
        photos.exif(here),
    )
    photos.write(album / "j-undated.jpg", photos.landscape(10), photos.exif(here, ""))
    broken = photos.jpeg(photos.landscape(11), photos.exif(here))
    (album / "k-broken.jpg").write_bytes(broken[: len(broken) // 2])
    assert main(["collect", "photos", str(album), str(tmp_path / "set"), "-q"]) == 0
    return tmp_path / "set"


OPTIONS = ["--bbox", "37,55,39,57", "--months", "5-9", "--keep-people"]


def funnel(folder: pathlib.Path, capsys, *options: str) -> dict[str, dict]:
    capsys.readouterr()
    assert main(["collect", "filter", str(folder), "--json", *options]) == 0
    return {row["stage"]: row for row in json.loads(capsys.readouterr().out)}


def test_every_stage_rejects_what_it_is_there_for_and_says_why(collection, capsys):
    rows = funnel(collection, capsys, *OPTIONS)
    assert list(rows) == list(STAGES)
    counts = {stage: (row["entered"], row["kept"], row["reasons"]) for stage, row in rows.items()}
    assert counts == {
        "coordinates": (11, 10, {"no coordinates": 1}),
        "region": (10, 9, {"outside the region": 1}),
        "season": (9, 8, {"other season": 1}),
        "daylight": (8, 7, {"sun too low": 1}),
        "picture": (7, 5, {"too small": 1, "unreadable": 1}),
        "scene": (5, 5, {}),
        "people": (5, 5, {}),
        "duplicates": (5, 4, {"copy": 1}),
        "quality": (4, 2, {"blurred": 1, "dark": 1}),
        "review": (2, 0, {"not looked at yet": 2}),
    }
    kept = [photo.key for photo in Collection.open(collection).kept()]
    assert kept == ["folder:a-good.jpg", "folder:j-undated.jpg"]
    page = (collection / "funnel.html").read_text()
    assert (
        "Rejected by daylight (1)" in page
        and page.count("<img") == 9
        and "://" not in page.replace("http-equiv", "")
    )
    assert all(
        row["entered"] == rows[before]["kept"]
        for before, (_, row) in zip(STAGES, list(rows.items())[1:], strict=False)
    )


def test_dated_rejects_what_has_no_date_and_settings_can_be_taken_back(collection, capsys):
    assert funnel(collection, capsys, *OPTIONS, "--dated")["season"]["reasons"]["no date"] == 1
    assert funnel(collection, capsys, *OPTIONS)["quality"]["kept"] == 2
    rows = funnel(collection, capsys, "--keep-people", "--sun", "-90", "--light", "0")
    assert rows["quality"]["kept"] == 6
    assert rows["region"]["is_idle"]


def test_a_second_run_measures_nothing_and_writes_nothing(collection, capsys, monkeypatch):
    first = funnel(collection, capsys, *OPTIONS)
    manifest = (collection / "manifest.jsonl").read_bytes()
    monkeypatch.setattr(measuring, "look", None)
    assert funnel(collection, capsys, *OPTIONS) == first
    assert (collection / "manifest.jsonl").read_bytes() == manifest
    rows = funnel(collection, capsys, *OPTIONS, "--light", "1")
    assert rows["quality"]["kept"] == 3, "another threshold needs no pixels"


def test_cut_at_any_line_it_comes_to_the_same_end(collection, capsys):
    before = (collection / "manifest.jsonl").read_bytes()
    whole = funnel(collection, capsys, *OPTIONS)
    end = Collection.open(collection)
    lines = (collection / "manifest.jsonl").read_bytes()
    for cut in np.random.default_rng(0).integers(len(before), len(lines), 4).tolist():
        (collection / "manifest.jsonl").write_bytes(lines[:cut])
        assert funnel(collection, capsys, *OPTIONS) == whole
        again = Collection.open(collection)
        assert (again.verdicts, again.measures) == (end.verdicts, end.measures)


def test_people_and_faces_are_rejected_unless_asked_for(collection, tmp_path, capsys):
    person = ["--person-model", str(yolox(tmp_path / "p.onnx", [(20, 20, 8, 8, 0.5, 0)]))]
    face = ["--face-model", str(yunet(tmp_path / "f.onnx", [(20, 20, 8, 8, 0.7)]))]
    nobody = ["--person-model", str(yolox(tmp_path / "n.onnx", [(20, 20, 8, 8, 0.9, 2)]))]
    base = OPTIONS[:-1]
    assert funnel(collection, capsys, *base, *person)["people"]["reasons"] == {"person": 5}
    assert funnel(collection, capsys, *base, *face, *nobody)["people"]["reasons"] == {"face": 5}
    assert funnel(collection, capsys, *base, *nobody)["people"]["kept"] == 5
    assert funnel(collection, capsys, *base, *person, "--person-score", "0.6")["people"]["kept"] == 5
    assert main(["collect", "filter", str(collection)]) == 2
    assert "--keep-people" in capsys.readouterr().err


def test_scenes_are_kept_by_the_list_and_measured_once_for_every_list(
    collection, tmp_path, capsys, monkeypatch
):
    (tmp_path / "labels.txt").write_text("beach\nstreet\nforest_path\n")
    model = network(tmp_path / "s.onnx", {"scene": np.array([[0.4, 0.35, 0.25]])})
    options = [*OPTIONS, "--scene-model", str(model), "--scene-labels", str(tmp_path / "labels.txt")]
    assert funnel(collection, capsys, *options)["scene"]["kept"] == 5  # beach and forest path
    monkeypatch.setattr(Scenes, "__call__", None)
    assert funnel(collection, capsys, *options, "--scenes", "street")["scene"]["reasons"] == {
        "other scene": 5
    }
    assert funnel(collection, capsys, *options, "--scenes", "street,beach")["scene"]["kept"] == 5
    assert main(["collect", "filter", str(collection), *options, "--scenes", "moon"]) == 2


def test_of_copies_the_largest_sound_one_stays_whatever_the_order(tmp_path, capsys):
    picture = Image.fromarray(photos.landscape(3, 600, 800))
    album = tmp_path / "album"
    for name, size, blur in (("a", 300, 0), ("b", 800, 9), ("c", 640, 0), ("d", 400, 0)):
        shown = picture.resize((size, size * 3 // 4)).filter(ImageFilter.GaussianBlur(blur * size / 800))
        photos.write(album / f"{name}.jpg", np.asarray(shown), photos.exif((38, 56)))
    folder = tmp_path / "set"
    assert main(["collect", "photos", str(album), str(folder), "-q"]) == 0
    funnel(folder, capsys, "--keep-people", "--smallest", "200")
    assert [photo.key for photo in Collection.open(folder).kept()] == ["folder:c.jpg"]


def test_decisions_count_and_survive_another_run(collection, capsys):
    funnel(collection, capsys, *OPTIONS)
    with Collection.held(collection) as held:
        held.append(Decision(["folder:a-good.jpg"], True), Decision(["folder:j-undated.jpg"], False))
    review = funnel(collection, capsys, *OPTIONS)["review"]
    assert (review["kept"], review["reasons"]) == (1, {"rejected by a person": 1})
    done = Collection.open(collection)
    assert [p.key for p in done.kept()] == [p.key for p in done.kept(reviewed=True)] == ["folder:a-good.jpg"]


def test_the_table_shows_counts_and_reasons(collection, capsys):
    assert main(["collect", "filter", str(collection), *OPTIONS]) == 0
    out = capsys.readouterr().out
    assert re.search(r"picture\s+7\s+5\s+too small 1, unreadable 1|unreadable 1, too small 1", out)
    assert re.search(r"scene\s+5\s+5\s+not asked", out)


# -- real networks ------------------------------------------------------------------------------------------------


def test_real_detectors_and_scenes_on_real_photos(shared, tmp_path):
    weights, pictures = shared / "data" / "weights", shared / "data" / "photos"
    labels = weights / "categories_places365.txt"
    scenes = Scenes(places365.build(weights, tmp_path / "places365.onnx"), labels)
    assert set(NATURAL) <= set(scenes.labels)
    album = tmp_path / "album"
    for source in (
        "berlin/images/02.jpg",
        "berlin/images/03.jpg",
        "lund/images/24.jpg",
        "lund/images/10.jpg",
    ):
        name = source.replace("/images/", "-")
        (album / name).parent.mkdir(exist_ok=True)
        (album / name).write_bytes((pictures / "opensfm-geotagged" / "data" / source).read_bytes())
    assert main(["collect", "photos", str(album), str(tmp_path / "set"), "-q"]) == 0
    people, faces = People(weights / "yolox_nano.onnx"), Faces(weights / "face_detection_yunet_2023mar.onnx")
    with Collection.held(tmp_path / "set") as held:
        Funnel(held, Settings(scene_share=0.0), Detectors(scenes, people, faces)).run()
        found = {key: said["people"].kept for key, said in held.verdicts.items()}
        assert found == {
            "folder:berlin-02.jpg": False,
            "folder:berlin-03.jpg": False,  # the face of a saint in a mosaic
            "folder:lund-10.jpg": True,
            "folder:lund-24.jpg": False,
        }
        Funnel(held, Settings(), Detectors(scenes, people, faces)).run()
        assert not any(said["scene"].kept for said in held.verdicts.values()), "towns are no landscapes"
        assert "residential_neighborhood" in held.verdicts["folder:lund-10.jpg"]["scene"].reason
