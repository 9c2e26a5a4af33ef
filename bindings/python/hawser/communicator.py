"""A member of a run, and the collectives that it takes part in."""

from __future__ import annotations

import atexit
import os
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
from hawser.keys import Path
from hawser.shared_state import Progress, SharedState
from hawser.tensors import Tensor, wait_for_streams

__all__ = ["AsyncOp", "Communicator", "Met"]


class Met(NamedTuple):
    """The conditions that held when `Communicator.wait` ended."""

    joiner: bool
    group_size: bool
    epoch: bool


class AsyncOp:
    """An all-reduce in the background: see `Communicator.all_reduce_async`.

    Until it has ended, its tensors belong to the library, which keeps them alive, also if this object is dropped.
    """

    def __init__(self, handle: _core.Operation) -> None:
        self._handle = handle

    def test(self) -> bool:
        """Whether it has ended, with or without success. Does not block."""
        return self._handle.test()

    def wait(self, timeout_ms: int | None = None) -> ReduceInfo:
        """Blocks until it has ended, or for timeout_ms, and returns what it did. May be called again.

        Raises what `Communicator.all_reduce` raises. If timeout_ms passed, it raises Timeout and `test()` is still
        False. After KeyboardInterrupt the operation goes on. Several threads may wait.
        """
        return self._handle.wait(timeout_ms)

    def cancel(self) -> None:
        """It is not wanted any more, and ends soon, which `wait` tells. Does not block.

        A collective ends with Timeout at all members, as if its `timeout_ms` had passed here; all calls that are under
        way in the group end with it, and the group stays as it is. A message ends with Timeout here only. What has its
        result by then succeeds.
        """
        self._handle.cancel()

    def stream_wait(self, stream: int = 0) -> None:
        """Makes a stream of the tensor's device wait for the end of the operation; the host goes on at once.

        What is put on the stream from now on runs after the operation. It also does after an error, which `wait` tells;
        the tensors then hold what an error leaves.

        Args:
            stream: its address, such as `torch.cuda.current_stream().cuda_stream`. 0: the device's default stream.

        Raises InvalidArgument (no tensor on a device, no stream of that device), SystemFailure.
        """
        self._handle.stream_wait(stream)


class Communicator:
    """A member of a run, or a peer that wants to be one. `connect` joins the run. The end of `with` leaves it.

    Safe to use from several threads. Several collectives may be in flight if their tags differ. Calls that may not run
    at the same time raise InvalidUsage.

    Blocking calls let other Python threads run. In the main thread a signal handler that raises (Ctrl-C raises
    KeyboardInterrupt) ends them within a fraction of a second. The collective itself goes on then. Until it has ended,
    its tensors belong to the library, which keeps them alive, and the other members may still count this member's
    input. Close the communicator afterwards. To go on, make a new one.

    Args:
        master: "HOST:PORT" of the master: IPv4, [IPv6] or a host name. Where several masters may serve the run, all of
            them, separated by commas, in the same order at all peers.
        name: for people, shown in errors and logs. At most 63 bytes. Give each peer its own. Default "HOSTNAME:PID".
        group: peers of equal group reduce together.
        advertise_address: address that other peers dial, with a port if that is not the one it listens on. Default: the
            address from which the master sees this peer. docs/networking.md says when to set it.
        listen_address: address to listen on for other peers. Default: all interfaces.
        port_first, port_last: ports to listen on: the first free one of them. Open them in firewalls. Default: any free
            port.
        connections_per_link: TCP connections to each other peer. Default: 1 on one host; between hosts measurements
            decide, up to 32.
        connect_ms: how long `connect` blocks at most, waiting for admission included. Default 3600000.
        master_redial_ms: how long a lost master is redialled; then calls raise MasterUnreachable. Default 60000.
        silence_ms: a master that is silent for so long is dialled anew. Default 5000.
        stall_ms: after so long without progress in a collective, this peer reports to the master whom it waits for.
            Default 6000.
        check_same_host: send checksums also between peers on one host.
        prefetch_share_percent: part of this member's uplink that newcomers may take when they prefetch. Default 25.
        party, party_size: peers of which each is of no use without the others (the ranks of a sharded replica) give the
            same number, drawn at random, and the size of their party. They are admitted together. If one is lost, the
            others are expelled, too.
        congestion_control: TCP's congestion control towards other hosts, such as "bbr". Default: the system's, and BBR
            for links whose ways lose segments, where the system lets this process choose it.
        send_buffer_bytes, receive_buffer_bytes: socket buffers of each connection to another host. Default: the system
            tunes them.
        min_peers: the first peers of the group wait in `connect` until there are so many. If they give different
            numbers, the one that most of them give counts. Default: the group begins a second after the master's start.
        io_threads: threads that carry connections and work on payloads. 1: one thread does everything. Default: 1 on two
            cores or fewer, otherwise half of the cores and one more, at most 5.
        secret_file: the run's secret (`hawser.keygen`), or a key that was issued to this member (`hawser.issue_key`).
            The master must have one of the same run. All connections are then under TLS 1.3. Default: what
            HAWSER_SECRET_FILE names. Without a key this peer connects to this machine only.
        insecure: without a key, connect to other machines all the same, in plain, and to whoever comes.
        tls_same_host: encrypt also the links between processes of one machine. For measurements.
        attest: sign what this peer gives to each collective; the master keeps that for the latest ones, and
            `hawser attest` shows it. A call first reads its send tensor, at some 0.8 GB/s. Needs a secret_file.
        relay: be a relay, as `hawser relay` is: without tensors, and no member. It adds for the members, and calls
            nothing but connect and wait.
        relay_mbit: what a relay offers in each direction, in Mbit/s. Default: plans find out by doubling.
        relay_memory_mib: what a relay takes for the sums of all calls together. Default 256; each call beyond the
            eighth at a time takes 2 MiB more.

    Zeros and empty strings mean the defaults. Raises InvalidArgument (also a secret_file that is none, or that others
    may read), SystemFailure (no port is free).
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
        io_threads: int = 0,
        secret_file: Path = "",
        insecure: bool = False,
        tls_same_host: bool = False,
        attest: bool = False,
        relay: bool = False,
        relay_mbit: int = 0,
        relay_memory_mib: int = 0,
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
            io_threads=io_threads,
            secret_file=os.fspath(secret_file),
            insecure=insecure,
            tls_same_host=tls_same_host,
            attest=attest,
            relay=relay,
            relay_mbit=relay_mbit,
            relay_memory_mib=relay_memory_mib,
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

        The first peers of a run are admitted together (see min_peers). When this returns, the members have just
        returned from `update_topology`. Go on with `update_topology`, which then succeeds at once, or with the call
        that the members make next. Blocks up to connect_ms. May be called again after Expelled, MasterUnreachable,
        Refused or Timeout, to join as a newcomer.

        Args:
            prefetch: fetch the content of this state from members that offer it, before the admission.
            prefetch_bound_ms: after so long, join with what has come. Default 600000.
            progress: called with the bytes that have come and the bytes in all.

        Raises InvalidUsage (connected already), Timeout, MasterUnreachable (at once if what answers there is no
        master), Refused (another version, other terms, limits reached, no link to a member), Closed.
        """
        if prefetch is None:
            self._handle.connect()
            return None
        wait_for_streams(prefetch.tensors.values())
        return prefetch._handle.connect_prefetch(self._handle, prefetch_bound_ms, progress)

    def set_term(self, name: str, value: str | None) -> None:
        """States a setting that all members of the group must have alike, such as "sync_every". None removes it.

        Call it before `connect`. A newcomer whose terms differ from those of the members is refused, and the sentence
        has both values. The classes of `hawser.torch` state their own. Name: 1 to 63 bytes. Value: at most 127. At most
        32 terms. Does not block.

        Raises InvalidArgument, InvalidUsage (connected, or connecting), Closed.
        """
        self._handle.set_term(name, value)

    def wait(self, *, joiner: bool = False, group_size: int = 0, epoch: int = 0, timeout_ms: int = 0) -> Met:
        """Blocks until one of the conditions holds, and says which. Returns at once if one holds already.

        It is for members that have nothing to do until somebody joins or leaves. Other calls may go on meanwhile.

        Args:
            joiner: a newcomer waits that the next `update_topology` can admit.
            group_size: the group has at least so many members.
            epoch: the view has another epoch than this one: somebody joined or left.
            timeout_ms: how long it blocks at most. Default 600000.

        Raises InvalidArgument (no condition is given), InvalidUsage (not connected), Timeout, MasterUnreachable,
        Expelled, Closed.
        """
        bits = self._handle.wait(joiner, group_size, epoch, timeout_ms)
        return Met(bool(bits & _core.MET_JOINER), bool(bits & _core.MET_GROUP_SIZE), bool(bits & _core.MET_EPOCH))

    def update_topology(self) -> None:
        """Lets newcomers join. All members of all groups call it in the same place.

        Newcomers join that have links to all members; others are not waited for. The loss of a member is no error: the
        new view is without it. A newcomer's first call succeeds at once if the members that admitted it are in a
        collective already.

        In a run of one group it returns at once, without a round trip, if nobody waited for admission when the last
        collective was committed and this peer has heard of nobody since. Members do not wait for each other then, and
        who has come since may have to wait for the next call. After an error they wait for each other again. Otherwise
        blocks until all members have called, at most the master's call_wait_ms. No collective may be in flight.

        Raises InvalidUsage, Mismatch (a member called a collective instead), Timeout, MasterRestarted,
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
        """Measures links between this group's members that no traffic has shown yet, by short bursts.

        All members of the group call it in the same place, and no collective may be in flight. All members plan their
        next collectives from the result. N members need about the time of N - 1 probes. Links within one host are not
        probed.

        Args:
            all_pairs: probe all links, also those that are measured already.
            age_ms_max: also probe links whose measurement is older than this. 0: do not.
            probe_ms_max: how long one probe lasts at most. Default: 3.5 round trips, 160 to 900 ms.
            total_ms_max: after so long this member begins no further probe. Default 60000.
            probe_bytes_max: bytes of one probe, the same on all members. Default 67108864.
            progress: called with the number of members that this one has probed, and their number in all.

        Raises InvalidUsage (something else is in flight, more than 128 members), TooFewPeers, PeerLost, Mismatch (a
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
        """The view as this peer knows it at this moment. Does not block.

        It and the properties raise InvalidUsage (not connected), Expelled, MasterUnreachable, Closed.
        """
        return self._handle.info()

    @property
    def rank(self) -> int:
        """Position of this peer in its group."""
        return self.info().rank

    @property
    def world_size(self) -> int:
        """Members of all groups together."""
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
        """Whether newcomers wait that the next `update_topology` can admit, as far as this peer knows.

        Members may briefly see different answers. So use it for reports only, and call `update_topology` in the same
        place on all members.
        """
        return self._handle.pending()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._handle.is_closed()

    def close(self) -> None:
        """Leaves the run; the others learn of it at once. Ends calls in flight with Closed. Blocks a second at most.

        A second call does nothing. The end of `with`, of the object and of the process close it, too.
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
        timeout_ms: int = 0,
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
            residual: error feedback: the loss of quantisation in this call is added to the next call with it (sum,
                avg).
            compress: compress what this member sends, without loss, where that pays. Members may differ.
            timeout_ms: after so long this member gives the call up. It ends with Timeout at all members, as does what
                else is under way in the group, and the group stays as it is. Members may differ. 0: never.

        On any error the tensor holds its original values, and `receive` is unspecified. Blocks until all members have
        called and the result is committed. A dead member is noticed at once, or within the master's silence_ms or
        stall_ms. Members that do not call are waited for up to its call_wait_ms. Memory beyond the tensors: at most 32
        MiB, and in place the size of the tensor on top.

        Raises TooFewPeers, PeerLost, Mismatch, Timeout, MasterRestarted, MasterUnreachable, Expelled, InvalidArgument,
        InvalidUsage (the tag is in flight; not connected), SystemFailure, Closed. If the error has `can_retry`, the
        same call may be made again at once. docs/errors.md explains them.
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
            timeout_ms,
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
        timeout_ms: int = 0,
    ) -> AsyncOp:
        """As `all_reduce`, but returns at once. Up to 4096 tags may be in flight.

        The tensors and the residual belong to the library until the operation has ended. Raises InvalidArgument,
        InvalidUsage, Closed, Expelled, MasterUnreachable at once. `AsyncOp.wait` raises the others, and InvalidUsage if
        the call that this one does not go with began at the same moment in another thread.
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
                timeout_ms,
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
        """Reduces a list of tensors, several at once, and calls again what a loss undid.

        Args:
            tensors: the same list of counts and types on all members. No two share memory.
            receive: where the results go. None: in place.
            first_tag: the first of the tags that are used, as many as there are tensors.
            quantization: for tensors of floats. The others are not quantised.
            in_flight: collectives at once. Default 8.
            fuse_bytes: small tensors of one type are put together, up to so many bytes. 1: never. Default 4 MiB.

        After an error each tensor either has its result, the same tensors on all members, or its input is intact. The
        error's `done` says which. Blocks as long as the collectives and the retries last.

        Raises TooFewPeers, and those errors of `all_reduce` that a retry does not help against.
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
        self,
        tensor: Tensor,
        root: int,
        *,
        tag: int = 0,
        plan: Plan | str = Plan.AUTO,
        compress: bool = False,
        timeout_ms: int = 0,
    ) -> ReduceInfo:
        """The root's values go to all members' tensors. `root` is a rank, the same on all members.

        After an error the root's tensor is intact, and the others' are unspecified. Blocks and raises as `all_reduce`.
        """
        return self._handle.broadcast(tensor, root, tag, plan_of(plan), compress, timeout_ms)

    def all_gather(
        self,
        send: Tensor,
        receive: Tensor,
        *,
        tag: int = 0,
        plan: Plan | str = Plan.AUTO,
        compress: bool = False,
        timeout_ms: int = 0,
    ) -> ReduceInfo:
        """Every member's `send` (n elements) goes to every member's `receive` (n * group_size), in rank order.

        The tensors are disjoint, or in place: `send` is this rank's share of `receive`. Raises InvalidArgument if the
        sizes do not fit the group of the moment, and PeerLost if the group changes before the call begins. Otherwise it
        blocks and raises as `all_reduce`.
        """
        return self._handle.all_gather(send, receive, tag, plan_of(plan), compress, timeout_ms)

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
        timeout_ms: int = 0,
    ) -> ReduceInfo:
        """Each member gets its share of the reduction of `send` (n * group_size elements) in `receive` (n).

        The tensors are disjoint, or in place: `receive` is this rank's share of `send`. Sizes and errors are as for
        `all_gather`.
        """
        return self._handle.reduce_scatter(
            send, receive, reduce_op_of(op), tag, plan_of(plan), quantization_of(quantization), compress, timeout_ms
        )

    def barrier(self, *, tag: int = 0, timeout_ms: int = 0) -> ReduceInfo:
        """Returns when all members have called. Blocks and raises as `all_reduce`."""
        return self._handle.barrier(tag, timeout_ms)

    # -------------------------------------------------------------------------------------------- messages

    def send(
        self, tensor: Tensor, to: int | None = None, *, peer_id: int = 0, tag: int = 0, timeout_ms: int = 0
    ) -> ReduceInfo:
        """Sends a tensor in host memory to one member, which calls `receive` with a tensor of the same size.

        Args:
            to: the rank of the other side.
            peer_id: the other side by its peer id, instead of its rank, which changes with the group.
            tag: tells messages between the same two members apart. Other numbers than those of collectives.
            timeout_ms: how long it blocks at most. Default 600000.

        Messages of one tag between two members arrive in the order of the calls. Up to 64 KiB they go before the data
        of collectives. Blocks until the other side's process has all of it: soon for up to 64 KiB, of which it keeps 1
        MiB and 1024 messages from each member; otherwise when that side receives. So a message arrives although its
        sender leaves afterwards. A receiver that leaves at once may be lost to its sender before that has heard that
        the message came: let both call a barrier first. A change of the group that both sides survive does not concern
        it.

        Raises PeerLost (the other side is gone), Timeout (it has not received, and never will), InvalidArgument (no
        such rank; a tensor on a device), InvalidUsage (not connected; 65536 are in flight, or as many tags in use to
        that member; no link to that one in a group of more than 128), Closed, Expelled, MasterUnreachable.
        """
        return self._handle.send(tensor, to, peer_id, tag, timeout_ms)

    def send_async(
        self, tensor: Tensor, to: int | None = None, *, peer_id: int = 0, tag: int = 0, timeout_ms: int = 0
    ) -> AsyncOp:
        """As `send`, but returns at once. The tensor belongs to the library until the operation has ended.

        Raises InvalidArgument (the tensor) and Closed at once. `AsyncOp.wait` raises the others.
        """
        return AsyncOp(self._handle.send_async(tensor, to, peer_id, tag, timeout_ms))

    def receive(
        self, tensor: Tensor, source: int | None = None, *, peer_id: int = 0, tag: int = 0, timeout_ms: int = 0
    ) -> ReduceInfo:
        """Receives a message into a tensor in host memory. Blocks until it is there, at most `timeout_ms`.

        Args:
            source: the rank that sends it. None, and no `peer_id`: whoever has sent one of that tag first.
            peer_id: that one by its peer id. It may have gone: what it had sent whole is received.

        The only contributor of the result is the sender's peer id. Raises as `send`, and: Mismatch (the message has
        another size than the tensor; it stays for the next call), TooFewPeers (from anybody, and nobody else is left).
        After PeerLost, Timeout and Closed the tensor is unspecified.
        """
        return self._handle.receive(tensor, source, peer_id, tag, timeout_ms)

    def receive_async(
        self, tensor: Tensor, source: int | None = None, *, peer_id: int = 0, tag: int = 0, timeout_ms: int = 0
    ) -> AsyncOp:
        """As `receive`, but returns at once. The tensor belongs to the library until the operation has ended."""
        return AsyncOp(self._handle.receive_async(tensor, source, peer_id, tag, timeout_ms))


_open: weakref.WeakSet[Communicator] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """The library's threads end before the interpreter."""
    for communicator in list(_open):
        communicator.close()
