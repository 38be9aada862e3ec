"""What mappings make of subjects: what we say beside what nats-server delivers."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from broker.transforms import Mappings
from issuer.claims.account import Export, Import, WeightedMapping
from issuer.claims.fields import Permission, Permissions
from issuer.subjects import Subject, is_valid
from tests.servers import NatsServer
from tests.system.broker.stage import Client, Stage, mapped

pytestmark = pytest.mark.component("nats-server")

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "transforms.json").read_text())
DRAWS = 400
# Six standard deviations of the widest of 400 draws: chance does not fail these tests.
TOLERANCE = 60


@pytest.fixture
def stage(start_nats: Callable[..., NatsServer]) -> Iterator[Stage]:
    with Stage(start_nats) as made:
        yield made


def listening(stage: Stage, mappings: Mapping[str, tuple[WeightedMapping, ...]]) -> Client:
    stage.account("A", mappings=mappings)
    stage.play()
    client = stage.client("A")
    client.say("SUB > 1")
    return client


def seen(client: Client, subject: str) -> list[str]:
    return [frame.subject for frame in client.publish(subject, "1")]


def test_the_vectors_are_what_the_server_does(stage: Stage) -> None:
    every = [*VECTORS["transforms"], *VECTORS["invalid"]]
    client = listening(stage, {each["source"]: mapped((each["destination"], 100)) for each in every})
    said = {s: made for each in VECTORS["transforms"] for s, made in each["subjects"].items()}
    # A subject with an empty token reaches nobody.
    assert {s: seen(client, s) for s in said} == {s: [made] * is_valid(made) for s, made in said.items()}
    assert stage.server is not None
    logged = dict(re.findall(r'adding subject mapping ("[^"]*") for [^:]*\]: (.*)', stage.server.log_text()))
    assert {json.loads(source): words for source, words in logged.items()} == Mappings.of(
        {each["source"]: mapped((each["destination"], 100)) for each in every}
    ).invalid


WEIGHTS: dict[str, tuple[WeightedMapping, ...]] = {
    "rest.*": mapped(("moved.$1", 30)),
    "none": mapped(("none", 20)),
    "some": mapped(("some", 10), ("other", 40)),
    "half": mapped(("one", 50), ("two", 50)),
    "three": mapped(("x", 20), ("y", 10)),
    "far": mapped(("elsewhere", 100, "east")),
    "gone": mapped(("elsewhere", 100, "east"), ("gone", 50, "west")),
    "twice": mapped(("same", 50), ("same", 20, "east")),
    "much": mapped(("all", 100)),
    "first": mapped(("second", 100)),
    "second": mapped(("third", 100)),
    "random.*": mapped(("r.{{random(4)}}", 100)),
}


def test_weights(stage: Stage) -> None:
    client = listening(stage, WEIGHTS)
    mappings = Mappings.of(WEIGHTS)
    for source in WEIGHTS:
        subject = source.replace("*", "x")
        drawn = Counter(tuple(seen(client, subject)) for _ in range(DRAWS))
        said = {(made,) if made else (): weight for made, weight in mappings.destinations(subject)}
        if source == "random.*":
            said = {(f"r.{number}",): 25 for number in range(4)}
        assert set(drawn) == set(said), source
        for made, weight in said.items():
            assert abs(drawn[made] - DRAWS * weight / 100) <= TOLERANCE, source


def test_the_source_that_wins_is_one_of_those_that_match(stage: Stage) -> None:
    sources = {"a.b": "1", "a.*": "2", "*.b": "3", "a.>": "4.>", ">": "5.>"}
    mappings = {source: mapped((made, 100)) for source, made in sources.items()}
    client = listening(stage, mappings)
    ours = Mappings.of(mappings)
    for subject in ("a.b", "a.c", "c.b", "a.b.c", "c"):
        single = {
            alone.choose(subject, lambda: 0.0)
            for source, made in mappings.items()
            for alone in [Mappings.of({source: made})]
            if alone.source(subject)
        }
        # Which one changes from start to start of the server; ours is always the narrowest.
        assert seen(client, subject)[0] in single
        assert ours.choose(subject, lambda: 0.0) in single


def test_a_whole_literal_subject_falls_into_the_partition_of_nothing(stage: Stage) -> None:
    mappings = {"lit": mapped(("l.{{partition(9)}}", 100))}
    client = listening(stage, mappings)
    assert seen(client, "lit") == [Mappings.of(mappings).choose("lit", lambda: 0.0)]


def test_what_a_lost_message_looks_like(stage: Stage) -> None:
    """The subject is then empty: so says the refusal of permissions, and the missing responder."""
    client = listening(stage, {"lost": mapped(("lost", 100, "east"))})
    assert Mappings.of(stage.claims["A"].nats.mappings).choose("lost", lambda: 0.0) is None
    (answer,) = client.publish("lost", "1", reply="back")
    assert (answer.line, answer.body) == (b"HMSG back 1 32 32", b"NATS/1.0 503\r\nNats-Subject: \r\n\r\n")
    rights = Permissions(pub=Permission(allow=(Subject("lost"),)))
    (refusal,) = stage.client("A", permissions=rights).publish("lost", "1")
    assert refusal.line == b"-ERR 'Permissions Violation for Publish to \"\"'"


def test_mappings_of_the_exporter_hold_for_requests(stage: Stage) -> None:
    """Importer's before, exporter's after, each once."""
    theirs, mine = (
        {"out": mapped(("mapped", 100))},
        {"go": mapped(("ask", 100)), "mapped": mapped(("no", 100))},
    )
    export = Export(subject=Subject("out"), type="service")
    stage.account("E", exports=(export,), mappings=theirs)
    taken = Import(
        subject=Subject("out"), local_subject=Subject("ask"), account=stage.key("E"), type="service"
    )
    stage.account("I", imports=(taken,), mappings=mine)
    stage.play()
    exporter, importer = stage.client("E"), stage.client("I")
    exporter.say("SUB > 1")
    importer.publish("go", "1")
    assert [frame.subject for frame in exporter.say()] == ["mapped"]
