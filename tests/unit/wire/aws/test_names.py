"""ARNs and the tables of errors."""

import pytest

from nearstream.core import errors as domain
from nearstream.core.accounts import Account
from nearstream.services.runtime import service as runtime
from nearstream.services.sagemaker import service as sagemaker
from nearstream.wire.aws import errors, service


@pytest.mark.parametrize(
    ("region", "partition"),
    [("eu-central-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov"), ("kitchen", "aws")],
)
def test_an_arn_holds_its_partition_and_a_name_in_lower_case(region, partition):
    account = Account("000000000000", region)
    assert (
        account.arn("endpoint", "My-EP") == f"arn:{partition}:sagemaker:{region}:000000000000:endpoint/my-ep"
    )


ARGUMENTS = {
    domain.Unsupported: ("option", "engine"),
    domain.OptionInvalid: ("option", "said"),
    domain.TooManyTokens: ("option", "said"),
    domain.ServiceError: ("Code", "said"),
    domain.CallFailed: ("Code", "said"),
    domain.StreamFailed: ("Code", "said"),
    domain.TimedOut: ("total", 1.0),
}


@pytest.mark.parametrize("table", [sagemaker.ERRORS, runtime.SERVICE.errors], ids=["control", "runtime"])
def test_every_domain_error_has_a_code(table):
    kinds = [kind for kind in vars(domain).values() if isinstance(kind, type)]
    for kind in kinds:
        if issubclass(kind, domain.NearstreamError):
            assert errors.translate(kind(*ARGUMENTS.get(kind, ("said",))), table, {}).code


def test_the_nearest_kind_of_error_decides_and_the_model_gives_the_status():
    statuses = service.load("sagemaker-runtime").statuses

    def told(error):
        translated = errors.translate(error, runtime.SERVICE.errors, statuses)
        return translated.code, translated.status

    assert told(domain.EngineDied("gone")) == ("ModelError", 424)
    assert told(domain.Unsupported("top_k", "scripted")) == ("ValidationError", 400)
    assert told(domain.Overloaded("full")) == ("ThrottlingException", 429)
    assert told(domain.NotReady("soon")) == ("ServiceUnavailable", 503)
    assert told(domain.NearstreamError("odd")) == ("InternalFailure", 500)
    assert told(domain.ServiceError("ModelNotReadyException", "wait")) == ("ModelNotReadyException", 429)


def test_an_error_in_awss_words_stays_as_it_is():
    error = errors.AwsError("ModelError", "m", 424)
    assert errors.translate(error, sagemaker.ERRORS, {}) is error
