"""From a model's container to the spec of its replicas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.fleet.fleets import VARIANT, endpoint, model, spec

from nearstream.core.endpoints import Container, EndpointStatus, Model
from nearstream.core.replicas import ReplicaSpec
from nearstream.fleet.specs import Desired, desired, spec_for

FALCON = "tiiuae/falcon-7b-instruct"


def read_image(image: str) -> tuple[str, str]:
    return image, "0.9.3"


def made(of: Model | None, aliases: Mapping[str, str] | None = None) -> ReplicaSpec:
    return spec_for(endpoint(), VARIANT, of, read_image=read_image, aliases=tuple((aliases or {}).items()))


def problem(of: Model, aliases: Mapping[str, str] | None = None) -> str:
    wanted = desired(
        replace(endpoint(), models=(of,)), read_image=read_image, aliases=tuple((aliases or {}).items())
    )
    assert wanted.wanted == ()
    assert wanted.problem is not None
    return wanted.problem


def test_a_tgi_container_names_its_model_in_its_environment() -> None:
    assert made(model(HF_MODEL_ID=FALCON), {FALCON: "builtin"}) == spec()


def test_an_lmi_container_names_its_model_as_an_option() -> None:
    found = made(model(image="lmi", OPTION_MODEL_ID="a/b", HF_MODEL_ID="c/d"))
    assert (found.persona, found.model) == ("lmi", "a/b")


@pytest.mark.parametrize(
    ("aliases", "runs"),
    [
        ({}, FALCON),
        ({"other/model": "x"}, FALCON),
        ({FALCON: "/models/small"}, "/models/small"),
        ({"*": "builtin"}, "builtin"),
        ({"*": "builtin", FALCON: "/models/small"}, "/models/small"),
    ],
)
def test_the_exact_alias_comes_before_the_one_for_any(aliases: Mapping[str, str], runs: str) -> None:
    found = made(model(HF_MODEL_ID=FALCON), aliases)
    assert (found.requested_model, found.model) == (FALCON, runs)


def test_a_container_that_names_no_model_is_told_which_variable_is_missing() -> None:
    assert "set HF_MODEL_ID" in problem(model())
    assert "set OPTION_MODEL_ID" in problem(model(image="lmi"))
    assert "set HF_MODEL_ID" in problem(model(HF_MODEL_ID=""))


def test_an_alias_for_any_model_stands_in_for_a_container_that_names_none() -> None:
    found = made(model(), {"*": "builtin"})
    assert (found.requested_model, found.model) == ("falcon", "builtin")


def test_an_image_of_ones_own_does_not_run_here() -> None:
    assert "neither TGI nor LMI" in problem(model(image="own", HF_MODEL_ID=FALCON), {"*": "builtin"})


def test_a_variant_without_a_model_is_a_problem() -> None:
    assert "has no model" in problem(replace(model(HF_MODEL_ID=FALCON), name="another"))


def test_every_variant_gets_its_own_replicas() -> None:
    variants = (replace(VARIANT, instances=2), replace(VARIANT, name="B", startup_timeout_s=60.0))
    wanted = desired(endpoint(variants=variants), read_image=read_image, aliases=[("*", "builtin")]).wanted
    assert [(one.spec.variant, one.instances, one.spec.startup_timeout_s) for one in wanted] == [
        ("AllTraffic", 2, 600.0),
        ("B", 1, 60.0),
    ]


def test_the_first_container_and_its_host_name_count() -> None:
    containers = (Container("tgi", (("HF_MODEL_ID", FALCON),), hostname="front"), Container("own"))
    assert made(replace(model(), containers=containers)).container == "front"


def test_desired_is_a_value() -> None:
    assert desired(endpoint(), read_image=read_image, aliases=()) == desired(
        endpoint(), read_image=read_image, aliases=()
    )
    assert isinstance(desired(endpoint(), read_image=read_image, aliases=()), Desired)


def with_data(url: str | None = "s3://models/falcon.tar.gz", image: str = "tgi", **environment: str) -> Model:
    made_model = model(image=image, **environment)
    return replace(made_model, containers=(replace(made_model.containers[0], model_data_url=url),))


@pytest.mark.parametrize("named", ["", "/opt/ml/model", "/opt/ml/model/falcon"])
def test_a_tgi_container_runs_its_model_data_unless_it_names_another_model(named: str) -> None:
    found = made(with_data(HF_MODEL_ID=named), {"*": "builtin"})
    assert (found.model, found.model_data) == ("", "s3://models/falcon.tar.gz")
    other = made(with_data(HF_MODEL_ID=FALCON))
    assert (other.model, other.model_data) == (FALCON, None)


def test_an_lmi_container_reads_its_model_data_whatever_its_environment_names() -> None:
    for environment in ({}, {"OPTION_MODEL_ID": FALCON}):
        found = made(with_data(image="lmi", **environment), {"*": "builtin"})
        assert (found.model, found.model_data) == ("", "s3://models/falcon.tar.gz")


def test_model_data_that_is_said_not_to_be_compressed_stays_as_it_is() -> None:
    made_model = with_data()
    kept = replace(made_model, containers=(replace(made_model.containers[0], unpacked=False),))
    assert made(made_model, {"*": "builtin"}).unpacked and not made(kept, {"*": "builtin"}).unpacked


def test_no_model_data_is_none() -> None:
    assert "or ModelDataUrl" in problem(with_data(None))
    assert made(with_data(None, HF_MODEL_ID=FALCON)).deployment == ""


def test_a_deployment_is_another_one_when_it_is_made_anew() -> None:
    def of(**changes: Any) -> str:
        data = with_data()
        return spec_for(
            replace(endpoint(), **changes), VARIANT, data, read_image=read_image, aliases=()
        ).deployment  # fmt: skip

    same = of()
    assert same and same == of(modified_at=9.0) == of(status=EndpointStatus.CREATING)
    assert len({same, of(created_at=2.0), of(config="chat-2"), of(name="other")}) == 4
