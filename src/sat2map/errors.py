"""Every error that a user can fix: what is wrong, with which value, and what to do about it.

The command line prints the message alone, without a traceback, and leaves with `exit_code`: 1 when the work
failed, 2 when the tool was used wrongly. Code that meets a user's mistake raises one of these and nothing else;
`assert` is for our own mistakes.
"""


class Sat2MapError(Exception):
    """Base of all errors with a remedy. `str(error)` is one readable message: what happened, then what to do."""

    exit_code = 1

    def __init__(self, what: str, remedy: str) -> None:
        """`what` names the fact and the offending value; `remedy` tells the user what to do next."""
        super().__init__(what, remedy)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what.rstrip('.')}. {self.remedy}"


# -- images and scenes ------------------------------------------------------------------------------------------


class FileMissing(Sat2MapError):
    """A file or folder that the user named does not exist or cannot be read."""

    exit_code = 2


class UnsupportedFormat(Sat2MapError):
    """The file's first bytes name no format that we read, or a variant of one that we do not."""


class CorruptImage(Sat2MapError):
    """The file claims a format that we read, but cannot be decoded."""


class ImageTooLarge(Sat2MapError):
    """The header announces more pixels or bytes than the limits allow; nothing was decoded."""


class WrongBands(Sat2MapError):
    """The image has other bands than the model needs."""

    exit_code = 2


class UnusableCrs(Sat2MapError):
    """A coordinate reference system is missing, contradicts the coordinates, or cannot be transformed."""

    exit_code = 2


class WrongResolution(Sat2MapError):
    """The scene's pixels are of another size on the ground than the model knows what to do with."""

    exit_code = 2


class SomeImagesFailed(Sat2MapError):
    """Some images of a folder could not be processed; the others are done."""


# -- durable files ----------------------------------------------------------------------------------------------


class OutputExists(Sat2MapError):
    """The output is already there and `--overwrite` was not given."""

    exit_code = 2


class StorageFailed(Sat2MapError):
    """The operating system refused a durable write (disk full, read-only, I/O error); the old version stands."""


class CorruptFile(Sat2MapError):
    """A file of ours does not match the checksum in its manifest."""


class RunLocked(Sat2MapError):
    """Another process works in this run folder."""


# -- data -------------------------------------------------------------------------------------------------------


class BadDataset(Sat2MapError):
    """A data folder or manifest is not what it claims: missing halves, odd sizes, an empty split."""

    exit_code = 2


class DownloadFailed(Sat2MapError):
    """A download did not arrive whole, or not with the expected checksum. `wait`: seconds that the server asks for."""

    def __init__(self, what: str, remedy: str, wait: float | None = None) -> None:
        super().__init__(what, remedy)
        self.wait = wait


class UnsafeArchive(Sat2MapError):
    """An archive wants to write outside its folder, holds links or devices, or unpacks to too much."""


# -- network ----------------------------------------------------------------------------------------------------


class BadAddress(Sat2MapError):
    """An address is malformed, lacks its token, or leads to a host that the user did not name."""

    exit_code = 2


class BadTileSource(Sat2MapError):
    """A tile source is not described well enough: template, area, zoom, layer, or what its document says."""

    exit_code = 2


class TooMuchToFetch(Sat2MapError):
    """More tiles, requests or bytes would be fetched than are allowed."""

    exit_code = 2


# -- collections ------------------------------------------------------------------------------------------------


class BadCollection(Sat2MapError):
    """A folder is no collection of photos, or a line of its manifest is not one."""

    exit_code = 2


class PortTaken(Sat2MapError):
    """The port on which a page was to be served is in use, or not ours to use."""

    exit_code = 2


class BadArea(Sat2MapError):
    """An area is no box or polygon of longitudes and latitudes."""

    exit_code = 2


class BadNetwork(Sat2MapError):
    """A detector or classifier that the user named cannot be opened, or takes or gives other things than expected."""

    exit_code = 2


# -- views ------------------------------------------------------------------------------------------------------


class NoImagery(Sat2MapError):
    """A source of imagery shows nothing at a place, or too little around it."""

    exit_code = 2


class BadPath(Sat2MapError):
    """A path to be walked along is no list of two places or more, or too long."""

    exit_code = 2


# -- recipes, models, bundles -----------------------------------------------------------------------------------


class BadRecipe(Sat2MapError):
    """A recipe or an override has an unknown key, a wrong type or an impossible value."""

    exit_code = 2


class UnknownModel(Sat2MapError):
    """No shipped bundle, network or recipe has this name."""

    exit_code = 2


class UnsuitableModel(Sat2MapError):
    """The model cannot do what was asked of it: it has no classes, or works in the other direction."""

    exit_code = 2


class BadBundle(Sat2MapError):
    """A bundle lacks a file, or its card and weights do not belong together."""


class ParityFailed(Sat2MapError):
    """The exported ONNX model does not compute what the PyTorch network computes; nothing was published."""


class MissingExtra(Sat2MapError):
    """The command needs an optional part of sat2map that is not installed."""

    exit_code = 2


# -- worlds -----------------------------------------------------------------------------------------------------


class BadWorld(Sat2MapError):
    """A town was described by something that no town can be: an unknown style, a number out of range."""

    exit_code = 2


# -- batches ----------------------------------------------------------------------------------------------------


class BadPlan(Sat2MapError):
    """A plan, or what it is to be made of, is not usable: no scenes, other files than when it was made, no cells."""

    exit_code = 2


class ClusterFailed(Sat2MapError):
    """There is no Ray cluster where one was to be, or none could be started."""


class CellsMissing(Sat2MapError):
    """Some cells of a batch failed too often or are not done yet; the others are."""


# -- serving ----------------------------------------------------------------------------------------------------


class UnsafeServer(Sat2MapError):
    """The server would listen to other machines without asking them for a token."""

    exit_code = 2


class WorkerFailed(Sat2MapError):
    """The process that runs the models ended before it was ready."""


# -- training and evaluation ------------------------------------------------------------------------------------


class NothingToResume(Sat2MapError):
    """`--resume` was given, but there is no valid checkpoint, or what was begun there was another recipe or job."""

    exit_code = 2


class RunExists(Sat2MapError):
    """The run folder already holds a run, and neither `--resume` nor `--overwrite` was given."""

    exit_code = 2


class TrainingDiverged(Sat2MapError):
    """A loss or a weight is no longer a finite number."""


class TrainingFailed(Sat2MapError):
    """The guard saw the run fail in one of the known ways, and the recipe says to stop, or all retries are used."""


class NoDevice(Sat2MapError):
    """The run is to compute on a device that this machine or this build of torch does not have."""

    exit_code = 2


class RankLost(Sat2MapError):
    """Another process of a run on many devices has ended, hangs, or was never there."""


class TooFewImages(Sat2MapError):
    """A statistic was asked for on fewer images than it can be trusted with."""

    exit_code = 2


class NotComparable(Sat2MapError):
    """Results of different protocols, splits or pictures were to be put into one table."""

    exit_code = 2
