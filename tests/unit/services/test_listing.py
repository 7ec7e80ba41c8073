"""Lists, page by page."""

import asyncio
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError
from tests.unit.services.cloud import TGI


def at(seconds):
    return datetime.fromtimestamp(seconds, UTC)


async def names(cloud, **members):
    models = await cloud.call("list_models", **members)
    return [model["ModelName"] for model in models["Models"]]


@pytest.fixture
async def five(cloud):
    for name in ("b", "d-x", "A", "e-X", "c"):
        await cloud.call("create_model", ModelName=name, PrimaryContainer={"Image": TGI})
    return cloud


async def test_lists_are_newest_first_unless_asked(five):
    assert await names(five) == ["c", "e-X", "A", "d-x", "b"]
    assert await names(five, SortOrder="Ascending") == ["b", "d-x", "A", "e-X", "c"]
    assert await names(five, SortBy="Name", SortOrder="Ascending") == ["A", "b", "c", "d-x", "e-X"]


async def test_filters_narrow_a_list(five):
    assert await names(five, NameContains="x") == ["e-X", "d-x"]
    assert await names(five, CreationTimeAfter=at(five.now - 2)) == ["c", "e-X"]
    assert await names(five, CreationTimeBefore=at(five.now - 2)) == ["d-x", "b"]
    assert await names(five, NameContains="nothing") == []


@pytest.mark.parametrize("order", ["Ascending", "Descending"])
@pytest.mark.parametrize("key", ["Name", "CreationTime"])
async def test_the_pages_of_a_list_join_to_the_whole(five, key, order):
    whole = await names(five, SortBy=key, SortOrder=order)
    pages = five.sagemaker.get_paginator("list_models").paginate(
        SortBy=key, SortOrder=order, PaginationConfig={"PageSize": 2}
    )
    joined = await asyncio.to_thread(lambda: [[m["ModelName"] for m in page["Models"]] for page in pages])
    assert [len(page) for page in joined] == [2, 2, 1]
    assert [name for page in joined for name in page] == whole


async def test_a_page_is_right_though_its_neighbours_go(five):
    first = await five.call("list_models", MaxResults=2)
    await five.call("delete_model", ModelName=first["Models"][-1]["ModelName"])
    assert await names(five, MaxResults=2, NextToken=first["NextToken"]) == ["A", "d-x"]


@pytest.mark.parametrize("token", ["made up", "e30=", "é"])
async def test_a_token_that_was_never_given_is_refused(five, token):
    with pytest.raises(ClientError, match="NextToken"):
        await five.call("list_models", NextToken=token)


async def test_endpoints_are_listed_by_status_and_change(cloud):
    await cloud.make_endpoint("one")
    await cloud.make_endpoint("two")
    await cloud.settle("two", "InService")

    async def endpoints(**members):
        listed = await cloud.call("list_endpoints", **members)
        return [each["EndpointName"] for each in listed["Endpoints"]]

    assert await endpoints(StatusEquals="InService") == ["two"]
    assert await endpoints(SortBy="Status", SortOrder="Ascending") == ["one", "two"]
    assert await endpoints(LastModifiedTimeBefore=at(cloud.now)) == ["one"]
    configs = await cloud.call("list_endpoint_configs", NameContains="tw")
    assert [each["EndpointConfigName"] for each in configs["EndpointConfigs"]] == ["two"]
