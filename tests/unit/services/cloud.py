"""A front door just large enough for boto3: our wire layer and services behind a real socket."""

import asyncio
from dataclasses import replace
from datetime import datetime

from aiohttp import web
from botocore.config import Config

from nearstream.core.endpoints import Endpoint, EndpointStatus
from nearstream.core.errors import Missing, NearstreamError
from nearstream.services import runtime
from nearstream.services.sagemaker.operations import operations
from nearstream.wire.aws import errors, jsonrpc, restjson
from nearstream.wire.aws.arn import Account
from nearstream.wire.aws.claim import RawRequest
from nearstream.wire.aws.credentials import Credential
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

    def __init__(self, store, description, session):
        self.store = store
        self.session = session
        self.now = 1_700_000_000.0
        self.site = runtime.Site(ACCOUNT)
        self.description = description
        self.operations = operations(store, ACCOUNT, self.tick)
        self.verifier = Verifier(lambda access_key: KEY if access_key == KEY.access_key else None)
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
        body = await request.read()
        raw = RawRequest(request.method, path, query, tuple(request.headers.items()), body)
        data_plane = path.startswith("/endpoints/")
        try:
            self.verifier.verify(raw, now=self._clock(request))
            answer = await (self._invoke(request, path) if data_plane else self._operate(request, body))
        except NearstreamError as error:
            if data_plane:
                failure = errors.translate(error, errors.SAGEMAKER_RUNTIME)
                answer = restjson.failure(failure, request_id="r")
            else:
                failure = errors.translate(error, errors.SAGEMAKER)
                answer = jsonrpc.failure(self.description, failure, request_id="r")
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.Response(status=answer.status, headers=dict(answer.headers), body=answer.body)

    def _clock(self, request):
        """A request is judged at the time it was signed, so that no test depends on the clock."""
        stamp = request.headers.get("X-Amz-Date")
        return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0

    async def _operate(self, request, body):
        name = jsonrpc.operation_name(self.description, request.headers.get("X-Amz-Target", ""))
        output = await self.operations[name](jsonrpc.parse(self.description, name, body))
        return jsonrpc.answer(self.description, name, output, request_id="r")

    async def _invoke(self, request, path):
        call = runtime.parse(request.method, path, request.headers)
        try:
            endpoint = await self.store.get(Endpoint, call.endpoint)
        except Missing:
            endpoint = None
        self.site.check(call, endpoint)
        status, body = self.model_answers
        if status is None:
            raise self.site.timed_out(call)
        if status >= 400:
            raise self.site.model_failed(call, status, body)
        upstream = {"Content-Type": "application/json"}
        if not call.streaming:
            return web.Response(body=body, headers=runtime.answer_headers(call, "AllTraffic", upstream))
        response = web.StreamResponse(headers=runtime.stream_headers(call, "AllTraffic", upstream))
        await response.prepare(request)
        for byte in body:
            await response.write(eventstream.payload_part(bytes([byte])))
        if b"broken" in body:
            await response.write(runtime.stream_broken())
        return response
