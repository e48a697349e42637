"""Kill commands with SIGKILL at random moments, and rerun them until they finish.

python -m tests.fuzz.kills --seed 0 --kills 1000 --output kills.json

Each job is first run without a kill, which determines the expected bytes and the duration. It is
then killed several times, at moments drawn uniformly from this duration, and finished. The files
must be identical except for times in records, and no other file may be left. After each kill, a
file with the name of the output must be complete.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.fuzz import server, wellformed

MODEL = "../assets/model"
_MOST_KILLS = 8  # per round
_TIMES = ("created", "seconds", "tokens_per_second", "step_time", "wall_seconds", "minutes")
_FOLDER_WORDS = (".cache", ".stdout", ".stderr")


@dataclass(frozen=True)
class Job:
    """A command, its input files and its output."""

    name: str
    arguments: tuple[str, ...]
    files: Mapping[str, bytes]
    output: str


def jobs() -> list[Job]:
    """Return one job for each verb, or one for each of its formats."""
    rng = Random(5)
    genome = "".join(
        wellformed.wrapped(f"chr{n}", wellformed.draw_letters(rng, 6000 // n)) for n in (1, 2, 3)
    ).encode()
    many = "".join(
        wellformed.wrapped(f"s{n}", wellformed.draw_letters(rng, rng.randrange(20, 250)))
        for n in range(300)
    ).encode()
    table = "sequence,label\n" + "".join(
        f"{wellformed.draw_letters(rng, 30)},{'ab'[n % 2]}\n" for n in range(60)
    )
    g, m, s = {"g.fa": genome}, ("-m", MODEL), {"s.fa": many}
    tiny = (
        "--set", "architecture={d_model: 8, n_layer: 1}", "--set", "tokens_per_step=128", "--set",
        "validations=3", "--set", "validation_windows=2", "--set", "checkpoint_every=3", "--set",
        "start_length=16", "--set", "log_every=2",
    )  # fmt: skip
    twice = ("--epochs", "3", "--seeds", "2", "--set", "device=cpu")
    tables = {"t.csv": table.encode(), "t2.csv": table[:800].rpartition("\n")[0].encode()}
    found = [
        Job(
            "pretrain",
            ("-g", "g.fa", "-o", "out", "--steps", "30", "--context-length", "64", *tiny),
            g,
            "out",
        ),
        Job(
            "finetune",
            (*("--train", "t.csv", "--test", "t2.csv", *m, "-o", "out"), *twice),
            tables,
            "out",
        ),
    ]
    variants = _variants(rng, genome)
    for end in ("vcf", "vcf.gz", "bcf", "tsv"):
        found.append(
            Job(
                "score-vcf",
                (*m, "-g", "g.fa", "-i", "v.vcf", "-o", f"o.{end}"),
                g | {"v.vcf": variants},
                f"o.{end}",
            )
        )
    found += [
        Job("embed", (*m, "-i", "s.fa", "-o", f"o.{end}"), s, f"o.{end}")
        for end in ("npz", "h5", "parquet")
    ]
    prompts = "".join(
        wellformed.wrapped(f"p{n}", wellformed.draw_letters(rng, 40)) for n in range(20)
    )
    found += [
        Job("tracks", (*m, "-g", "g.fa", "--stride", "8", "-o", f"o.{end}"), g, f"o.{end}")
        for end in ("bedgraph", "bw")
    ]
    regions = b"".join(b"chr1\t%d\t%d\tr%d\n" % (n, n + 60, n) for n in range(0, 1800, 90))
    found += [
        Job("score", (*m, "-i", "s.fa", "-o", f"o.{end}"), s, f"o.{end}")
        for end in ("tsv", "bedgraph")
    ]
    found += [
        Job(
            "mutagenesis",
            (*m, "-g", "g.fa", "-r", "r.bed", "--window", "16", "-o", "o.tsv"),
            g | {"r.bed": regions},
            "o.tsv",
        ),
        Job("predict", ("-m", "../assets/classifier", "-i", "s.fa", "-o", "o.csv"), s, "o.csv"),
        Job(
            "generate",
            (*m, "-n", "100", "-k", "1", "--prompt", "p.fa", "-o", "o.fa"),
            {"p.fa": prompts.encode()},
            "o.fa",
        ),
    ]
    return found


def _variants(rng, genome):
    letters = {
        part.split("\n", 1)[0]: part.split("\n", 1)[1].replace("\n", "")
        for part in genome.decode().split(">")[1:]
    }
    lines = ["##fileformat=VCFv4.2", '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">']
    lines += [f"##contig=<ID={name},length={len(each)}>" for name, each in letters.items()]
    lines.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    for name, each in letters.items():
        for place in sorted(rng.sample(range(len(each)), k=90)):
            alt = "ACGT"[("ACGT".index(each[place]) + 1) % 4]
            lines.append(f"{name}\t{place + 1}\t.\t{each[place]}\t{alt}\t.\tPASS\tDP={place}")
    return ("\n".join(lines) + "\n").encode()


class Place:
    """A folder in which a job is run, killed and rerun."""

    def __init__(self, job: Job, folder: Path, *, by_process: bool) -> None:
        self.job, self.folder, self._by_process = job, folder, by_process
        server.empty(folder)
        for name, data in job.files.items():
            (folder / name).write_bytes(data)

    def run(self, kill_after: float | None = None) -> tuple[int, float, str]:
        """Run the command; return its exit code (-9 if killed), seconds and standard error."""
        if self._by_process:
            return self._run_process(kill_after)
        outcome = server.run(
            (self.job.name, *self.job.arguments), self.folder, limit=600, kill_after=kill_after
        )
        return outcome.code, outcome.seconds, outcome.err

    def _run_process(self, kill_after: float | None) -> tuple[int, float, str]:
        started = time.monotonic()
        environment = os.environ | {"MEGABASE_CACHE": str(self.folder / ".cache")}
        command = [sys.executable, "-m", "megabase", self.job.name, *self.job.arguments]
        with (self.folder / ".stderr").open("w") as err:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=subprocess.DEVNULL, stderr=err
            )
            try:
                code = process.wait(kill_after)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                code = process.wait()
        return code, time.monotonic() - started, (self.folder / ".stderr").read_text()

    def files(self) -> dict[str, bytes]:
        """Return every file except the inputs, with times removed from records."""
        return {
            name: _timeless(path.read_bytes(), name)
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
            and (name := path.relative_to(self.folder).as_posix()) not in self.job.files
            and name.split("/")[0] not in _FOLDER_WORDS
            and not name.endswith((".fai", ".gzi"))
        }


def _timeless(data: bytes, name: str) -> bytes:
    if name.endswith(".json"):
        return json.dumps(_without_times(json.loads(data)), sort_keys=True).encode()
    if name.endswith(".jsonl"):
        lines = [
            json.dumps(_without_times(json.loads(line)), sort_keys=True)
            for line in data.splitlines()
        ]
        return "\n".join(lines).encode()
    return data


def _without_times(tree):
    if isinstance(tree, dict):
        return {key: _without_times(value) for key, value in tree.items() if key not in _TIMES}
    return [_without_times(each) for each in tree] if isinstance(tree, list) else tree


def reference(job: Job, folder: Path, *, by_process: bool) -> tuple[dict[str, bytes], float]:
    """Run a job twice without a kill; return its bytes, which must agree, and the seconds."""
    found = []
    for _ in range(2):
        place = Place(job, folder, by_process=by_process)
        code, seconds, err = place.run()
        if code:
            sys.exit(f"{job.name} failed without a kill: {err}")
        found.append(place.files())
    if differing := _differing(*found):
        sys.exit(f"{job.name} is not reproducible: {differing}")
    return found[0], seconds


def _differing(one, other) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def disturb(
    job: Job, expected, seconds: float, folder: Path, rng: Random, *, by_process: bool
) -> tuple[int, float, list[str]]:
    """Kill a job several times and finish it; return kills, seconds and problems."""
    place = Place(job, folder, by_process=by_process)
    problems, n_kills = [], 0
    for _ in range(rng.randrange(1, _MOST_KILLS + 1)):
        code, took, err = place.run(kill_after=rng.uniform(0, seconds))
        if code == 0:
            seconds = seconds if n_kills else min(took, seconds)  # the machine is less busy now
            break
        if code != -signal.SIGKILL:
            return (
                n_kills,
                seconds,
                [*problems, f"exit code {code} after {n_kills} kills: {err[-300:]}"],
            )
        n_kills += 1
        problems += _half_written(place, expected)
    code, _, err = place.run()
    if code:
        return n_kills, seconds, [*problems, f"exit code {code} at the end: {err[-300:]}"]
    found = place.files()
    for name in _differing(expected, found):
        how = (
            "is missing" if name not in found else "is left" if name not in expected else "differs"
        )
        problems.append(f"{name} {how}")
    return n_kills, seconds, problems


def _half_written(place: Place, expected) -> list[str]:
    """Return a problem if, after a kill, the output exists but is incomplete."""
    output = place.folder / place.job.output
    if not output.is_file():
        return []
    same = _timeless(output.read_bytes(), output.name) == expected[place.job.output]
    return [] if same else [f"{place.job.output} is half-written after a kill"]


def work(folder: Path, arguments, number: int, ready) -> None:
    """Run rounds of kills until this process has done its share; write a line for each."""
    share, n_kills = arguments.kills // arguments.jobs, 0
    with (folder / f"rounds-{number}.jsonl").open("w") as file:
        for turn in range(number, 1 << 30, arguments.jobs):
            if n_kills >= share:
                return
            rng = Random(f"{arguments.seed}:{turn}")
            job, expected, seconds = ready[turn // arguments.jobs % len(ready)]
            place = folder / f"round-{number}"
            killed, seconds, problems = disturb(
                job, expected, seconds, place, rng, by_process=arguments.processes
            )
            ready[turn // arguments.jobs % len(ready)] = (job, expected, seconds)
            n_kills += killed
            line = {
                "turn": turn,
                "verb": job.name,
                "output": job.output,
                "kills": killed,
                "problems": problems,
            }
            file.write(json.dumps(line) + "\n")
            file.flush()


def run_all(arguments, folder: Path) -> list[dict]:
    """Prepare, distribute the kills over processes, and return all rounds."""
    server.warm()
    server.empty(folder / "assets")
    wellformed.make_assets(folder / "assets")
    if (made := server.run(wellformed.CLASSIFIER, folder / "assets")).code:
        sys.exit(made.err)
    chosen = [job for job in jobs() if not arguments.verb or job.name in arguments.verb]
    ready = [
        (job, *reference(job, folder / "reference", by_process=arguments.processes))
        for job in chosen
    ]
    for job, _, seconds in ready:
        print(f"{job.name} {job.output}: {seconds:.2f} s", file=sys.stderr)
    server.in_forks(arguments.jobs, lambda number: work(folder, arguments, number, ready))
    lines = [line for path in folder.glob("rounds-*.jsonl") for line in path.open()]
    return sorted(map(json.loads, lines), key=lambda each: each["turn"])


def summary(rounds: list[dict], arguments, seconds: float) -> dict:
    """Count kills and problems."""
    from megabase.runtime.environment import machine, versions  # noqa: PLC0415 after warm()

    kills, done, wrong = Counter(), Counter(), {}
    for each in rounds:
        name = f"{each['verb']} {each['output']}"
        kills[name] += each["kills"]
        done[name] += 1
        for problem in each["problems"]:
            wrong.setdefault(f"{name}: {problem}", []).append(each["turn"])
    return {
        "seed": arguments.seed,
        "real_processes": arguments.processes,
        "kills": sum(kills.values()),
        "runs": len(rounds),
        "minutes": round(seconds / 60, 1),
        "kills_by_job": dict(sorted(kills.items())),
        "runs_by_job": dict(sorted(done.items())),
        "runs_with_problems": sum(bool(each["problems"]) for each in rounds),
        "problems": {
            label: {"n": len(turns), "first": turns[:5]} for label, turns in sorted(wrong.items())
        },
        "versions": versions(),
        "machine": machine(),
    }


def main() -> int:
    """Read the options and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--verb", action="append", help="only this verb; may be repeated")
    parser.add_argument(
        "--processes",
        action="store_true",
        help="start new processes instead of forks of a warm one",
    )
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="kills-") as folder:
        started = time.monotonic()
        report = summary(run_all(arguments, Path(folder)), arguments, time.monotonic() - started)
    text = json.dumps(report, indent=2)
    if arguments.output:
        arguments.output.write_text(text + "\n")
    print(text)
    return int(bool(report["runs_with_problems"]))


if __name__ == "__main__":
    sys.exit(main())
