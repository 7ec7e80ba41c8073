"""A whole SageMaker site inside this process, whose endpoints say what a test tells them to."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from botocore.config import Config

from nearstream.client.control_plane import ControlPlane
from nearstream.client.loop_thread import LoopThread
from nearstream.client.signing import Credentials
from nearstream.client.site_address import SiteAddress, free_port
from nearstream.client.targets import SageMakerEndpoint
from nearstream.compose.identities import lookup
from nearstream.compose.site import SiteParts, monotonic, serving
from nearstream.config.settings import Settings
from nearstream.core.accounts import Account
from nearstream.core.errors import Unusable
from nearstream.deploy.logs import LocalLogs
from nearstream.fleet.memory import MemoryRecords
from nearstream.fleet.pool import Pool
from nearstream.frontdoor.upstream.client import Upstreams
from nearstream.home.keys import Credentials as Identity
from nearstream.home.keys import Keys
from nearstream.home.paths import Home
from nearstream.home.sessions import Sessions
from nearstream.models.builtin import builtin_path
from nearstream.telemetry import logs
from nearstream.testing.answers import Failure, Script, ScriptedAnswer
from nearstream.testing.deployer import InProcessDeployer
from nearstream.testing.engine import AnswerEngine
from nearstream.testing.replicas import GRACE_S
from nearstream.testing.throttle import Throttle
from nearstream.text.tokenizer import load_tokenizer

ENDPOINT: Final = "scripted"
_IDENTITY: Final = Identity(
    "123456789012", "us-east-1", "AKIANEARSTREAMTESTS2", "a-key-for-tests-and-nothing-else"
)
_REGISTRY: Final = "763104351884.dkr.ecr.us-east-1.amazonaws.com"
_TGI: Final = _REGISTRY + "/huggingface-pytorch-tgi-inference:2.7.0-tgi{}-gpu-py311-cu124-ubuntu22.04"
_LMI: Final = _REGISTRY + "/djl-inference:{}-lmi-cu128"
_TRIES: Final = 5
_POLL_S: Final = 0.005

clock = time.time  # noqa: TID251 - signatures tell the date


class ScriptedSite:
    """A SageMaker site in this process: real HTTP, real signatures, real event streams, scripted answers.

        def test_my_chatbot(sagemaker_site):
            sagemaker_site.answer("Hello!")
            runtime = sagemaker_site.boto3("sagemaker-runtime")
            answer = runtime.invoke_endpoint_with_response_stream(
                EndpointName=sagemaker_site.endpoint, Body=b'{"inputs": "Hi", "stream": true}'
            )

    The fixture `sagemaker_site` makes one for each test; elsewhere use it in `with`. It begins with one
    endpoint, `endpoint`, behind an image of TGI. Models, configurations and endpoints can be created through
    boto3 as well; their replicas give the same answers. There is no S3. Threads may share a site.
    """

    endpoint: Final = ENDPOINT
    """The name of the endpoint that is there at the start."""

    def __init__(self, *, replicas: int = 1) -> None:
        """`replicas` of the first endpoint. Raises Unusable where no port or folder can be had."""
        logs.to_logging()
        self._script = Script()
        self._throttle = Throttle()
        self._folder = tempfile.TemporaryDirectory(prefix="ns-")
        self._thread = LoopThread("nearstream-scripted-site")
        try:
            self._address = SiteAddress(self._thread.hold(self._running()), _KEYS)
            self.create_endpoint(ENDPOINT, replicas=replicas)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the site and all that runs on it; safe to call twice."""
        self._thread.close()
        self._folder.cleanup()

    @property
    def url(self) -> str:
        """Where the site listens."""
        return self._address.url

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which boto3 and nearstream.SageMakerEndpoint.from_environment find this site."""
        return self._address.environment

    @property
    def prompts(self) -> tuple[str, ...]:
        """Every prompt that was answered, as the model read it: with the chat template around it."""
        return self._script.prompts

    def target(self, name: str = ENDPOINT) -> SageMakerEndpoint:
        """An endpoint of this site for nearstream.Client and AsyncClient."""
        return self._address.target(name)

    def boto3(self, service: str, *, config: Config | None = None, **options: Any) -> Any:  # noqa: ANN401 - boto3's clients have no type
        """A boto3 client of this site. It tries each call once, unless `config` says otherwise."""
        once = Config(retries={"total_max_attempts": 1})
        return self._address.boto3(service, config=config or once, **options)

    def answer(
        self,
        text: str,
        *,
        to: str | None = None,
        ttft_s: float = 0.0,
        between_tokens_s: float = 0.0,
        fail_after: int | None = None,
        failure: Failure = "replica",
    ) -> None:
        """Say `text` to the next call, and again to those after it until another answer is queued.

        With `to`, to every prompt that has this text in it. `ttft_s` is waited before the first token,
        `between_tokens_s` before each other one. `fail_after` so many tokens the answer breaks: "replica"
        cuts the container's connection, which boto3 raises as ModelStreamError (at least one token comes
        first); "container" is TGI's own error event, or a ModelError where no token came.
        """
        if fail_after is not None and failure == "replica":
            fail_after = max(fail_after, 1)
        self._script.add(ScriptedAnswer(text, ttft_s, between_tokens_s, fail_after, failure), to)

    def throttle(self, calls: int = 1) -> None:
        """Refuse the next `calls` invocations with a ThrottlingException; 0 ends it."""
        self._throttle.next(calls)

    def create_endpoint(
        self, name: str, *, replicas: int = 1, tgi: str = "3.3.6", lmi: str | None = None
    ) -> None:
        """Another endpoint, in service when this returns, of so many replicas.

        Behind it is this release of TGI, or with `lmi` ("0.25.0", "0.36.0") of the LMI container.
        """
        image = _TGI.format(tgi) if lmi is None else _LMI.format(lmi)
        self._thread.run(self._create_endpoint(name, replicas, image))

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[str]:
        home = Home(Path(self._folder.name))
        tokenizer = await asyncio.to_thread(load_tokenizer, builtin_path())
        wake = asyncio.Event()
        sessions, account = Sessions(None, clock), Account(_IDENTITY.account, _IDENTITY.region)
        engine = partial(AnswerEngine, self._script, tokenizer)
        deployer = InProcessDeployer(home.path, engine, clock=monotonic, dates=clock, notify=wake.set)
        # A replica whose connection was cut on demand is well, and takes the next call.
        pool = Pool(random=random.random, clock=monotonic, broken_s=0.0)
        async with Upstreams() as upstreams, deployer:
            parts = SiteParts(
                store=MemoryRecords(),
                deployer=deployer,
                pool=pool,
                upstreams=upstreams,
                keys=lookup(Keys(_IDENTITY, home.keys_file), sessions, account),
                sessions=sessions,
                logs=LocalLogs(home.logs),
                wake=wake,
                wrapped=self._throttle.wrapped,
                grace_s=GRACE_S,
            )
            async with _on_a_free_port(home, parts) as url:
                yield url

    async def _create_endpoint(self, name: str, replicas: int, image: str) -> None:
        model = {
            "ModelName": name,
            "PrimaryContainer": {"Image": image, "Environment": {"HF_MODEL_ID": "builtin"}},
            "ExecutionRoleArn": f"arn:aws:iam::{_IDENTITY.account}:role/nearstream",
        }
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InitialInstanceCount": replicas,
            "InstanceType": "ml.m5.large",
        }
        async with aiohttp.ClientSession() as session:
            control = ControlPlane(self.url, _KEYS, session)
            await control.call("CreateModel", model)
            await control.call(
                "CreateEndpointConfig", {"EndpointConfigName": name, "ProductionVariants": [variant]}
            )
            await control.call("CreateEndpoint", {"EndpointName": name, "EndpointConfigName": name})
            while not await _is_ready(control, name, replicas):  # noqa: ASYNC110 - the site is asked over HTTP
                await asyncio.sleep(_POLL_S)


_KEYS: Final = Credentials(_IDENTITY.access_key, _IDENTITY.secret_key, _IDENTITY.region)


@asynccontextmanager
async def _on_a_free_port(home: Home, parts: SiteParts) -> AsyncIterator[str]:
    """The site's address. Raises Unusable."""
    async with AsyncExitStack() as stack:
        for tries_left in reversed(range(_TRIES)):
            settings = Settings(port=free_port(), home=home.path)
            site = serving(settings, _IDENTITY, parts, objects_at="none")
            try:
                await stack.enter_async_context(site)
            except Unusable:
                if not tries_left:
                    raise
            else:
                break
        yield settings.url


async def _is_ready(control: ControlPlane, name: str, replicas: int) -> bool:
    endpoints = {each["name"]: each for each in (await control.status())["endpoints"]}
    found = endpoints.get(name, {"status": "Creating", "replicas": []})
    if found["status"] == "Failed":
        raise Unusable(f"The endpoint {name} could not be started. {found['failure_reason']}")
    ready = [replica for replica in found["replicas"] if replica["state"] == "Ready"]
    return found["status"] == "InService" and len(ready) == replicas
