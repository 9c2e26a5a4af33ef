"""Starts `hawser dashboard` of a run with two members, asks it for all it has, and ends it. Prints what is wrong."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from urllib.error import HTTPError

tool, master = sys.argv[1:]


def get(url: str, accept: str = "*/*") -> tuple[str, str]:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=20) as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"], answer.headers
        return answer.headers["Content-Type"], answer.read().decode()


def check_format(text: str, open_metrics: bool) -> dict[str, float]:
    """Every sample belongs to the family above it, once. Gives the samples."""
    samples: dict[str, float] = {}
    family, kind = "", ""
    families = set()
    lines = text.splitlines()
    if open_metrics:
        assert lines.pop() == "# EOF", text[-200:]
    for line in lines:
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split()
            assert family not in families, line
            families.add(family)
        elif not line.startswith("# HELP "):
            name, value = re.fullmatch(r'([a-z_]+(?:\{(?:[a-z_]+="(?:[^"\\]|\\.)*",?)*\})?) (\S+)', line).groups()
            base = name.partition("{")[0]
            assert base == family + ("_total" if kind == "counter" and open_metrics else ""), (family, line)
            assert (kind == "counter") == base.endswith("_total"), line
            assert name not in samples, line
            samples[name] = float(value)
    return samples


dashboard = subprocess.Popen([tool, "dashboard", master, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
try:
    base = re.search(r"http://[0-9.:]+/", dashboard.stdout.readline())[0]
    kind, page = get(base)
    assert kind.startswith("text/html") and "status.json" in page and len(page) < 200_000
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", ""), "the page asks others"
    kind, answer = get(base + "status.json")
    status = json.loads(answer)
    assert kind == "application/json" and status["world_size"] == 2 and status["totals"]["joined"] == 2, status
    kind, text = get(base + "metrics")
    assert kind.startswith("text/plain; version=0.0.4"), kind
    samples = check_format(text, open_metrics=False)
    assert samples["hawser_up"] == 1 and samples["hawser_members"] == 2, samples
    assert samples['hawser_group_members{group="0"}'] == 2
    assert samples['hawser_member_away{group="0",member="Grace \\"G\\" Hopper"}'] == 0
    assert samples["hawser_members_joined_total"] == 2
    assert samples['hawser_collectives_total{kind="all_reduce",outcome="committed"}'] == 0
    if promtool := shutil.which("promtool"):
        lint = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
        assert lint.returncode == 0 and not lint.stderr, lint
    kind, text = get(base + "metrics", "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text"), kind
    assert check_format(text, open_metrics=True).keys() == samples.keys()
    try:
        get(base + "nothing")
        raise AssertionError("there is something")
    except HTTPError as error:
        assert error.code == 404
    for name in ("elsewhere.example", "127.elsewhere.example:80", ""):
        try:
            urllib.request.urlopen(urllib.request.Request(base, headers={"Host": name}), timeout=20)
            raise AssertionError("a page of another name reads it")
        except HTTPError as error:
            assert error.code in (400, 403), error
    dashboard.send_signal(signal.SIGTERM)
    assert dashboard.wait(timeout=20) == 0
finally:
    dashboard.kill()
print("all is well")
