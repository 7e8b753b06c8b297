"""The funnel itself: photo by photo as far as one can be judged alone, then among its copies, then by its quality."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from sat2map.collect.collection import Collection
from sat2map.collect.funnel import stages
from sat2map.collect.funnel.duplicates import groups
from sat2map.collect.funnel.measuring import Detectors, Measuring, Sight
from sat2map.collect.funnel.settings import Settings
from sat2map.collect.funnel.stages import STAGES, Opinion
from sat2map.collect.manifest import Measure, Photo, Verdict

Progress = Callable[[int, int, str], None]


@dataclass
class Row:
    """A stage of the funnel in figures."""

    stage: str
    entered: int = 0
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)  # kind of reason -> rejected
    is_idle: bool = False  # nothing was asked of it


class Funnel:
    """One run over a collection. The caller holds its lock."""

    def __init__(
        self,
        collection: Collection,
        settings: Settings,
        detectors: Detectors,
        on_progress: Progress = lambda done, total, note: None,
    ) -> None:
        self._collection, self._settings, self._progress = collection, settings, on_progress
        self._measuring = Measuring(collection, detectors)
        self.rows = {stage: Row(stage) for stage in STAGES}
        for stage, is_idle in {
            "region": settings.region is None,
            "season": settings.months is None and not settings.dated,
            "daylight": settings.sun is None,
            "scene": detectors.scenes is None,
            "people": settings.keeps_people,
        }.items():
            self.rows[stage].is_idle = is_idle

    def run(self) -> list[Row]:
        """Judge every photo and note the verdicts that are new; return the table. Raises BadNetwork, StorageFailed."""
        passed = []
        photos = list(self._collection.photos.values())
        for number, photo in enumerate(photos, 1):
            if self._alone(photo):
                passed.append(photo)
            self._progress(number, len(photos), photo.key)
        best = self._best_of_copies(passed)
        for photo in best:
            self._note(photo, "quality", stages.quality(self._looks(photo), self._settings))
        self._review()
        return list(self.rows.values())

    def _alone(self, photo: Photo) -> bool:
        """Judge what can be judged without other photos."""
        settings = self._settings
        for stage in (stages.coordinates, stages.region, stages.season, stages.daylight):
            if not self._note(photo, stage.__name__, stage(photo, settings)):
                return False
        sight = Sight(self._collection, photo)
        measure = self._measuring.picture(photo, sight)
        if not self._note(photo, "picture", stages.picture(photo, measure, settings)):
            return False
        scene = stages.PASSED
        if self._measuring.detectors.scenes is not None:
            scene = stages.scene(self._measuring.scene(photo, sight), settings)
        if not self._note(photo, "scene", scene):
            return False
        people = stages.PASSED
        if not settings.keeps_people:
            people = stages.people(self._measuring.people(photo, sight), settings)
        return self._note(photo, "people", people)

    def _best_of_copies(self, photos: list[Photo]) -> list[Photo]:
        """Keep the best of each group of copies: sound before blurred or dark, then the largest, then the sharpest."""
        looks = [self._looks(photo) for photo in photos]
        best_of: dict[int, int] = {}
        for group in groups([str(look.values["hash"]) for look in looks], self._settings.distance):
            best = max(group, key=lambda index: self._rank(photos[index], looks[index]))
            best_of |= {index: best for index in group if index != best}
        for index, photo in enumerate(photos):
            better = best_of.get(index)
            reason = "" if better is None else f"copy: of {photos[better].key}"
            self._note(photo, "duplicates", Opinion(better is None, reason))
        return [photo for index, photo in enumerate(photos) if index not in best_of]

    def _rank(self, photo: Photo, look: Measure) -> tuple[bool, int, float]:
        is_sound = stages.quality(look, self._settings).kept
        return is_sound, photo.height * photo.width, stages.number(look, "sharpness")

    def _looks(self, photo: Photo) -> Measure:
        return self._collection.measures[photo.key, "picture"]

    def _review(self) -> None:
        """Count what people have said so far; nobody needs to have looked at anything yet."""
        row, decisions = self.rows["review"], self._collection.decisions
        for photo in self._collection.passed():
            row.entered += 1
            decision = decisions.get(photo.key)
            row.kept += decision is True
            if decision is not True:
                row.reasons["not looked at yet" if decision is None else "rejected by a person"] += 1

    def _note(self, photo: Photo, stage: str, opinion: Opinion) -> bool:
        """Count an opinion, and note it in the manifest unless it stands there already."""
        row = self.rows[stage]
        row.entered += 1
        row.kept += opinion.kept
        if not opinion.kept:
            row.reasons[opinion.reason.partition(":")[0]] += 1
        verdict = Verdict(photo.key, stage, opinion.kept, opinion.reason)
        if self._collection.verdicts.get(photo.key, {}).get(stage) != verdict:
            self._collection.append(verdict)
        return opinion.kept
