"""A member of a run, and the collectives that it takes part in."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, overload

from hawser import _core
from hawser._core import (
    CommInfo,
    ManyInfo,
    Member,
    OptimizeInfo,
    Plan,
    PrefetchInfo,
    Quantization,
    ReduceInfo,
    ReduceOp,
    Residual,
)
from hawser.choices import plan_of, quantization_of, reduce_op_of
from hawser.shared_state import Progress, SharedState
from hawser.tensors import Tensor

__all__ = ["AsyncOp", "Communicator", "Met"]


class Met(NamedTuple):
    """What held when `Communicator.wait` ended."""

    joiner: bool
    group_size: bool
    epoch: bool


class AsyncOp:
    """An all-reduce in the background: see `Communicator.all_reduce_async`.

    Its tensors are kept alive, and belong to the library, until it has ended, also if this object is dropped.
    """

    def __init__(self, handle: _core.Operation) -> None:
        self._handle = handle

    def test(self) -> bool:
        """Whether it has ended, well or not. Does not block."""
        return self._handle.test()

    def wait(self, timeout_ms: int | None = None) -> ReduceInfo:
        """Blocks until it has ended, or for so long; gives what it was, again and again.

        Raises what `Communicator.all_reduce` raises, and Timeout with `test()` still False when timeout_ms passed.
        After KeyboardInterrupt it goes on. Several threads may wait.
        """
        return self._handle.wait(timeout_ms)


class Communicator:
    """A member of a run, or one that wants to be. `connect` makes it one; `with` leaves the run at its end.

    Safe to use from several threads: several collectives may be under way if their tags differ. Whatever may not run
    together raises InvalidUsage.

    Blocking calls let other Python threads run. In the main thread a signal handler that raises (Ctrl-C raises
    KeyboardInterrupt) ends them within a fraction of a second. The collective itself goes on then: its tensors are
    kept alive, belong to the library until it has ended, and the other members may still count this one's input. Close
    the communicator afterwards; to go on, make a new one.

    Args:
        master: "HOST:PORT" of the master: IPv4, [IPv6] or a host name.
        name: for people, shown in errors and logs. At most 63 bytes. Default "HOSTNAME:PID".
        group: peers of equal group reduce together.
        advertise_address: address that other peers shall dial, no port. Default: what the master sees.
        listen_address: address to listen on for other peers. Default: all.
        port_first, port_last: ports to listen on. Default: any free one.
        connections_per_link: TCP connections to each peer. Default: 1 on one host; between hosts what
            measuring shows to be best, up to 32.
        connect_ms: bound of `connect`, waiting for admission included. Default 3600000.
        master_redial_ms: how long to redial a lost master, and how long a call may outlast it. Default 60000.
        silence_ms: silence of the master after which its connection counts as dead. Default 5000.
        stall_ms: no progress in a collective for so long: the master is told who is waited for. Default 6000.
        check_same_host: checksums between peers on one host, too.
        prefetch_share_percent: of the uplink, for newcomers that prefetch from here. Default 25.
        party, party_size: peers of which each is of no use without the others (the ranks of a sharded replica) give one
            number, drawn at random, and how many they are: they are admitted together; if one is lost, the others
            are expelled too.
        congestion_control: TCP's, towards other hosts, such as "bbr". Default: the system's.
        send_buffer_bytes, receive_buffer_bytes: of each connection to another host. Default: the system fits them.
        min_peers: the first members of the group are so many at least: the first ones wait for the others in `connect`.
            What most of them wish counts. Default: whoever is there a second after the master's start.

    Zeros and empty strings mean the defaults. Raises InvalidArgument, SystemFailure (no port free).
    """

    def __init__(
        self,
        master: str,
        *,
        name: str = "",
        group: int = 0,
        advertise_address: str = "",
        listen_address: str = "",
        port_first: int = 0,
        port_last: int = 0,
        connections_per_link: int = 0,
        connect_ms: int = 0,
        master_redial_ms: int = 0,
        silence_ms: int = 0,
        stall_ms: int = 0,
        check_same_host: bool = False,
        prefetch_share_percent: int = 0,
        party: int = 0,
        party_size: int = 0,
        congestion_control: str = "",
        send_buffer_bytes: int = 0,
        receive_buffer_bytes: int = 0,
        min_peers: int = 0,
    ) -> None:
        self._handle = _core.CommHandle(
            master=master,
            name=name,
            group=group,
            advertise_address=advertise_address,
            listen_address=listen_address,
            port_first=port_first,
            port_last=port_last,
            connections_per_link=connections_per_link,
            connect_ms=connect_ms,
            master_redial_ms=master_redial_ms,
            silence_ms=silence_ms,
            stall_ms=stall_ms,
            check_same_host=check_same_host,
            prefetch_share_percent=prefetch_share_percent,
            party=party,
            party_size=party_size,
            congestion_control=congestion_control,
            send_buffer_bytes=send_buffer_bytes,
            receive_buffer_bytes=receive_buffer_bytes,
            min_peers=min_peers,
        )
        _open.add(self)

    # ------------------------------------------------------------------------------------------ membership

    @overload
    def connect(self) -> None: ...
    @overload
    def connect(
        self, *, prefetch: SharedState, prefetch_bound_ms: int = 0, progress: Progress | None = None
    ) -> PrefetchInfo: ...
    def connect(
        self,
        *,
        prefetch: SharedState | None = None,
        prefetch_bound_ms: int = 0,
        progress: Progress | None = None,
    ) -> PrefetchInfo | None:
        """Joins the run: opens links to the members, and waits until they admit this peer (`update_topology`).

        The first peers of a run are admitted together (see min_peers). Blocks up to connect_ms. May be called again
        after Expelled, MasterUnreachable, Refused or Timeout, to join as a newcomer.

        Args:
            prefetch: fetch the content of this state from members that offer it, before being admitted.
            prefetch_bound_ms: after so long, join with what has come. Default 600000.
            progress: told how far the fetching is.

        Raises InvalidUsage (connected already), Timeout, MasterUnreachable (at once, if what answers there is no master),
        Refused (other version, other terms, limits reached, no link to a member), Closed.
        """
        if prefetch is None:
            self._handle.connect()
            return None
        return prefetch._handle.connect_prefetch(self._handle, prefetch_bound_ms, progress)

    def set_term(self, name: str, value: str | None) -> None:
        """States what all members of the group must have alike, such as "sync_every": before `connect`. None: no more.

        A newcomer whose terms are not those of the members is refused, and told both values. The classes of
        `hawser.torch` state theirs. Name: 1 to 63 bytes, value: at most 127; 32 terms. Does not block.

        Raises InvalidArgument, InvalidUsage (connected, or connecting), Closed.
        """
        self._handle.set_term(name, value)

    def wait(self, *, joiner: bool = False, group_size: int = 0, epoch: int = 0, timeout_ms: int = 0) -> Met:
        """Blocks until something of what is asked for holds; says what. At once if it does already.

        For members that have nothing to do until somebody comes or goes. Other calls may go on meanwhile.

        Args:
            joiner: somebody waits for admission that the next `update_topology` can let in.
            group_size: the group has so many members at least.
            epoch: another view than that of this epoch is in force: somebody joined or left.
            timeout_ms: bound. Default 600000.

        Raises InvalidArgument (nothing is asked for), InvalidUsage (not connected), Timeout, MasterUnreachable,
        Expelled, Closed.
        """
        bits = self._handle.wait(joiner, group_size, epoch, timeout_ms)
        return Met(bool(bits & _core.MET_JOINER), bool(bits & _core.MET_GROUP_SIZE), bool(bits & _core.MET_EPOCH))

    def update_topology(self) -> None:
        """Admits pending peers. All members of all groups call it in the same place; at once if nobody waits.

        Only those come in whose links to all members stand: nobody is waited for. Losses are no error: the view that
        stands is without the lost. The first call of a newcomer succeeds at once if the members that admitted it are in
        a collective already. Blocks until all members have called, at most the master's call_wait_ms. Not beside a
        collective.

        Raises InvalidUsage, Mismatch (a member waits in a collective instead), Timeout, MasterRestarted,
        MasterUnreachable, Expelled, Closed.
        """
        self._handle.update_topology()

    def optimize_topology(
        self,
        *,
        all_pairs: bool = False,
        age_ms_max: int = 0,
        probe_ms_max: int = 0,
        total_ms_max: int = 0,
        probe_bytes_max: int = 0,
        progress: Progress | None = None,
    ) -> OptimizeInfo:
        """Measures the links between this group's members that no traffic has shown yet, by short bursts.

        All members of the group call it in the same place, and nothing beside it. What comes next is planned from what
        was measured, by all alike. About N - 1 probes' time with N members; links within one host are not probed.

        Args:
            all_pairs: probe the links that are known, too.
            age_ms_max: probe those too whose measurement is older. 0: no matter how old.
            probe_ms_max: of one probe. Default: 3.5 round trips, 160 to 900 ms.
            total_ms_max: after so long this member begins no further probe. Default 60000.
            probe_bytes_max: of one probe, the same on all members. Default 67108864.
            progress: told how many of how many other members this one is done with.

        Raises InvalidUsage (something else is under way, more than 128 members), TooFewPeers, PeerLost, Mismatch (a
        member called something else), Timeout, MasterRestarted, MasterUnreachable, Expelled, Closed.
        """
        return self._handle.optimize_topology(
            all_pairs=all_pairs,
            age_ms_max=age_ms_max,
            probe_ms_max=probe_ms_max,
            total_ms_max=total_ms_max,
            probe_bytes_max=probe_bytes_max,
            progress=progress,
        )

    def info(self) -> CommInfo:
        """The view as this peer knows it, of one moment. Does not block.

        Raises InvalidUsage (not connected), Expelled, MasterUnreachable, Closed; as the properties do.
        """
        return self._handle.info()

    @property
    def rank(self) -> int:
        """Position of this peer in its group."""
        return self.info().rank

    @property
    def world_size(self) -> int:
        """Admitted members over all groups."""
        return self.info().world_size

    @property
    def group_size(self) -> int:
        """Members of this group: those that reduce together."""
        return self.info().group_size

    @property
    def epoch(self) -> int:
        """Number of this group's view; grows with every change."""
        return self.info().epoch

    @property
    def peer_id(self) -> int:
        """This peer's id in the run."""
        return self.info().peer_id

    @property
    def members(self) -> list[Member]:
        """Members of this group in rank order."""
        return self._handle.members()

    @property
    def pending(self) -> bool:
        """Whether peers wait for admission, as far as this peer has been told.

        Members may briefly see different answers: report it, but call `update_topology` in the same place on all.
        """
        return self._handle.pending()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._handle.is_closed()

    def close(self) -> None:
        """Leaves the run (others are told at once) and ends calls under way with Closed. Blocks a second at most.

        Again: does nothing. Also done at the end of `with`, of the object, and of the process.
        """
        self._handle.close()

    def __enter__(self) -> Communicator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ----------------------------------------------------------------------------------------- collectives

    def all_reduce(
        self,
        tensor: Tensor,
        receive: Tensor | None = None,
        *,
        op: ReduceOp | str = ReduceOp.SUM,
        tag: int = 0,
        plan: Plan | str = Plan.AUTO,
        quantization: Quantization | str | None = None,
        residual: Residual | None = None,
        compress: bool = False,
    ) -> ReduceInfo:
        """Reduces a tensor over the group; every member gets the same bits.

        Args:
            tensor: this member's input, of the same count and type on all members.
            receive: where the result goes, as long as the tensor, disjoint. None: in place.
            op: how elements are combined: a ReduceOp or its name, such as "avg". Same on all members, as tag, plan and
                quantization.
            tag: your number for this collective, among several in flight.
            plan: how the data travels: a Plan or its name, such as "ring".
            quantization: makes floats smaller on the wire: a Quantization, or "int8" (blockwise, blocks of 256), "int4"
                (blockwise, blocks of 64), "bfloat16" or "float16".
            residual: error feedback: what quantisation loses here is added to the next call with it (sum, avg).
            compress: what this member sends, without loss, where that pays. Need not be the same on all.

        On any error the tensor holds its original values; `receive` is then unspecified. Blocks until all members
        have called and the result is committed: a dead member is noticed at once or within the master's silence_ms
        or stall_ms; members that don't call are waited for up to its call_wait_ms. Memory beyond the tensors: 32 MiB
        at most out of place, the tensor's size on top in place.

        Raises TooFewPeers, PeerLost, Mismatch, Timeout, MasterRestarted, MasterUnreachable, Expelled, InvalidArgument,
        InvalidUsage (the tag is under way; not connected), SystemFailure, Closed. After those with `can_retry` the same
        call may be made again at once.
        """
        return self._handle.all_reduce(
            tensor,
            receive,
            reduce_op_of(op),
            tag,
            plan_of(plan),
            quantization_of(quantization),
            residual,
            compress,
        )

    def all_reduce_async(
        self,
        tensor: Tensor,
        receive: Tensor | None = None,
        *,
        op: ReduceOp | str = ReduceOp.SUM,
        tag: int = 0,
        plan: Plan | str = Plan.AUTO,
        quantization: Quantization | str | None = None,
        residual: Residual | None = None,
        compress: bool = False,
    ) -> AsyncOp:
        """As `all_reduce`, but returns at once. Up to 4096 tags may be under way.

        The tensors, and the residual, belong to the library until the operation has ended. Raises InvalidArgument,
        InvalidUsage, Closed, Expelled, MasterUnreachable at once, the others when it is waited for.
        """
        return AsyncOp(
            self._handle.all_reduce_async(
                tensor,
                receive,
                reduce_op_of(op),
                tag,
                plan_of(plan),
                quantization_of(quantization),
                residual,
                compress,
            )
        )

    def all_reduce_many(
        self,
        tensors: Sequence[Tensor],
        receive: Sequence[Tensor] | None = None,
        *,
        op: ReduceOp | str = ReduceOp.SUM,
        first_tag: int = 0,
        plan: Plan | str = Plan.AUTO,
        quantization: Quantization | str | None = None,
        compress: bool = False,
        in_flight: int = 0,
        fuse_bytes: int = 0,
    ) -> ManyInfo:
        """Reduces a list of tensors that share no memory, several at once, and calls again what a loss undid.

        Args:
            tensors: the same list of counts and types on all members.
            receive: where the results go. None: in place.
            first_tag: tags from this one on are used, as many as there are tensors.
            quantization: of floats; other tensors go as they are.
            in_flight: collectives at once. Default 8.
            fuse_bytes: small tensors of one type are put together up to so many bytes. Default 4 MiB; 1: never.

        On an error each tensor either has its result (the same ones on all members) or its input is intact; the
        error's `done` tells which. Blocks as long as the collectives do, and as retries go on.

        Raises TooFewPeers, and those of `all_reduce` that a retry does not mend.
        """
        return self._handle.all_reduce_many(
            list(tensors),
            None if receive is None else list(receive),
            reduce_op_of(op),
            first_tag,
            plan_of(plan),
            quantization_of(quantization),
            compress,
            in_flight,
            fuse_bytes,
        )

    def broadcast(
        self, tensor: Tensor, root: int, *, tag: int = 0, plan: Plan | str = Plan.AUTO, compress: bool = False
    ) -> ReduceInfo:
        """The root's values go to everybody's tensor. `root` is a rank, the same on all members.

        After an error the others' tensors are unspecified, the root's is intact. Blocks and raises as `all_reduce`.
        """
        return self._handle.broadcast(tensor, root, tag, plan_of(plan), compress)

    def all_gather(
        self,
        send: Tensor,
        receive: Tensor,
        *,
        tag: int = 0,
        plan: Plan | str = Plan.AUTO,
        compress: bool = False,
    ) -> ReduceInfo:
        """Everybody's `send` (n elements) goes to everybody's `receive` (n * group_size), in rank order.

        Disjoint, or in place: `send` is this rank's share of `receive`. Raises InvalidArgument if the sizes don't fit
        the group of the moment, PeerLost if that changes before it begins. Blocks and raises as `all_reduce`.
        """
        return self._handle.all_gather(send, receive, tag, plan_of(plan), compress)

    def reduce_scatter(
        self,
        send: Tensor,
        receive: Tensor,
        *,
        op: ReduceOp | str = ReduceOp.SUM,
        tag: int = 0,
        plan: Plan | str = Plan.AUTO,
        quantization: Quantization | str | None = None,
        compress: bool = False,
    ) -> ReduceInfo:
        """Each member gets its share of the reduction of `send` (n * group_size elements) in `receive` (n).

        Disjoint, or in place: `receive` is this rank's share of `send`. Sizes and errors as for `all_gather`.
        """
        return self._handle.reduce_scatter(
            send, receive, reduce_op_of(op), tag, plan_of(plan), quantization_of(quantization), compress
        )

    def barrier(self, *, tag: int = 0) -> ReduceInfo:
        """Returns when all members have called. Blocks and raises as `all_reduce`."""
        return self._handle.barrier(tag)


_open: weakref.WeakSet[Communicator] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Threads of the library end before the interpreter does."""
    for communicator in list(_open):
        communicator.close()
