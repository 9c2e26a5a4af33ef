"""Trains a small GPT by peers of which one is killed and one comes later, and compares it with one process.

python run_gpt.py [--mode DiLoCo|AsyncDiLoCo|StreamingDiLoCo|all] [--workers 4] [--tokens N] [--plot gpt.png]

First one process trains on the warm-up tokens, as in the DiLoCo paper. From its parameters go on: the group of each
mode, a master and workers as processes; and one process for comparison. Ends with status 0 if all members of each
group end with the same bits, and its validation loss is at most 3 % above that of one process with as many tokens.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import hawser
from training import flags
from watched_training import Training, TrainingFailed, Watch

HERE = Path(__file__).resolve().parent
MODES = ["DiLoCo", "AsyncDiLoCo", "StreamingDiLoCo"]
TO_SCRIPTS = ["text", "tokens", "batch", "context", "width", "layers", "lr", "start", "report_every"]
KILL_AT, JOIN_AT = 1 / 3, 1 / 2  # of the tokens
TOO_LATE_S = 20.0
WARM_SEED = 1000
DATA_PARALLEL_STEPS = 40


@dataclass
class Outcome:
    """Of one way to train: validation losses in nats per byte after so many tokens, of all members together."""

    name: str
    tokens: list[int]
    losses: list[float]
    bytes_per_token: float = 0.0
    agree: bool = True


def arguments() -> Namespace:
    parser = flags(__doc__)
    parser.add_argument("--mode", action="append", choices=[*MODES, "all"], help="once or several times; default: all")
    parser.add_argument("--workers", type=int, default=4, help="at the beginning; 3 or more")
    parser.add_argument("--warm-tokens", type=int, default=1_500_000, help="on which one process trains first; 0: none")
    parser.add_argument("--warm-lr", type=float, default=0.005, help="the highest learning rate there")
    parser.add_argument("--plot", type=Path, default=Path("gpt.png"), help="PNG file of loss against tokens")
    parser.add_argument("--bound-percent", type=float, default=3.0, help="that the loss may be above one process's")
    parser.add_argument("--limit-s", type=float, default=1800.0, help="for each training, which fails then")
    given = parser.parse_args()
    given.mode = MODES if given.mode is None or "all" in given.mode else list(dict.fromkeys(given.mode))
    if given.workers < 3:
        parser.error("--workers must be 3 or more: one is killed, and one that is alone waits for others")
    return given


class Run:
    """Trainings with the flags of one command. Those still there at the end are stopped."""

    def __init__(self, given: Namespace, saves: Path, **other: object) -> None:
        self._flags = {**{name: getattr(given, name) for name in TO_SCRIPTS}, **other}
        self._saves = saves
        self._trainings: list[Training] = []
        self.watch = Watch(sys.stdout, given.limit_s)

    def prepare(self, script: str, name: str, seed: int) -> Training:
        """Starts a process with batches of its own; it waits for `begin`."""
        values = {**self._flags, "seed": seed, "save": self.saved_by(name)}
        options = [f"--{key.replace('_', '-')}={value}" for key, value in values.items() if value is not None]
        self._trainings.append(Training(self.watch, name, HERE / script, *options))
        return self._trainings[-1]

    def saved_by(self, name: str) -> Path:
        """The file for the parameters of a training of this name."""
        return self._saves / f"{name.replace(' ', '_')}.pt"

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        for training in self._trainings:
            if training.stop() and isinstance(error, TrainingFailed):
                print(f"{training.name} stood here:\n" + "\n".join(training.said))


def train_group(given: Namespace, saves: Path, mode: str) -> Outcome:
    """Kills the last worker at a third of the tokens, and lets another one in at the half."""
    print(f"{mode}: {given.workers} workers, {given.tokens} tokens")
    with (
        hawser.Master("127.0.0.1:0") as master,
        Run(given, saves, master=master.address, mode=mode) as run,
    ):
        workers = [run.prepare("train_diloco.py", f"worker {i + 1}", i + 1) for i in range(given.workers)]
        newcomer = run.prepare("train_diloco.py", f"worker {given.workers + 1}", given.workers + 1)
        victim, running = workers[-1], set(workers)
        newcomer.wait_until_ready()  # a short training would be over before
        for worker in workers:
            worker.begin()
        while running:
            training, report = run.watch.next()
            if report is None:
                running.remove(training)
                if running == {newcomer} and not newcomer.reports:
                    run.watch.hurry(TOO_LATE_S)  # it may be waiting for others
                continue
            tokens = int(report["tokens"])
            if not victim.was_killed and tokens >= KILL_AT * given.tokens:
                victim.kill()
            if newcomer not in workers and tokens >= JOIN_AT * given.tokens:
                newcomer.begin()
                workers.append(newcomer)
                running.add(newcomer)
    if not victim.was_killed or newcomer not in workers:
        raise TrainingFailed(f"{mode}: over before a worker was killed and one came; take more tokens")
    return judge(mode, [worker for worker in workers if worker is not victim], given.batch * given.context)


def judge(mode: str, members: list[Training], step_tokens: int) -> Outcome:
    """What those who are there at the end have come to."""
    ends = [member.last for member in members]
    if not all(ends):
        raise TrainingFailed(f"{mode}: a worker came too late to train; take more tokens")
    agree = len({(end["digest"], end["tokens"], end["validation"]) for end in ends}) == 1
    sent = sum(int(end["bytes_sent"]) for end in ends)
    own_tokens = sum(int(end["step"]) for end in ends) * step_tokens
    return outcome(mode, members[0], bytes_per_token=sent / own_tokens, agree=agree)


def outcome(name: str, training: Training, *, bytes_per_token: float = 0.0, agree: bool = True) -> Outcome:
    return Outcome(
        name,
        [int(report["tokens"]) for report in training.reports],
        [float(report["validation"]) for report in training.reports],
        bytes_per_token,
        agree,
    )


def measure_data_parallel(given: Namespace, saves: Path) -> float:
    """Bytes that members send for each token if every gradient is averaged."""
    tokens: int = DATA_PARALLEL_STEPS * given.workers * given.batch * given.context
    print(f"data-parallel, to count bytes: {given.workers} workers, {DATA_PARALLEL_STEPS} steps")
    with (
        hawser.Master("127.0.0.1:0") as master,
        Run(given, saves, master=master.address, peers=given.workers, tokens=tokens) as run,
    ):
        workers = [run.prepare("train_data_parallel.py", f"worker {i + 1}", i + 1) for i in range(given.workers)]
        follow(run, workers)
    return sum(int(worker.last["bytes_sent"]) for worker in workers) / tokens


def warm_up(given: Namespace, saves: Path) -> Path:
    """Parameters to start from: of one process, which has the batches of all workers together. Gives their file."""
    print(f"warm-up: one process, {given.warm_tokens} tokens")
    with Run(given, saves, tokens=given.warm_tokens, batch=given.batch * given.workers, lr=given.warm_lr) as run:
        follow(run, [run.prepare("train_alone.py", "warm-up", WARM_SEED)])
        return run.saved_by("warm-up")


def train_alone(given: Namespace, saves: Path, tokens: int) -> Outcome:
    """One process without Hawser."""
    print(f"one process: {tokens} tokens")
    steps = given.report_every * given.workers
    with Run(given, saves, tokens=tokens, report_every=steps) as run:
        alone = run.prepare("train_alone.py", "one process", 1)
        follow(run, [alone])
    return outcome("one process", alone)


def follow(run: Run, trainings: list[Training]) -> None:
    """Lets them train to the end."""
    for training in trainings:
        training.begin()
    ended = 0
    while ended < len(trainings):
        ended += run.watch.next()[1] is None


def plot(path: Path, outcomes: list[Outcome]) -> None:
    """Validation loss against tokens, as PNG."""
    from matplotlib.figure import Figure  # type: ignore[import-not-found,unused-ignore]

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="tokens, all members together", ylabel="validation loss, nats per byte")
    for each in outcomes:
        axes.plot(each.tokens, each.losses, label=each.name)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, format="png", dpi=150)


def report(given: Namespace, groups: list[Outcome], alone: Outcome, data_parallel: float) -> bool:
    """Says what came out, and whether all checks hold."""
    good = True
    print(f"one process: {alone.tokens[-1]} tokens, validation loss {alone.losses[-1]:.4f}")
    print(f"data-parallel: {data_parallel:.2f} bytes sent per token")
    for group in groups:
        above = 100 * (group.losses[-1] / alone.losses[-1] - 1)
        fits = above <= given.bound_percent
        good = good and fits and group.agree
        print(
            f"{group.name}: {group.tokens[-1]} tokens, validation loss {group.losses[-1]:.4f}, {above:+.2f} % of one "
            f"process's ({'within' if fits else 'NOT WITHIN'} {given.bound_percent:g} %); "
            f"{group.bytes_per_token:.3f} bytes sent per token, data-parallel sends "
            f"{data_parallel / group.bytes_per_token:.1f} times as many; "
            f"members' bits {'equal' if group.agree else 'DIFFER'}"
        )
    print("PASS" if good else "FAIL")
    return good


def main() -> int:
    given = arguments()
    try:
        import matplotlib  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError:
        print("run_gpt.py draws with matplotlib, which is not there: pip install matplotlib", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory() as saves:
            data_parallel = measure_data_parallel(given, Path(saves))
            if given.warm_tokens and not given.start:
                given.start = warm_up(given, Path(saves))
            groups = [train_group(given, Path(saves), mode) for mode in given.mode]
            # As many as the group that had most: a group ends with a whole outer step.
            alone = train_alone(given, Path(saves), max(group.tokens[-1] for group in groups))
    except TrainingFailed as error:
        print(f"FAIL: {error}", file=sys.stderr)
        return 1
    plot(given.plot, [alone, *groups])
    print(f"losses against tokens: {given.plot}")
    return 0 if report(given, groups, alone, data_parallel) else 1


if __name__ == "__main__":
    sys.exit(main())
