"""The front door's API dispatch for boto3 behind a real socket, with an invoked model that a test scripts."""

import asyncio
import uuid
from dataclasses import replace
from datetime import datetime
from typing import Any

from aiohttp import web
from botocore.config import Config

from nearstream.core.accounts import Account
from nearstream.core.endpoints import Endpoint, EndpointStatus
from nearstream.core.errors import Missing
from nearstream.frontdoor.access import Access
from nearstream.frontdoor.api import Api, ServedService
from nearstream.services.runtime import service as runtime
from nearstream.services.runtime.invocations import Runtime, stream_broken
from nearstream.services.sagemaker import service as sagemaker
from nearstream.wire.aws import invocation
from nearstream.wire.aws.credentials import Credential
from nearstream.wire.aws.signed_request import RawRequest
from nearstream.wire.aws.sigv4 import Verifier
from nearstream.wire.framing import eventstream

ACCOUNT = Account("000000000000", "eu-central-1")
KEY = Credential("AKIDLOCAL", "sekrit", ACCOUNT.id)
TGI = (
    "763104351884.dkr.ecr.eu-central-1.amazonaws.com/"
    "huggingface-pytorch-tgi-inference:2.0.1-tgi1.0.3-gpu-py39-cu118-ubuntu20.04"
)


class Cloud:
    """boto3 clients on one side, the store on the other."""

    def __init__(self, store, descriptions, session):
        self.store = store
        self.session = session
        self.now = 1_700_000_000.0
        self.runtime_service = Runtime(ACCOUNT)
        rows = [
            (sagemaker.service(store, ACCOUNT, self.tick), None),
            (runtime.SERVICE, self._invoke),
        ]
        self.signed_at = 0.0
        self.url = ""
        self.sagemaker: Any = None
        self.runtime: Any = None
        verifier = Verifier(lambda access_key: KEY if access_key == KEY.access_key else None)
        self.access = Access(verifier, lambda: self.signed_at)
        self.api = Api(
            [ServedService(each, descriptions[each.name], relay) for each, relay in rows], self.access
        )
        self.model_answers = (200, b'[{"generated_text": "hi"}]')

    def tick(self):
        self.now += 1
        return self.now

    def client(self, name, *, secret=KEY.secret_key):
        config = Config(retries={"max_attempts": 1, "mode": "standard"})
        return self.session.client(
            name,
            endpoint_url=self.url,
            config=config,
            aws_access_key_id=KEY.access_key,
            aws_secret_access_key=secret,
        )

    async def call(self, name, **members):
        """One SageMaker operation by boto3's name for it."""
        return await asyncio.to_thread(getattr(self.sagemaker, name), **members)

    async def invoke(self, name, **members):
        return await asyncio.to_thread(getattr(self.runtime, name), **members)

    async def settle(self, name, status, reason=None):
        """What the reconcile loop would write."""
        old = await self.store.get(Endpoint, name)
        await self.store.replace(old, replace(old, status=EndpointStatus(status), failure_reason=reason))

    async def make_endpoint(self, name="chat", image=TGI):
        await self.call(
            "create_model",
            ModelName=name,
            ExecutionRoleArn="any role, so that tools of one's own may name it",
            PrimaryContainer={"Image": image, "Environment": {"HF_MODEL_ID": "gpt2"}},
        )
        await self.call(
            "create_endpoint_config",
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": "AllTraffic",
                    "ModelName": name,
                    "InitialInstanceCount": 2,
                    "InstanceType": "ml.made-up.99xlarge",
                }
            ],
        )
        return await self.call("create_endpoint", EndpointName=name, EndpointConfigName=name)

    async def handle(self, request):
        path, _, query = request.raw_path.partition("?")
        self.signed_at = self._stamp(request)
        call = RawRequest(request.method, path, query, tuple(request.headers.items()), None)
        return await self.api.handle(request, call, str(uuid.uuid4()))

    def _stamp(self, request):
        """A request is judged at the time it was signed, so that no test depends on the clock."""
        stamp = request.headers.get("X-Amz-Date")
        return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0

    async def _invoke(self, request, raw, _):
        async with self.access.proven_body(request, raw):
            call = invocation.parse(request.method, raw.path, request.headers)
        try:
            endpoint = await self.store.get(Endpoint, call.endpoint)
        except Missing:
            endpoint = None
        self.runtime_service.check(call, endpoint)
        status, body = self.model_answers
        if status is None:
            raise self.runtime_service.timed_out(call)
        if status >= 400:
            raise self.runtime_service.model_failed(call, status, body)
        upstream = {"Content-Type": "application/json"}
        if not call.streaming:
            return web.Response(body=body, headers=invocation.answer_headers(call, "AllTraffic", upstream))
        response = web.StreamResponse(headers=invocation.stream_headers(call, "AllTraffic", upstream))
        await response.prepare(request)
        for byte in body:
            await response.write(eventstream.payload_part(bytes([byte])))
        if b"broken" in body:
            await response.write(invocation.stream_failure(stream_broken()))
        return response
