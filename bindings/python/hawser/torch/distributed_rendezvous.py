"""How the ranks of a torch process group find each other, and which rank is where in Hawser's view.

All ranks announce themselves in the store that torch gives, each with a number of its own. Then rank 0 starts a master
in its process, or takes the one that was named, and puts its address there: so nobody waits for anybody else once the
master runs. With the address stand the numbers that rank 0 has seen: words of an earlier attempt in the same store, some
ranks of which have died, concern nobody. Each process
group that is not the default one has a master of its own, because a master admits a peer only when the members of all
its groups wait at the door, and process groups are made one after the other.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch  # type: ignore[import-not-found,unused-ignore]
import torch.distributed as dist  # type: ignore[import-not-found,unused-ignore]
from torch._C._distributed_c10d import (  # type: ignore[import-not-found,unused-ignore]
    PrefixStore,
    Store,
    TCPStore,
)

from hawser import Communicator, HawserError, Master, Plan, Quantization
from hawser.errors import Closed, MasterRestarted, Timeout
from hawser.keys import Path

__all__ = ["Gathered", "GatheringTimeout", "Options", "gather"]

_MASTER_KEY = "hawser/master"
_FAILED = "failed: "
_LOOK_S = 0.05
_BOOTSTRAP_MS = 1
"""All ranks say how many they are (min_peers), and the master waits for as many: it need not collect them besides."""
_REDIAL_MS = 10_000
"""A master that lived in a rank's process does not come back after that: only a broken connection does."""


class GatheringTimeout(Timeout, dist.DistStoreError):  # type: ignore[misc,unused-ignore]
    """Not all ranks of a process group came in time. Also a torch.distributed.DistStoreError, and so a RuntimeError."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the ranks of a process group are linked: `init_process_group("hawser", pg_options=Options(...))`.

    Groups made by `new_group` without options take those of the default group, its master apart.

    Args:
        master: "HOST:PORT" of a running `hawser master`, which this run has for itself. Default: the environment's
            HAWSER_MASTER for the default group; otherwise rank 0 of the group starts one in its process.
        advertise_address: address at which the other ranks reach this one, no port. Default: what the master sees;
            for the master of rank 0, the address towards torch's store.
        listen_address: address to listen on for other ranks. Default: loopback if the master is there and nothing else
            is advertised, else all.
        port_first, port_last: ports to listen on for other ranks. Default: any free one.
        connections_per_link: TCP connections to each rank. Default: 1 on one host, else as measured.
        plan: how the data travels. Same on all ranks, as quantization.
        quantization: smaller floats on the wire, in all-reduces that are a sum or an average.
        compress: what this rank sends, without loss, where that pays.
        secret_file: the run's secret, or a key that was issued to this rank (an operator's on rank 0, if it starts the
            master). Default: what HAWSER_SECRET_FILE names. Ranks on several machines need one.
        insecure: without a key, connect to other machines all the same, in plain. Also if HAWSER_INSECURE is 1.
        blocking_wait: `wait` blocks the host also for all-reduces on CUDA, and so raises their errors.
    """

    master: str = ""
    advertise_address: str = ""
    listen_address: str = ""
    port_first: int = 0
    port_last: int = 0
    connections_per_link: int = 0
    plan: Plan = Plan.AUTO
    quantization: Quantization | None = None
    compress: bool = False
    secret_file: Path = ""
    insecure: bool = False
    blocking_wait: bool = False

    @property
    def _timeout(self) -> None:
        """Torch asks its own options so (DeviceMesh): here the timeout is that of `init_process_group`."""
        return None


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """A complete group."""

    comm: Communicator
    master: Master | None
    """Started here."""
    rank_at: list[int]
    """The torch rank at each position of the view."""
    names: dict[int, str]
    """What each torch rank is called, for people."""
    peer_ids: dict[int, int]
    """The torch rank of each peer."""


def gather(
    store: Store, *, rank: int, size: int, timeout: timedelta, options: Options, is_default: bool
) -> Gathered:
    """Blocks until all ranks of the group are linked, at most `timeout`.

    Raises GatheringTimeout (says which ranks are missing), and what `Communicator.connect` and `Master` raise.
    """
    meeting = _Meeting(store, rank=rank, size=size, timeout=timeout)
    named = options.master or (os.environ.get("HAWSER_MASTER", "") if is_default else "")
    meeting.announce()
    master: Master | None = None
    comm: Communicator | None = None
    try:
        if rank == 0:
            meeting.wait_for_all()
            meeting.check_sizes()
            address, dialled, master = meeting.publish_master(named, options)
        else:
            address = dialled = meeting.published_master()
        listen, advertised = _peer_addresses(_host(address), options)
        comm = Communicator(
            dialled,
            name=f"rank {rank} at {socket.gethostname()[:40]}:{os.getpid()}",
            listen_address=listen,
            advertise_address=advertised,
            port_first=options.port_first,
            port_last=options.port_last,
            connections_per_link=options.connections_per_link,
            connect_ms=meeting.left_ms(),
            min_peers=size,
            secret_file=options.secret_file,
            insecure=options.insecure,
            master_redial_ms=0 if named else _REDIAL_MS,
        )
        with meeting.renewed():
            rank_at = _link(comm, rank, size, meeting)
        if rank == 0:
            meeting.clear()
        peers = comm.members
        return Gathered(
            comm=comm,
            master=master,
            rank_at=rank_at,
            names={r: peer.name for r, peer in zip(rank_at, peers)},
            peer_ids={peer.peer_id: r for r, peer in zip(rank_at, peers)},
        )
    except BaseException:
        if comm is not None:
            comm.close()
        if master is not None:
            master.close()
        raise


class _Meeting:
    """What the ranks tell each other in the store before they are linked."""

    def __init__(self, store: Store, *, rank: int, size: int, timeout: timedelta) -> None:
        self._store = store
        self._rank = rank
        self._size = size
        self.timeout = timeout
        self._ends = time.monotonic() + timeout.total_seconds()
        self._own = secrets.token_hex(8)
        self._told = ""  # By rank 0, once it is known,
        self._seen: list[str] = []  # and to which attempts of the others.

    def left_ms(self) -> int:
        """Of the bound."""
        return _whole_ms(self._ends - time.monotonic())

    def announce(self) -> None:
        self._store.set(self._key(self._rank), f"{self._size} {self._own}")

    def check_sizes(self) -> None:
        """Raises DistBackendError if a rank that has come was started with another world size."""
        for rank in range(self._size):
            key = self._key(rank)
            if self._store.check([key]) and (other := int(self._store.get(key).split()[0])) != self._size:
                raise dist.DistBackendError(
                    f"rank {self._rank} was started with WORLD_SIZE {self._size}, and rank {rank} with {other}; start "
                    "all ranks with the same WORLD_SIZE"
                )

    def wait_for_all(self) -> None:
        self._wait([self._key(rank) for rank in range(self._size)])

    def publish_master(self, named: str, options: Options) -> tuple[str, str, Master | None]:
        """The others are told the master's address. Also gives what this rank dials, and what it has started."""
        if named:
            self._publish(named)
            return named, named, None
        listen, published = _master_addresses(self._store, options.advertise_address)
        try:
            call_wait_ms = _whole_ms(self.timeout.total_seconds())
            master = Master(
                _joined(listen, "0"),
                bootstrap_ms=_BOOTSTRAP_MS,
                call_wait_ms=call_wait_ms,
                secret_file=options.secret_file,
                insecure=options.insecure,
            )
        except HawserError as error:
            self._publish(f"{_FAILED}{error}")
            raise
        port = master.address.rpartition(":")[2]
        address = _joined(published, port)
        self._publish(address)
        # Not through an address that was said to be the one from outside: a router may not send it back in.
        loopback = "::1" if ":" in listen else "127.0.0.1"
        return address, _joined(loopback, port) if options.advertise_address else address, master

    def published_master(self) -> str:
        self._wait([self._key(0)])
        self.check_sizes()
        self._wait([_MASTER_KEY])
        while True:
            # What rank 0 of an earlier attempt has left is there until this one's is.
            attempts, _, address = str(self._store.get(_MASTER_KEY).decode()).partition("\n")
            if self._own in attempts.split():
                break
            if time.monotonic() >= self._ends:
                raise self.late()
            time.sleep(_LOOK_S)
        if address.startswith(_FAILED):
            raise dist.DistBackendError(f"rank 0 could not start a master: {address.removeprefix(_FAILED)}")
        return address

    def _publish(self, what: str) -> None:
        self._told = what
        self._seen = self._attempts()
        self._store.set(_MASTER_KEY, f"{' '.join(self._seen)}\n{what}")

    def _attempts(self) -> list[str]:
        """The numbers that all ranks have announced themselves with the last time."""
        return [self._store.get(self._key(rank)).decode().split()[-1] for rank in range(self._size)]

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """Meanwhile rank 0 tells the address again to ranks that have come again: it may have seen those of an earlier
        attempt only.
        """
        if self._rank != 0:
            yield
            return
        over = threading.Event()

        def look() -> None:
            try:
                while not over.wait(5 * _LOOK_S):
                    if self._attempts() != self._seen:
                        self._publish(self._told)
            except RuntimeError:  # The store is gone. Whoever needs it still is told so by its own call.
                return

        looking = threading.Thread(target=look, name="hawser-rendezvous", daemon=True)
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()

    def clear(self) -> None:
        """A later group in the same store shall not take this one's words for its own."""
        for key in [_MASTER_KEY, *(self._key(rank) for rank in range(self._size))]:
            self._store.delete_key(key)

    def _key(self, rank: int) -> str:
        return f"hawser/here/{rank}"

    def _wait(self, keys: list[str]) -> None:
        try:
            self._store.wait(keys, timedelta(milliseconds=self.left_ms()))
        except RuntimeError as error:  # a DistStoreError, or of a FileStore a plain one
            self.check_sizes()
            raise self.late() from error

    def late(self) -> GatheringTimeout:
        """The error of a bound that has passed, with who is missing."""
        missing = [rank for rank in range(self._size) if not self._store.check([self._key(rank)])]
        whom = (
            f"rank {', '.join(map(str, missing))} did not come"
            if missing
            else "all ranks came, but not all could be linked"
        )
        return GatheringTimeout(
            f"the process group timed out: its {self._size} ranks were not complete after "
            f"{self.timeout.total_seconds():g} s: {whom}. Look at what those ranks print, or give init_process_group a "
            "longer timeout."
        )


def _link(comm: Communicator, rank: int, size: int, meeting: _Meeting) -> list[int]:
    """Joins, and waits until the view has all ranks; gives the torch rank at each of its positions."""
    guard = threading.Timer(meeting.left_ms() / 1000, comm.close)
    guard.daemon = True
    guard.start()
    try:
        comm.connect()
        while comm.group_size < size:
            try:
                comm.wait(joiner=True, group_size=size, timeout_ms=meeting.left_ms())
                comm.update_topology()
            except MasterRestarted:
                continue
        mine = torch.tensor([rank], dtype=torch.int64, device="cpu")
        everybody = torch.empty(comm.group_size, dtype=torch.int64, device="cpu")
        comm.all_gather(mine, everybody)
    except (Closed, Timeout) as error:
        raise meeting.late() from error
    finally:
        guard.cancel()
    rank_at = [int(r) for r in everybody]
    if sorted(rank_at) != list(range(size)):
        raise dist.DistBackendError(
            f"the master has members of another run: ranks {sorted(rank_at)} where 0 to {size - 1} were expected. "
            "Give each run a master of its own."
        )
    return rank_at


def _master_addresses(store: Store, advertised: str) -> tuple[str, str]:
    """On which address rank 0's master listens, and at which the other ranks reach it."""
    host = _store_host(store) or "127.0.0.1"
    here = _local_address_towards(host)
    if _is_loopback(host) and not advertised:
        return here, here
    everywhere = "::" if ":" in here else "0.0.0.0"
    # Many hosts have their own name in /etc/hosts as a loopback address; to others it means what it should.
    return everywhere, advertised or (host if _is_loopback(here) else here)


def _peer_addresses(master_host: str, options: Options) -> tuple[str, str]:
    """On which address this rank listens, and which one it says to the others. Empty: all; what the master sees."""
    here = _local_address_towards(master_host)
    if _is_loopback(master_host):
        return options.listen_address or ("" if options.advertise_address else here), options.advertise_address
    # The name of this machine, which only here means loopback: the master would see that.
    advertised = master_host if _is_loopback(here) else ""
    return options.listen_address, options.advertise_address or advertised


def _store_host(store: Store) -> str | None:
    """Where torch's store is; None if it is a file or memory of this process."""
    while isinstance(store, PrefixStore):
        store = store.underlying_store
    return str(store.host) if isinstance(store, TCPStore) else None


def _local_address_towards(host: str) -> str:
    """The address of this machine from which it reaches the host. Nothing is sent."""
    failure: OSError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM):
        with socket.socket(family, kind, protocol) as probe:
            try:
                probe.connect(address)
                return str(probe.getsockname()[0])
            except OSError as error:
                failure = error
    raise OSError(f"no way from here to {host!r}, which the ranks meet at") from failure


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name


def _whole_ms(seconds: float) -> int:
    """At least one, and what the library's 32 bits take."""
    return max(1, min(int(seconds * 1000), 2**32 - 1))


def _joined(host: str, port: str) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _host(address: str) -> str:
    return address.rpartition(":")[0].removeprefix("[").removesuffix("]")
