"""A cloud for each test; what is slow to load is loaded once."""

import boto3
import pytest
from aiohttp import web
from tests.unit.services.cloud import ACCOUNT, Cloud

from nearstream.fleet.store import Store
from nearstream.frontdoor.api import served
from nearstream.services.runtime import service as runtime
from nearstream.services.sagemaker import service as sagemaker


@pytest.fixture(scope="session")
def descriptions():
    services = (sagemaker.service(None, ACCOUNT, lambda: 0.0), runtime.SERVICE)
    return {each.name: served(each).description for each in services}


@pytest.fixture(scope="session")
def session():
    return boto3.Session(region_name=ACCOUNT.region)


@pytest.fixture
async def cloud(tmp_path, descriptions, session):
    async with Store.open(f"sqlite:///{tmp_path}/state.db") as store:
        cloud = Cloud(store, descriptions, session)
        runner = web.ServerRunner(web.Server(cloud.handle))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        cloud.url = "http://{}:{}".format(*runner.addresses[0])
        cloud.sagemaker, cloud.runtime = cloud.client("sagemaker"), cloud.client("sagemaker-runtime")
        yield cloud
        await runner.cleanup()
