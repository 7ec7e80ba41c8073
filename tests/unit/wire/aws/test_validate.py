"""Inputs against their shapes, in the words that AWS answers with."""

from contextlib import suppress

import pytest
from botocore.model import ServiceModel
from hypothesis import given
from hypothesis import strategies as st

from nearstream.core.errors import Invalid
from nearstream.wire.aws import serialise, service, validate
from nearstream.wire.aws.errors import AwsError

SAGEMAKER = service.load(
    "sagemaker", ["CreateEndpointConfig", "CreateModel", "ListEndpoints", "DescribeEndpoint", "AddTags"]
)
VARIANT = {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.g5.xlarge"}


def shape(operation):
    return SAGEMAKER.operation(operation).input_shape


def check(operation, document):
    validate.check_type(shape(operation), document)
    validate.check(shape(operation), serialise.from_json(shape(operation), document))


def refusal(operation, document):
    with pytest.raises(Invalid) as caught:
        check(operation, document)
    return str(caught.value)


def unreadable(operation, document):
    with pytest.raises(AwsError) as caught:
        check(operation, document)
    assert (caught.value.code, caught.value.status) == ("SerializationException", 400)
    return caught.value.message


NAME_PATTERN = "Member must satisfy regular expression pattern: [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"
LENGTHS = (
    "Member must have length less than or equal to {}, Member must have length greater than or equal to 0"
)


def config(*variants):
    return {"EndpointConfigName": "c", "ProductionVariants": list(variants)}


SENTENCES = {
    "pattern": (
        "DescribeEndpoint",
        {"EndpointName": "x y"},
        f"Value 'x y' at 'endpointName' failed to satisfy constraint: {NAME_PATTERN}",
    ),
    "required": (
        "DescribeEndpoint",
        {},
        "Value null at 'endpointName' failed to satisfy constraint: Member must not be null",
    ),
    "null": (
        "DescribeEndpoint",
        {"EndpointName": None},
        "Value null at 'endpointName' failed to satisfy constraint: Member must not be null",
    ),
    "enum": (
        "ListEndpoints",
        {"SortBy": "Size"},
        (
            "Value 'Size' at 'sortBy' failed to satisfy constraint: "
            "Member must satisfy enum value set: [Name, CreationTime, Status]"
        ),
    ),
    "range": (
        "ListEndpoints",
        {"MaxResults": 101},
        (
            "Value '101' at 'maxResults' failed to satisfy constraint: "
            "Member must have value less than or equal to 100"
        ),
    ),
    "list element": (
        "CreateEndpointConfig",
        config(VARIANT, {**VARIANT, "VariantName": "a_b"}),
        "Value 'a_b' at 'productionVariants.2.member.variantName' failed to satisfy constraint: "
        + NAME_PATTERN,
    ),
    "list length": (
        "CreateEndpointConfig",
        config(),
        (
            "Value '[]' at 'productionVariants' failed to satisfy constraint: "
            "Member must have length greater than or equal to 1"
        ),
    ),
    "required in a list": (
        "CreateEndpointConfig",
        config({}),
        (
            "Value null at 'productionVariants.1.member.variantName' failed to satisfy constraint: "
            "Member must not be null"
        ),
    ),
    "map value": (
        "CreateModel",
        {"ModelName": "m", "PrimaryContainer": {"Environment": {"TOKEN": "s" * 1025}}},
        (
            "Value '{TOKEN=***}' at 'primaryContainer.environment' failed to satisfy constraint: "
            f"Map value must satisfy constraint: [{LENGTHS.format(1024)}, "
            r"Member must satisfy regular expression pattern: [\S\s]*]"
        ),
    ),
    "list of strings": (
        "CreateModel",
        {"ModelName": "m", "VpcConfig": {"SecurityGroupIds": ["a b"], "Subnets": ["s"]}},
        (
            "Value '[a b]' at 'vpcConfig.securityGroupIds' failed to satisfy constraint: "
            f"Member must satisfy constraint: [{LENGTHS.format(32)}, "
            "Member must satisfy regular expression pattern: [-0-9a-zA-Z]+]"
        ),
    ),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_each_constraint_has_its_sentence(case):
    operation, document, text = SENTENCES[case]
    assert refusal(operation, document) == f"1 validation error detected: {text}"


def test_every_violation_is_told_and_counted():
    message = refusal("ListEndpoints", {"SortOrder": "up", "MaxResults": 0, "NameContains": "a b"})
    assert message.startswith("3 validation errors detected: Value ")
    assert message.count("; Value '") == 2


def test_keys_of_a_map_are_held_to_their_own_pattern():
    message = refusal("CreateModel", {"ModelName": "m", "PrimaryContainer": {"Environment": {"A-B": "x"}}})
    assert "Value '{A-B=***}' at 'primaryContainer.environment'" in message
    assert "Map keys must satisfy constraint: [" in message


def test_what_only_aws_has_is_not_held_to_its_list():
    variant = {**VARIANT, "InstanceType": "ml.from-the-future.large"}
    check(
        "CreateEndpointConfig",
        {"EndpointConfigName": "c", "ProductionVariants": [variant], "ExecutionRoleArn": "mine"},
    )


def test_members_that_the_shape_does_not_know_are_ignored():
    check("DescribeEndpoint", {"EndpointName": "e", "Unheard": {"of": [1]}})
    validate.check(None, {"any": "thing"})


@pytest.mark.parametrize(
    ("operation", "document", "text"),
    [
        ("DescribeEndpoint", {"EndpointName": 7}, "NUMBER_VALUE cannot be converted to String"),
        ("DescribeEndpoint", {"EndpointName": True}, "TRUE_VALUE cannot be converted to String"),
        ("DescribeEndpoint", {"EndpointName": {}}, "Start of structure or map found where not expected."),
        ("DescribeEndpoint", {"EndpointName": []}, "Start of list found where not expected"),
        ("ListEndpoints", {"MaxResults": "7"}, "STRING_VALUE cannot be converted to Integer"),
        ("ListEndpoints", {"MaxResults": 7.5}, "NUMBER_VALUE cannot be converted to Integer"),
        ("ListEndpoints", {"MaxResults": 10**400}, "NUMBER_VALUE cannot be converted to Integer"),
        ("ListEndpoints", {"MaxResults": True}, "TRUE_VALUE cannot be converted to Integer"),
        ("CreateModel", {"EnableNetworkIsolation": "yes"}, "STRING_VALUE cannot be converted to Boolean"),
        ("CreateModel", {"Containers": {}}, "Start of structure or map found where not expected."),
        ("CreateModel", {"PrimaryContainer": "x"}, "Unexpected token received from parser"),
        ("AddTags", {"Tags": [["Key"]]}, "Start of list found where not expected"),
        ("CreateModel", {"PrimaryContainer": {"Environment": {"A": 1}}}, "NUMBER_VALUE cannot be converted"),
    ],
    ids=repr,
)
def test_json_of_the_wrong_type_cannot_be_read(operation, document, text):
    assert text in unreadable(operation, document)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["ModelName", "PrimaryContainer", "Image", "Environment", "Tags"]), inner
            )
        ),
    )
)
def test_any_json_is_either_checked_or_refused(value):
    with suppress(AwsError, Invalid):
        check("CreateModel", {"ModelName": value, "PrimaryContainer": value, "Tags": value})


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"\p{ASCII}*", "a b\n", "é"),
        (r"\A\S[\p{Print}]*\z", "ab c", " a"),
        (r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)", "Größe 1:a", "a,b"),
        (r"arn:[\p{Alnum}\-]+", "arn:aws-cn", "arn:a_b"),
        ("abc", "abc", "abcd"),
    ],
)
def test_patterns_that_java_writes_are_understood(pattern, good, bad):
    assert validate._matches(pattern, good)
    assert not validate._matches(pattern, bad)


def test_a_pattern_that_cannot_be_read_holds_for_all():
    assert validate._matches("([a-z]*)${1,128}+*", "x")


def test_lists_of_lists_and_maps_of_structures_are_walked():
    model = ServiceModel(
        {
            "metadata": {},
            "operations": {},
            "shapes": {
                "Top": {
                    "type": "structure",
                    "members": {"Rows": {"shape": "Rows"}, "ByName": {"shape": "ByName"}},
                },
                "Rows": {"type": "list", "member": {"shape": "Row"}},
                "Row": {"type": "list", "member": {"shape": "Short"}},
                "ByName": {"type": "map", "key": {"shape": "Short"}, "value": {"shape": "Thing"}},
                "Thing": {"type": "structure", "members": {"Size": {"shape": "Short"}}, "required": ["Size"]},
                "Short": {"type": "string", "max": 2},
            },
        }
    )
    with pytest.raises(Invalid) as caught:
        validate.check(model.shape_for("Top"), {"Rows": [["abc"], None], "ByName": {"k": {}}})
    assert str(caught.value) == (
        "3 validation errors detected: Value '[abc]' at 'rows.1.member' failed to satisfy constraint: "
        "Member must satisfy constraint: [Member must have length less than or equal to 2]; "
        "Value null at 'rows.2.member' failed to satisfy constraint: Member must not be null; "
        "Value null at 'byName.k.member.size' failed to satisfy constraint: Member must not be null"
    )
