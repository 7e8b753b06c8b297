"""The processes that train one run together, and the little that they say to each other.

Every rank computes its part of each batch and takes the same optimiser steps; gradients are averaged where an optimiser
is about to step. Rank 0 leads: it alone writes, looks, samples and judges, and tells the others before each step
where the run stands. Lost contact is an error within the recipe's `run.timeout`, at once where a process has ended:
the operating system closes its connections.

Not `DistributedDataParallel`: a system has up to four networks that learn in turns, with penalties, second
derivatives and parts of batches, and DDP wants to see every forward pass of each network. Ours are small: one
message for each network and step.
"""

import datetime
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import torch
import torch.distributed as dist
from torch import Tensor, nn

from sat2map.errors import RankLost
from sat2map.training.player import Outcome, Shown, Terms

PATIENCE = datetime.timedelta(hours=2)  # for rank 0 while it decodes, looks or writes


class Order(msgspec.Struct, frozen=True):
    """What rank 0 says before each step."""

    step: int  # that the run stands at; a follower elsewhere takes up the newest checkpoint
    scales: dict[str, float] = {}  # of the learning rates, by player
    data: str = ""  # content of the pictures, said once
    end: str | None = None  # None: go on; "": the run is complete; else why it ends


class Team:
    """One rank's view of all. A team of one talks to nobody and changes no number."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.stepping = False  # in the middle of a step, when nobody listens to orders
        self.asked_to_stop = False
        self._control: dist.ProcessGroup | None = None

    @property
    def leads(self) -> bool:
        """Tell whether this is the rank that writes."""
        return self.rank == 0

    def join(self, timeout: float) -> None:
        """Meet the others where the environment says (MASTER_ADDR, MASTER_PORT). Raises RankLost."""
        os.environ.setdefault(
            "TORCH_NCCL_BLOCKING_WAIT", "1"
        )  # errors, not an abort, when somebody is missing
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        with self._talking("found no other ranks"):
            dist.init_process_group(backend, timeout=datetime.timedelta(seconds=timeout))
            self._control = dist.new_group(backend="gloo", timeout=PATIENCE)

    @contextmanager
    def in_step(self) -> Iterator[None]:
        """Mark the time when other ranks wait for figures and not for orders; an error within leaves the mark."""
        self.stepping = True
        yield
        self.stepping = False

    def average(self, network: nn.Module, parts: int) -> None:
        """Turn sums of gradients over this rank's parts of a batch into the mean over all parts of all ranks."""
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        if self.size > 1:
            flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
            with self._talking("lost the others"):
                dist.all_reduce(flat)
            pieces = torch.split(flat, [gradient.numel() for gradient in gradients])
            for gradient, piece in zip(gradients, pieces, strict=True):
                gradient.copy_(piece.view(gradient.shape))
        if parts * self.size > 1:
            for gradient in gradients:
                gradient.div_(parts * self.size)

    def gather(self, rows: Tensor) -> Tensor:
        """(n, ...) rows of each rank -> (n · ranks, ...) rows of all, on every rank, in the order of ranks."""
        if self.size == 1:
            return rows
        every = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(self.size)]
        with self._talking("lost the others"):
            dist.all_gather(every, rows.contiguous())
        return torch.cat(every)

    def outcome(self, own: Outcome) -> Outcome:
        """The means of all terms, and all pictures; learn by the way whether a rank was asked to stop."""
        if self.size == 1:
            return own
        figures = torch.tensor([*own.terms.values(), float(self.asked_to_stop)], dtype=torch.float64)
        with self._talking("lost the others"):
            dist.all_reduce(figures)
        *sums, stopping = figures.tolist()
        self.asked_to_stop = stopping > 0
        terms = {name: value / self.size for name, value in zip(own.terms, sums, strict=True)}
        shown = {name: Shown(*(self.gather(layer) for layer in it)) for name, it in own.shown.items()}
        return Outcome(terms, shown)

    def tell(self, order: Order) -> None:
        """From rank 0: what comes next."""
        if self.size > 1:
            text = torch.frombuffer(bytearray(msgspec.json.encode(order)), dtype=torch.uint8)
            with self._talking("lost the others"):
                dist.broadcast(torch.tensor([len(text)]), 0, self._control)
                dist.broadcast(text, 0, self._control)

    def meet(self) -> None:
        """Wait until all ranks have come here."""
        if self.size > 1:
            with self._talking("lost the others"):
                dist.barrier(self._control)

    def heed(self) -> None:
        """On rank 0, after a step: raises RankLost if another rank was asked to stop."""
        if self.leads and self.asked_to_stop:
            raise RankLost(
                "another rank was asked to stop", "The same command with --resume goes on from this step"
            )

    def hear(self) -> Order:
        """To the other ranks: what rank 0 says. Raises RankLost where it has ended."""
        length = torch.zeros(1, dtype=torch.int64)
        with self._talking("lost rank 0"):
            dist.broadcast(length, 0, self._control)
            text = torch.zeros(int(length), dtype=torch.uint8)
            dist.broadcast(text, 0, self._control)
        return msgspec.json.decode(text.numpy().tobytes(), type=Order)

    @contextmanager
    def _talking(self, what: str) -> Iterator[None]:
        """Give errors of torch.distributed, which are RuntimeErrors and ValueErrors, a type and a remedy."""
        try:
            yield
        except (RuntimeError, ValueError) as error:
            reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
            raise RankLost(
                f"rank {self.rank} of {self.size} {what} ({reason})",
                "See what the other ranks said; the same command with --resume goes on from the last checkpoint",
            ) from error


def rank_and_size() -> tuple[int, int]:
    """What torchrun says in the environment; (0, 1) where there is no torchrun."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def team(timeout: float) -> Iterator[Team]:
    """All ranks of this run, joined for as long as the context lasts; rank 0 tells them when it ends and why.

    Raises RankLost where others cannot be found within `timeout` seconds.
    """
    found = Team(*rank_and_size())
    if found.size == 1:
        yield found
        return
    found.join(timeout)
    try:
        yield found
        _dismiss(found, "")
    except BaseException as error:
        _dismiss(found, str(error) if isinstance(error, Exception) else "it was stopped")
        raise
    finally:
        dist.destroy_process_group()


def _dismiss(found: Team, why: str) -> None:
    """Let the others go, if they listen; where they are gone themselves, nothing is to be said."""
    if found.leads and not found.stepping:
        try:
            found.tell(Order(-1, end=why))
        except RankLost:
            return


def mean_terms(every: Sequence[Terms]) -> Terms:
    """The mean of each figure over parts of equal size."""
    return {name: sum(terms[name] for terms in every) / len(every) for name in every[0]}
